"""The header of an encrypted secret shows what seals it."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_upload.host import sealing
from roster_upload.host.sealing import Seal, seal_of, seals, why_locked
from support.seals import HEADS, head


@pytest.mark.parametrize(
    ("name", "seal", "text"),
    [
        ("host", ("host", ()), "the host's key"),
        ("tpm2, PCR 7", ("tpm2", (7,)), "the TPM, with PCR 7"),
        ("host+tpm2, PCR 7", ("host+tpm2", (7,)), "the host's key and the TPM, with PCR 7"),
        ("host+tpm2, no PCR", ("host+tpm2", ()), "the host's key and the TPM, without PCRs"),
        ("host+tpm2, PCR 23", ("host+tpm2", (23,)), "the host's key and the TPM, without PCRs"),
    ],
)
def test_a_seal_is_read_from_the_header(name: str, seal: tuple[object, ...], text: str) -> None:
    found = seal_of(head(name))
    assert tuple(found) == seal
    assert found.text == text
    assert bool(found.changing_pcrs) is ("PCR 7" in name)


@pytest.mark.parametrize(
    "data", [b"", b"sealed-secret", b"AAAA", b"\xff" * 99, head("tpm2, PCR 7")[:60]]
)
def test_anything_else_is_unknown(data: bytes) -> None:
    assert seal_of(data) == Seal("unknown")
    assert Seal("unknown").text == "an unknown key"


def test_a_folder_has_each_seal_once(tmp_path: Path) -> None:
    for file, name in (("current", "host"), ("state", "host"), ("webhook", "tpm2, PCR 7")):
        (tmp_path / file).write_bytes(head(name))
    (tmp_path / ".state.lost").write_bytes(head("host+tpm2, PCR 7"))
    found = seals(tmp_path)
    assert found == [Seal("host"), Seal("tpm2", (7,))]


def test_a_report_of_another_release_has_a_seal() -> None:
    assert Seal.named("quantum", [1]).text == "an unknown key"
    assert Seal.named("tpm2", [0, 7]).text == "the TPM, with PCR 0 and 7"


@pytest.mark.parametrize(
    ("names", "has_key", "why"),
    [
        (["host+tpm2, PCR 7", "host"], True, "bound to PCR 7 of its TPM"),
        (["host+tpm2, PCR 7"], False, "bound to PCR 7 of its TPM"),
        (["host+tpm2, PCR 23"], False, "credential.secret is missing"),
        (["host"], False, "credential.secret is missing"),
        (["host+tpm2, no PCR"], True, "its TPM was cleared"),
        (["host"], True, "credential.secret was replaced"),
        ([], True, "they are damaged"),
    ],
)
def test_why_a_host_cannot_open_its_secrets(
    names: list[str], has_key: bool, why: str, tmp_path: Path
) -> None:
    key = tmp_path / "credential.secret"
    if has_key:
        key.touch()
    assert why in why_locked([seal_of(head(name)) for name in names], key)
    assert set(names) <= set(HEADS)
    assert Path("/var/lib/systemd/credential.secret") == sealing.HOST_KEY

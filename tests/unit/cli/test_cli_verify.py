"""`verify` shows what seals the secrets, if the account may know it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from roster_upload.cli import parser
from support.seals import head
from unit.test_config import GOOD

FEED = str(GOOD["feed"])


def sealing(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """Return the check of the seals in the answer of `verify`."""
    words = [f"--config-dir={folder}", f"--state-dir={folder}", "verify", FEED]
    parser.main([*words, "--without-login", "--json"])
    checks = json.loads(capsys.readouterr().out)["feeds"][0]["checks"]
    return [check for check in checks if check["check"] == "sealing"]


def test_verify_shows_what_seals_the_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"{FEED}.toml").write_text(
        "".join(
            f"{key} = {json.dumps(list(value) if isinstance(value, (list, tuple)) else value)}\n"
            for key, value in GOOD.items()
        )
    )
    assert sealing(tmp_path, capsys) == []
    folder = tmp_path / "credentials" / FEED
    folder.mkdir(parents=True)
    (folder / "current").write_bytes(head("host+tpm2, no PCR"))
    [good] = sealing(tmp_path, capsys)
    assert good["text"] == "the host's key and the TPM, without PCRs"
    assert (good["ok"], good["ready"]) == (True, True)
    (folder / "state").write_bytes(head("host+tpm2, PCR 7"))
    [wrong] = sealing(tmp_path, capsys)
    assert "with PCR 7. An update of Secure Boot would lock the secrets" in str(wrong["text"])
    assert (wrong["ok"], wrong["ready"]) == (True, False)

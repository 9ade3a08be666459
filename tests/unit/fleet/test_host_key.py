"""The vendor's host key is pinned once it is confirmed, and never replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from roster_fleet.onboard import host_key

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHPnYyg29wp+52NcQKVv+8V0+4pa5RjDmFa8hpvjb9rX"


def test_a_pin_is_added_and_never_replaced() -> None:
    for before in ("", "---\n# why\na: 1\n", "---\nroster_upload_host_keys: []\n", "---\n# only\n"):
        after = host_key.with_pin(before, ED25519)
        assert yaml.safe_load(after)["roster_upload_host_keys"] == [ED25519]
        assert all(word in after for word in before.replace("[]", "").split())
        with pytest.raises(host_key.HostKeyError):
            host_key.with_pin(after, ED25519)


def test_only_the_fingerprint_of_the_key_confirms_it() -> None:
    shown = host_key.fingerprint(ED25519)
    assert shown.startswith("SHA256:")
    for answer in (shown, shown.removeprefix("SHA256:"), f" {shown}= ", "yes"):
        assert host_key.confirmed([ED25519], answer) == ED25519
    for answer in ("y", "", shown.lower(), shown[:-1], "SHA256:"):
        with pytest.raises(host_key.HostKeyError, match="Nothing was pinned"):
            host_key.confirmed([ED25519], answer)


def asking(*answers: str) -> tuple[host_key.Ask, list[str]]:
    """Return an operator who types these answers, and the problems that they are shown."""
    left, problems = list(answers), []

    def ask(server: str, shown: str, owner: str, problem: str) -> str:
        assert (server, owner) == ("sftp.example:22", host_key.VENDOR)
        assert ED25519.split(maxsplit=1)[0] in shown
        problems.append(problem)
        return left.pop(0)

    return ask, problems


def keys(monkeypatch: pytest.MonkeyPatch, ask: host_key.Ask, given: str = "") -> host_key.HostKeys:
    monkeypatch.setattr(host_key, "offered", lambda _host, _port: [ED25519])
    return host_key.HostKeys(given, ask, is_check=False)


SERVER: dict[str, Any] = {"host": "sftp.example", "port": 22, "pinned": []}


@pytest.mark.parametrize("given", ["", "SHA256:mistyped"])
def test_a_mistyped_fingerprint_is_asked_for_again(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, problems = asking(*([] if given else ["SHA256:mistyped"]), host_key.fingerprint(ED25519))
    confirming = keys(monkeypatch, ask, given)
    [file], [row] = confirming.pin(tmp_path, [SERVER])
    assert row["did"] == "host key pinned"
    assert yaml.safe_load(file.data or b"")[host_key.VARIABLE] == [ED25519]
    assert not file.path.exists()  # it is written with all other files
    assert "'SHA256:mistyped' is not a fingerprint of the server" in problems[-1]
    assert host_key.fingerprint(ED25519) in problems[-1]
    asked = len(problems)
    confirming.pin(tmp_path, [SERVER])  # as after a correction of another answer
    assert len(problems) == asked


def test_without_an_answer_nothing_is_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, [row] = keys(monkeypatch, asking("")[0]).pin(tmp_path, [SERVER])
    assert files == []
    assert not row["ok"]
    assert "which nobody has confirmed" in row["note"]
    files, [row] = keys(monkeypatch, asking("")[0], "SHA256:x").pin(tmp_path, [SERVER])
    assert "'SHA256:x' is not a fingerprint" in row["note"]
    pinned = SERVER | {"pinned": [ED25519]}
    files, [row] = keys(monkeypatch, asking()[0]).pin(tmp_path, [pinned])
    assert (files, row["did"]) == ([], "host key is the pinned one")
    files, found = keys(monkeypatch, asking()[0]).pin(tmp_path, [SERVER, SERVER])
    assert {row["did"] for row in found} == {"host key NOT PINNED"}

"""Why a Windows share was not mounted."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_upload.host import share

GUEST = "smb://files/SIS/One@2.zip"
URL = "smb://svc@files/SIS/One.zip"


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of mount.cifs's messages."""
    monkeypatch.setattr(share, "NOTES", tmp_path)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("said", "cause", "text"),
    [
        ("mount error(13): Permission denied\nRefer to", "login", "refuses the login"),
        ("mount error(126): Required key", "login", "refuses the login"),
        ("mount error(2): No such file or directory", "remote_path", "no such share or folder"),
        ("mount error(6): No such device or address", "remote_path", "no such share or folder"),
        ("mount error(111): could not connect to 10.0.0.9Unable", "network", "cannot be reached"),
        ("mount error(115): could not connect to 10.0.0.9", "network", "cannot be reached"),
        ("mount error(113): could not connect to 10.0.0.9", "network", "cannot be reached"),
        ("mount error(112): Host is down", "network", "cannot be reached"),
        ("mount error(95): Operation not supported", "negotiation", "no SMB 3"),
        ("mount error(22): Invalid argument", "file_server", "Invalid argument"),
        ("mount error: could not resolve address for nas: Unknown", "network", "name"),
        ("something\x1b[2J else\nmore", "file_server", "something"),
    ],
)
def test_each_error_of_a_mount_has_a_cause(notes: Path, said: str, cause: str, text: str) -> None:
    (notes / "alder.share").write_text(said)
    found = share.trouble("alder", GUEST)
    assert found
    assert found.cause == cause
    assert text in found.text
    assert found.text.isprintable()


def test_without_a_message_nothing_is_known(notes: Path) -> None:
    assert share.trouble("alder", GUEST) is None
    (notes / "alder.share").write_text("")
    assert share.trouble("alder", GUEST) is None


def test_a_missing_password_is_the_cause(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (notes / "alder.share").write_text("mount error(13): an older one")
    found = share.trouble("alder", URL)
    assert found
    assert found.cause == "credential"
    (notes / "alder_source_current").write_bytes(b"a secret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(notes))
    found = share.trouble("alder", URL)
    assert found
    assert found.cause == "login"


def test_the_reason_replaces_what_the_system_says(notes: Path) -> None:
    said = "/srv/roster-source/alder/One.zip cannot be read"
    unknown = share.explained("alder", GUEST, said, "file_server")
    assert unknown == share.Trouble("file_server", f"{said}. It is mounted from {GUEST}")
    (notes / "alder.share").write_text("mount error(111): could not connect to 10.0.0.9")
    known = share.explained("alder", GUEST, said, "file_server")
    assert known.cause == "network"
    assert known.text.startswith(f"{GUEST} was not mounted: the file server cannot be reached")
    other = share.explained("alder", GUEST, "there is no export", "no_match")
    assert other == share.Trouble("no_match", f"there is no export. It is mounted from {GUEST}")

"""Credentials that systemd hands to a unit, and the former one after a rotation."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest
from roster_upload.exits import Exit, Failure
from roster_upload.host import credentials

NOW = dt.datetime(2026, 11, 24, 6, 0, 0, tzinfo=dt.UTC)


def test_a_credential_is_the_file_that_systemd_has_put_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "maple_current").write_bytes(b"secret\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert credentials.secrets_folder() == tmp_path
    assert credentials.credential("maple", "current") == b"secret\n"
    with pytest.raises(Failure, match="maple_state") as failed:
        credentials.credential("maple", "state")
    assert failed.value.code is Exit.CREDENTIAL


def test_outside_of_its_unit_there_is_no_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert credentials.secrets_folder() is None
    with pytest.raises(Failure, match=r"systemctl start roster-upload@maple\.service") as failed:
        credentials.credential("maple", "current")
    assert failed.value.code is Exit.CREDENTIAL


def test_a_credential_is_outlived_by_a_delivery_that_began_after_it(tmp_path: Path) -> None:
    path = credentials.previous(tmp_path, "maple")
    assert path == tmp_path / "previous" / "maple" / "previous"
    path.parent.mkdir(parents=True)
    path.touch()
    os.utime(path, (NOW.timestamp(),) * 2)
    tomorrow = NOW + dt.timedelta(days=1)
    assert not credentials.is_outlived(path, "", tomorrow)
    for seconds, outlived in ((-1, False), (0, False), (1, True)):
        accepted = (NOW + dt.timedelta(seconds=seconds)).isoformat()
        assert credentials.is_outlived(path, accepted, tomorrow) is outlived
    assert credentials.is_outlived(path, accepted, NOW + dt.timedelta(seconds=1))
    assert not credentials.is_outlived(path, accepted, NOW), "a start that lies ahead says nothing"

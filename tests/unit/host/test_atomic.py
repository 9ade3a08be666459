"""A file is replaced as a whole and durably, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from roster_upload.host import atomic


def test_a_replaced_file_outlives_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bytes]] = []

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        is_there = (tmp_path / "state").exists()
        synced.append(("folder", b"") if path.is_dir() else ("file", path.read_bytes()))
        assert is_there == path.is_dir(), "the name comes behind the content"

    monkeypatch.setattr(os, "fsync", fsync)
    atomic.replace(tmp_path / "state", b"new")
    assert synced == [("file", b"new"), ("folder", b"")]
    monkeypatch.setattr(os, "fsync", synced.remove)
    atomic.replace(tmp_path / "state", b"newer", lasting=False)


def test_a_file_has_its_mode_whatever_the_umask_is(tmp_path: Path) -> None:
    for umask in (0, 0o077):
        old = os.umask(umask)
        try:
            atomic.replace(tmp_path / "state", b"x", mode=0o640)
        finally:
            os.umask(old)
        assert (tmp_path / "state").stat().st_mode & 0o777 == 0o640


def test_a_failure_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state"
    atomic.replace(path, b"old")
    with pytest.raises(ValueError, match="closed"), atomic.replacing(path) as out:
        out.close()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_killed_runs_have_left_goes(tmp_path: Path) -> None:
    path = tmp_path / "state"
    for name in ("state", ".state.abc", ".other.abc"):
        (tmp_path / name).touch()
    atomic.remove_leftovers(path)
    assert {left.name for left in tmp_path.iterdir()} == {"state", ".other.abc"}

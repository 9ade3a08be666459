"""The fetched export stays on the host until it is delivered."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from roster_upload import config
from roster_upload.exits import Exit, Failure
from roster_upload.export import Snapshot, path_of
from roster_upload.fetch import kept
from support.source_server import NOW, feed_of
from unit.test_config import GOOD

FEED = feed_of()
ABOUT = kept.Fetched(FEED.origin, "gr\udcf6\udcdfe\n.zip", 1, NOW, hashlib.sha256(b"x").hexdigest())


def keep(state: Path) -> None:
    with kept.workplace(state) as folder:
        copy = folder / "export"
        copy.write_bytes(b"x")
        snapshot = Snapshot(copy, 1, ABOUT.sha256, None)  # type: ignore[arg-type]  # is not read
        kept.keep(state, snapshot, ABOUT)
        assert copy.exists(), "the run goes on with its own"


def test_a_fetched_export_is_found_again(tmp_path: Path) -> None:
    keep(tmp_path)
    assert (tmp_path / "fetched").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "fetched" / "about.json").stat().st_mode & 0o777 == 0o600
    assert kept.last(FEED, tmp_path) == ABOUT
    path = path_of(kept.on_host(FEED, tmp_path))
    assert (path.read_bytes(), path.stat().st_mtime) == (b"x", NOW)
    assert kept.name_of(FEED, tmp_path) == "gr\\xf6\\xdfe\\n.zip"
    assert sorted(path.name for path in (tmp_path / "fetched").iterdir()) == [
        "about.json",
        "export",
    ]
    keep(tmp_path)
    kept.drop(tmp_path)
    kept.drop(tmp_path)
    assert kept.last(FEED, tmp_path) == ABOUT
    with pytest.raises(Failure, match="roster-upload rehearse maple-grove") as failed:
        kept.on_host(FEED, tmp_path)
    assert failed.value.code is Exit.SOURCE


def test_one_from_another_source_does_not_count(tmp_path: Path) -> None:
    keep(tmp_path)
    other = feed_of("another.zip")
    assert kept.last(other, tmp_path) is None
    with pytest.raises(Failure):
        kept.on_host(other, tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"url": 1}', "\0"])
def test_a_damaged_record_is_none(tmp_path: Path, text: str) -> None:
    keep(tmp_path)
    (tmp_path / "fetched" / "about.json").write_text(text)
    assert kept.last(FEED, tmp_path) is None


def test_leftovers_of_killed_runs_are_removed(tmp_path: Path) -> None:
    left = tmp_path / "fetched" / "work-killed"
    left.mkdir(parents=True)
    (left / "export").write_bytes(b"x")
    with kept.workplace(tmp_path) as folder:
        assert not left.exists()
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "fetched").write_bytes(b"")
    with (
        pytest.raises(Failure, match="no room for a private copy") as failed,
        kept.workplace(tmp_path),
    ):
        pass
    assert failed.value.code is Exit.LOCAL


def test_a_source_on_the_host_stays_as_it_is(tmp_path: Path) -> None:
    feed = config.parse(GOOD)
    assert kept.on_host(feed, tmp_path) is feed
    assert kept.name_of(feed, tmp_path) == ""

"""Fetch the export from the SIS's server, and deliver it to the vendor's."""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from roster_upload import config
from roster_upload.exits import Exit, Failure
from roster_upload.fetch.fetch import Watcher, fetch
from roster_upload.transfer.info import ConnectionInfo
from support import rosters
from support.district import FEED, USER, District
from support.vendor import Vendor, serving

SECRET = "the SIS's password"
OLD, NEW = (rosters.build(students=count) for count in (300, 310))
SMALL = rosters.build(students=60)


class Sis:
    """The SIS's server, and the folder of its exports."""

    def __init__(self, server: Vendor) -> None:
        self.server = server
        self.folder = server.root / "exports of tonight"
        self.folder.mkdir()

    def put(self, name: str | bytes, data: bytes = NEW, hours: float = 20) -> Path:
        """Write a file that is so many hours old."""
        path = self.folder / os.fsdecode(name)
        path.write_bytes(data)
        written = time.time() - hours * 3600
        os.utime(path, (written, written))
        return path

    def url(self, name: str) -> str:
        host = f"{quote(USER)}@127.0.0.1:{self.server.port}"
        return f"sftp://{host}/{quote(self.folder.name)}/{name}"


@pytest.fixture
def sis(tmp_path: Path) -> Iterator[Sis]:
    with serving(Vendor(tmp_path / "sis", SECRET, allows="(?s).*")) as server:
        yield Sis(server)


@pytest.fixture
def use(district: District, sis: Sis) -> Callable[..., None]:
    """Return a function that lets the district fetch its export, by the name of a pattern."""
    (district.credential.parent / f"{FEED}_source_current").write_text(SECRET)

    def configure(name: str = "OneRoster*.zip", **changes: object) -> None:
        keys = {"source": sis.url(name), "source_host_keys": [sis.server.host_key]}
        district.configure(**{**keys, "retry_seconds": 0, **changes})

    configure()
    return configure


def delivered(district: District) -> bytes:
    return (district.vendor.folder / "OneRoster.zip").read_bytes()


def test_the_newest_match_is_delivered(district: District, sis: Sis, use: object) -> None:
    sis.put("OneRoster-1.zip", OLD, hours=30)
    sis.put("OneRoster-2.zip")
    sis.put("another.zip", b"x", hours=16)
    sis.put(".OneRoster-3.zip", b"a part", hours=16)
    (sis.folder / "OneRoster-4.zip").mkdir()
    (sis.folder / "OneRoster-5.zip").symlink_to("/etc/hostname")
    code, told = district.send()
    assert code == Exit.OK, told
    assert delivered(district) == NEW
    source = district.last["source"]
    assert (source["name"], source["bytes"]) == ("OneRoster-2.zip", len(NEW))
    assert source["origin"].endswith("/exports of tonight/OneRoster*.zip")
    assert source["path"].endswith("/exports of tonight/OneRoster-2.zip")
    assert "after" not in source
    assert sorted(path.name for path in sis.folder.iterdir())[1] == "OneRoster-1.zip"
    assert sis.server.connections == 1
    kept = district.state / "fetched"
    assert [path.name for path in kept.iterdir()] == ["about.json"], "the vendor has it"


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("One Roster 100%.zip", "One%20Roster%20100%25.zip"),
        ("größe [1]#?.zip", "gr%C3%B6%C3%9Fe%20[1]%23*.zip"),
        (b"gr\xf6\xdfe\n\x1b[2J.zip", "*.zip"),
    ],
)
def test_any_name_is_fetched_and_removed(
    district: District, sis: Sis, use: Callable[..., None], name: str | bytes, pattern: str
) -> None:
    use(pattern, source_after="remove")
    path = sis.put(name)
    code, told = district.send()
    assert code == Exit.OK, told
    assert delivered(district) == NEW
    assert not path.exists()
    assert district.last["source"]["after"] == "removed"
    assert district.last["source"]["name"].isprintable()
    assert "\x1b" not in told


def test_a_second_start_of_the_night_finds_it_delivered(
    district: District, sis: Sis, use: Callable[..., None]
) -> None:
    use(source_after="remove")
    sis.put("OneRoster.zip")
    district.open_window()
    assert district.send()[0] == Exit.OK
    code, told = district.run("send", FEED)
    assert (code, "already has tonight's delivery" in told) == (Exit.OK, True)
    sis.put("OneRoster.zip")
    assert [one["outcome"] for one in district.receipts if one["outcome"] != "begun"] == ["sent"]


def test_tonights_file_is_not_read_twice(district: District, sis: Sis, use: object) -> None:
    sis.put("OneRoster.zip")
    district.open_window()
    os.utime(district.config_file, (1, 1))
    assert district.send()[0] == Exit.OK
    reads = sis.server.requests.count("read")
    assert district.run("send", FEED)[0] == Exit.OK
    assert sis.server.requests.count("read") == reads
    sis.put("OneRoster.zip", OLD)  # corrected within the window
    assert district.send()[0] == Exit.OK
    assert delivered(district) == OLD


def test_what_is_not_accepted_is_not_removed(
    district: District, sis: Sis, use: Callable[..., None]
) -> None:
    use(source_after="remove")
    path = sis.put("OneRoster.zip", OLD)
    assert district.run("rehearse", FEED)[0] == Exit.OK
    district.vendor.refuse["open"] = 3  # type: ignore[attr-defined]  # the test's own vendor
    assert district.send()[0] == Exit.PERMISSION
    assert path.exists()
    district.vendor.refuse.clear()  # type: ignore[attr-defined]
    assert district.send()[0] == Exit.OK
    assert not path.exists()
    path = sis.put("OneRoster.zip", SMALL)
    code, _ = district.send()
    assert code == Exit.HELD
    assert path.exists()
    assert (district.state / "fetched" / "export").read_bytes() == SMALL
    assert (district.state / "fetched" / "export").stat().st_mode & 0o777 == 0o600
    assert district.run("check", FEED)[0] == Exit.HELD, "it reads the fetched export"
    digest = district.last["source"]["sha256"]
    assert district.run("approve", FEED, "--digest", digest, "--reason", "a test")[0] == Exit.OK
    assert district.send()[0] == Exit.OK
    assert delivered(district) == SMALL
    assert not path.exists()
    assert "rehearse" in district.run("check", FEED)[1]


def test_a_file_that_has_changed_meanwhile_stays(
    district: District, sis: Sis, use: Callable[..., None]
) -> None:
    use(source_after="remove")
    path = sis.put("OneRoster.zip")

    gate = threading.Event()
    district.vendor.gate = gate  # type: ignore[attr-defined]
    started = district.start("send", FEED)
    while not sis.server.requests.count("closedir") or sis.server.connected:
        time.sleep(0.05)
    sis.put("OneRoster.zip", OLD, hours=19)
    gate.set()
    _, told = started.communicate()
    assert started.returncode == Exit.OK, told
    assert path.read_bytes() == OLD
    assert district.last["source"]["after"] == "left"
    assert "has changed since it was fetched" in district.last["source"]["note"]


def test_a_removal_that_fails_harms_nothing(
    district: District, sis: Sis, use: Callable[..., None]
) -> None:
    use(source_after="remove")
    path = sis.put("OneRoster.zip")
    sis.server.refuse["remove"] = 3
    code, told = district.send()
    assert (code, path.exists()) == (Exit.OK, True)
    assert district.last["source"]["after"] == "left"
    assert "The export was left on its server" in told


def test_a_growing_file_is_waited_for(
    district: District, sis: Sis, use: Callable[..., None]
) -> None:
    use("OneRoster.zip", quiet_seconds=2)
    path = sis.put("OneRoster.zip", NEW[:1000], hours=0)
    started = district.start("send", FEED)
    while "stat" not in sis.server.requests:
        time.sleep(0.05)
    time.sleep(0.5)
    path.write_bytes(NEW)
    _, told = started.communicate()
    assert started.returncode == Exit.OK, told
    assert delivered(district) == NEW


BEFORE = {"grows": NEW[:-1], "shrinks": NEW + b"x", "is another": OLD, "is gone": NEW}


@pytest.mark.parametrize("change", BEFORE)
def test_a_change_while_it_is_read_is_noticed(
    district: District, sis: Sis, use: Callable[..., None], change: str
) -> None:
    """The next attempt takes the file that is whole by then."""
    use(attempts=2)
    path = sis.put("OneRoster.zip", BEFORE[change])

    def meanwhile(_offset: int) -> None:
        sis.server.before_read = None
        if change in ("is another", "is gone"):
            path.unlink()
        if change != "is gone":
            path.write_bytes(NEW)

    sis.server.before_read = meanwhile
    code, told = district.send()
    assert "attempt 1 of 2" in told
    assert "changed while it was read" in told
    assert code == (Exit.SOURCE if change == "is gone" else Exit.OK), told
    assert (delivered(district) == NEW) is (change != "is gone")


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_refused_login_is_tried_once(
    district: District, sis: Sis, use: Callable[..., None], attempts: int
) -> None:
    use(attempts=attempts)
    sis.put("OneRoster.zip")
    (district.credential.parent / f"{FEED}_source_current").write_text("another")
    code, told = district.send()
    assert (code, sis.server.logins) == (Exit.SOURCE, [USER])
    assert district.last["source"]["cause"] == "login"
    assert "Imagine Learning's e-mail" not in told
    assert "another" not in told
    assert district.vendor.connections == 0  # type: ignore[attr-defined]


def test_causes_are_named(district: District, sis: Sis, use: Callable[..., None]) -> None:
    other = district.vendor.host_key
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        gone = f"sftp://{quote(USER)}@127.0.0.1:{taken.getsockname()[1]}/x.zip"
        cases: dict[str, dict[str, object]] = {
            "no_match": {},
            "remote_path": {"source": sis.url("x*").replace("tonight", "nobody")},
            "host_key": {
                "source_host_keys": [other],
                "host_keys": [other, sis.server.host_key],  # those of the vendor
            },
            "network": {"source": gone},
        }
        for cause, changes in cases.items():
            use(**changes)
            code, told = district.send()
            assert (code, district.last["source"]["cause"]) == (Exit.SOURCE, cause), told
            assert district.last["message"].startswith("there is no export")
    (sis.folder / "OneRoster (1).csv").write_bytes(b"x")
    use("OneRoster.zip")
    assert '"OneRoster (1).csv"' in district.send()[1]
    assert sis.server.logins == [USER] * 3


def test_old_and_future_files_are_not_read(district: District, sis: Sis, use: object) -> None:
    for hours in (40, -3):
        sis.put("OneRoster.zip", hours=hours)
        code, _ = district.send()
        assert (code, district.last["outcome"]) == (Exit.STALE, "stale")
    assert "read" not in sis.server.requests


def test_a_file_that_is_too_large_is_not_read(
    district: District, sis: Sis, use: Callable[..., None]
) -> None:
    use(maximum_bytes=len(NEW) - 1)
    sis.put("OneRoster.zip")
    assert district.send()[0] == Exit.REFUSED
    assert "read" not in sis.server.requests


def test_a_slow_server_ends_with_the_time(
    district: District, sis: Sis, use: object, tmp_path: Path
) -> None:
    sis.put("OneRoster.zip", rosters.build(students=9000))
    sis.server.before_read = lambda _offset: time.sleep(0.4)
    watcher = Watcher(lambda *_: None, lambda _: None, lambda *_: None)
    began = time.monotonic()
    with pytest.raises(Failure) as failed:
        fetch(
            config.load(district.config_file), SECRET.encode(), tmp_path / "copy",
            ConnectionInfo(), watcher, limit=1,
        )  # fmt: skip
    assert (failed.value.code, failed.value.cause) == (Exit.SOURCE, "silent")
    assert time.monotonic() - began < 30, "a bound, not a measure"


def test_a_login_shows_what_is_there(district: District, sis: Sis, use: object) -> None:
    folder = district.credential.parent
    code, told = district.run("login", "--source", FEED)
    assert (code, "there is no export" in told) == (Exit.SOURCE, True)
    (folder / f"{FEED}_source_pending").write_text(SECRET)
    assert district.run("login", "--source", "--slot", "pending", FEED)[0] == Exit.OK
    sis.put("OneRoster-1.zip", hours=21)
    sis.put("OneRoster-2.zip")
    code, told = district.run("login", "--source", "--json", FEED)
    found = json.loads(told)
    assert (code, found["matches"], found["newest"]["name"]) == (Exit.OK, 2, "OneRoster-2.zip")
    assert dt.datetime.fromisoformat(found["newest"]["modified"]) < dt.datetime.now(dt.UTC)
    assert "2 matches. The newest, OneRoster-2.zip, was written" in found["text"]
    (folder / f"{FEED}_source_pending").write_text("another")
    code, _ = district.run("login", "--source", "--slot", "pending", FEED)
    assert code == Exit.LOGIN

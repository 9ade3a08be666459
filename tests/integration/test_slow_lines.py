"""Packages of many windows, leftovers, slow and shared lines, and dead lines."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import pytest
from roster_upload import config
from roster_upload.exits import Exit, Failure
from roster_upload.transfer import writer
from roster_upload.transfer.directory import RemoteDirectory
from roster_upload.transfer.info import ConnectionInfo
from roster_upload.transfer.profile import Profile
from roster_upload.transfer.protocol import Sftp
from roster_upload.transfer.upload import deliver
from roster_upload.transfer.watchdog import Times
from roster_upload.transfer.writer import Pace
from support import waiting
from support.district import District
from support.line import Line, Uplink
from support.vendor import OLD, PASSWORD, Vendor, attempt, serving

pytestmark = pytest.mark.heavy
# A small window, so that small packages have many of them, and short timeouts.
PACE = Pace(chunk_bytes=4096, first_bytes=512, requests=8, seconds=1, unsent_bytes=8192)
WINDOW = PACE.chunk_bytes * PACE.requests
TIMES = Times(answer=2.5, finish=2.5, tidy=1)
SIZES = [1, WINDOW - 1, WINDOW, WINDOW + 1, 5 * WINDOW + 7]


def give(district: District, size: int) -> bytes:
    """Make the export so many bytes long."""
    data = random.Random(size).randbytes(size)  # noqa: S311 - no secret
    district.export.write_bytes(data)
    return data


def leave(district: District, vendor: Vendor, word: str = "0badcafe") -> Path:
    """Leave a file of a broken delivery of the feed."""
    sftp: Any = None
    place = RemoteDirectory(sftp, config.load(district.config_file), ConnectionInfo())
    path = vendor.folder / f".{place.prefix}{word}.part"
    path.write_bytes(b"x")
    return path


def profile(rename: str) -> Profile:
    """Return a profile in which only the rename method matters."""
    return Profile("", (), "password", rename, True, False, True, False, "2027-01-01T00:00:00Z")


@pytest.mark.parametrize("way", ["posix-rename", "rename", "move-aside", "in-place"])
@pytest.mark.parametrize("size", SIZES)
def test_a_leftover_is_removed_whatever_the_size(
    district: District, vendor: Vendor, size: int, way: str
) -> None:
    data = give(district, size)
    leave(district, vendor)
    assert attempt(district, profile=profile(way), pace=PACE, times=TIMES)[0] == Exit.OK
    assert vendor.held == {"OneRoster.zip": data}


@pytest.mark.parametrize("size", SIZES)
def test_a_leftover_that_may_not_be_removed_stops_nothing(
    district: District, vendor: Vendor, size: int
) -> None:
    data = give(district, size)
    path = leave(district, vendor)
    vendor.refuse = {"remove": 3}
    assert attempt(district, pace=PACE, times=TIMES)[0] == Exit.OK
    assert vendor.held == {"OneRoster.zip": data, path.name: b"x"}


def test_a_leftover_beside_a_package_of_the_usual_window(
    district: District, vendor: Vendor
) -> None:
    """2,088,960 bytes are 64 requests of 32,640."""
    for size in (2_088_960, 5_000_000):
        data = give(district, size)
        leave(district, vendor)
        assert attempt(district)[0] == Exit.OK
        assert vendor.held == {"OneRoster.zip": data}


@pytest.mark.parametrize("seed", range(40))
def test_wherever_a_large_transfer_is_cut_the_next_one_delivers(
    district: District, vendor: Vendor, seed: int
) -> None:
    """The cut is in any request. The next try finds the leftover."""
    noise = random.Random(seed)  # noqa: S311 - no secret
    data = give(district, noise.choice(SIZES[1:]))
    way = noise.choice(["posix-rename", "rename", "move-aside"])
    vendor.cut_at, vendor.cut_once = (
        noise.choice(["write", "close", "stat", "rename", "write"]),
        True,
    )
    vendor.at_write = noise.randint(1, 1 + len(data) // PACE.chunk_bytes)
    code, _ = attempt(district, profile=profile(way), pace=PACE, times=TIMES)
    assert code in (Exit.OK, Exit.VANISHED)
    held = vendor.held
    assert held.get("OneRoster.zip", OLD) in (OLD, data)
    if code is Exit.OK:
        assert held == {"OneRoster.zip": data}
    vendor.cut_at = ""
    again = attempt(district, profile=profile(way), pace=PACE, times=TIMES, restores_first=True)
    assert again[0] == Exit.OK
    assert vendor.held == {"OneRoster.zip": data}


@pytest.mark.parametrize("refuse", [{"write": 4}, {"close": 4}, {"write": 4, "close": 15}])
@pytest.mark.parametrize("size", SIZES[1:])
def test_a_refusal_in_any_window_ends_in_good_order(
    district: District, vendor: Vendor, refuse: dict[str, int], size: int
) -> None:
    give(district, size)
    leave(district, vendor)
    vendor.refuse, vendor.at_write = refuse, 1 + size // PACE.chunk_bytes
    code, told = attempt(district, pace=PACE, times=TIMES)
    assert code == (Exit.QUOTA if refuse.get("close") == 15 else Exit.TRANSFER), told
    assert vendor.held == {"OneRoster.zip": OLD}


# ---- lines with a rate --------------------------------------------------------------------------


def test_a_slow_line_that_moves_is_not_hung_up_on(district: District, vendor: Vendor) -> None:
    """The system buffers everything. The server has it after three times its timeout."""
    data = give(district, 200_000)
    told: list[int] = []
    with Line(vendor.port, Uplink(30_000), delay=0.05).up() as port:
        district.configure(remote_port=port)
        code, said = attempt(district, times=TIMES, progress=told.append)
    assert code == Exit.OK, said
    assert vendor.held == {"OneRoster.zip": data}
    assert told[0] == Pace.first_bytes, "the bar moves with the first answer"
    assert len(told) > 7, "and each second"


def test_no_more_is_on_its_way_than_the_line_drains(
    district: District, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(district, 300_000)
    most: list[int] = []
    post = Sftp.post_write

    def note(sftp: Sftp, handle: bytes, offset: int, data: bytes) -> None:
        post(sftp, handle, offset, data)
        most.append(sum(sftp.writes.values()))

    monkeypatch.setattr(Sftp, "post_write", note)
    pace = Pace(seconds=1, unsent_bytes=16_384)
    with Line(vendor.port, Uplink(60_000)).up() as port:
        district.configure(remote_port=port)
        assert attempt(district, pace=pace)[0] == Exit.OK
    assert max(most) < 150_000, "not the window of 2 MB"
    assert max(most[len(most) // 2 :]) <= 1.3 * 60_000 + 2 * pace.chunk_bytes


def test_feeds_that_share_a_line_all_arrive(tmp_path: Path) -> None:
    uplink = Uplink(60_000)
    codes: list[Exit] = []
    with serving(Vendor(tmp_path / "vendor", PASSWORD)) as vendor:

        def one(number: int) -> None:
            district = District(tmp_path / f"district{number}", vendor, PASSWORD.encode())
            give(district, 80_000 + number)
            with Line(vendor.port, uplink).up() as port:
                folder = f"imagine/{number}-Shared/product"
                district.configure(remote_port=port, remote_dir=folder, make_remote_dir=True)
                codes.append(attempt(district, times=TIMES)[0])

        threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(waiting.HANG_SECONDS)
        assert codes == [Exit.OK] * 4
        arrived = vendor.root.glob("imagine/*-Shared/product/OneRoster.zip")
        assert sorted(path.stat().st_size for path in arrived) == [80_000 + n for n in range(4)]


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_line_that_is_dead_is_left(district: District, vendor: Vendor, share: float) -> None:
    """There is no sign that it has ended: neither a packet nor an answer."""
    data = give(district, 60_000)
    line = Line(vendor.port, stands_still_after=4_000 + share * len(data))
    with line.up() as port:
        district.configure(remote_port=port)
        feed = config.load(district.config_file)
        with pytest.raises(Failure) as failed:
            deliver(
                feed, PASSWORD.encode(), district.export, len(data), ConnectionInfo(),
                pace=PACE, times=Times(answer=1, finish=1, tidy=0.3),
            )  # fmt: skip
    assert failed.value.code == Exit.SILENT
    assert vendor.held["OneRoster.zip"] == OLD


def test_a_file_that_is_scanned_for_long_when_it_is_closed_arrives(
    district: District, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(district, 10_000)
    vendor.seconds_to_close = 2
    code, told = attempt(district, times=Times(answer=0.5, finish=10, tidy=1))
    assert code == Exit.OK, told
    vendor.seconds_to_close = 3
    assert attempt(district, times=Times(answer=0.5, finish=1, tidy=1))[0] == Exit.SILENT


def test_the_windows_of_today() -> None:
    """The values that the tests above reduce."""
    assert (writer.Pace().chunk_bytes, writer.Pace().requests) == (32_640, 64)
    assert Times() == Times(connect=30, answer=60, finish=300, tidy=10, stop=3)

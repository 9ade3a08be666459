"""The bytes in flight, and the result of a refused write."""

from __future__ import annotations

import io
from typing import Any

import pytest
from roster_upload.transfer import messages, writer
from roster_upload.transfer.writer import Pace, Window
from support.sftp_server import over, status

HANDLE = b"\0\0\0\1h"
EVEN = Pace(chunk_bytes=100, first_bytes=100, requests=8)  # all requests of the same length


def test_no_more_than_a_window_is_on_its_way() -> None:
    """Beyond it OpenSSH's server stops reading, and both sides would wait for each other."""
    window = EVEN.requests
    count = window + 3
    connection = over(*(status(number) for number in range(1, count + 1)))
    seen: list[tuple[str, int]] = []

    told: list[int] = []

    def note(what: str) -> Any:
        def noted(*bytes_: int) -> None:
            seen.append((what, len(connection.channel.sent) - 1))
            told.extend(bytes_)

        return noted

    data = io.BytesIO(bytes(count * EVEN.chunk_bytes))
    writer.write(
        connection, HANDLE, data, note("progress"),
        meanwhile=note("meanwhile"), then=note("then"), pace=EVEN,
    )  # fmt: skip
    assert seen[:2] == [("meanwhile", window), ("progress", window)]
    assert [what for what, _ in seen].count("meanwhile") == 1
    assert [sent for what, sent in seen if what == "progress"] == [
        *range(window, count + 1), *[count] * (window - 1)
    ]  # fmt: skip
    assert told == [EVEN.chunk_bytes * number for number in range(1, count + 1)]
    assert ("then", count) in seen
    assert seen.index(("then", count)) == 1 + count - window


@pytest.mark.parametrize("count", [1, 7, 8, 9, 30])
def test_what_is_done_meanwhile_may_take_all_answers(count: int) -> None:
    """Then nothing is outstanding, and there is nothing to wait for."""
    at = min(count, EVEN.requests)
    answers = [*map(status, range(1, at + 1)), status(at + 1)]
    answers += [status(number) for number in range(at + 2, count + 2)]
    connection = over(*answers)
    told: list[int] = []
    data = io.BytesIO(bytes(count * EVEN.chunk_bytes))
    writer.write(
        connection, HANDLE, data, told.append,
        meanwhile=lambda: connection.remove("leftover"), pace=EVEN,
    )  # fmt: skip
    assert connection.acknowledged == count * EVEN.chunk_bytes
    assert not connection.channel.data, "each answer was read"


def test_a_refused_write_ends_the_writing_and_is_the_one_that_is_told() -> None:
    count = EVEN.requests * 3
    answers = [status(1), status(2, 14), status(3, 4), *map(status, range(4, count))]
    connection = over(*answers)
    with pytest.raises(messages.SftpStatusError) as refused:
        writer.write(connection, HANDLE, io.BytesIO(bytes(count * EVEN.chunk_bytes)), pace=EVEN)
    assert refused.value.code == 14
    assert len(connection.channel.sent) <= EVEN.requests + 3


def test_a_refusal_that_comes_beside_another_answer_counts() -> None:
    """The answers to the writes are read while waiting for another request's."""
    connection = over(status(1), status(2, 14), status(3, 4), status(4))
    with pytest.raises(messages.SftpStatusError) as refused:
        writer.write(
            connection, HANDLE, io.BytesIO(bytes(300)),
            then=lambda: connection.remove("x"), pace=EVEN,
        )  # fmt: skip
    assert refused.value.code == 14, "the first says most"


def test_after_a_refusal_beside_another_answer_nothing_more_is_sent() -> None:
    window = EVEN.requests
    answers = [status(1, 14), *map(status, range(2, window + 2))]
    connection = over(*answers)
    with pytest.raises(messages.SftpStatusError):
        writer.write(
            connection, HANDLE, io.BytesIO(bytes(5000)),
            meanwhile=lambda: connection.remove("x"), then=lambda: pytest.fail("sent"), pace=EVEN,
        )  # fmt: skip
    assert len(connection.channel.sent) == 1 + window + 1


def test_a_file_begins_with_answers_of_its_own() -> None:
    """The previous file was given up while some of its writes had no answers."""
    connection = over(status(1, 4), status(2), status(3), status(4))
    with pytest.raises(messages.SftpStatusError):
        writer.write(connection, HANDLE, io.BytesIO(bytes(300)), pace=EVEN)
    told: list[int] = []
    writer.write(connection, HANDLE, io.BytesIO(bytes(100)), told.append, pace=EVEN)
    assert told == [100]


def test_answers_that_have_come_are_taken_before_the_window_is_full() -> None:
    """A server's own window may be so small that ours is never full, but the bar still moves."""
    connection = over()
    post, at = connection.post_write, list[int]()
    told: list[int] = []

    def note(*given: Any) -> None:
        post(*given)
        at.append(len(told))
        if len(at) % 2 == 0:
            connection.channel.data += status(len(at) - 1) + status(len(at))
            connection.channel.is_ahead = True

    connection.post_write = note
    writer.write(connection, HANDLE, io.BytesIO(bytes(400)), told.append, pace=EVEN)
    assert told == [200, 400]
    assert at == [0, 0, 1, 1]


# ---- the window, by a clock that stands still until it is set -----------------------------------


class Clock:
    """Return seconds of a day."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock()
    monkeypatch.setattr(writer, "time", stopped)
    return stopped


PACE = Pace(chunk_bytes=32_000, first_bytes=4_000, seconds=4)


def test_requests_grow_until_something_is_known(clock: Clock) -> None:
    window = Window(PACE)
    lengths = []
    for sent in (4_000, 8_000, 16_000, 500_000):
        lengths.append(window.chunk)
        window.sent(sent)
    assert [*lengths, window.chunk] == [4_000, 4_000, 8_000, 16_000, 32_000]
    assert window.is_open(10**7, 32_000), "only the number of requests is a limit"
    assert not window.is_quick, "and the system's queue"


def test_no_more_is_on_its_way_than_the_line_drains_in_seconds(clock: Clock) -> None:
    window = Window(PACE)
    clock.now += 2
    window.acknowledged(40_000)
    window.sent(10**6)
    assert window.rate == 20_000
    assert window.chunk == 20_000, "a second of the line"
    assert window.is_open(60_000, 20_000)
    assert not window.is_open(60_001, 20_000)
    assert window.is_open(0, 32_000), "else nothing would ever be sent"
    assert not window.is_quick


def test_a_line_that_is_hardly_one_still_gets_requests(clock: Clock) -> None:
    window = Window(PACE)
    clock.now += 100
    window.acknowledged(4_000)
    assert window.chunk == 4_000
    assert window.is_open(4_000, 4_000)
    assert not window.is_open(4_001, 4_000)


def test_a_first_answer_that_comes_at_once_promises_little(clock: Clock) -> None:
    """A line may pass a little at once, and all else slowly."""
    window = Window(PACE)
    clock.now += 0.001
    window.acknowledged(4_000)
    assert window.rate == 4_000 / writer.SHORTEST_MEASURE_SECONDS


def test_the_rate_is_that_of_the_last_seconds(clock: Clock) -> None:
    window = Window(PACE)
    for second in range(1, 31):
        clock.now += 1
        window.acknowledged(100_000 * second)
    assert window.rate == 100_000
    for second in range(1, 7):
        clock.now += 1
        window.acknowledged(3_000_000 + 1_000 * second)
    assert window.rate == 1_000


def test_a_quick_line_costs_little(clock: Clock) -> None:
    """It is measured after much data, or after a time, not with each answer."""
    window = Window(PACE)
    window.acknowledged(4_000)
    assert not window.is_quick
    for count in range(1, 100_001):
        clock.now += 0.0001
        window.acknowledged(4_000 + 1_000 * count)
    assert len(window._answers) < 3 * PACE.seconds / writer.NOTE_SECONDS
    assert window.rate == pytest.approx(10_000_000, rel=0.1)
    assert window.is_quick


@pytest.mark.parametrize(("rate", "is_quick"), [(511_999, False), (512_000, True)])
def test_a_line_is_quick_where_it_drains_a_whole_window(
    clock: Clock, rate: int, is_quick: bool
) -> None:
    """64 requests of 32,000 bytes within four seconds."""
    window = Window(PACE)
    clock.now += 1
    window.acknowledged(rate)
    assert window.is_quick is is_quick


@pytest.mark.parametrize(
    ("unsent", "sent"), [(0, [1, 2]), (PACE.unsent_bytes, [1, 2]), (10**6, [1, 1])]
)
def test_the_systems_queue_stays_short(
    monkeypatch: pytest.MonkeyPatch, unsent: int, sent: list[int]
) -> None:
    """While it is long, an answer is awaited, until the line has proved to be quick."""
    connection = over(*map(status, range(1, 9)))
    on_their_way: list[int] = []
    monkeypatch.setattr(connection.watchdog, "unsent", lambda: unsent)
    post = connection.post_write

    def note(*given: Any) -> None:
        post(*given)
        on_their_way.append(len(connection.writes))

    monkeypatch.setattr(connection, "post_write", note)
    writer.write(connection, HANDLE, io.BytesIO(bytes(800)), pace=EVEN)
    assert on_their_way[:2] == sent
    assert max(on_their_way) == (7 if unsent > PACE.unsent_bytes else 8)

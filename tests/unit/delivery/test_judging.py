"""The package that may be sent: built, validated, guarded, with removals that wait."""

from __future__ import annotations

import dataclasses
import datetime as dt
import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from roster_upload import config
from roster_upload.delivery import judging
from roster_upload.exits import Exit, Failure
from roster_upload.guard import guard
from roster_upload.package.built import Built
from roster_upload.transfer.info import Holds
from roster_upload.validation.check import check
from roster_upload.validation.findings import Report
from support import rosters
from support.delivery_host import (
    BIG,
    FAULT,
    NOON,
    OLD,
    PROFILE,
    SMALL,
    Found,
    Host,
    Steps,
    digest_of,
    find,
    kill,
    looks,
    waiting,
)
from support.receipts import append
from support.sftp_server import Server


def test_the_rows_of_a_roster_are_recorded(host: Host) -> None:
    host.export.write_bytes(rosters.build(students=60))
    host.configure(format="oneroster-1.1")
    assert host.send() == Exit.OK, host.message
    assert host.last["rows"]["demographics"] == 60
    assert host.last["changes"]["users.student"]["now"] == 60


def test_what_the_guard_holds_is_not_sent(host: Host) -> None:
    assert host.send() == Exit.OK
    assert host.send(SMALL) == Exit.HELD
    assert host.sent == [OLD]
    assert host.last["outcome"] == "held"
    assert host.last["held"] == [
        "the file's size in bytes: 600 of 1,008 would be removed (59.5 %, the limit is 10 %)"
    ]
    assert f"--digest {digest_of(SMALL)[:16]} " in host.message
    assert "roster-upload diff maple-grove" in host.message, "nobody approves blind"
    assert "approved" not in host.last
    # A held export does not change the baseline for the next one.
    assert host.send(BIG) == Exit.OK
    assert host.last["changes"]["bytes"]["before"] == len(OLD)


def test_an_approval_lets_one_file_through_once(host: Host) -> None:
    approval = {"outcome": "approved", "who": "it", "why": "closed", "finished": NOON, "n": 1}
    host.send()
    append(host.ledger, {**approval, "digest": digest_of(SMALL)})
    assert host.send(SMALL[:-1]) == Exit.HELD, "it is for another file"
    host.ends = [Failure(Exit.VERIFY, "damaged")]
    assert host.send(SMALL) == Exit.VERIFY
    assert host.send(SMALL) == Exit.OK, "a transfer that failed does not use it up"
    assert host.last["approved"] == {"who": "it", "why": "closed", "finished": NOON}
    assert host.last["held"]
    append(host.ledger, {**approval, "digest": digest_of(OLD)})
    assert host.send(OLD) == Exit.OK
    assert host.send(SMALL) == Exit.HELD
    assert host.sent == [OLD, SMALL, SMALL, OLD]


def test_without_a_baseline_everything_is_held(host: Host) -> None:
    host.send()
    for path in host.state.glob("accepted-*"):
        path.unlink()
    assert host.send() == Exit.HELD
    assert "baseline of an earlier package is unusable (No such file or directory)" in host.message
    assert host.sent == [OLD]


def test_several_reasons_are_counted(host: Host) -> None:
    host.send()
    for path in host.state.glob("accepted-*"):
        path.write_bytes(b"")
    host.configure(guard_minimum={"bytes": 2000})
    assert host.send() == Exit.HELD
    assert len(host.last["held"]) == 2
    assert "(and 1 more). " in host.message
    host.configure()
    assert host.send() == Exit.HELD
    assert "more)" not in host.message


class Season:
    """A host on the day before the vendor's reset. The third night is the first one after it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.tonight = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=8)).date()
        self.reset = self.tonight + dt.timedelta(days=1)
        self.configure()
        assert host.send() == Exit.OK

    def configure(self, **changes: Any) -> None:
        values: dict[str, Any] = {
            "reset_date": self.reset,
            "reset_resume_date": str(self.tonight + dt.timedelta(days=3)),
            "guard_minimum": {"bytes": 400},
            "maximum_age_hours": 999,
        }
        self.host.configure(**(values | changes))

    def send(self, night: int, content: bytes, **changes: Any) -> Exit:
        """Send an export on a night from now."""
        self.configure(**changes)
        self.host.export.write_bytes(content)
        return self.host.run(hours=24 * night)


def test_the_first_delivery_after_a_reset_has_its_own_measure(host: Host) -> None:
    season = Season(host)
    for night, dates in ((1, {"reset_resume_date": ""}), (2, {})):
        assert season.send(night, SMALL, **dates) == Exit.PAUSED
        assert "the vendor's yearly reset" in host.message
    assert season.send(3, SMALL, guard_minimum={}) == Exit.HELD
    assert f"after the vendor's reset of {season.reset}, and guard_minimum has" in host.message
    assert season.send(3, SMALL[:399]) == Exit.HELD, "truncated"
    assert "399 present, guard_minimum requires 400" in host.message
    host.ends = [Failure(Exit.NETWORK, "lost")]
    assert season.send(3, SMALL) == Exit.NETWORK
    assert season.send(3, SMALL) == Exit.OK, "a try that failed has not passed the reset"
    assert host.last["reset"] == str(season.reset)
    assert f"The first delivery since the vendor's reset of {season.reset}" in host.message
    for night in (3, 4):
        assert season.send(night, BIG) == Exit.HELD, "compared as ever"
        assert not host.last.get("reset")
    assert host.sent == [OLD, SMALL, SMALL]


def test_an_approval_lets_the_first_delivery_after_a_reset_through(host: Host) -> None:
    season = Season(host)
    assert season.send(3, SMALL, guard_minimum={}) == Exit.HELD
    approval = {"outcome": "approved", "who": "it", "why": "w", "finished": NOON}
    append(host.ledger, {**approval, "digest": digest_of(SMALL)})
    assert season.send(3, SMALL, guard_minimum={}) == Exit.OK


def test_an_approval_from_before_the_reset_ends_with_it(host: Host) -> None:
    """Somebody has let last year's export through, and the pause came before it was sent."""
    approval = {"outcome": "approved", "who": "it", "why": "w", "finished": NOON}
    season = Season(host)
    assert season.send(0, SMALL) == Exit.HELD
    append(host.ledger, {**approval, "digest": digest_of(SMALL)})
    strict: dict[str, Any] = {"guard_minimum": {}}
    assert season.send(1, SMALL) == Exit.PAUSED
    assert season.send(3, SMALL, **strict) == Exit.HELD
    assert season.send(3, SMALL, **strict) == Exit.HELD
    append(host.ledger, {**approval, "digest": digest_of(SMALL)})
    assert season.send(3, SMALL, **strict) == Exit.OK
    assert host.sent == [OLD, SMALL]


@pytest.mark.parametrize("unchanged", ["send", "skip"])
def test_last_years_export_is_held_after_a_reset(host: Host, unchanged: str) -> None:
    season = Season(host)
    assert season.send(3, OLD, unchanged=unchanged) == Exit.HELD
    assert "The SIS may not show the new year yet" in host.message
    assert season.send(3, BIG, unchanged=unchanged) == Exit.OK
    assert season.send(4, BIG, unchanged=unchanged) == Exit.OK, "the reset is passed"


def test_a_repetition_does_not_pass_the_reset(host: Host) -> None:
    season = Season(host)
    assert season.send(0, BIG) == Exit.OK
    assert host.run("resend", digest_of(OLD), hours=72) == Exit.OK, host.message
    assert host.sent[-1] == OLD
    assert season.send(3, SMALL) == Exit.OK


def test_the_last_good_package_is_none_of_last_year(host: Host) -> None:
    season = Season(host)
    assert host.run("resend", hours=72) == Exit.SOURCE
    text = f"no earlier accepted package is stored since the vendor's reset of {season.reset}"
    assert f"{text}. --digest names an older one. Run" in host.message
    for content in (SMALL, SMALL + b"y"):
        assert season.send(3 + (content != SMALL), content) == Exit.OK, host.message
    assert host.run("resend", hours=96) == Exit.OK, host.message
    assert host.sent == [OLD, SMALL, SMALL + b"y", SMALL]


def test_removals_do_not_wait_after_a_reset(host: Host) -> None:
    season = Season(host)
    reason = guard.Reason(guard.Rule.SCHOOL, "students", "a school has none")
    host.patch.setattr(guard, "judge", lambda *_, **__: guard.Verdict({}, (reason,)))
    assert season.send(3, SMALL, removals="wait") == Exit.HELD
    assert "waiting" not in host.last
    assert "cannot wait" not in host.message, "it is not even tried"


def test_what_breaks_the_rules_is_refused(host: Host) -> None:
    host.configure(minimum_bytes=len(OLD) + 1)
    assert host.send() == Exit.REFUSED
    assert "breaks 1 rule and was not sent. The first: " in host.message
    assert (host.sent, host.outcomes) == ([], ["refused"])
    assert [finding["rule"] for finding in host.last["findings"]] == ["file.too-small"]
    host.configure(minimum_bytes=len(OLD))
    assert host.send() == Exit.OK


def test_what_is_made_of_the_export_is_sent_kept_and_compared_with(host: Host) -> None:
    steps = Steps(host, mark=b"!")
    assert host.send() == Exit.OK, host.message
    assert host.sent == [OLD + b"!"]
    digest = digest_of(OLD + b"!")
    assert (host.options["sha256"], host.options["size"]) == (digest, len(OLD) + 1)
    assert host.last["source"]["sha256"] == digest_of(OLD)
    assert host.last["package"].items() >= {("bytes", len(OLD) + 1), ("sha256", digest)}
    assert host.last["package"]["steps"] == {"rows": 7}
    assert host.last["changes"]["bytes"]["now"] == len(OLD) + 1
    assert [path.name for path in host.state.glob("accepted-*")] == [f"accepted-{digest[:16]}.npz"]
    assert host.export.read_bytes() == OLD
    assert host.send(SMALL) == Exit.HELD
    append(host.ledger, {"outcome": "approved", "who": "it", "why": "w", "finished": NOON,
                         "digest": digest_of(SMALL)})  # fmt: skip
    assert host.send(SMALL) == Exit.OK, "an approval is for the export"
    steps.mark = b"?"
    assert host.run("resend") == Exit.OK
    assert host.sent == [OLD + b"!", SMALL + b"!", OLD + b"!"], "no step is taken twice"


def test_rows_that_are_left_out_are_recorded_and_told(host: Host) -> None:
    find(host, FAULT)
    Steps(host, mark=b"!")
    looked = looks(host)
    host.configure(faulty_rows="leave-out")
    assert host.send() == Exit.OK
    assert host.sent == [OLD + b"!"]
    assert looked == ["export", "package.zip"], "what is sent is looked at as ever"
    assert host.last["findings"] == [FAULT.to_json()]
    assert host.last["faulty_rows"] == {"enrollments.csv": 2}
    assert len(host.last["told"]) == 1


def test_where_no_row_is_left_out_the_export_is_read_once(host: Host) -> None:
    Steps(host, mark=b"!")
    looked = looks(host)
    host.configure(faulty_rows="leave-out")
    assert host.send() == Exit.OK
    assert (host.sent, looked) == ([OLD], ["export"])
    assert host.last["changes"]["bytes"]["now"] == len(OLD)


def test_an_export_that_breaks_rules_is_refused_though_rows_may_be_left_out(host: Host) -> None:
    error = dataclasses.replace(FAULT, severity="error")
    find(host, error, FAULT)
    Steps(host, mark=b"!")
    host.configure(faulty_rows="leave-out")
    assert host.send() == Exit.REFUSED
    assert host.sent == []
    assert host.last["findings"] == [error.to_json(), FAULT.to_json()], "each of them once"


def test_what_cannot_be_held_to_its_scope_is_refused(host: Host) -> None:
    steps = Steps(host, mark=b"!")
    steps.unscoped = ("users", "another file")
    assert host.send() == Exit.REFUSED
    assert "(users, another file), so it is not sent" in host.message
    assert (host.sent, host.outcomes) == ([], ["refused"])
    find(host, dataclasses.replace(FAULT, severity="error"))
    steps.mark = b"?"
    assert host.send() == Exit.REFUSED
    assert "breaks 1 rule" in host.message, "that says more"


def test_removals_wait_for_some_nights_and_then_the_export_is_held(host: Host) -> None:
    steps = waiting(host)
    assert host.run(hours=24) == Exit.OK, host.message
    assert host.sent == [OLD, OLD], "nobody is removed"
    assert steps.previous == [None, None, OLD]
    first = host.last
    assert first["waiting"] == {"since": first["night"], "nights": 1, "counts": {"bytes": 600}}
    assert first["source"]["sha256"] == digest_of(SMALL)
    assert first["package"]["sha256"] == digest_of(OLD)
    assert first["changes"]["bytes"]["removed"] == 0, "what was sent removes nobody"
    assert first["held"] == [
        "the file's size in bytes: 600 of 1,008 would be removed (59.5 %, the limit is 10 %)"
    ]
    assert "Removals wait: 600 bytes" in host.message
    assert host.run(hours=48) == Exit.OK
    assert host.last["waiting"] == {**first["waiting"], "nights": 2}
    for number in (3, 4):
        assert host.run(hours=24 * number) == Exit.HELD
        assert "The removals have waited 2 nights" in host.message
        assert host.last["waiting"]["nights"] == number
        assert host.last["changes"]["bytes"]["removed"] == 600
        assert host.last["package"] == {}
    assert len(host.sent) == 3


def test_what_stays_is_as_in_the_last_accepted_package(host: Host) -> None:
    host.send(OLD + b"x")
    steps = waiting(host)
    assert host.send(SMALL) == Exit.OK
    assert steps.previous[-1] == OLD


def test_a_rehearsal_says_which_removals_wait(host: Host) -> None:
    waiting(host)
    host.at(Server())
    assert host.run("rehearse") == Exit.OK
    assert "can be delivered tonight. Removals wait: 600 bytes. Noth" in host.message


def test_several_starts_of_a_night_wait_for_one(host: Host) -> None:
    waiting(host, 1)
    assert [host.run(), host.run()] == [Exit.OK, Exit.OK]
    assert host.last["waiting"]["nights"] == 1


def test_an_approval_ends_a_wait(host: Host) -> None:
    waiting(host)
    assert host.run(hours=24) == Exit.OK
    append(host.ledger, {"outcome": "approved", "who": "it", "why": "w", "finished": NOON,
                         "digest": digest_of(SMALL), "command": "approve"})  # fmt: skip
    assert host.run(hours=25) == Exit.OK
    assert host.sent[-1] == SMALL
    assert ("approved" in host.last, "waiting" in host.last) == (True, False)
    assert host.run(hours=48) == Exit.OK
    assert "waiting" not in host.last


@pytest.mark.parametrize(
    ("changes", "content"),
    [
        ({"removals": "hold"}, SMALL),
        ({"guard_added_percent": 0, "guard_floor": 0}, BIG * 2),
        ({"guard_minimum": {"bytes": 500}}, SMALL),  # and the removals are not all
    ],
)
def test_only_removals_wait_and_only_where_they_may(
    host: Host, changes: dict[str, Any], content: bytes
) -> None:
    steps = waiting(host)
    host.configure(**{"removals": "wait", "wait_nights": 2, **changes})
    assert host.send(content) == Exit.HELD
    assert steps.previous == [None, None]
    assert "waiting" not in host.last


def test_removals_do_not_wait_where_nothing_is_known(host: Host) -> None:
    waiting(host)
    for path in host.state.glob("accepted-*"):
        path.unlink()
    assert host.send(SMALL) == Exit.HELD
    assert len(host.sent) == 1


def test_removals_do_not_wait_without_the_last_package(host: Host) -> None:
    waiting(host, keep_packages=0)
    assert host.send(SMALL) == Exit.HELD
    assert "the last accepted package is not kept. Nothing was sent" in host.message
    assert "waiting" not in host.last, "no night has passed of a wait"
    host.configure(removals="wait", wait_nights=2, guard_removed_percent=100)
    assert host.send(OLD) == Exit.OK
    host.configure(removals="wait", wait_nights=2)
    for path in (host.state / "packages").iterdir():
        path.write_bytes(b"damaged")
    assert host.send(SMALL) == Exit.HELD
    assert "cannot be decrypted. Nothing was sent" in host.message


def test_the_rest_is_guarded_as_ever(host: Host) -> None:
    waiting(host)
    host.patch.setattr("roster_upload.package.build.build", bloated)
    assert host.run(hours=24) == Exit.HELD
    assert "the package without them is refused" in host.message
    assert host.last["changes"]["bytes"]["now"] == len(SMALL), "of the export, as the reasons are"
    assert "waiting" not in host.last
    assert host.last["package"] == {}
    assert len(host.sent) == 1


def bloated(
    _feed: config.Feed, _export: Path, out: Path, previous: Path | None, **_: Any
) -> Built | None:
    """Add too many records while removals wait."""
    if not previous:
        return None
    out.write_bytes(OLD * 3)
    return Built(out, len(OLD) * 3, digest_of(OLD * 3), {})


@pytest.mark.parametrize("declared", [{}, {"removals": "wait", "wait_nights": 2}])
def test_a_full_disk_sends_no_part_of_a_package(host: Host, declared: dict[str, Any]) -> None:
    waiting(host)
    host.configure(**declared, maximum_age_hours=1000)
    full = OSError(errno.ENOSPC, "No space left on device")
    what = (
        "roster_upload.records.package_store.PackageStore.decrypt"
        if declared
        else "roster_upload.package.build.build"
    )
    host.patch.setattr(what, mock.Mock(side_effect=full))
    assert host.run(hours=24) == Exit.LOCAL
    assert host.message == "no room for a private copy: No space left on device"
    assert len(host.sent) == 1


def test_the_rest_is_held_to_its_scope_as_ever(host: Host) -> None:
    steps = waiting(host)
    steps.unscoped = ("users",)
    assert host.run(hours=24) == Exit.HELD
    assert len(host.sent) == 1


def test_the_rest_is_checked_as_ever(host: Host) -> None:
    waiting(host)
    refused = dataclasses.replace(FAULT, severity="error")

    def checked(path: Path, *arguments: Any, **options: Any) -> Report:
        report = check(path, *arguments, **options)
        if path.name == "waiting.zip":
            report.findings = Found([refused])  # type: ignore[assignment]
        return report

    host.patch.setattr(judging, "check", checked)
    assert host.run(hours=24) == Exit.HELD
    assert host.last["findings"] == []
    assert len(host.sent) == 1


@pytest.mark.parametrize("holds", [None, Holds.NEW, Holds.UNKNOWN, Holds.PART])
def test_the_guard_compares_with_all_that_the_vendor_may_hold(
    host: Host, holds: Holds | None
) -> None:
    host.configure(guard_removed_percent=45, guard_added_percent=200)
    larger, smaller = OLD + b"x" * 700, OLD[:-100]
    host.send(OLD)
    kill(host, larger, holds)
    assert host.send(smaller) == Exit.HELD, "it is too small beside the one that may be there"
    assert host.last["changes"]["bytes"]["before"] == len(OLD)
    assert host.send(larger) == Exit.OK, "what may be there is sent again"
    host.configure()
    assert host.send(OLD) == Exit.HELD
    assert host.last["changes"]["bytes"]["before"] == len(larger)


@pytest.mark.parametrize("holds", [Holds.OLD, Holds.NOTHING])
def test_the_guard_compares_with_nothing_that_never_arrived(host: Host, holds: Holds) -> None:
    host.configure(guard_removed_percent=45, guard_added_percent=200)
    host.send(OLD)
    kill(host, OLD + b"x" * 700, holds)
    host.holds = Holds.OLD
    assert host.send(OLD[:-100]) == Exit.OK


def test_a_first_delivery_that_was_killed_is_compared_with(host: Host) -> None:
    kill(host, OLD)
    assert host.send(SMALL) == Exit.HELD
    assert host.send(BIG) == Exit.OK


def test_what_may_be_there_is_remembered_through_runs_that_fail(host: Host) -> None:
    host.configure(guard_removed_percent=45, guard_added_percent=200)
    host.send(OLD)
    kill(host, OLD + b"x" * 700)
    host.ends = [Failure(Exit.NETWORK, "no route")]
    assert host.send(OLD + b"x" * 600) == Exit.NETWORK
    assert host.send(OLD[:-100]) == Exit.HELD
    assert "baseline of an earlier package" not in host.message


def test_a_baseline_that_may_be_needed_is_missed(host: Host) -> None:
    host.send(OLD)
    kill(host, BIG)
    (host.state / f"accepted-{digest_of(BIG)[:16]}.npz").unlink()
    assert host.send(OLD) == Exit.HELD
    assert "baseline of an earlier package" in host.message


@pytest.mark.parametrize(
    "lose",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\0" * path.stat().st_size),
        lambda path: path.write_bytes(path.read_bytes().replace(b'"outcome":"sent"', b"x")),
        lambda path: path.write_bytes(path.read_bytes().replace(b'"outcome":"sent"', b'"x":1')),
    ],
)
@pytest.mark.parametrize("content", [OLD, SMALL])
def test_lost_receipts_are_no_first_delivery(
    host: Host, lose: Callable[[Path], None], content: bytes
) -> None:
    host.send()
    lose(host.ledger.path)
    for _ in range(2):
        assert host.send(content) == Exit.HELD, "it stays so"
        assert "Restore receipts.jsonl from a backup" in host.message
    assert host.last["lost"]
    approval = {"outcome": "approved", "who": "it", "why": "ok", "digest": digest_of(content)}
    append(host.ledger, approval)
    assert host.send() == Exit.OK
    host.configure(guard_removed_percent=99)
    assert host.send(content + b"y") == Exit.OK, "and the next night goes on by itself"
    assert host.last["lost"] == []


def test_wherever_the_receipts_are_cut_the_guard_knows_what_was_sent(host: Host) -> None:
    host.send(BIG)
    host.send(OLD)
    data = host.ledger.path.read_bytes()
    for length in range(0, len(data), len(data) // 25):
        host.ledger.path.write_bytes(data[:length])
        assert host.send(SMALL) == Exit.HELD
    assert host.sent == [BIG, OLD]


@pytest.mark.parametrize("left", ["accepted-*", "packages", "delivered.json", "server.json"])
def test_any_trace_of_a_delivery_is_enough(host: Host, left: str) -> None:
    host.learned = PROFILE
    host.send()
    host.learned = None
    for path in host.state.iterdir():
        if not path.match(left):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for _ in range(2):
        assert host.send(SMALL) == Exit.HELD
    assert host.sent == [OLD]


def test_a_first_delivery_that_fails_is_no_trace(host: Host) -> None:
    host.learned = PROFILE
    host.ends = [Failure(Exit.NETWORK, "no route")]
    assert host.send() == Exit.NETWORK
    assert host.send(SMALL) == Exit.OK


def test_an_expected_change_is_recorded(host: Host) -> None:
    day = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=8)).date()
    host.send()
    assert "expected_change" not in host.last
    host.configure(expected_changes=[f"{day} a school closes"])
    assert host.send(SMALL) == Exit.OK
    assert host.last["expected_change"] == f"{day}..{day} (a school closes)"

"""Every run has its lines in the ledger."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest
from roster_upload.exits import Exit
from roster_upload.records.ledger import Ledger
from roster_upload.records.receipt import Receipt
from roster_upload.transfer import upload
from support.delivery_host import BIG, OLD, SMALL, Host, digest_of, kill


def test_a_receipt_that_cannot_be_written_whole_is_written_in_brief(host: Host) -> None:
    append = Ledger.append

    def picky(self: Ledger, receipt: Receipt) -> None:
        if receipt.seconds:
            raise UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates not allowed")
        append(self, receipt)

    host.patch.setattr(Ledger, "append", picky)
    assert host.send() == Exit.OK
    assert (host.outcomes, host.last["exit_code"]) == (["sent"], 0)
    assert host.last["source"]["sha256"] == digest_of(OLD)
    host.patch.setattr(Ledger, "append", append)
    assert host.send(SMALL) == Exit.HELD, "it is known what the vendor has"


def test_a_delivery_whose_receipt_is_lost_is_told_as_that(host: Host) -> None:
    """The disk fills up meanwhile, but the next run knows that the vendor may have the file."""
    append = Ledger.append

    def full(self: Ledger, receipt: Receipt) -> None:
        if receipt.is_sent:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(self, receipt)

    host.patch.setattr(Ledger, "append", full)
    assert host.send() == Exit.LOCAL
    assert "ended with: " in host.message
    assert host.alerts[-2:] == [("notify", "unrecorded"), ("heartbeat", 0)]
    host.patch.setattr(Ledger, "append", append)
    assert host.send(SMALL) == Exit.HELD
    assert host.outcomes == ["failed", "held"]


def test_a_killed_run_is_told_by_the_next_one(host: Host) -> None:
    kill(host, OLD)
    assert (host.outcomes, host.last["exit_code"]) == (["failed"], Exit.KILLED)
    host.alerts.clear()
    assert host.send() == Exit.OK
    assert host.outcomes == ["failed", "sent"]
    told = [alert for alert in host.alerts if alert[0] == "notify"]
    assert told == [("notify", "failure"), ("notify", "recovery")]
    assert any("was killed" in text for text in host.said)
    host.alerts.clear()
    assert host.send(BIG) == Exit.OK
    assert ("notify", "failure") not in host.alerts, "once"


def test_a_run_that_tells_nothing_was_not_killed(host: Host) -> None:
    host.configure(-30, 30)
    for _ in range(2):
        assert host.send() == Exit.OK
    assert host.outcomes == ["sent"]
    assert host.send() == Exit.OK
    assert not any("was killed" in text for text in host.said)


def test_what_is_begun_is_on_the_disk_before_anything_may_reach_the_vendor(host: Host) -> None:
    found: list[dict[str, Any]] = []
    deliver = upload.deliver

    def look(*arguments: Any, **options: Any) -> upload.Delivered:
        found.append(host.ledger.records()[-1].to_json())
        return deliver(*arguments, **options)

    host.patch.setattr(upload, "deliver", look)
    host.send()
    [begun] = found
    assert (begun["outcome"], begun["at_vendor"]) == ("begun", "unknown")
    assert begun["source"]["sha256"] == digest_of(OLD)
    assert begun["remote"]["host"] == "sftp.example.org"


def test_a_feed_without_a_configuration_leaves_a_receipt(host: Host) -> None:
    (host.folder / "maple-grove.toml").unlink()
    old = os.umask(0)
    try:
        assert host.send() == Exit.CONFIG
    finally:
        os.umask(old)
    assert (host.outcomes, host.alerts) == (["failed"], [])
    assert host.state.stat().st_mode & 0o777 == 0o750


def test_a_failure_of_its_own_is_told_as_such(host: Host) -> None:
    host.ends = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        host.send()
    assert (host.last["exit_code"], host.last["outcome"]) == (Exit.INTERNAL, "failed")
    assert "Please report it" in host.last["message"]


def test_a_run_keys_its_lines_and_records_what_was_changed(host: Host) -> None:
    assert host.send() == Exit.OK
    assert host.last["checked"] == {"lines": 0}
    assert all(line.key for line in host.ledger.entries())
    lines = host.ledger.path.read_bytes().splitlines()
    forged = lines[-1].replace(b'"sent"', b'"stale"')
    host.ledger.path.write_bytes(b"".join(line + b"\n" for line in [*lines[:-1], forged]))
    host.said.clear()
    host.send()
    checked = host.last["checked"]
    assert checked["lines"] == len(lines)
    assert [found["code"] for found in checked["breaks"]] == ["mac"]
    assert any("its key does not fit" in text for text in host.said), host.said

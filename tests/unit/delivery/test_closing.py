"""After the receipt: notify, keep, prune, metrics."""

from __future__ import annotations

import contextlib
import datetime as dt
from pathlib import Path
from unittest import mock

import pytest
from roster_upload.exits import Exit, Failure
from roster_upload.host import stop
from roster_upload.notify.channels import heartbeat
from roster_upload.records.night import stamp
from support.delivery_host import BIG, FAULT, OLD, Host, digest_of, find
from support.receipts import append
from support.sftp_server import Server


def test_a_stop_while_others_are_told_ends_that_alone(host: Host) -> None:
    host.patch.setattr(heartbeat, "beat", mock.Mock(side_effect=[[], stop.Stopped("SIGTERM")]))
    assert host.send() == Exit.OK
    assert host.outcomes == ["sent"]


def test_a_faulty_row_is_delivered_and_told_once(host: Host) -> None:
    find(host, FAULT)
    assert [host.run(hours=24 * number) for number in range(2)] == [Exit.OK] * 2
    first, second = (receipt.to_json() for receipt in host.ledger.receipts())
    assert first["told"] == [
        {"rule": "value.enum", "file": "enrollments.csv", "column": "role", "count": 2}
    ]
    assert second["told"] == []
    for receipt in (first, second):
        assert receipt["findings"] == [FAULT.to_json()], "the receipt has it always"
        assert receipt["faulty_rows"] == {"enrollments.csv": 2}
        assert receipt["message"].endswith(". 2 faulty rows")
    assert [told for told in host.alerts if told[0] == "notify"] == [("notify", "findings")]


@pytest.mark.parametrize("end", [Failure(Exit.VANISHED, "it broke"), None])
def test_a_finding_is_told_with_the_delivery_only(host: Host, end: Failure | None) -> None:
    find(host, FAULT)
    host.at(Server())
    host.ends = [end] if end else []
    if end:
        host.send()
    else:
        host.run("rehearse")
    assert "told" not in host.last
    assert host.send() == Exit.OK
    assert len(host.last["told"]) == 1
    host.run("resend", digest_of(OLD)[:16])
    assert "told" not in host.last


def test_packages_are_kept_as_many_as_the_feed_says(host: Host) -> None:
    host.configure(keep_packages=2)
    for content in (OLD, BIG, OLD + b"y"):
        host.send(content)
    assert len(list((host.state / "packages").iterdir())) == 2


@pytest.mark.parametrize(
    ("end", "alerts"),
    [
        (None, [("heartbeat", None), ("heartbeat", 0)]),
        (
            Failure(Exit.LOGIN, "no"),
            [("heartbeat", None), ("notify", "failure"), ("heartbeat", Exit.LOGIN)],
        ),
        (
            KeyboardInterrupt(),
            [("heartbeat", None), ("notify", "failure"), ("heartbeat", Exit.INTERNAL)],
        ),
    ],
)
def test_who_wants_to_know_is_told(
    host: Host, end: BaseException | None, alerts: list[tuple[str, object]]
) -> None:
    host.ends = [end] if end else []
    with contextlib.suppress(KeyboardInterrupt):
        host.send()
    assert host.alerts == alerts
    assert "the heartbeat did not work" in host.said, "and harms nothing"
    assert ("the alert to slack did not work" in host.said) == (len(alerts) == 3)


def test_a_skipped_delivery_is_in_order_to_the_heartbeat(host: Host) -> None:
    host.configure(unchanged="skip")
    host.send()
    host.send()
    assert host.outcomes == ["sent", "skipped"]
    assert host.alerts[2:] == [("heartbeat", None), ("heartbeat", 0)]
    day = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=8)).date()
    host.configure(blackouts=[f"{day} a reason"])
    assert host.send() == Exit.PAUSED
    assert host.alerts[4:] == [("heartbeat", 0)]


def test_old_receipts_go_and_metrics_come(host: Host, tmp_path: Path) -> None:
    host.configure(keep_receipts_days=10)
    now = dt.datetime.now(dt.UTC)
    host.state.mkdir(parents=True)
    for days in (10.01, 9.99, *[0.0] * 12):
        moment = stamp(now - dt.timedelta(days=days))
        append(host.ledger, {"outcome": "held", "finished": moment, "days": days})
    host.patch.setenv("CACHE_DIRECTORY", str(tmp_path))
    assert host.send() == Exit.OK
    assert [r.others.get("days") for r in host.ledger.receipts()] == [9.99, *[0.0] * 12, None]
    assert 'outcome="sent"} 1' in (tmp_path / "maple-grove.prom").read_text()

"""The steps after the receipt: notify, store the package, prune, write metrics.

They cannot harm the delivery.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

from roster_upload.delivery.job import Job, Outgoing, beside
from roster_upload.host.credentials import secrets_folder
from roster_upload.notify import events, metrics, notifier
from roster_upload.notify.channels import heartbeat
from roster_upload.records import evidence
from roster_upload.records.receipt import Receipt
from roster_upload.terminal import output


def keep(job: Job, package: Outgoing) -> None:
    """Store the data that later runs need of a delivery that is sent and recorded."""
    with beside("the digest of the delivered package could not be saved"):
        evidence.mark(job.state.folder, package.sha256)
    with beside("the package could not be stored for a later resend"):
        job.package_store().add(package.path, package.sha256)


def close(job: Job, killed: list[Receipt]) -> None:
    """Notify people of this run and of killed ones. Then prune receipts and write metrics."""
    feed, folder, ledger = job.feed, secrets_folder(), job.state.ledger
    for receipt in (*killed, job.receipt):
        with beside("nobody could be notified"):
            _notify(job, receipt, folder)
    if job.command == "send":
        green = job.receipt.is_in_order
        code = 0 if green else int(job.receipt.exit_code or 0)
        with beside("the heartbeat did not work"):
            _say_all(heartbeat.beat(feed, folder, code))
    with beside("the feed's receipts could not be pruned"):
        ledger.prune(dt.timedelta(days=feed.keep_receipts_days), job.started)
    with beside("the metrics could not be written"):
        if cache := os.environ.get("CACHE_DIRECTORY"):
            metrics.write(Path(cache) / f"{feed.feed}.prom", feed.feed, ledger.history())


def _notify(job: Job, receipt: Receipt, folder: Path | None) -> None:
    """Notify people of a receipt: that of this run, or of a killed one."""
    before = job.history.without(receipt.run)
    if kind := events.event(before, receipt):
        _say_all(notifier.notify(job.feed, kind, receipt, folder))


def _say_all(texts: list[str]) -> None:
    for text in texts:
        output.say(text)

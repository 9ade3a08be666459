"""The watch inside of an Ansible run: it notifies, and keeps its memory in the outputs' folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from roster_upload.notify.channels import heartbeat
from roster_upload.notify.channels.channel import PLACE, filled, host_of
from roster_upload.spec.checks import url

from roster_fleet import alerts
from roster_fleet.outputs import Outputs
from roster_fleet.status.rows import Row
from roster_fleet.watch import news as decisions
from roster_fleet.watch import notifying
from roster_fleet.watch import state as memory
from roster_fleet.watch.channels import Channels
from roster_fleet.watch.message import Scene

DONE = "0"  # the exit code of a run that worked
UNFILLED = (
    "the heartbeat has no secret. Write heartbeat into alerts.vault, or the whole address into "
    "roster_status_heartbeat_url"
)


@dataclass(frozen=True)
class Fleet:
    """Hold the hosts of a run and their channels."""

    asked: Sequence[str]
    channels: Channels
    own: Outputs
    page: Path
    heartbeat: str = ""  # the address that is called after a run that worked

    @property
    def scene(self) -> Scene:
        """Return what all messages of the run name."""
        return Scene(self.own.name, str(self.page))

    def watch(self, rows: Sequence[Row], now: str) -> list[str]:
        """Notify of the news in the rows of all hosts. Return the failures, without a secret."""
        asked = [row for row in rows if row.host.name in self.asked]
        before = memory.load(self.own.folder)
        after, troubles = notifying.notify(
            decisions.entries(asked, now), before, self.asked, self.channels.of, self.scene
        )
        if not notifying.all_addresses(self.asked, self.channels.of):
            troubles = [notifying.NO_CHANNEL.format(titles=notifying.NO_CHANNEL_AT_ALL)]
        troubles += self.channels.troubles
        troubles += [] if troubles else self._beat()
        if not troubles:
            after = replace(after, ran=now, failed="", files=self.channels.files)
        memory.save(self.own.folder, replace(after, troubles=tuple(troubles)))
        return troubles

    def _beat(self) -> list[str]:
        """Call the heartbeat's address. A run that did not work leaves it out. Return a failure."""
        if not self.heartbeat:
            return []
        try:
            url(self.heartbeat)
        except ValueError as error:
            return [f"roster_status_heartbeat_url {error}"]
        secret = str(self.channels.secrets(self.asked[0]).get(alerts.HEARTBEAT) or "")
        if PLACE in self.heartbeat and not secret:
            return [UNFILLED]
        address = filled(self.heartbeat, secret)
        return heartbeat.call(lambda: address, host_of(self.heartbeat), DONE)

    def report_failure(self, today: str) -> list[str]:
        """Notify once a day that the watch failed. Return the failures, without a secret."""
        before = memory.load(self.own.folder)
        if before.failed == today:
            return []
        addresses = notifying.all_addresses(self.asked, self.channels.safely_of)
        addresses = addresses or self.channels.of_files(before.files)
        found = notifying.notify_of_failure(before.troubles, addresses, self.scene)
        if len(found) < len(addresses):
            memory.save(self.own.folder, replace(before, failed=today))
        return [*found, *self.channels.troubles]

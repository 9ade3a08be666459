"""The watch inside of an Ansible run: it notifies, and keeps its memory in the outputs' folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from roster_fleet.outputs import Outputs
from roster_fleet.status.rows import Row
from roster_fleet.watch import news as decisions
from roster_fleet.watch import notifying
from roster_fleet.watch import state as memory
from roster_fleet.watch.channels import Channels
from roster_fleet.watch.message import Scene


@dataclass(frozen=True)
class Fleet:
    """Hold the hosts of a run and their channels."""

    asked: Sequence[str]
    channels: Channels
    own: Outputs
    page: Path

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
        if not troubles:
            after = replace(after, ran=now, failed="")
        memory.save(self.own.folder, replace(after, troubles=tuple(troubles)))
        return troubles

    def report_failure(self, today: str) -> list[str]:
        """Notify once a day that the watch failed. Return the failures, without a secret."""
        before = memory.load(self.own.folder)
        if before.failed == today:
            return []
        addresses = notifying.all_addresses(self.asked, self.channels.of)
        found = notifying.notify_of_failure(before.troubles, addresses, self.scene)
        if len(found) < len(addresses):
            memory.save(self.own.folder, replace(before, failed=today))
        return [*found, *self.channels.troubles]

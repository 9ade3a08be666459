"""The alert URLs of hosts and feeds, as the hosts themselves use them.

They come from the variable `roster_upload_alert_urls` and from the nearest `alerts.vault`. They
stay in this process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError

from roster_fleet import alerts, vault

VARIABLE = "roster_upload_alert_urls"
FEEDS, KEY = "roster_upload_feeds", "alert_urls"
UNSEALED_ONLY = "{reason}. Only the addresses in roster_upload_alert_urls were used"


class Channels:
    """The URLs of a fleet. `troubles` says which files could not be opened."""

    def __init__(self, hostvars: Mapping[str, Any], loader: Any) -> None:
        self.hostvars = hostvars
        self.loader = loader
        self.troubles: list[str] = []
        self._opened: dict[Path, Mapping[str, Any]] = {}

    def of(self, host: str, feed: str = "") -> tuple[str, ...]:
        """Return the URLs of a feed. Without one, return those of all feeds of the host."""
        sealed = map(str, self.secrets(host).get(alerts.URLS) or ())
        return tuple(dict.fromkeys([*_unsealed(self.hostvars[host], feed), *sealed]))

    def secrets(self, host: str) -> Mapping[str, Any]:
        """Return the values of the nearest `alerts.vault`, or of the variable that replaces it."""
        values = self.hostvars[host]
        if isinstance(given := values.get(alerts.VARIABLE), Mapping):
            return given
        inventory = Path(values["inventory_dir"])
        groups = alerts.groups_of(self.hostvars, host)
        homes = alerts.folders(inventory, inventory / "host_vars" / host, groups)
        path = alerts.nearest(homes)
        if path and path not in self._opened:
            self._opened[path] = self._open(path, inventory)
        return self._opened[path] if path else {}

    @property
    def files(self) -> tuple[str, ...]:
        """Return the paths of the opened files."""
        return tuple(map(str, self._opened))

    def safely_of(self, host: str, feed: str = "") -> tuple[str, ...]:
        """Return the URLs of a host, none if its variables cannot be read."""
        try:
            return self.of(host, feed)
        except AnsibleError:  # such as a file of variables without its key
            return ()

    def of_files(self, paths: Sequence[str]) -> list[str]:
        """Return the URLs of `alerts.vault` files that still exist."""
        present = [path for path in map(Path, paths) if path.exists()]
        found = [self._open(path, _inventory_of(path)).get(alerts.URLS, ()) for path in present]
        return list(dict.fromkeys(url for urls in found for url in urls))

    def _open(self, path: Path, inventory: Path) -> Mapping[str, Any]:
        """Return the values of a file. Without its key there are none, and a trouble."""
        try:
            return alerts.read([path.parent], vault.keys_of(self.loader, inventory))
        except vault.VaultError as error:
            self.troubles.append(UNSEALED_ONLY.format(reason=error))
            return {}


def _inventory_of(path: Path) -> Path:
    """Return the inventory of a `group_vars/GROUP/alerts.vault`, or of one in `host_vars`."""
    return path.parents[2]


def _unsealed(values: Mapping[str, Any], feed: str) -> Iterator[str]:
    """Yield the URLs among a host's variables. A feed's own list replaces the host's."""
    common = values.get(VARIABLE) or []
    feeds = [entry for entry in values.get(FEEDS) or () if isinstance(entry, Mapping)]
    named = [entry for entry in feeds if not feed or entry.get("feed") == feed]
    for entry in named or [{}]:
        yield from map(str, entry.get(KEY, common))

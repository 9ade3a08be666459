"""The SIS's servers from which hosts read exports: their URLs, and the host keys to pin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roster_upload.spec.checks import CHECKS
from roster_upload.spec.sources import SftpSource

from roster_fleet import inventory
from roster_fleet.onboard import host_key
from roster_fleet.onboard.districts import District
from roster_fleet.sources import SmbSource, share_of

VARIABLE = "roster_upload_source_host_keys"
OWNER = "the SIS's operator"
OPTION = "onboard_source_host_key"
NOT_PINNED = "NOT PINNED"


@dataclass(frozen=True)
class Source:
    """A server from which a feed is fetched, with the keys that the inventory pins for it."""

    district: District
    host: str
    port: int
    pinned: tuple[str, ...]
    is_added: bool  # the feed is new, so its key can still be written


def fetched(source: object) -> SftpSource | None:
    """Return a source that is fetched by SFTP, or None."""
    with suppress(ValueError):
        found = CHECKS["source"](source) if isinstance(source, str) else None
        return found if isinstance(found, SftpSource) else None
    return None


def shared(source: object) -> SmbSource | None:
    """Return a source that is on a share, or None."""
    with suppress(ValueError):
        return share_of({"source": source})
    return None


def user_of(source: object) -> str:
    """Return the user by whom a host logs in at a source's server, or ""."""
    if found := fetched(source):
        return found.username
    share = shared(source)
    return share.user if share else ""


def of_district(district: District, host: inventory.Host, *, is_added: bool) -> list[Source]:
    """Return the server that a district's export is fetched from, if any."""
    feed = next((it for it in host.feeds if it.get("feed") == district.feed), {})
    url = fetched(feed.get("source"))
    if url is None:
        return []
    pinned = tuple(map(str, feed.get("source_host_keys") or ()))
    return [Source(district, url.host, url.port, pinned, is_added)]


def pin(
    keys: host_key.HostKeys, found: Sequence[Source], folder: Path
) -> tuple[dict[tuple[str, str], str], list[dict[str, Any]]]:
    """Return the confirmed keys by host and feed, and a row of the closing table for each server.

    A pinned key is compared and never changed.
    """
    confirmed: dict[tuple[str, str], str] = {}
    report = []
    for source in found:
        district, name = source.district, f"{source.host}:{source.port}"
        try:
            lines = keys.lines(source.host, source.port)
            shown = f"{name} shows {host_key.shown_keys(lines)}"
            if source.pinned:
                did, note = host_key.compared(lines, source.pinned, shown, OWNER, VARIABLE)
            else:
                line = keys.choose(name, lines, district.source_host_key, OWNER, OPTION)
                did, note = _chosen(keys, source, line, folder)
                if source.is_added:
                    confirmed[district.host, district.feed] = line
        except (host_key.HostKeyError, ValueError) as error:
            did = "not compared" if source.pinned else NOT_PINNED
            note = str(error) if source.pinned else f"{error}. {_elsewhere(source, folder)}"
        # The key was read from the control node, so the row is not the host's.
        row = {"district": district.district, "feed": district.feed, "note": note}
        report.append({**row, "did": f"SIS's host key {did}", "ok": did == did.lower()})
    return confirmed, report


def with_pins(districts: Sequence[District], pins: Mapping[tuple[str, str], str]) -> list[District]:
    """Return the districts with the confirmed keys of their sources."""
    return [
        district.with_source_key(pins[key])
        if (key := (district.host, district.feed)) in pins
        else district
        for district in districts
    ]


def _chosen(keys: host_key.HostKeys, source: Source, line: str, folder: Path) -> tuple[str, str]:
    """Return the report on a key that was confirmed."""
    if not source.is_added:
        return NOT_PINNED, _by_hand(source, line, folder)
    did = "would be pinned" if keys.is_check else "pinned"
    return did, f"{source.host}:{source.port}: {host_key.fingerprint(line)}"


def _elsewhere(source: Source, folder: Path) -> str:
    """Return how to read a key where the server can be reached, and to pin it."""
    scan = f"ssh-keyscan -p {source.port} -t ed25519,rsa {source.host}"
    return f"Or read it on the host: {scan}. {_by_hand(source, 'KEY', folder)}"


def _by_hand(source: Source, line: str, folder: Path) -> str:
    """Return how to pin a key by hand."""
    path = folder / "host_vars" / source.district.host / "main.yml"
    return f"Add it to {source.district.feed} in {path}: {VARIABLE}: [{line}]"

"""The places at the vendor that feeds deliver to: a file belongs to one feed of a fleet only."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

# The keys of a feed that decide where its file goes.
KEYS = ("remote_host", "remote_port", "remote_dir", "remote_name")


def remote_file(feed: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the server and the path of a feed's file, the same for each way to write them."""
    host, port, folder, name = (str(feed.get(key, "")) for key in KEYS)
    path = posixpath.normpath(f"/{folder}/{name}").lstrip("/")
    return (host.lower().rstrip("."), port, *posixpath.split(path))


def shared(
    feeds: Iterable[tuple[str, Mapping[str, Any]]],
) -> dict[tuple[str, ...], list[tuple[str, str]]]:
    """Return the remote files of several feeds, each with the hosts and names of its feeds."""
    users: dict[tuple[str, ...], list[tuple[str, str]]] = defaultdict(list)
    for host, feed in feeds:
        users[remote_file(feed)].append((host, str(feed.get("feed"))))
    return {file: found for file, found in users.items() if len(found) > 1}

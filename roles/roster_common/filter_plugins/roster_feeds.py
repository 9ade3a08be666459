"""Jinja2 filters that turn a host's inventory values into feeds, for every role.

They import nothing of the project, so they load wherever the roles are installed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

DAY = 24 * 60  # minutes
LONGEST_ACCOUNT = 31  # characters that systemd accepts
PORTS = {"http": 80, "sftp": 22, "smb": 445}  # of other URLs: 443
UPKEEP_MINUTES = 90  # upgrades start within half an hour, and take some time


def resolve_feeds(
    feeds: Sequence[Mapping[str, Any]], flat: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return each feed, completed with the flat values that it does not set itself.

    `feeds` is `roster_upload_feeds`. `flat` maps configuration keys to the host's flat values.
    Empty values (null) are dropped, and `{feed}` in the source stands for the feed's name.
    """
    resolved = []
    for item in feeds:
        feed = {key: value for key, value in {**flat, **item}.items() if value is not None}
        if isinstance(feed.get("source"), str):
            feed["source"] = feed["source"].replace("{feed}", str(feed.get("feed", "")))
        resolved.append(feed)
    return resolved


def with_prefix(names: Sequence[str], prefix: str) -> list[str]:
    """Return each name with a prefix. Jinja's map takes noticeably longer, and runs often."""
    return [prefix + name for name in names]


def planned_starts(
    feeds: Sequence[Mapping[str, Any]],
    host: str,
    spread_minutes: int,
    retries: Sequence[str],
    rehearsal: str = "",
    watch_minutes: int = 0,
) -> dict[str, dict[str, list[str]]]:
    """Return each feed's units (without `@FEED`) with their planned starts (`HH:MM`, UTC).

    `roster-upload` starts some minutes after the window opens, fewer than `spread_minutes`. A hash
    of host and feed decides how many, so the number is stable and evenly spread over a fleet.
    `roster-upload` starts again at the retries. `roster-rehearse` starts as many minutes after
    `rehearsal`. `roster-watch` starts `watch_minutes` before the deadline. A unit whose time is
    empty or 0 is skipped.
    """
    starts: dict[str, dict[str, list[str]]] = {}
    for feed in feeds:
        digest = hashlib.sha256(f"{host} {feed['feed']}".encode()).digest()
        offset = int.from_bytes(digest[:8], "big") % max(spread_minutes, 1)
        planned = {"roster-upload": [_later(feed["window_start"], offset), *retries]}
        if rehearsal:
            planned["roster-rehearse"] = [_later(rehearsal, offset)]
        if watch_minutes:
            planned["roster-watch"] = [_later(feed["deadline"], -watch_minutes)]
        starts[feed["feed"]] = planned
    return starts


def minutes(time: str) -> int:
    """Return the minutes after midnight of a time `HH:MM`. Raise ValueError for other texts."""
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", time):
        raise ValueError(f"{time!r} is not a time of day such as 07:10 (UTC)")
    return int(time[:2]) * 60 + int(time[3:])


def in_window(moment: str, start: str, deadline: str) -> bool:
    """Return whether a time of day lies in the window [start, deadline), as the program does."""
    opened = minutes(start)
    return (minutes(moment) - opened) % DAY < (minutes(deadline) - opened) % DAY


def _later(time: str, by: int) -> str:
    moment = (minutes(time) + by) % DAY
    return f"{moment // 60:02}:{moment % 60:02}"


def schedule_problems(
    feeds: Sequence[Mapping[str, Any]], starts: Mapping[str, Mapping[str, Sequence[str]]]
) -> list[str]:
    """Return a message for each delivery of `planned_starts` outside its feed's window."""
    return [
        f"roster_schedule_retries: {feed['feed']} would start at {start} UTC, outside its window "
        f"{feed['window_start']}-{feed['deadline']} UTC. Choose a time within the window"
        for feed in feeds
        for start in starts[feed["feed"]]["roster-upload"]
        if not in_window(start, feed["window_start"], feed["deadline"])
    ]


def upkeep_problems(feeds: Sequence[Mapping[str, Any]], times: Mapping[str, str]) -> list[str]:
    """Return a message for each time of a host's upkeep that would disturb a delivery.

    `feeds` have a `feed`, `window_start` and `deadline`. `times` maps variables to `HH:MM` (UTC).
    """
    return [
        f"{name}: {time} UTC and the {UPKEEP_MINUTES} minutes after it touch the window of "
        f"{feed['feed']}, {feed['window_start']}-{feed['deadline']} UTC. Choose another time"
        for feed in feeds
        for name, time in times.items()
        if in_window(time, feed["window_start"], feed["deadline"])
        or in_window(feed["window_start"], time, _later(time, UPKEEP_MINUTES))
    ]


def feed_destinations(feeds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the servers that the program reaches, as `host:port`, each once.

    They are those of the vendor, of sources with `sftp://`, and of the heartbeat.
    """
    found = []
    for feed in feeds:
        found.append(f"{feed['remote_host']}:{feed['remote_port']}")
        source = str(feed.get("source", ""))
        found += _servers(source if source.startswith("sftp://") else "")
        found += _servers(feed.get("heartbeat_url", ""))
    return list(dict.fromkeys(found))


def mount_destinations(feeds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the servers of shares, as `host:port`, each once. The kernel reaches them."""
    shares = [str(feed.get("source", "")) for feed in feeds]
    servers = [_servers(share) for share in shares if share.startswith("smb://")]
    return list(dict.fromkeys(server for found in servers for server in found))


def _servers(url: str) -> list[str]:
    """Return the server of a URL as `host:port`, or nothing without one."""
    # The user of a source may hold characters that end a server's name elsewhere, such as #.
    parts = urllib.parse.urlsplit(re.sub("^(sftp|smb)://[^/]*@", r"\1://", url))
    if not parts.hostname:
        return []
    return [f"{parts.hostname}:{parts.port or PORTS.get(parts.scheme, 443)}"]


def feed_account(feed: str) -> str:
    """Return the system account of a feed, whose units and files are its own.

    The units say `User=rf-%i`. A name that is too long for that ends in a hash.
    """
    account = f"rf-{feed}"
    if len(account) <= LONGEST_ACCOUNT:
        return account
    digest = hashlib.sha256(feed.encode()).hexdigest()[:8]
    return f"{account[: LONGEST_ACCOUNT - 9]}-{digest}"


def feed_account_names(feeds: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return each feed's account by the feed's name."""
    return {feed["feed"]: feed_account(feed["feed"]) for feed in feeds}


def feed_accounts(feeds: Sequence[Mapping[str, Any]], group: str) -> list[dict[str, Any]]:
    """Return the feeds' accounts for `system_accounts`, all in the primary group `group`.

    A group of the account's own opens what is for this feed alone. An inbox opens to the feeds
    that read it by the group of its account.
    """
    found = []
    for feed in feeds:
        account, parts = feed_account(feed["feed"]), feed["source"].split("/")
        inbox = [parts[3]] if parts[1:3] in (["srv", "sis-inbox"], ["srv", "dropbox"]) else []
        found.append({"name": account, "group": group, "groups": [account, *inbox]})
    return found


def export_folders(feeds: Sequence[Mapping[str, Any]], group: str) -> list[dict[str, str]]:
    """Return the folders below /srv/roster-upload that exports come into, and who may enter.

    It is the feed's own group. Where several feeds need a folder it is `group`, which all have.
    """
    folders = {feed["feed"]: feed["source"].rpartition("/")[0] for feed in feeds}
    found = []
    for folder in sorted(set(folders.values())):
        if folder.startswith("/srv/roster-upload/"):
            users = [name for name, own in folders.items() if f"{own}/".startswith(f"{folder}/")]
            found.append(
                {"path": folder, "group": feed_account(users[0]) if len(users) == 1 else group}
            )
    return found


def packages_to_install(names: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Return the packages that a host's lines (`STATUS NAME`) do not show as installed.

    Return all of them if there is no line, since then nothing is known.
    """
    found = set(lines)
    return [name for name in names if f"installed {name}" not in found]


def packages_to_remove(names: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Return the packages of which a host's lines (`STATUS NAME`) show files or configuration."""
    known = {line.partition(" ")[2] for line in lines if not line.startswith("not-installed")}
    return [name for name in names if not lines or name in known]


def to_toml(value: Any) -> str:
    """Return a value as TOML, with inline tables."""
    if isinstance(value, Mapping):
        pairs = (f"{to_toml(str(key))} = {to_toml(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(to_toml, value)) + "]"
    if isinstance(value, dt.date):
        value = value.isoformat()  # YAML reads a date without quotes
    # JSON allows this character unescaped, TOML does not.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {
            "resolve_feeds": resolve_feeds,
            "with_prefix": with_prefix,
            "planned_starts": planned_starts,
            "schedule_problems": schedule_problems,
            "upkeep_problems": upkeep_problems,
            "feed_destinations": feed_destinations,
            "mount_destinations": mount_destinations,
            "feed_account": feed_account,
            "feed_account_names": feed_account_names,
            "feed_accounts": feed_accounts,
            "export_folders": export_folders,
            "packages_to_install": packages_to_install,
            "packages_to_remove": packages_to_remove,
            "to_toml": to_toml,
        }

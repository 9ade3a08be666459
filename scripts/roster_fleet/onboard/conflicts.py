"""Conflicts of new districts: with the inventory, the program's rules, and each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from roster_fleet import inventory, sources, yamlfile
from roster_fleet.destinations import remote_file
from roster_fleet.onboard import inbox, more_feeds
from roster_fleet.onboard.districts import GROUP_COLUMNS, INBOX_COLUMNS, District, group_name
from roster_fleet.onboard.hosts_file import HOSTS_FILE


def row_conflicts(districts: Sequence[District]) -> list[str]:
    """Return the conflicts between the rows of one host."""
    first = districts[0]
    found = [
        f"{district.where}, {column}: {getattr(district, column)!r}, but {first.where} has "
        f"{getattr(first, column)!r} for the same host {first.host}"
        for column in ("address", "sis", "region")
        for district in districts[1:]
        if _comparable(district, column) != _comparable(first, column)
    ]
    accounts: dict[str, District] = {}
    for district in (it for it in districts if it.inbox_user):
        other = accounts.setdefault(district.inbox_user, district)
        found += [
            f"{district.where}, {column}: differs from {other.where}, which has the same "
            f"inbox_user {district.inbox_user}"
            for column in INBOX_COLUMNS
            if getattr(district, column) != getattr(other, column)
        ]
    return found


def _comparable(district: District, column: str) -> str:
    """Return what must be the same for all districts of a host."""
    value: str = getattr(district, column)
    return group_name(column, value) if column in GROUP_COLUMNS else value


def host_conflicts(
    host: inventory.Host,
    districts: Sequence[District],
    folder: Path,
    *,
    before: inventory.Host | None,
    reason: str = "",
) -> list[str]:
    """Return the problems of districts as the roles would resolve them on their host.

    `before` is the host as it is, if it is there. `reason` says why no feed was added to it.
    """
    first, is_new = districts[0], before is None
    added = {d.feed for d in (more_feeds.missing(before, districts) if before else districts)}
    file = folder / "host_vars" / first.host / "main.yml"
    if host.problem:
        return [f"{first.where}, host: {first.host}'s variables cannot be resolved: {host.problem}"]
    found = []
    if (first.address or is_new) and host.address != first.address:
        found.append(
            f"{first.where}, address: {first.address!r}, but ansible_host of {first.host} is "
            f"{host.address!r} ({folder / HOSTS_FILE})"
        )
    feeds = {str(feed.get("feed")): feed for feed in host.feeds}
    for district in districts:
        for name, column in district.groups.items():
            if name not in host.groups:
                found.append(
                    f"{district.where}, {column}: {first.host} is not in the districts {name}. Add "
                    f"it by hand ({folder / HOSTS_FILE})"
                )
            elif before and name not in before.groups and column != "product":
                found += [
                    f"{district.where}, {column}: {first.host} is in the group {other}. Leave the "
                    "cell empty, and give the row what is different, such as source"
                    for other in before.groups
                    if other.startswith(f"{column}_")
                ]
        if district.feed not in feeds:
            found.append(
                f"{district.where}, host: {first.host} delivers {', '.join(feeds)}, and no feed "
                f"can be added to {file}: {reason}. {manual_steps(district, host, file)}"
            )
            continue
        feed = feeds[district.feed]
        found += differences(district, feed, file)
        found += inbox_conflicts(district, host)
        if district.feed not in added:
            continue
        found += rule_violations(district, feed)
        found += shared_sources(district, host)
        if len(host.feeds) > 1 and not district.product and host.product not in ("", "product"):
            found.append(
                f"{district.where}, product: is empty, but the groups say {host.product!r}. "
                "If a host has several districts, each needs its own product"
            )
    if before:
        found += [
            f"{first.where}, host: {change}. Nothing is overwritten. Add the feed by hand ({file})"
            for change in (more_feeds.changed_feeds(before, host) if added else ())
        ]
    if added and not found:
        found += [f"{first.where}: {p.message}" for p in sources.cross_problems(host.feeds)]
        found += [f"{first.where}: {problem}" for problem in host.inbox_problems]
    return found


def inbox_conflicts(district: District, host: inventory.Host) -> list[str]:
    """Return how the inbox of a district differs from the host's."""
    account = district.inbox_account
    if account is None:
        return []
    known = next((it for it in host.inboxes if it.get("user") == account["user"]), {})
    columns = {"user": "user", "authorized_keys": "key", "networks": "networks"}
    return [
        f"{district.where}, inbox_{column}: differs from {inbox.VARIABLE} of {district.host}. "
        "Nothing is overwritten"
        for key, column in columns.items()
        if known.get(key) != account[key]
    ]


def shared_sources(district: District, host: inventory.Host) -> list[str]:
    """Return the other districts of a host whose export a district would read."""
    exports = {feed.get("feed"): feed.get("source") for feed in host.feeds}
    return [
        f"{district.where}, source: {district.feed} would read the export of {feed.get('feed')}, "
        f"{feed.get('source')}. Give the row another source"
        for feed in host.feeds
        if feed.get("source") == exports[district.feed]
        and feed.get("district") != district.district
    ]


def manual_steps(district: District, host: inventory.Host, file: Path) -> str:
    """Return how to add a feed to a host with other feeds, whose file stays as it is."""
    items = [district.feed_item()]
    step = f"Add this feed by hand to roster_upload_feeds in {file}"
    written = yamlfile.plain(yamlfile.read(file)) if file.is_file() else None
    if "roster_upload_feeds" not in (written or {}):
        keys = {"feed", "district", "username", "remote_dir"}
        items = [{key: str(feed[key]) for key in sorted(keys)} for feed in host.feeds] + items
        step = (
            f"Make a list of both by hand. In {file}, replace the lines "
            f"{', '.join(district.host_variables())} by"
        )
    text = yamlfile.dump(yamlfile.tree({"roster_upload_feeds": items}))
    lines = text.strip().split("\n")
    return f"{step}:\n" + "\n".join(f"      {line}" for line in lines)


def differences(district: District, feed: Mapping[str, Any], file: Path) -> list[str]:
    """Return where a resolved feed differs from its district."""
    wanted = {"district": district.district, "username": district.username, **district.feed_values}
    wanted["remote_dir"] = district.remote_dir
    has = dict(feed)
    if not district.product and "remote_dir" not in district.feed_values:
        # The groups name the product.
        for values in (wanted, has):
            values["remote_dir"] = str(values["remote_dir"]).rpartition("/")[0]
    columns = {"remote_dir": "site_code, district, product"}
    return [
        f"{district.where}, {columns.get(key, key)}: {value!r}, but the inventory has "
        f"{has.get(key)!r} for {district.feed} ({file}, or a group). Nothing is overwritten"
        for key, value in wanted.items()
        if has.get(key) != value and not (key == "source" and "{feed}" in value)
    ]


def rule_violations(district: District, feed: Mapping[str, Any]) -> list[str]:
    """Return the problems that the program would report. A host key may still be missing."""
    return [
        f"{district.where}, {problem.key}: {problem.message}"
        for problem in sources.problems(feed)
        if not (problem.key == "host_keys" and not feed.get("host_keys"))
    ]


# These are unique in a fleet, by the column that they come from.
UNIQUE: Mapping[str, tuple[Callable[[Mapping[str, Any]], object], str]] = {
    "feed": (lambda feed: feed.get("feed"), "{host} has a feed with the same name"),
    "site_code, district, product": (
        remote_file,
        "{feed} of {host} delivers to the same remote file",
    ),
}


def duplicates(fleet: Mapping[str, inventory.Host], districts: Sequence[District]) -> list[str]:
    """Return the names, remote files and logins that a district shares with another one."""
    rows = {(district.host, district.feed): district for district in districts}
    every = [(host, feed) for host, known in fleet.items() for feed in known.feeds]
    found = []
    for column, (key_of, sentence) in UNIQUE.items():
        users: dict[object, list[tuple[str, str]]] = defaultdict(list)
        for host, feed in every:
            users[key_of(feed)].append((host, str(feed.get("feed"))))
        for same in users.values():
            for index, user in enumerate(same):
                if len(same) > 1 and user in rows:
                    host, feed_name = same[index - 1] if index else same[1]
                    conflict = sentence.format(host=host, feed=feed_name)
                    found.append(f"{rows[user].where}, {column}: {conflict}")
    logins: dict[str, dict[str, str]] = defaultdict(dict)
    for host, feed in every:
        login = str(feed.get("username", "")).casefold()
        logins[login].setdefault(str(feed.get("district")), f"{feed.get('feed')} of {host}")
    for district in districts:
        # A district may deliver to several products with one login.
        found += [
            f"{district.where}, username: {district.username!r} is also the login of {user}, "
            f"which is in another district ({name})"
            for name, user in logins[district.username.casefold()].items()
            if name != district.district
        ]
    return found

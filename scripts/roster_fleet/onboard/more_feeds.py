"""More feeds for a host that delivers already. Its present feeds stay exactly as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from roster_upload.spec import schema

from roster_fleet import inventory, variable_files, yamledit, yamlfile
from roster_fleet.onboard import inbox
from roster_fleet.onboard.districts import District
from roster_fleet.onboard.host_files import HEAD_ONE, HEAD_SEVERAL, SITE_CODE_COMMENT, render_host
from roster_fleet.yamledit import EditError

FEEDS = "roster_upload_feeds"
PREFIX = "roster_upload_"
# What a host's feeds have in common. All else describes one district, and becomes its own.
SHARED = frozenset(
    (
        *("remote_host", "remote_port", "host_keys", "window_start", "deadline"),
        *("make_remote_dir", "verify_by_writing", "temporary_name", "finish_seconds"),
        *("algorithms", "attempts", "retry_seconds", "parallel"),
        *("keep_packages", "keep_receipts_days"),
        "alert_urls",
    )
)


def missing(host: inventory.Host, districts: Sequence[District]) -> list[District]:
    """Return the districts that a host does not deliver yet."""
    names = {feed.get("feed") for feed in host.feeds}
    return [district for district in districts if district.feed not in names]


def with_feeds(
    folder: Path, host: inventory.Host, districts: Sequence[District]
) -> dict[Path, str]:
    """Return the changed files of a host with more feeds. Raise EditError."""
    home = folder / "host_vars" / districts[0].host
    main = home / "main.yml"
    texts = {path: yamlfile.read(path) for path in variable_files.of(home)}
    changed: dict[Path, str] = {}
    if not any(feed.get("feed") for feed in host.feeds) and main not in texts:
        return {main: render_host(districts)}
    path = holder(texts, FEEDS)
    if path is None and any(feed.get("feed") for feed in host.feeds):
        path, changed = _as_list(folder, texts, host)
    path = path or main
    text = changed.get(path, texts.get(path, ""))
    for district in districts:
        text = yamledit.append_item(text, FEEDS, district.feed_item())
    changed[path] = text
    return changed | _with_inboxes(texts | changed, host, districts, main)


def _with_inboxes(
    texts: Mapping[Path, str], host: inventory.Host, districts: Sequence[District], main: Path
) -> dict[Path, str]:
    """Return the changed files of a host with the inboxes of new districts."""
    accounts = list(host.inboxes)
    changed: dict[Path, str] = {}
    for district in districts:
        account = district.inbox_account
        if account is None or any(it.get("user") == account["user"] for it in accounts):
            continue
        path = holder(texts, inbox.VARIABLE)
        if path is None and host.inboxes:
            raise EditError(f"{inbox.VARIABLE} is not in a file of this host")
        path = path or main
        before = changed.get(path, texts.get(path, "---\n"))
        changed[path] = yamledit.append_item(before, inbox.VARIABLE, account)
        accounts.append(account)
    return changed


def holder(texts: Mapping[Path, str], name: str) -> Path | None:
    """Return the file that sets a variable. Raise EditError if there are several."""
    found = [path for path, text in texts.items() if name in _values(text)]
    if len(found) > 1:
        raise EditError(f"{name} is in {' and '.join(path.name for path in found)}")
    return found[0] if found else None


def _values(text: str) -> Mapping[str, Any]:
    try:
        values = yamlfile.plain(text)
    except yaml.YAMLError:
        return {}
    return values if isinstance(values, dict) else {}


def _as_list(
    folder: Path, texts: dict[Path, str], host: inventory.Host
) -> tuple[Path, dict[Path, str]]:
    """Return the file of a host's only feed with a list of this feed. Raise EditError."""
    path = holder(texts, f"{PREFIX}feed")
    if path is None or len(host.feeds) != 1:
        raise EditError("the host's present feed is described elsewhere")
    values, own = _values(texts[path]), {*schema.keys()} - SHARED
    moved = {PREFIX + key: key for key in sorted(own) if PREFIX + key in values}
    if f"{PREFIX}district" not in values and "district_name" in values:
        moved["district_name"] = "district"
    computed, gone = {}, {}
    if f"{PREFIX}remote_dir" not in values:
        computed = {"remote_dir": str(host.feeds[0]["remote_dir"])}
        names = ("district_site_code", "district_product")
        gone = {name: "remote_dir" for name in names if name in values}
    text = re.sub(rf" +# {SITE_CODE_COMMENT}$", "", texts[path], flags=re.MULTILINE)
    edited = yamledit.into_item(text.replace(HEAD_ONE, HEAD_SEVERAL), FEEDS, moved, computed, gone)
    for name in (*moved, *gone):
        for user, content in _users(folder, texts | {path: edited}):
            if re.search(rf"\{{[{{%][^}}]*\b{name}\b", content):
                raise EditError(f"{user} uses {name}, which this district alone would have")
    return path, {path: edited}


def _users(folder: Path, texts: Mapping[Path, str]) -> Iterator[tuple[Path, str]]:
    """Yield the files that may use a host's variables, with their texts."""
    yield from texts.items()
    for path in sorted((folder / "group_vars").rglob("*")):
        if path.is_file() and path.suffix in ("", *variable_files.ENDINGS):
            yield path, path.read_text(encoding="utf-8", errors="replace")


def changed_feeds(before: inventory.Host, after: inventory.Host) -> list[str]:
    """Return how the feeds that a host has already would change, one sentence each."""
    found = []
    resolved = {feed.get("feed"): feed for feed in after.feeds}
    for feed in before.feeds:
        name, now = feed.get("feed"), resolved.get(feed.get("feed"), {})
        found += [
            f"{key} of {name} would change from {feed.get(key)!r} to {now.get(key)!r}"
            for key in sorted({*feed, *now})
            if name and feed.get(key) != now.get(key)
        ]
    if before.vault_id != after.vault_id:
        found.append(f"the vault id would change from {before.vault_id} to {after.vault_id}")
    return found

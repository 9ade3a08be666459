"""Feeds that move to another host do so in the inventory, too: their entries and vault files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roster_fleet import inventory, variable_files, vault, yamledit, yamlfile
from roster_fleet.offboard import HIDDEN
from roster_fleet.onboard.more_feeds import FEEDS, holder
from roster_fleet.onboard.writing import File, with_text
from roster_fleet.yamledit import EditError

NO_FEED = f"{FEEDS}: []\n"  # a host that is only hardened
OWN_FEED = f"{FEEDS}:\n  - {{}}\n"  # the feed of the variables without a list
Feed = Mapping[str, Any]


@dataclass(frozen=True)
class Moved:
    """Feeds that have moved from one host to another."""

    feeds: Sequence[str]
    old: str
    new: str
    old_vaults: Path
    new_vaults: Path


@dataclass
class Plan:
    """The files to write and to remove, and a note for the operator."""

    files: list[File] = field(default_factory=list)
    note: str = ""


def make_plan(folder: Path | None, moved: Moved, secrets: list[Any], *, is_check: bool) -> Plan:
    """Return the files that move feeds within an inventory.

    If an entry cannot be edited, no file changes, and the note says why.
    """
    try:
        texts = _texts(folder, moved, secrets)
        files = [with_text(path, text) for path, text in texts.items()]
        files += _vaults(moved)
    except EditError as error:
        names = " and ".join(f"{feed} and {feed}{vault.SUFFIX}" for feed in moved.feeds)
        return Plan(
            note=f"Now move {names} from host_vars/{moved.old} to host_vars/{moved.new} by hand, "
            f"commit, and run site.yml for both hosts. Until then it refuses them ({error})"
        )
    if is_check:
        return Plan(files, "its entry and vault file would be moved in the inventory")
    return Plan(
        files,
        "Its entry and vault file have moved in the inventory. Commit that, and run site.yml for "
        "both hosts",
    )


def _texts(folder: Path | None, moved: Moved, secrets: list[Any]) -> dict[Path, str]:
    """Return the changed files of both hosts. Raise EditError."""
    if folder is None:
        raise EditError("the inventory is not one folder")
    before = inventory.read(folder, secrets, only={moved.old, moved.new})
    old, new = before[moved.old], before[moved.new]
    if problem := old.problem or new.problem:
        raise EditError(problem)
    moving = [feed for feed in old.feeds if feed.get("feed") in moved.feeds]
    if not moving:  # an earlier run has moved them
        return {}
    texts = _without(_own(folder, moved.old), moved.old, moving)
    items = [_item(_own(folder, moved.old), feed) for feed in moving]
    for _ in range(2):
        edits = texts | _with(_own(folder, moved.new), folder, moved.new, new, items)
        with inventory.with_files(folder, edits) as copy:
            after = inventory.read(copy, secrets, home=folder, only={moved.old, moved.new})
        if is_right(before, after, moved, moving):
            return edits
        found = {feed.get("feed"): feed for feed in after[moved.new].feeds}
        items = [completed(item, feed, found.get(feed["feed"], {})) for item, feed in
                 zip(items, moving, strict=True)]  # fmt: skip
    problem = after[moved.old].problem or after[moved.new].problem
    raise EditError(problem or "another feed would change")


def _own(folder: Path, host: str) -> dict[Path, str]:
    """Return the texts of a host's variable files."""
    home = folder / "host_vars" / host
    return {path: yamlfile.read(path) for path in variable_files.of(home)}


def _item(texts: Mapping[Path, str], feed: Feed) -> dict[str, Any]:
    """Return a feed's entry in the list of its host, or one with its name alone."""
    path = holder(texts, FEEDS)
    listed = yamlfile.plain(texts[path])[FEEDS] if path else []
    return next((dict(it) for it in listed if it.get("feed") == feed["feed"]), _named(feed))


def _named(feed: Feed) -> dict[str, Any]:
    return {"feed": str(feed["feed"])}


def completed(item: Feed, wanted: Feed, found: Feed) -> dict[str, Any]:
    """Return an entry with what host and groups said of the feed, where the new ones differ."""
    keys = [key for key in sorted({*wanted, *found}) if wanted.get(key) != found.get(key)]
    text = json.dumps({key: wanted.get(key) for key in keys})
    if "{{" in text or "{%" in text:
        raise EditError("its values have braces")
    values: dict[str, Any] = json.loads(text)
    return {**item, **values}


def _without(texts: Mapping[Path, str], host: str, moving: Sequence[Feed]) -> dict[Path, str]:
    """Return the old host's changed file. Raise EditError."""
    path = holder(texts, FEEDS)
    if path is None:  # its one feed is described by the variables without a list
        path = next(iter(texts), None)
        if path is None:
            raise EditError(f"{host} has no file in host_vars")
        return {path: _with_line(texts[path], NO_FEED)}
    text = texts[path]
    for feed in moving:
        text = yamledit.remove_item(text, FEEDS, "feed", feed["feed"])
    return {path: text if FEEDS in (yamlfile.plain(text) or {}) else _with_line(text, NO_FEED)}


def _with(
    texts: Mapping[Path, str],
    folder: Path,
    name: str,
    host: inventory.Host,
    items: Sequence[Feed],
) -> dict[Path, str]:
    """Return the new host's changed file. Raise EditError."""
    path = holder(texts, FEEDS) or next(iter(texts), folder / "host_vars" / name / "main.yml")
    text = texts.get(path, "---\n")
    if holder(texts, FEEDS) is None and any(feed.get("feed") for feed in host.feeds):
        text = _with_line(text, OWN_FEED)
    for item in items:
        text = yamledit.append_item(text, FEEDS, item)
    return {path: text}


def _with_line(text: str, line: str) -> str:
    """Return a file with a line at its end."""
    return f"{text.rstrip()}\n\n{line}" if text.strip() not in ("", "---") else f"---\n{line}"


def is_right(
    before: Mapping[str, inventory.Host],
    after: Mapping[str, inventory.Host],
    moved: Moved,
    moving: Sequence[Feed],
) -> bool:
    """Return whether exactly the moved feeds have changed their host, and none its values."""
    stay = [feed for feed in before[moved.old].feeds if feed not in moving]
    new = [feed for feed in before[moved.new].feeds if feed.get("feed")]
    return list(after[moved.old].feeds) == stay and list(after[moved.new].feeds) == [*new, *moving]


def _vaults(moved: Moved) -> list[File]:
    """Return the files that move the vault files. Raise EditError."""
    files = []
    for feed in moved.feeds:
        old, new = (vault.path_of(home, feed) for home in (moved.old_vaults, moved.new_vaults))
        if not old.is_file() or old == new:
            continue
        if new.is_file() and new.read_bytes() != old.read_bytes():
            raise EditError(f"{new} exists with other content")
        files += [
            File(new, old.read_bytes(), None, HIDDEN),
            File(old, None, old.read_bytes(), HIDDEN),
        ]
    return files

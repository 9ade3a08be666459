"""The plan of an onboarding: every file and every problem, before anything is written.

`hosts.yml` is written last: a host counts from then on. Existing values are compared and never
overwritten.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from roster_fleet import inventory, vault, yamledit
from roster_fleet.onboard import inbox, more_feeds
from roster_fleet.onboard.conflicts import duplicates, host_conflicts, row_conflicts
from roster_fleet.onboard.districts import District, OnboardError
from roster_fleet.onboard.host_files import new_files
from roster_fleet.onboard.passwords import command_for_later, vault_file
from roster_fleet.onboard.writing import File, with_text


@dataclass
class Plan:
    """The files to write, and the report on each district."""

    files: list[File]
    report: list[dict[str, Any]]  # The servers whose host key is read, each with its pinned keys.
    servers: list[dict[str, Any]]
    # The commands that store the missing passwords.
    for_later: list[str] = field(default_factory=list)


def make_plan(folder: Path, districts: Sequence[District], keys: vault.Vault) -> Plan:
    """Return the files that bring districts into an inventory. Raise OnboardError.

    It has every problem: of the values, with the inventory, between the districts.
    """
    known_hosts = inventory.names(folder, keys.secrets)
    present = {district.host for district in districts} & {*known_hosts}
    before = inventory.read(folder, keys.secrets, only=present) if present else {}
    by_host = _by_host(districts, known_hosts, before)
    districts = [district for rows in by_host.values() for district in rows]
    problems = [problem for rows in by_host.values() for problem in row_conflicts(rows)]
    edited, reasons = _edited(folder, by_host, before)
    more = {host: more_feeds.missing(before[host], by_host[host]) for host in edited}
    texts, found = new_files(folder, by_host, known_hosts, more)
    problems += found
    # First, since hosts.yml is written last.
    texts = {path: text for its in edited.values() for path, text in its.items()} | texts
    with inventory.with_files(folder, texts) as copy:
        fleet = inventory.read(copy, keys.secrets, home=folder)
    for host, rows in by_host.items():
        if host in fleet:
            was, reason = before.get(host), reasons.get(host, "")
            problems += host_conflicts(fleet[host], rows, folder, before=was, reason=reason)
    problems += duplicates(fleet, districts)
    secrets: list[File] = []
    report: list[dict[str, Any]] = []
    for_later = []
    for district in districts:
        if district.host in fleet and not fleet[district.host].problem:
            try:
                sealed, note = vault_file(district, fleet[district.host], folder, keys)
            except vault.VaultError as error:
                problems.append(f"{district.where}, password: {error}")
                continue
            secrets += sealed
            for_later.append(command_for_later(district, fleet[district.host], folder))
            is_added = district.host not in before or district in more.get(district.host, ())
            did = "added" if sealed or is_added else "unchanged"
            if sealed and sealed[0].before:
                did = "next password added"
            report.append(_row(district, did, note))
            if is_added and (account := district.inbox_account):
                report.append(_inbox_row(district, account["user"], fleet[district.host]))
    if problems:
        raise OnboardError(problems)
    files = [with_text(path, text) for path, text in texts.items()]
    changed = [file for file in files if file.data != file.before]
    return Plan(
        [*secrets, *changed], report, servers_of(fleet, by_host), [*filter(None, for_later)]
    )


def _by_host(
    districts: Sequence[District],
    known_hosts: Mapping[str, frozenset[str]],
    before: Mapping[str, inventory.Host],
) -> dict[str, list[District]]:
    """Return the districts of each host, as their host and the inventory's groups make them."""
    groups = frozenset(name for found in known_hosts.values() for name in found)
    found: dict[str, list[District]] = defaultdict(list)
    for district in districts:
        home = before[district.host].inbox_folder if district.host in before else ""
        found[district.host].append(replace(district, known_groups=groups).at_inbox(home))
    return found


def _edited(
    folder: Path, by_host: Mapping[str, Sequence[District]], before: Mapping[str, inventory.Host]
) -> tuple[dict[str, dict[Path, str]], dict[str, str]]:
    """Return the changed files of known hosts with more feeds, and why others have none."""
    edited: dict[str, dict[Path, str]] = {}
    reasons: dict[str, str] = {}
    for host, known in before.items():
        new = more_feeds.missing(known, by_host[host])
        if new and not known.problem:
            try:
                edited[host] = more_feeds.with_feeds(folder, known, new)
            except yamledit.EditError as error:
                reasons[host] = str(error)
    return edited, reasons


def _row(district: District, did: str, note: str) -> dict[str, Any]:
    """Return a row of the closing table."""
    named = {"host": district.host, "district": district.district, "feed": district.feed}
    return {**named, "did": did, "note": note, "ok": True}


def _inbox_row(district: District, user: str, host: inventory.Host) -> dict[str, Any]:
    """Return the row with what the SIS's administrator needs."""
    path = district.feed_values["source"]
    address = host.address or district.host
    note = inbox.for_the_sis(user, path, address, host.inbox_port, host.ssh_port)
    return _row(district, "for the SIS", note)


def servers_of(
    fleet: Mapping[str, inventory.Host], by_host: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the servers of these hosts' feeds, each with its pinned keys."""
    found: dict[tuple[str, int], list[str]] = {}
    for host in by_host:
        for feed in fleet[host].feeds if host in fleet else ():
            server = (str(feed.get("remote_host")), int(feed.get("remote_port") or 22))
            found.setdefault(server, list(feed.get("host_keys") or []))
    return [
        {"host": host, "port": port, "pinned": pinned} for (host, port), pinned in found.items()
    ]

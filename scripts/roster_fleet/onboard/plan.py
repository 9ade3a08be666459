"""The plan of an onboarding: every file and every problem, before anything is written.

`hosts.yml` is written last: a host counts from then on. Existing values are compared and never
overwritten.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roster_fleet import inventory, vault
from roster_fleet.onboard.conflicts import duplicates, host_conflicts
from roster_fleet.onboard.districts import District, OnboardError
from roster_fleet.onboard.host_files import new_files
from roster_fleet.onboard.passwords import vault_file
from roster_fleet.onboard.writing import File


@dataclass
class Plan:
    """The files to write, and the report on each district."""

    files: list[File]
    report: list[dict[str, str]]
    # The servers whose host key is read, each with its pinned keys.
    servers: list[dict[str, Any]]


def make_plan(folder: Path, districts: Sequence[District], keys: vault.Vault) -> Plan:
    """Return the files that bring districts into an inventory. Raise OnboardError.

    It has every problem: of the values, with the inventory, between the districts.
    """
    by_host: dict[str, list[District]] = defaultdict(list)
    for district in districts:
        by_host[district.host].append(district)
    known_hosts = inventory.names(folder, keys.secrets)
    texts, problems = new_files(folder, by_host, known_hosts)
    with inventory.with_files(folder, texts) as copy:
        fleet = inventory.read(copy, keys.secrets, home=folder)
    for host, new in by_host.items():
        if host in fleet:
            problems += host_conflicts(fleet[host], new, folder, is_new=host not in known_hosts)
    problems += duplicates(fleet, districts)
    secrets, report = [], []
    for district in districts:
        if district.host in fleet:
            try:
                sealed, note = vault_file(district, fleet[district.host], folder, keys)
            except vault.VaultError as error:
                problems.append(f"{district.where}, password: {error}")
                continue
            secrets += sealed
            did = "added" if sealed or district.host not in known_hosts else "unchanged"
            report.append(
                {
                    "host": district.host,
                    "district": district.district,
                    "feed": district.feed,
                    "did": "next password added" if sealed and sealed[0].before else did,
                    "note": note,
                }
            )
    if problems:
        raise OnboardError(problems)
    files = [
        File(path, text.encode(), path.read_bytes() if path.is_file() else None)
        for path, text in texts.items()
    ]
    changed = [file for file in files if file.data != file.before]
    return Plan([*secrets, *changed], report, servers_of(fleet, by_host))


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

"""The files of new hosts and their groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from roster_fleet import inventory, variable_files, yamlfile
from roster_fleet.onboard import inbox
from roster_fleet.onboard.districts import District, OnboardError
from roster_fleet.onboard.hosts_file import HOSTS_FILE, NEW_HOSTS_FILE, add_hosts, groups_in

SITE_CODE_COMMENT = "text: a leading zero counts"
HEAD_ONE = "One district with a host of its own. Its groups say the rest."
HEAD_SEVERAL = (
    "Several districts on one host. The groups say what a feed does not.\n"
    "# Each district has its own vault file."
)
# The comment of a new group's file, by the column that names the group. It contains a slug and no
# cell, because a comment has no quotes that could protect a line break.
GROUP_COMMENTS = {
    "product": """\
# What all hosts of {group} share. A host's own file overrides it.
""",
    "sis": """\
# What all hosts of {group} share. A host's own file overrides it. For example:
# roster_upload_source: /srv/roster-upload/{{feed}}/OneRoster.zip
""",
    "region": """\
# What all hosts of {group} share. A host's own file overrides it. For example:
# district_hardening_inbound_networks: [10.7.0.0/16]
""",
}


def new_files(
    folder: Path,
    by_host: Mapping[str, Sequence[District]],
    known_hosts: Mapping[str, frozenset[str]],
    joining_districts: Mapping[str, Sequence[District]],
) -> tuple[dict[Path, str], list[str]]:
    """Return the files of new hosts with their texts, and the problems.

    Known hosts with more feeds are in `joining_districts`. They are added to the groups of these.
    """
    texts: dict[Path, str] = {}
    problems, new_hosts = [], []
    hosts_file = folder / HOSTS_FILE
    hosts_text = yamlfile.read(hosts_file) if hosts_file.is_file() else NEW_HOSTS_FILE
    names = names_in_use(hosts_text, by_host, known_hosts)
    for host, districts in by_host.items():
        found: list[str] = []
        if host in known_hosts:
            if inventory.DISTRICT_HOSTS not in known_hosts[host]:
                found.append(
                    f"{districts[0].where}, host: {host} exists, but is not a district host"
                )
            if joining_districts.get(host) or any(district.password for district in districts):
                found += files_beside(folder / "host_vars" / host, districts[0])
        else:
            main = folder / "host_vars" / host / "main.yml"
            text = verified(render_host(districts), host_values(districts), main)
            found += obstacles(main, text, districts[0])
            if other := names[host.casefold()] - {host}:
                found.append(
                    f"{districts[0].where}, host: {host} has the same name as {', '.join(other)}. "
                    "Names are case-insensitive"
                )
            if not found:
                texts[main] = text
                new_hosts.append(districts)
        problems += found
    joining = [
        districts
        for host, districts in joining_districts.items()
        if any(name not in known_hosts[host] for d in districts for name in d.groups)
    ]
    if new_hosts or joining:
        texts |= _group_files(folder, [*new_hosts, *joining])
        # Written last: a host counts once this file names it.
        texts[hosts_file] = add_hosts(hosts_text, new_hosts, hosts_file, joining)
    return texts, problems


def names_in_use(
    hosts_file: str,
    by_host: Mapping[str, Sequence[District]],
    known_hosts: Mapping[str, frozenset[str]],
) -> dict[str, set[str]]:
    """Return all names of hosts and groups, known or new, by the name in lower case."""
    groups = {name for found in known_hosts.values() for name in found}
    groups |= {name for district in chain(*by_host.values()) for name in district.groups}
    with suppress(yaml.YAMLError, AttributeError):  # add_hosts reports the problem of the file
        groups |= {name for name, _ in groups_in(yamlfile.plain(hosts_file))}
    names: dict[str, set[str]] = defaultdict(set)
    for host in (*by_host, *known_hosts):
        names[host.casefold()].add(host)
    for group in groups:
        names[group.casefold()].add(f"the group {group}")
    return names


def verified(text: str, meant: object, path: Path) -> str:
    """Return a file's text. Raise OnboardError if it reads back as other values."""
    if yamlfile.says(text, meant):
        return text
    raise OnboardError([f"{path}: the values read back differently, so nothing was written"])


def host_values(districts: Sequence[District]) -> dict[str, Any]:
    """Return the variables of a host that delivers for these districts."""
    feeds = {"roster_upload_feeds": [district.feed_item() for district in districts]}
    values: dict[str, Any] = feeds if len(districts) > 1 else {**districts[0].host_variables()}
    accounts = {district.inbox_user: district.inbox_account for district in districts}
    if found := [account for account in accounts.values() if account]:
        values[inbox.VARIABLE] = found
    return values


def render_host(districts: Sequence[District]) -> str:
    """Return the text of a host's main.yml."""
    content = yamlfile.tree(host_values(districts))
    if len(districts) == 1:
        content["district_site_code"] = yamlfile.quoted(districts[0].site_code)
        content.yaml_add_eol_comment(SITE_CODE_COMMENT, "district_site_code")
    head = HEAD_ONE if len(districts) == 1 else HEAD_SEVERAL
    return f"---\n# {head}\n{yamlfile.dump(content)}"


def _group_files(folder: Path, new_hosts: Sequence[Sequence[District]]) -> dict[Path, str]:
    """Return commented files for the new groups."""
    home = folder / "group_vars"
    files: dict[Path, str] = {}
    for district in (district for districts in new_hosts for district in districts):
        for name, column in district.groups.items():
            if not variable_files.of(home / name):
                path = home / name / "main.yml"
                values = {"district_product": district.product} if column == "product" else None
                body = yamlfile.dump(yamlfile.tree(values)) if values else ""
                text = f"---\n{GROUP_COMMENTS[column].format(group=name)}{body}"
                files.setdefault(path, verified(text, values, path))
    return files


def obstacles(main: Path, text: str, district: District) -> list[str]:
    """Return the problems of a new host with files that exist already."""
    if main.exists():
        if main.read_bytes() == text.encode():
            return []
        return [
            f"{district.where}, host: {main} exists with other content, but hosts.yml does not "
            "name the host. Nothing is overwritten"
        ]
    return files_beside(main.parent, district)


def files_beside(home: Path, district: District) -> list[str]:
    """Return the problems of files that Ansible ignores once a host has a folder."""
    return [
        f"{district.where}, host: {home.name} has its variables in {path}. Ansible ignores that "
        f"file once {home} has a vault file. Move it to {home / 'main.yml'}"
        for path in (home.with_name(home.name + end) for end in variable_files.ENDINGS)
        if path.exists()
    ]

"""New districts: what an operator says of them becomes an inventory's files, or a list of problems.

Everything is computed and checked first and written afterwards, `hosts.yml` at last: a host counts
from then on. What is there already is compared and never overwritten.
"""

from __future__ import annotations

import csv
import datetime as dt
import difflib
import io
import os
import re
import shlex
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import yaml
from roster_upload import config
from roster_upload.host import atomic
from roster_upload.spec import schema
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from roster_fleet import inventory, vault, yamlfile

HOSTS_FILE = "hosts.yml"
NEW_HOSTS_FILE = """\
---
# Your machines. A host delivers for one district or for several.
all:
  children:
    district_hosts:
"""
SITE_CODE_COMMENT = "text: a leading zero counts"
# The comment of a new group's file, by the column that names the group. It holds the group's name,
# a slug, and nothing of a cell: a comment has no quotes that could keep a line break in it.
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


class OnboardError(Exception):
    """Why nothing was written: one sentence for each problem, each with its place."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(self.problems))


# `--limit all` is every host, and a play for localhost runs on the control node.
RESERVED_HOSTS = ("all", "ungrouped", "localhost")


def _any(_value: str) -> None:
    return None


def _text_problem(column: str, value: str) -> str | None:
    """Return why a cell of any column must not enter a file. The message shows nothing of it."""
    foreign = next((c for c in value if not c.isprintable()), None)
    if foreign is not None:
        return f"holds U+{ord(foreign):04X}, which is not a printable character; remove it"
    # A secret goes into a vault file, whose values are never templates.
    if column not in SECRET and re.search(r"\{[{%#]|^#jinja2:", value):
        return "must not hold {{, {% or {#, or begin with #jinja2:, which begin a template"
    return None


def _host(value: str) -> str | None:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?", value):
        return f"{value!r} must be letters, digits, dots and hyphens (roster-maple)"
    if value.lower() in RESERVED_HOSTS or value.lower().endswith(inventory.ENDINGS):
        return f"{value!r} means something else to Ansible; give the host another name"
    return None


def _site_code(value: str) -> str | None:
    if re.fullmatch(r"[A-Za-z0-9]+", value):
        return None
    return (
        f"{value!r} must be letters and digits, as in the vendor's upload path "
        "(format the column as text where a spreadsheet made another number of it)"
    )


def _group(value: str) -> str | None:
    return None if slug(value) else f"{value!r} holds no letter or digit that could name a group"


_host_or_address = partial(schema.problem, "remote_host")
_feed_name = partial(schema.problem, "feed")


@dataclass(frozen=True)
class Column:
    """Something to be said of a district: a column of the CSV, and a question."""

    name: str
    means: str
    check: Callable[[str], str | None] = _any
    required: bool = False


COLUMNS = (
    Column("host", "name of the host that delivers, as in roster-maple", _host, required=True),
    Column("address", "its address; empty: the host's name is one", _host_or_address),
    Column("district", "the district's name, as people write it", required=True),
    Column("site_code", "its site code, of the vendor's upload path", _site_code, required=True),
    Column("product", "the last part of the upload path; empty: product, or the group's", _group),
    Column("sis", "its SIS, for a group of the districts with the same; may be empty", _group),
    Column("region", "its region, for a group; may be empty", _group),
    Column("feed", "the feed's name; empty: made of the district's name", _feed_name),
    Column("username", "the SFTP login, an e-mail address", required=True),
    Column("password", "the SFTP password, as set by the vendor's mail; empty: later"),
)
GROUP_COLUMNS = tuple(GROUP_COMMENTS)
# Of a CSV alone: the password that a rotation is to bring in for a district that is there.
NEXT = "next"
SECRET = ("password", NEXT)
_NAMES = (*(column.name for column in COLUMNS), NEXT)
# A CSV may have columns of these names, too: a feed's other values.
MORE = tuple(n for n, key in schema.keys().items() if key.type == "str" and n not in _NAMES)


@dataclass(frozen=True)
class District:
    """What was said of one district; `where` is the place that problems are told of."""

    where: str
    host: str
    district: str
    site_code: str
    username: str
    feed: str
    address: str = ""
    product: str = ""
    sis: str = ""
    region: str = ""
    password: str = field(default="", repr=False)
    next: str = field(default="", repr=False)
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def groups(self) -> dict[str, str]:
        """The groups that its host is in, each with the column that names it."""
        named = {column: getattr(self, column) for column in GROUP_COLUMNS}
        return {f"{column}_{slug(value, '_')}": column for column, value in named.items() if value}

    @property
    def remote_dir(self) -> str:
        """Its upload path."""
        made = f"imagine/{self.site_code}-{self.district}/{self.product or 'product'}"
        return self.more.get("remote_dir", made)

    def alone(self) -> dict[str, str]:
        """The variables of a host that delivers for it alone."""
        return {
            "district_name": self.district,
            "district_site_code": self.site_code,
            "roster_upload_feed": self.feed,
            "roster_upload_username": self.username,
            **{f"roster_upload_{key}": value for key, value in self.more.items()},
        }

    def among_others(self) -> dict[str, str]:
        """Its item in the feeds of a host that delivers for several."""
        return {
            "feed": self.feed,
            "district": self.district,
            "username": self.username,
            "remote_dir": self.remote_dir,
            **self.more,
        }


def slug(text: str, hyphen: str = "-") -> str:
    """A name in lower-case ASCII: `Peña Blanca` becomes `pena-blanca`; empty where none is left."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", re.sub(r"['`]", "", plain))
    return hyphen.join(words)[:48].strip(hyphen)


def from_values(values: Mapping[str, str], where: str) -> District:
    """Return a district of named values. Raise OnboardError with all that is wrong with them."""
    given = {
        key: value if key in SECRET else unicodedata.normalize("NFC", value.strip())
        for key, value in values.items()
        if value.strip()
    }
    if "district" in given:
        given.setdefault("feed", slug(given["district"]))
    if problems := [f"{where}, {column}: {message}" for column, message in _wrong_cells(given)]:
        raise OnboardError(problems)
    known = {key: value for key, value in given.items() if key in _NAMES}
    more = {key: value for key, value in given.items() if key not in _NAMES}
    return District(where=where, more=more, **known)


def _wrong_cells(given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each column that cannot be used, with the reason."""
    for column in COLUMNS:
        value = given.get(column.name, "")
        if not value and column.required:
            yield column.name, f"is missing ({column.means})"
        elif not value and column.name == "feed" and "district" in given:
            yield column.name, "cannot be made of the district's name; give it one"
        elif value and (message := column.check(value)):
            yield column.name, message
    for key, value in given.items():
        if message := _text_problem(key, value):
            yield key, message
    path = rf"/?imagine/{re.escape(given.get('site_code', ''))}-"
    if "remote_dir" in given and not re.match(path, given["remote_dir"]):
        yield "remote_dir", "does not begin with imagine/<the site code>-"


def _wrong_header(names: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with the names of a CSV's columns."""
    for index, column in enumerate(names):
        if column not in (*_NAMES, *MORE):
            near = difflib.get_close_matches(column, (*_NAMES, *MORE), 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_NAMES)}"
            yield f"{column!r} is not a column; {hint}"
        elif column in names[:index]:
            yield f"the column {column} appears twice"
    for known in COLUMNS:
        if known.required and known.name not in names:
            yield f"the column {known.name} is missing"


def from_csv(data: bytes, name: str, *, sealed: bool) -> list[District]:
    """The districts of a CSV; raises OnboardError with the problems of all rows.

    `sealed` says that the file lies encrypted; only then it may hold passwords.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise OnboardError(
            [f"{name}, line {line}: is not UTF-8; save it as 'CSV UTF-8' in the spreadsheet"]
        ) from None
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise OnboardError([f"{name}: is no CSV: {error}"]) from None
    names = [cell.strip().lower().replace(" ", "_") for cell in rows[0]] if rows else []
    if problems := [f"{name}, row 1: {message}" for message in _wrong_header(names)]:
        raise OnboardError(problems)
    districts: list[District] = []
    for number, row in enumerate(rows[1:], start=2):
        where = f"{name}, row {number}"
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(names):
            problems.append(f"{where}: has {len(row)} cells, the first row {len(names)}")
            continue
        values = dict(zip(names, row, strict=True))
        if not sealed and (clear := [column for column in SECRET if values.get(column)]):
            problems.append(
                f"{where}, {' and '.join(clear)}: lies in the clear; take it for known where "
                "others could read the file, and encrypt it: ansible-vault encrypt "
                f"--encrypt-vault-id ID {name}"
            )
            continue
        try:
            districts.append(from_values(values, where))
        except OnboardError as error:
            problems += error.problems
    if not districts and not problems:
        problems = [f"{name}: names no district"]
    if problems:
        raise OnboardError(problems)
    return districts


@dataclass(frozen=True)
class File:
    """A file to be written; `shown` stands in a diff for what must not be seen."""

    path: Path
    data: bytes
    before: bytes | None = None
    shown: str | None = None

    def diff(self) -> dict[str, str]:
        """What Ansible shows with --diff."""
        return {
            "before_header": str(self.path),
            "after_header": str(self.path),
            "before": (self.before or b"").decode(),
            "after": self.data.decode() if self.shown is None else self.shown,
        }


@dataclass
class Plan:
    """What would be written, and what is said of each district."""

    files: list[File]
    report: list[dict[str, str]]
    # Each server with the keys that are pinned for it: what the host key is asked of.
    servers: list[dict[str, Any]]


def plan(folder: Path, districts: Sequence[District], keys: vault.Vault) -> Plan:
    """All that has to be written to bring districts into an inventory.

    Raises OnboardError with every problem: of the values, with what is there, among each other.
    """
    by_host: dict[str, list[District]] = defaultdict(list)
    for district in districts:
        by_host[district.host].append(district)
    there = inventory.names(folder, keys.secrets)
    texts, problems = _texts(folder, by_host, there)
    with inventory.with_files(folder, texts) as copy:
        fleet = inventory.read(copy, keys.secrets, home=folder)
    for host, group in by_host.items():
        if host in fleet:
            problems += _of_host(fleet[host], group, folder, new=host not in there)
    problems += _taken(fleet, districts)
    secrets, report = [], []
    for district in districts:
        if district.host in fleet:
            try:
                sealed, note = _secret(district, fleet[district.host], folder, keys)
            except vault.VaultError as error:
                problems.append(f"{district.where}, password: {error}")
                continue
            secrets += sealed
            did = "added" if sealed or district.host not in there else "unchanged"
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
    return Plan([*secrets, *changed], report, _servers(fleet, by_host))


def _texts(
    folder: Path, by_host: Mapping[str, Sequence[District]], there: Mapping[str, frozenset[str]]
) -> tuple[dict[Path, str], list[str]]:
    """Return the files of the new hosts, and what keeps hosts from having theirs."""
    texts: dict[Path, str] = {}
    problems, fresh = [], []
    hosts_file = folder / HOSTS_FILE
    known = hosts_file.read_text(encoding="utf-8") if hosts_file.is_file() else NEW_HOSTS_FILE
    names = _names(known, by_host, there)
    for host, group in by_host.items():
        found = _between_rows(group)
        if host in there:
            if inventory.DISTRICT_HOSTS not in there[host]:
                found.append(f"{group[0].where}, host: {host} is there, but no district host")
        else:
            main = folder / "host_vars" / host / "main.yml"
            text = _proved(render_host(group), host_values(group), main)
            found += _in_the_way(main, text, group[0])
            if other := names[host.casefold()] - {host}:
                found.append(
                    f"{group[0].where}, host: {host} must not be named like {', '.join(other)}; "
                    "capitals make no difference in names"
                )
            if not found:
                texts[main] = text
                fresh.append(group)
        problems += found
    if fresh:
        texts |= _group_files(folder, fresh)
        # The last to be written: a host counts from the moment at which this one names it.
        texts[hosts_file] = add_hosts(known, fresh, hosts_file)
    return texts, problems


def _names(
    hosts_file: str, by_host: Mapping[str, Sequence[District]], there: Mapping[str, frozenset[str]]
) -> dict[str, set[str]]:
    """Return every name of a host or a group, there or new, by the name in lower case."""
    groups = {name for found in there.values() for name in found}
    groups |= {name for district in chain(*by_host.values()) for name in district.groups}
    with suppress(yaml.YAMLError, AttributeError):  # add_hosts says what is wrong with the file
        groups |= {name for name, _ in _groups_of(yamlfile.plain(hosts_file))}
    names: dict[str, set[str]] = defaultdict(set)
    for host in (*by_host, *there):
        names[host.casefold()].add(host)
    for group in groups:
        names[group.casefold()].add(f"the group {group}")
    return names


def _proved(text: str, meant: object, path: Path) -> str:
    """Return a file's text. Raise OnboardError where it says something else than was meant."""
    if yamlfile.says(text, meant):
        return text
    raise OnboardError([f"{path}: what was made of the values does not come back as they are"])


def write(files: Sequence[File]) -> None:
    """Writes files in their order; takes all of them back where one cannot be written."""
    done: list[Path] = []
    made: list[Path] = []
    mask = os.umask(0)
    os.umask(mask)
    try:
        for file in files:
            folder = file.path.parent
            new = [path for path in (folder, *folder.parents) if not path.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            made += new
            mode = file.path.stat().st_mode & 0o777 if file.before is not None else 0o666 & ~mask
            atomic.replace(file.path, file.data)
            done.append(file.path)
            file.path.chmod(0o600 if file.shown is not None else mode)
    except BaseException:
        for file in files:
            if file.path in done:
                if file.before is None:
                    file.path.unlink(missing_ok=True)
                else:
                    atomic.replace(file.path, file.before)
        for path in sorted(made, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):
                path.rmdir()
        raise


def host_values(group: Sequence[District]) -> dict[str, Any]:
    """Return the variables of a host that delivers for these districts."""
    if len(group) == 1:
        return dict(group[0].alone())
    return {"roster_upload_feeds": [district.among_others() for district in group]}


def render_host(group: Sequence[District]) -> str:
    """Return the text of a host's main.yml."""
    content = yamlfile.tree(host_values(group))
    if len(group) == 1:
        content["district_site_code"] = yamlfile.quoted(group[0].site_code)
        content.yaml_add_eol_comment(SITE_CODE_COMMENT, "district_site_code")
        head = "One district with a host of its own; what is not said here, its groups say."
    else:
        head = (
            "Several districts on one host; what a feed does not name itself, the groups say.\n"
            "# Each has a vault file of its own."
        )
    return f"---\n# {head}\n{yamlfile.dump(content)}"


def add_hosts(text: str, groups: Sequence[Sequence[District]], path: Path) -> str:
    """The text of hosts.yml with hosts added; all else in it stays as it is."""
    try:
        tree, expected = yamlfile.load(text), yamlfile.plain(text)
    except (YAMLError, yaml.YAMLError) as error:
        raise OnboardError([f"{path} is not YAML: {error}"]) from None
    if not isinstance(tree, dict):
        raise OnboardError([f"{path} holds no groups; begin it as in inventories/example"])
    for target in (tree, expected):
        for group in groups:
            _add_host(target, group)
    out = yamlfile.dump(tree, text)
    if not yamlfile.says(out, expected):
        raise OnboardError(
            f"{path} is written in a way that cannot be kept; add {group[0].host} by hand"
            for group in groups
        )
    return out


def _add_host(tree: Any, group: Sequence[District]) -> None:
    """Adds a host to district_hosts and to the groups that its districts name."""
    host, address = yamlfile.text(group[0].host), group[0].address
    parent = _parent_of(tree, inventory.DISTRICT_HOSTS)
    if parent is None:
        parent = _child(_child(tree, "all"), "children")
    districts = _child(parent, inventory.DISTRICT_HOSTS)
    entry = _empty(tree)
    if address:
        entry["ansible_host"] = yamlfile.text(address)
    _child(districts, "hosts")[host] = entry if address else None
    for name in sorted({name for district in group for name in district.groups}):
        parent = _parent_of(tree, name)
        if parent is None:
            parent = _child(districts, "children")
        _child(_child(parent, name), "hosts")[host] = None


def _parent_of(tree: Any, group: str) -> Any:
    """The mapping in which a group stands, with its content where it stands in several."""
    found = [parent for name, parent in _groups_of(tree) if name == group]
    return next((parent for parent in found if parent[group]), found[0] if found else None)


def _groups_of(tree: Any) -> Iterator[tuple[str, Any]]:
    """Each group of a tree with the mapping in which it stands, the outer ones first."""
    for name, content in tree.items():
        yield str(name), tree
        if isinstance(content, dict) and isinstance(content.get("children"), dict):
            yield from _groups_of(content["children"])


def _child(mapping: Any, key: str) -> Any:
    if mapping.get(key) is None:
        mapping[key] = _empty(mapping)
    return mapping[key]


def _empty(like: Any) -> Any:
    return CommentedMap() if isinstance(like, CommentedMap) else {}


def _group_files(folder: Path, groups: Sequence[Sequence[District]]) -> dict[Path, str]:
    """Return commented files for the groups that have none."""
    home = folder / "group_vars"
    files: dict[Path, str] = {}
    for district in (district for group in groups for district in group):
        for name, column in district.groups.items():
            if not any((home / f"{name}{end}").exists() for end in ("", *inventory.ENDINGS)):
                path = home / name / "main.yml"
                values = {"district_product": district.product} if column == "product" else None
                body = yamlfile.dump(yamlfile.tree(values)) if values else ""
                text = f"---\n{GROUP_COMMENTS[column].format(group=name)}{body}"
                files.setdefault(path, _proved(text, values, path))
    return files


def _between_rows(group: Sequence[District]) -> list[str]:
    """What is wrong between the rows of one host."""
    first = group[0]
    return [
        f"{district.where}, {column}: {getattr(district, column)!r}, but {first.where} says "
        f"{getattr(first, column)!r} of the same host {first.host}"
        for column in ("address", "sis", "region")
        for district in group[1:]
        if getattr(district, column) != getattr(first, column)
    ]


def _in_the_way(main: Path, text: str, district: District) -> list[str]:
    """What keeps a new host's file from being written."""
    if main.exists():
        if main.read_bytes() == text.encode():
            return []
        return [
            f"{district.where}, host: {main} is there and says something else, and hosts.yml does "
            "not name the host; nothing is overwritten"
        ]
    home = main.parent
    return [
        f"{district.where}, host: {home.name} has its variables in {path}; move it to {main}"
        for path in (home.with_name(home.name + end) for end in inventory.ENDINGS)
        if path.exists()
    ]


def _of_host(
    host: inventory.Host, group: Sequence[District], folder: Path, *, new: bool
) -> list[str]:
    """What is wrong with districts as the roles would see them on their host."""
    first = group[0]
    file = folder / "host_vars" / first.host / "main.yml"
    if host.problem:
        return [f"{first.where}, host: {first.host}'s variables do not resolve: {host.problem}"]
    found = []
    if (first.address or new) and host.address != first.address:
        found.append(
            f"{first.where}, address: {first.address!r}, but ansible_host of {first.host} is "
            f"{host.address!r} ({folder / HOSTS_FILE})"
        )
    feeds = {str(feed.get("feed")): feed for feed in host.feeds}
    for district in group:
        for name, column in district.groups.items():
            if name not in host.groups:
                found.append(
                    f"{district.where}, {column}: {first.host} is not in the group {name}; add it "
                    f"by hand ({folder / HOSTS_FILE})"
                )
        if district.feed not in feeds:
            found.append(
                f"{district.where}, host: {first.host} is there already and delivers "
                f"{', '.join(feeds)}; {_by_hand(district, host, file)}"
            )
            continue
        feed = feeds[district.feed]
        found += _differences(district, feed, file)
        if new:
            found += _wrong(district, feed)
        if new and len(group) > 1 and not district.product and host.product not in ("", "product"):
            found.append(
                f"{district.where}, product: is empty, but the groups say {host.product!r}; of "
                "several districts on one host each names its own"
            )
    if new and not found:
        found += [f"{first.where}: {p.message}" for p in config.cross_problems(host.feeds)]
    return found


def _by_hand(district: District, host: inventory.Host, file: Path) -> str:
    """How a feed is added to a host that has others; its file is not ours to change."""
    items = [district.among_others()]
    told = f"add this feed by hand to roster_upload_feeds in {file}, beside those"
    written = yamlfile.plain(file.read_text(encoding="utf-8")) if file.is_file() else None
    if "roster_upload_feeds" not in (written or {}):
        keys = {"feed", "district", "username", "remote_dir"}
        items = [{key: str(feed[key]) for key in sorted(keys)} for feed in host.feeds] + items
        told = (
            f"make a list of both by hand: in {file}, this takes the place of the lines "
            f"{', '.join(district.alone())}"
        )
    text = yamlfile.dump(yamlfile.tree({"roster_upload_feeds": items}))
    lines = text.strip().split("\n")
    return f"{told}:\n" + "\n".join(f"      {line}" for line in lines)


def _differences(district: District, feed: Mapping[str, Any], file: Path) -> list[str]:
    """Where a feed, as it resolves, is not what was said."""
    wanted = {"district": district.district, "username": district.username, **district.more}
    wanted["remote_dir"] = district.remote_dir
    has = dict(feed)
    if not district.product and "remote_dir" not in district.more:
        # Then the groups say the product.
        for values in (wanted, has):
            values["remote_dir"] = str(values["remote_dir"]).rpartition("/")[0]
    columns = {"remote_dir": "site_code, district, product"}
    return [
        f"{district.where}, {columns.get(key, key)}: {value!r}, but the inventory says "
        f"{has.get(key)!r} of {district.feed} ({file}, or a group); nothing is overwritten"
        for key, value in wanted.items()
        if has.get(key) != value and not (key == "source" and "{feed}" in value)
    ]


def _wrong(district: District, feed: Mapping[str, Any]) -> list[str]:
    """What the upload program would refuse; a host key may still be missing."""
    return [
        f"{district.where}, {problem.key}: {problem.message}"
        for problem in config.problems(feed)
        if not (problem.key == "host_keys" and not feed.get("host_keys"))
    ]


def _target(feed: Mapping[str, Any]) -> tuple[str, ...]:
    parts = (str(feed.get(key, "")) for key in ("remote_host", "remote_port"))
    path = (str(feed.get(key, "")).strip("/") for key in ("remote_dir", "remote_name"))
    return (*(part.lower() for part in parts), *path)


# What may be in use once in a fleet, by the column that it comes from.
UNIQUE: Mapping[str, tuple[Callable[[Mapping[str, Any]], object], str]] = {
    "feed": (lambda feed: feed.get("feed"), "{host} has a feed of this name, too"),
    "site_code, district, product": (_target, "{feed} of {host} delivers to the same remote file"),
}


def _taken(fleet: Mapping[str, inventory.Host], districts: Sequence[District]) -> list[str]:
    """What a district would share with another one, in the inventory or among the new ones."""
    rows = {(district.host, district.feed): district for district in districts}
    every = [(host, feed) for host, known in fleet.items() for feed in known.feeds]
    found = []
    for column, (key_of, sentence) in UNIQUE.items():
        users: dict[object, list[tuple[str, str]]] = defaultdict(list)
        for host, feed in every:
            users[key_of(feed)].append((host, str(feed.get("feed"))))
        for same in users.values():
            for index, place in enumerate(same):
                if len(same) > 1 and place in rows:
                    host, feed_name = same[index - 1] if index else same[1]
                    said = sentence.format(host=host, feed=feed_name)
                    found.append(f"{rows[place].where}, {column}: {said}")
    logins: dict[str, dict[str, str]] = defaultdict(dict)
    for host, feed in every:
        login = str(feed.get("username", "")).casefold()
        logins[login].setdefault(str(feed.get("district")), f"{feed.get('feed')} of {host}")
    for district in districts:
        # A district may deliver to several products with one login.
        found += [
            f"{district.where}, username: {district.username!r} is the login of {user}, too, "
            f"which is another district's ({name})"
            for name, user in logins[district.username.casefold()].items()
            if name != district.district
        ]
    return found


def _servers(
    fleet: Mapping[str, inventory.Host], by_host: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The servers of these hosts' feeds, with the keys that are pinned for each."""
    found: dict[tuple[str, int], list[str]] = {}
    for host in by_host:
        for feed in fleet[host].feeds if host in fleet else ():
            server = (str(feed.get("remote_host")), int(feed.get("remote_port") or 22))
            found.setdefault(server, list(feed.get("host_keys") or []))
    return [
        {"host": host, "port": port, "pinned": pinned} for (host, port), pinned in found.items()
    ]


def _secret(
    district: District, host: inventory.Host, folder: Path, keys: vault.Vault
) -> tuple[list[File], str]:
    """A district's vault file, where there is none yet, and its next step; raises VaultError."""
    path = vault.path_of(folder / "host_vars" / district.host, district.feed)
    feeds = {feed.get("feed"): feed for feed in host.feeds}
    where = f"-i {shown(folder)} --limit {district.host}"
    ready = f"ansible-playbook playbooks/site.yml {where}"
    rotation = f"ansible-playbook playbooks/rotate_credentials.yml {where}"
    if path.exists():
        vault_id, text = keys.read(path) if district.password or district.next else ("", "{}")
        entry = vault.parse(text, path)
        # Beside a next one, a password is the one that the CSV has brought in once.
        known = (entry.get("secret"), entry.get("next"))
        if district.password and not district.next and district.password not in known:
            raise vault.VaultError(
                f"is not the one in {path}; a password is changed by a rotation (the column "
                f"{NEXT}, or rotate_credentials.yml); nothing is overwritten"
            )
        is_key = feeds.get(district.feed, {}).get("auth") == "key" and "secret" not in entry
        if district.next and is_key:
            raise vault.VaultError("next is for a feed that logs in by a password, not by a key")
        if district.next and district.next not in known:
            changed = vault.Entry({**entry, "next": district.next})
            return [_sealed(path, changed, vault_id, keys)], rotation
        return [], rotation if entry.get("next") else ready
    if district.next:
        raise vault.VaultError(f"next is for a feed that has its vault file; there is no {path}")
    if district.password:
        since = dt.datetime.now(dt.UTC).date().isoformat()
        entry = vault.Entry({"secret": district.password, "since": since})
        return [_sealed(path, entry, host.vault_id, keys)], ready
    if feeds.get(district.feed, {}).get("auth") == "key":
        return [], ready
    return [], (
        f"no password yet: ansible-vault create --encrypt-vault-id {host.vault_id} {shown(path)} "
        "with the lines secret: '...' and since: 'YYYY-MM-DD'"
    )


def _sealed(path: Path, entry: vault.Entry, vault_id: str, keys: vault.Vault) -> File:
    """A vault file as it is to be written; raises VaultError."""
    before = path.read_bytes() if path.is_file() else None
    return File(
        path,
        keys.sealed(path, entry, vault_id),
        before,
        f"(encrypted for the vault id {vault_id}; not shown)\n",
    )


def shown(path: Path) -> str:
    """Return a path as one would type it here, quoted for a shell."""
    is_below = path.is_relative_to(Path.cwd())
    return shlex.quote(str(path.relative_to(Path.cwd()) if is_below else path))

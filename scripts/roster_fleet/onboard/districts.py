"""A district as an operator describes it: its columns, and the checks of their values."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from roster_upload.spec import schema
from roster_upload.spec.values import parse_host_key

from roster_fleet import variable_files, vault
from roster_fleet.onboard import host_key, inbox


class OnboardError(Exception):
    """Nothing was written. One sentence for each problem, with its row or file."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(self.problems))


# `--limit all` is every host, and a play for localhost runs on the control node.
RESERVED_HOSTS = ("all", "ungrouped", "localhost")
AUTHS = KEY, PASSWORD = ("key", "password")  # ways of a login


def _accept(_value: str) -> None:
    return None


def _cell_problem(column: str, value: str) -> str | None:
    """Return why a cell must not enter a file, or None. The message does not show the cell."""
    foreign = next((c for c in value if not c.isprintable()), None)
    if foreign is not None:
        return f"contains U+{ord(foreign):04X}, which is not printable. Remove it"
    # A secret goes into a vault file, whose values are never templates.
    if column not in SECRET_COLUMNS and re.search(r"\{[{%#]|^#jinja2:", value):
        return "must not contain {{, {% or {#, nor begin with #jinja2: (these begin a template)"
    return None


def _host(value: str) -> str | None:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?", value):
        return f"{value!r} may have letters, digits, dots and hyphens only (roster-maple)"
    if value.lower() in RESERVED_HOSTS or value.lower().endswith(variable_files.ENDINGS):
        return f"{value!r} is a reserved name of Ansible. Give the host another name"
    return None


def _site_code(value: str) -> str | None:
    if re.fullmatch(r"[A-Za-z0-9]+", value):
        return None
    return (
        f"{value!r} may have letters and digits only, as in the vendor's upload path. If the "
        "spreadsheet changed the number, format the column as text"
    )


def _feed(value: str) -> str | None:
    if value in vault.TAKEN:
        return f"{value!r} is reserved for a vault file. Give the feed another name"
    return schema.problem("feed", value)


def one_of(*choices: str) -> Callable[[str], str | None]:
    """Return a check that takes these words only."""

    def problem(value: str) -> str | None:
        return None if value in choices else f"{value!r} is not {' or '.join(choices)}"

    return problem


def _source_host_key(value: str) -> str | None:
    if host_key.FINGERPRINT.fullmatch(value):
        return None
    try:
        parse_host_key(value)
    except ValueError:
        return f"{value[:30]!r} is neither a fingerprint (SHA256:...) nor a public host key"
    return None


def _group(column: str, value: str) -> str | None:
    if not slug(value):
        return f"{value!r} has no letter or digit to name a group by"
    # The vendor's upload path may well end in `product`.
    if column != "product" and slug(value) == column:
        return f"{value!r} is the column's name. Name the {column}, or leave it empty"
    return None


@dataclass(frozen=True)
class Column:
    """A property of a district: a column of the CSV, and a question."""

    name: str
    meaning: str
    check: Callable[[str], str | None] = _accept
    required: bool = False
    intro: str = ""  # lines above the question


COLUMNS = (
    Column("host", "the name of the district's host, such as roster-maple", _host, required=True),
    Column(
        "address", "its address; empty: the host's name", partial(schema.problem, "remote_host")
    ),
    Column("district", "the district's name in full", required=True),
    Column("site_code", "its site code in the vendor's upload path", _site_code, required=True),
    Column(
        "product",
        "the last part of the upload path; empty: product, or the group's",
        partial(_group, "product"),
    ),
    Column("sis", "its SIS, which names a group; may be empty", partial(_group, "sis")),
    Column("region", "its region, which names a group; may be empty", partial(_group, "region")),
    Column("feed", "the feed's name; empty: derived from the district's name", _feed),
    Column("username", "the SFTP login, an e-mail address", required=True),
    Column("password", "the SFTP password, as set through the vendor's e-mail; empty: later"),
    Column("inbox_user", "the account that the SIS gets on the host", inbox.user_problem),
    Column("inbox_auth", "how the SIS logs in: key or password", one_of(*AUTHS)),
    Column(
        "inbox_key", "the SIS's public key, as one line: ssh-ed25519 AAAA...", inbox.key_problem
    ),
    Column(
        "inbox_password",
        "its password; empty: a strong one is generated",
        inbox.password_problem,
    ),
    Column(
        "inbox_networks",
        "the networks that the SIS comes from, such as 203.0.113.0/28 (if nobody knows them: "
        "0.0.0.0/0 ::/0)",
        inbox.networks_problem,
    ),
    Column("source_password", "the password at the SIS's server; empty: later"),
    Column(
        "source_host_key",
        "the host key of the SIS's server, or its fingerprint; empty: asked later",
        _source_host_key,
    ),
)
INBOX_COLUMNS = ("inbox_user", "inbox_auth", "inbox_key", "inbox_password", "inbox_networks")
SOURCE_COLUMNS = ("source_password", "source_host_key")
GROUP_COLUMNS = ("product", "sis", "region")  # each names a group of hosts
# In a CSV only: the password that the next rotation gives to a known district.
NEXT = "next"
SECRET_COLUMNS = ("password", NEXT, "inbox_password", "source_password")
OWN_COLUMNS = (*(column.name for column in COLUMNS), NEXT)
# A CSV may also have these columns: the other text values of a feed.
FEED_COLUMNS = tuple(
    name
    for name, key in schema.keys().items()
    if key.type in ("str", "date") and name not in (*OWN_COLUMNS, "source_origin")
)


def value_problem(column: Column, value: str) -> str | None:
    """Return why a column cannot have a value, or None."""
    if not value:
        return "must not be empty" if column.required else None
    return column.check(value) or _cell_problem(column.name, value)


@dataclass(frozen=True)
class District:
    """A district as the operator describes it. `where` begins each problem: a row or a file."""

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
    inbox_user: str = ""
    inbox_auth: str = ""
    inbox_key: str = ""
    inbox_password: str = field(default="", repr=False)
    inbox_networks: str = ""
    source_password: str = field(default="", repr=False)
    source_host_key: str = ""  # as it was given: a public key or a fingerprint
    # The groups of the inventory. An existing group with a doubled prefix stays in use.
    known_groups: frozenset[str] = frozenset()
    feed_values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def groups(self) -> dict[str, str]:
        """Return the groups of its host, each with the column that names it."""
        named = {
            column: group_name(column, getattr(self, column), self.known_groups)
            for column in GROUP_COLUMNS
        }
        return {name: column for column, name in named.items() if name}

    @property
    def remote_dir(self) -> str:
        """Return its upload path."""
        derived = f"imagine/{self.site_code}-{self.district}/{self.product or 'product'}"
        return str(self.feed_values.get("remote_dir", derived))

    @property
    def inbox_account(self) -> dict[str, Any] | None:
        """Return the account of its SIS on the host, if the SIS brings its export by SFTP."""
        if not self.inbox_user:
            return None
        return inbox.account(self.inbox_user, self.inbox_networks, self.inbox_key)

    @property
    def has_inbox_password(self) -> bool:
        """Return whether its SIS logs in to the host by password."""
        return bool(self.inbox_user) and self.inbox_auth == PASSWORD

    def with_source_key(self, line: str) -> District:
        """Return the district with a pinned host key of the SIS's server."""
        return replace(self, feed_values={**self.feed_values, "source_host_keys": [line]})

    def at_inbox(self, folder: str) -> District:
        """Return the district with its inbox in a host's parent folder of inboxes."""
        source = self.feed_values.get("source", "")
        if not (folder and self.inbox_user and source.startswith(f"{inbox.FOLDER}/")):
            return self
        moved = folder + source.removeprefix(inbox.FOLDER)
        return replace(self, feed_values={**self.feed_values, "source": moved})

    def host_variables(self) -> dict[str, Any]:
        """Return the variables of a host that delivers for this district only."""
        return {
            "district_name": self.district,
            "district_site_code": self.site_code,
            "roster_upload_feed": self.feed,
            "roster_upload_username": self.username,
            **{f"roster_upload_{key}": value for key, value in self.feed_values.items()},
        }

    def feed_item(self) -> dict[str, Any]:
        """Return its item in the feeds of a host with several districts."""
        return {
            "feed": self.feed,
            "district": self.district,
            "username": self.username,
            "remote_dir": self.remote_dir,
            **self.feed_values,
        }


def group_name(column: str, value: str, known: frozenset[str] = frozenset()) -> str:
    """Return the group that a value of a column names, or "" for none.

    The prefix is not doubled: `product_math` and `math` name the same group.
    """
    name = slug(value, "_")
    group = f"{column}_{name}"
    if group in known:
        return group
    if name in ("", column):
        return ""
    return name if name.startswith(f"{column}_") else group


def slug(text: str, hyphen: str = "-") -> str:
    """Return a name in lower-case ASCII: `pena-blanca` for `Peña Blanca`. It may be empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", re.sub(r"['`]", "", plain))
    return hyphen.join(words)[:48].strip(hyphen)


def from_values(values: Mapping[str, str], where: str) -> District:
    """Return a district with these values. Raise OnboardError with all problems."""
    given = {
        key: value if key in SECRET_COLUMNS else unicodedata.normalize("NFC", value.strip())
        for key, value in values.items()
        if value.strip()
    }
    if "district" in given:
        given.setdefault("feed", slug(given["district"]))
    if problems := [f"{where}, {column}: {message}" for column, message in _cell_problems(given)]:
        raise OnboardError(problems)
    if "inbox_user" in given:
        given.setdefault("source", inbox.source(given["inbox_user"]))
        given.setdefault("inbox_auth", _inbox_auth(given))
    known: dict[str, Any] = {key: value for key, value in given.items() if key in OWN_COLUMNS}
    others = {key: value for key, value in given.items() if key not in OWN_COLUMNS}
    district = District(where=where, feed_values=others, **known)
    key = given.get("source_host_key", "")
    if not key or host_key.FINGERPRINT.fullmatch(key):
        return district
    return district.with_source_key(host_key.plain(key))


def _cell_problems(given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each wrong column with its problem."""
    for column in COLUMNS:
        value = given.get(column.name, "")
        if not value and column.required:
            yield column.name, f"is missing ({column.meaning})"
        elif not value and column.name == "feed" and "district" in given:
            yield column.name, "cannot be derived from the district's name. Give the feed a name"
        elif value and (message := column.check(value)):
            yield column.name, message
    for key, value in given.items():
        if message := _cell_problem(key, value):
            yield key, message
    if "inbox_user" in given:
        yield from _inbox_problems(given)
    elif exposed := [name for name in INBOX_COLUMNS if name in given]:
        yield exposed[0], "needs an inbox_user, the account that the SIS gets"
    path = rf"/?imagine/{re.escape(given.get('site_code', ''))}-"
    if "remote_dir" in given and not re.match(path, given["remote_dir"]):
        yield "remote_dir", "does not begin with imagine/<the site code>-"


def _inbox_auth(given: Mapping[str, str]) -> str:
    """Return how an SIS logs in, by what is given of its account."""
    if "inbox_auth" in given or "inbox_key" in given:
        return given.get("inbox_auth", KEY)
    return PASSWORD if "inbox_password" in given else ""


def _inbox_problems(given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each wrong column of an inbox with its problem."""
    has_key, auth = "inbox_key" in given, _inbox_auth(given)
    if not auth:
        yield "inbox_key", "is missing, since inbox_user is given. Or set inbox_auth to password"
    elif auth == KEY and not has_key:
        yield "inbox_key", "is missing, since inbox_auth is key"
    elif auth == PASSWORD and has_key:
        yield "inbox_key", "is for a login by key, but inbox_auth is password"
    password = given.get("inbox_password", "")
    if password and (message := inbox.password_problem(password, given["inbox_user"])):
        yield "inbox_password", message
    if auth == KEY and password:
        yield "inbox_password", "is for a login by password. Leave inbox_key and inbox_auth empty"
    if "inbox_networks" not in given:
        yield "inbox_networks", "is missing, since inbox_user is given"
    if "source" in given and inbox.user_of(given["source"]) != given["inbox_user"]:
        yield "source", "is not in the inbox, which is /srv/sis-inbox/<inbox_user>/incoming"

"""A district as an operator describes it: its columns, and the checks of their values."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from roster_upload.spec import schema

from roster_fleet import vault, yamlfile


class OnboardError(Exception):
    """Nothing was written. One sentence for each problem, with its row or file."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(self.problems))


# `--limit all` is every host, and a play for localhost runs on the control node.
RESERVED_HOSTS = ("all", "ungrouped", "localhost")


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
    if value.lower() in RESERVED_HOSTS or value.lower().endswith(yamlfile.ENDINGS):
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
    if value == vault.ALERTS:
        return f"{value!r} is reserved for the vault file of the alerts. Give the feed another name"
    return schema.problem("feed", value)


def _group(value: str) -> str | None:
    return None if slug(value) else f"{value!r} has no letter or digit to name a group by"


@dataclass(frozen=True)
class Column:
    """A property of a district: a column of the CSV, and a question."""

    name: str
    meaning: str
    check: Callable[[str], str | None] = _accept
    required: bool = False


COLUMNS = (
    Column("host", "the name of the district's host, such as roster-maple", _host, required=True),
    Column(
        "address", "its address; empty: the host's name", partial(schema.problem, "remote_host")
    ),
    Column("district", "the district's name in full", required=True),
    Column("site_code", "its site code in the vendor's upload path", _site_code, required=True),
    Column("product", "the last part of the upload path; empty: product, or the group's", _group),
    Column("sis", "its SIS, which names a group; may be empty", _group),
    Column("region", "its region, which names a group; may be empty", _group),
    Column("feed", "the feed's name; empty: derived from the district's name", _feed),
    Column("username", "the SFTP login, an e-mail address", required=True),
    Column("password", "the SFTP password, as set through the vendor's e-mail; empty: later"),
)
GROUP_COLUMNS = ("product", "sis", "region")  # each names a group of hosts
# In a CSV only: the password that the next rotation gives to a known district.
NEXT = "next"
SECRET_COLUMNS = ("password", NEXT)
OWN_COLUMNS = (*(column.name for column in COLUMNS), NEXT)
# A CSV may also have these columns: the other text values of a feed.
FEED_COLUMNS = tuple(
    name for name, key in schema.keys().items() if key.type == "str" and name not in OWN_COLUMNS
)


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
    feed_values: Mapping[str, str] = field(default_factory=dict)

    @property
    def groups(self) -> dict[str, str]:
        """Return the groups of its host, each with the column that names it."""
        named = {column: getattr(self, column) for column in GROUP_COLUMNS}
        return {f"{column}_{slug(value, '_')}": column for column, value in named.items() if value}

    @property
    def remote_dir(self) -> str:
        """Return its upload path."""
        derived = f"imagine/{self.site_code}-{self.district}/{self.product or 'product'}"
        return self.feed_values.get("remote_dir", derived)

    def host_variables(self) -> dict[str, str]:
        """Return the variables of a host that delivers for this district only."""
        return {
            "district_name": self.district,
            "district_site_code": self.site_code,
            "roster_upload_feed": self.feed,
            "roster_upload_username": self.username,
            **{f"roster_upload_{key}": value for key, value in self.feed_values.items()},
        }

    def feed_item(self) -> dict[str, str]:
        """Return its item in the feeds of a host with several districts."""
        return {
            "feed": self.feed,
            "district": self.district,
            "username": self.username,
            "remote_dir": self.remote_dir,
            **self.feed_values,
        }


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
    known = {key: value for key, value in given.items() if key in OWN_COLUMNS}
    others = {key: value for key, value in given.items() if key not in OWN_COLUMNS}
    return District(where=where, feed_values=others, **known)


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
    path = rf"/?imagine/{re.escape(given.get('site_code', ''))}-"
    if "remote_dir" in given and not re.match(path, given["remote_dir"]):
        yield "remote_dir", "does not begin with imagine/<the site code>-"

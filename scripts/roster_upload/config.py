"""A feed's configuration: the keys of its TOML file, their rules and their defaults.

The control node reads the same rules before it touches a host, so this module needs nothing but
the standard library.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import datetime as dt
import difflib
import re
import tomllib
import unicodedata
import urllib.parse
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from roster_upload.exits import Exit, Failure
from roster_upload.spec import spec

OPAQUE = "other"
ONEROSTER = "oneroster-1.1"
FORMATS = (ONEROSTER, "traditional-literacy", "traditional-math", OPAQUE)
AUTHS = ("password", "key")
KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)
SEVERITIES = ("error", "warning", "ignore")
TRADITIONAL_KINDS = ("organizations", "classes", "users", "students")
REPAIRS = (
    "booleans",
    "edge-blanks",
    "list-blanks",
    "byte-order-mark",
    "folder",
    "file-names",
    "blank-lines",
    "line-ends",
    "bulk-status",
)
FAULTY_ROWS = ("send", "leave-out")
REMOVALS = ("hold", "wait")
# Files whose records the guard divides into kinds by their role, and the roles' vocabulary.
ROLES = {"users": "user_role", "enrollments": "enrollment_role"}
# What the guard limits in percent, and the most that each limit may be.
LIMITS = {"removed": 100, "added": 10**6, "changed": 100}
LONGEST_WINDOW_MINUTES = 12 * 60

DEFAULTS: Mapping[str, object] = MappingProxyType(
    {
        "remote_port": 22,
        "remote_name": "OneRoster.zip",
        "auth": "password",
        "window_start": "07:10",
        "deadline": "09:00",
        "rules": {},
        "faulty_rows_percent": 0.5,
        "faulty_rows_count": 5,
        "traditional_columns": {},
        "allow_delete_unlisted": False,
        "minimum_bytes": 1,
        "maximum_bytes": 2_000_000_000,
        "quiet_seconds": 60,
        "settle_minutes": 20,
        "maximum_age_hours": 36,
        "unchanged": "send",
        "unchanged_nights": 10,
        "blackouts": [],
        "guard_removed_percent": 10,
        "guard_removed_count": 0,
        "guard_added_percent": 50,
        "guard_changed_percent": 75,
        "guard_identity_percent": 10,
        "guard_concentration_percent": 10,
        "guard_limits": {},
        "guard_floor": 20,
        "guard_minimum": {
            "users.student": 10,
            "users.teacher": 1,
            "classes": 1,
            "enrollments.student": 10,
        },
        "expected_changes": [],
        "expected_percent": 100,
        "scope": {},
        "repairs": [],
        "faulty_rows": "send",
        "removals": "hold",
        "wait_nights": 7,
        "make_remote_dir": False,
        "verify_by_writing": False,
        "temporary_name": "",
        "finish_seconds": 300,
        "algorithms": "modern",
        "attempts": 5,
        "retry_seconds": 20,
        "parallel": 4,
        "keep_packages": 3,
        "keep_receipts_days": 400,
        "heartbeat_url": "",
        "webhook_url": "",
        "mail_to": [],
        "mail_from": "",
        "smtp_host": "",
        "smtp_port": 25,
        "smtp_security": "none",
        "smtp_username": "",
    }
)


@dataclass(frozen=True)
class Problem:
    """Something wrong with a value: the key, and a sentence that says what is allowed."""

    key: str
    message: str


class ConfigError(Failure):
    """A configuration that cannot be used."""

    def __init__(self, where: str, problems: Sequence[Problem]) -> None:
        super().__init__(Exit.CONFIG, *(f"{where}: {p.key}: {p.message}" for p in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class HostKey:
    """A pinned host key: its type (`ssh-ed25519`, …) and its public blob (RFC 4253, 6.6)."""

    kind: str
    blob: bytes


@dataclass(frozen=True)
class Span:
    """Days from `first` to `last`, both included, and what they are for."""

    first: dt.date
    last: dt.date
    why: str

    def __contains__(self, day: dt.date) -> bool:
        return self.first <= day <= self.last

    def __str__(self) -> str:
        return f"{self.first}..{self.last}" + (f" ({self.why})" if self.why else "")


@dataclass(frozen=True)
class Scope:
    """The part of an export that is sent. An empty tuple limits nothing."""

    schools: tuple[str, ...] = ()  # sourcedIds or identifiers of orgs
    grades: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    courses: tuple[str, ...] = ()  # course codes or sourcedIds
    enrolled_only: bool = False
    blank: tuple[str, ...] = ()  # columns that are emptied, as `file.column`

    @property
    def is_everything(self) -> bool:
        """Whether the export is sent as it is."""
        return self == Scope()


@dataclass(frozen=True)
class Feed:
    """A feed: one file that one district delivers to one product.

    What each value means is told by the role's argument specification, which has the same names.
    """

    feed: str
    district: str
    format: str
    source: Path
    remote_host: str
    remote_port: int
    remote_dir: str
    remote_name: str
    username: str
    auth: str
    host_keys: tuple[HostKey, ...]
    window_start: int  # minutes after midnight, UTC
    deadline: int  # minutes after midnight, UTC
    rules: Mapping[str, str]  # `rule` or `rule:file.column` to severity
    faulty_rows_percent: float
    faulty_rows_count: int
    traditional_columns: Mapping[str, Mapping[str, Any]]
    allow_delete_unlisted: bool
    minimum_bytes: int
    maximum_bytes: int
    quiet_seconds: int
    settle_minutes: int
    maximum_age_hours: int
    unchanged: str
    unchanged_nights: int  # 0 = never told
    blackouts: tuple[Span, ...]
    guard_removed_percent: int
    guard_removed_count: int  # 0 = no limit
    guard_added_percent: int
    guard_changed_percent: int
    guard_identity_percent: int
    guard_concentration_percent: int
    guard_limits: Mapping[str, Mapping[str, int]]  # kind to `LIMITS` to percent
    guard_floor: int
    guard_minimum: Mapping[str, int]  # kind to rows
    expected_changes: tuple[Span, ...]
    expected_percent: int
    scope: Scope
    repairs: tuple[str, ...]
    faulty_rows: str
    removals: str
    wait_nights: int
    make_remote_dir: bool
    verify_by_writing: bool
    temporary_name: str  # a pattern with one asterisk, "" = learned
    finish_seconds: int
    algorithms: str
    attempts: int
    retry_seconds: int
    parallel: int
    keep_packages: int
    keep_receipts_days: int
    heartbeat_url: str
    webhook_url: str
    mail_to: tuple[str, ...]
    mail_from: str
    smtp_host: str
    smtp_port: int
    smtp_security: str
    smtp_username: str

    @property
    def has_steps(self) -> bool:
        """Whether the package that is sent may be another one than the export."""
        is_made = bool(self.repairs) or self.faulty_rows == "leave-out"
        return is_made or not self.scope.is_everything

    @property
    def is_opaque(self) -> bool:
        """Whether its file is sent without a look into it."""
        return self.format == OPAQUE


def parse_host_key(text: str) -> HostKey:
    """A public key line, or a whole `known_hosts` line, as a pinned key.

    Raises ValueError, with a sentence that says why, where it is neither.
    """
    words = text.split()
    if len(words) >= 3 and words[0] not in KEY_TYPES:
        words = words[1:]  # the host names of a known_hosts line
    if len(words) < 2 or words[0] not in KEY_TYPES:
        raise ValueError(f"is no key line such as `ssh-ed25519 AAAA…` ({', '.join(KEY_TYPES)})")
    try:
        blob = base64.b64decode(words[1], validate=True)
    except binascii.Error:
        raise ValueError("is cut off or damaged: its second part is not base64") from None
    length = int.from_bytes(blob[:4], "big")
    if blob[4 : 4 + length] != words[0].encode() or len(blob) < 36:
        raise ValueError(f"is cut off or damaged: it does not hold a key of type {words[0]}")
    return HostKey(words[0], blob)


def minutes(text: str) -> int:
    """Minutes after midnight of a time `HH:MM`; raises ValueError where it is none."""
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        raise ValueError(f"{text!r} is not a time of day such as 07:10 (UTC)")
    return int(text[:2]) * 60 + int(text[3:])


def span(text: str) -> Span:
    """Days such as `2027-06-05..2027-08-09 summer`; raises ValueError where they are none."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)(?:\.\.(\d{4}-\d\d-\d\d))?(?:\s+(.+))?", text.strip())
    if not match:
        raise ValueError("must be days and a word about them: 2027-06-05..2027-08-09 summer")
    first = dt.date.fromisoformat(match[1])
    last = dt.date.fromisoformat(match[2] or match[1])
    if last < first:
        raise ValueError(f"ends on {last}, before it begins")
    return Span(first, last, match[3] or "")


def window_minutes(start: int, deadline: int) -> int:
    """Length of a window in minutes; it may lie across midnight."""
    return (deadline - start) % (24 * 60)


def in_window(moment: str, start: str, deadline: str) -> bool:
    """Whether a time of day lies in the window [start, deadline); all `HH:MM` in UTC."""
    opened = minutes(start)
    return (minutes(moment) - opened) % (24 * 60) < window_minutes(opened, minutes(deadline))


CONTROLS = ("Cc", "Cf", "Cs", "Zl", "Zp")  # what a terminal or a mail's header obeys


def _words(value: str) -> str | None:
    if not value.strip():
        return "must not be empty"
    if any(unicodedata.category(character) in CONTROLS for character in value):
        return "must not hold control characters"
    return None


def is_feed_name(value: str) -> bool:
    """Return whether a text can be a feed's name: nothing in it means anything to a shell."""
    return bool(re.fullmatch(r"[a-z0-9][a-z0-9-]{0,47}", value))


def _slug(value: str) -> str | None:
    if is_feed_name(value):
        return None
    return f"{value!r} must be lower-case letters, digits and hyphens, 48 at most (maple-grove)"


def _choice(allowed: Sequence[str]) -> Callable[[str], str | None]:
    def check(value: str) -> str | None:
        return None if value in allowed else f"{value!r} is not one of: {', '.join(allowed)}"

    return check


def _known(name: object, known: Collection[str], noun: str, listed: str = "") -> str | None:
    """Return what is wrong with an unknown name: the near one, or those that there are.

    `listed` says where they are listed, if they are too many for a message.
    """
    if name in known:
        return None
    near = difflib.get_close_matches(str(name), known, 1)
    rest = listed or f"known are: {', '.join(known)}"
    return f"unknown {noun} {name!r}; " + (f"did you mean {near[0]}?" if near else rest)


def _source(value: str) -> str | None:
    if not value.startswith("/") or value.endswith("/"):
        return f"{value!r} must be the absolute path of a file or a folder"
    if re.search(r"[*?\[]", value.rpartition("/")[0]):
        return f"{value!r} may hold * and ? in its last part only"
    return _words(value)


def _remote_host(value: str) -> str | None:
    if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+", value):
        return None
    return f"{value!r} is no host name or address"


def _port(value: int) -> str | None:
    return None if 0 < value < 65536 else f"{value} is no port (1 to 65535)"


def _between(low: int, high: int) -> Callable[[float], str | None]:
    def check(value: float) -> str | None:
        return None if low <= value <= high else f"{value} must be {low:,} to {high:,}"

    return check


def _any(_value: object) -> None:
    return None


def _optional(check: Callable[[str], str | None]) -> Callable[[str], str | None]:
    return lambda value: check(value) if value else None


def _url(value: str) -> str | None:
    with contextlib.suppress(ValueError):  # of an address in brackets, or a port, that is none
        parts = urllib.parse.urlsplit(value)
        named = parts.hostname and (parts.port is None or parts.port)
        if parts.scheme in ("https", "http") and named and not _words(value):
            return None
    return "must be an address such as https://alerts.example.org/{secret}"


def _mail(value: str) -> str | None:
    if re.fullmatch(r"[^@\s,;<>]+@[^@\s,;<>]+", value):
        return None
    return f"{value!r} is no mail address"


def _each(check: Callable[[str], str | None]) -> Callable[[list[Any]], str | None]:
    def checked(value: list[Any]) -> str | None:
        for index, item in enumerate(value):
            message = check(item) if isinstance(item, str) else "must be a text"
            if message:
                return f"entry {index + 1}: {message}"
        return None

    return checked


def _span(value: str) -> str | None:
    try:
        span(value)
    except ValueError as error:
        return str(error)
    return None


def _rules(value: dict[str, Any]) -> str | None:
    known = [f"{group}.{name}" for group, names in spec("rules").items() for name in names]
    for key, severity in value.items():
        rule = str(key).partition(":")[0]
        if message := _known(rule, known, "rule", "spec/rules.toml lists them all"):
            return message
        if severity not in SEVERITIES:
            return f"{key}: {severity!r} is not one of: {', '.join(SEVERITIES)}"
    return None


def _limits(value: dict[str, Any]) -> str | None:
    for kind, limits in value.items():
        if not isinstance(limits, dict) or not limits:
            return f"{kind} must be a table of: {', '.join(LIMITS)}"
        for word, percent in limits.items():
            if message := _known(word, LIMITS, "limit"):
                return f"{kind}: {message}"
            if not isinstance(percent, int) or isinstance(percent, bool):
                return f"{kind}.{word} must be a whole number"
            if message := _between(0, LIMITS[word])(percent):
                return f"{kind}.{word}: {message}"
    return None


def _named(known: Sequence[str], noun: str) -> Callable[[str], str | None]:
    return lambda value: _known(value, known, noun)


def _user_role(value: str) -> str | None:
    return _known(value, spec(ONEROSTER)["enums"]["user_role"], "role")


def _blank(value: str) -> str | None:
    """Return why a column may not be emptied."""
    if message := _column(value, ONEROSTER):
        return message
    file, _, name = value.partition(".")
    if _columns(ONEROSTER)[file][name] != "no":
        return f"{value} is a required column, which must not be blank"
    return None


# Key of a scope: its type, and the check of an entry of its list.
SCOPE: Mapping[str, tuple[type, Callable[[str], str | None]]] = MappingProxyType(
    {
        "schools": (list, _words),
        "grades": (list, _words),
        "roles": (list, _user_role),
        "courses": (list, _words),
        "enrolled_only": (bool, _any),
        "blank": (list, _blank),
    }
)


def _scope(value: dict[str, Any]) -> str | None:
    for key, item in value.items():
        if message := _known(key, SCOPE, "key of a scope"):
            return message
        kind, check = SCOPE[key]
        if not isinstance(item, kind):
            return f"{key} must be {TYPE_NAMES[kind]}"
        if item == []:
            return f"{key} is an empty list; leave the key out to send all"
        if isinstance(item, list) and (message := _each(check)(item)):
            return f"{key}: {message}"
    return None


def _column(value: str, form: str) -> str | None:
    """Return what is wrong with a `file.column` of a format."""
    file, _, name = value.partition(".")
    if not name:
        return f"{value!r} must be written as file.column, such as users.email"
    files = _columns(form)
    if message := _known(file, files, f"file of the format {form}"):
        return message
    return _known(name, files[file], f"column of {file}") if files[file] else None


def _columns(form: str) -> Mapping[str, Mapping[str, str]]:
    """Return file to column to whether it is required; no column where a file may have any."""
    if form == ONEROSTER:
        files = spec(ONEROSTER)["files"].items()
        return {
            file: {column["name"]: column["required"] for column in table["columns"]}
            for file, table in files
        }
    return {} if form == OPAQUE else {kind: {} for kind in TRADITIONAL_KINDS}


def record_kinds(form: str) -> list[str]:
    """Return the kinds of records that the guard tells apart in a format."""
    if form != ONEROSTER:
        return ["bytes"] if form == OPAQUE else list(TRADITIONAL_KINDS)
    table = spec(ONEROSTER)
    roles = [f"{file}.{role}" for file, words in ROLES.items() for role in table["enums"][words]]
    return [*table["data_files"], *roles]


def _minimum(value: dict[str, Any]) -> str | None:
    for kind, count in value.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            return f"{kind}: {count!r} is no number of rows"
    return None


def _traditional(value: dict[str, Any]) -> str | None:
    known = {"columns": list, "required": list, "unique": list, "key": str, "school": str}
    for kind, table in value.items():
        if kind not in TRADITIONAL_KINDS:
            return f"{kind!r} is not one of: {', '.join(TRADITIONAL_KINDS)}"
        if not isinstance(table, dict):
            return f"{kind} must be a table of: {', '.join(known)}"
        for key, item in table.items():
            if key not in known:
                return f"{kind}.{key} is not one of: {', '.join(known)}"
            if not isinstance(item, known[key]):
                return f"{kind}.{key} must be {TYPE_NAMES[known[key]]}"
            if known[key] is list and not all(isinstance(name, str) for name in item):
                return f"{kind}.{key} must hold the names of columns"
    return None


QUOTES = ("'", '"')


def _remote_dir(value: str) -> str | None:
    if value.startswith(QUOTES) or value.endswith(QUOTES):
        return f"{value!r} has quotes around it; write the bare path, blanks need none here"
    parts = r"/?imagine/[^/\s]+-[^/]*[^/\s][^/]*/(?!\.\.?$)[^/]+"
    if re.fullmatch(parts, value) and not _words(value):
        return None
    return (
        f"{value!r} is not imagine/<site code>-<district name>/<product>, "
        "the upload path that the vendor gave you"
    )


def _remote_name(value: str) -> str | None:
    if "/" in value or value in (".", ".."):
        return f"{value!r} must be the name of a file, without a path"
    return _words(value)


def _pattern(value: str) -> str | None:
    if value.count("*") != 1 or value == "*":
        return f"{value!r} must be a name with one asterisk, such as .*.part or *.zip"
    return _remote_name(value)


def _time(value: str) -> str | None:
    try:
        minutes(value)
    except ValueError as error:
        return str(error)
    return None


def _host_keys(value: list[Any]) -> str | None:
    if not value:
        return (
            "no host key is pinned; add the server's public key after comparing its fingerprint "
            "with the one that the vendor names (ssh-keyscan -t ed25519,rsa HOST)"
        )
    for index, line in enumerate(value):
        if not isinstance(line, str):
            return f"entry {index + 1} must be a text"
        try:
            parse_host_key(line)
        except ValueError as error:
            return f"entry {index + 1} {error}"
    return None


# Key: the type in TOML, and the check of a value of that type.
KEYS: Mapping[str, tuple[type, Callable[[Any], str | None]]] = MappingProxyType(
    {
        "feed": (str, _slug),
        "district": (str, _words),
        "format": (str, _choice(FORMATS)),
        "source": (str, _source),
        "remote_host": (str, _remote_host),
        "remote_port": (int, _port),
        "remote_dir": (str, _remote_dir),
        "remote_name": (str, _remote_name),
        "username": (str, _words),
        "auth": (str, _choice(AUTHS)),
        "host_keys": (list, _host_keys),
        "window_start": (str, _time),
        "deadline": (str, _time),
        "rules": (dict, _rules),
        "faulty_rows_percent": (float, _between(0, 100)),
        "faulty_rows_count": (int, _between(0, 10**9)),
        "traditional_columns": (dict, _traditional),
        "allow_delete_unlisted": (bool, _any),
        "minimum_bytes": (int, _between(1, 2**40)),
        "maximum_bytes": (int, _between(1, 2**40)),
        "quiet_seconds": (int, _between(0, 3600)),
        "settle_minutes": (int, _between(0, 12 * 60)),
        "maximum_age_hours": (int, _between(1, 24 * 365)),
        "unchanged": (str, _choice(("send", "skip"))),
        "unchanged_nights": (int, _between(0, 400)),
        "blackouts": (list, _each(_span)),
        "guard_removed_percent": (int, _between(0, 100)),
        "guard_removed_count": (int, _between(0, 10**9)),
        "guard_added_percent": (int, _between(0, 10**6)),
        "guard_changed_percent": (int, _between(0, 100)),
        "guard_identity_percent": (int, _between(0, 100)),
        "guard_concentration_percent": (int, _between(0, 100)),
        "guard_limits": (dict, _limits),
        "guard_floor": (int, _between(0, 10**6)),
        "guard_minimum": (dict, _minimum),
        "expected_changes": (list, _each(_span)),
        "expected_percent": (int, _between(1, 10**6)),
        "scope": (dict, _scope),
        "repairs": (list, _each(_named(REPAIRS, "repair"))),
        "faulty_rows": (str, _choice(FAULTY_ROWS)),
        "removals": (str, _choice(REMOVALS)),
        "wait_nights": (int, _between(1, 60)),
        "make_remote_dir": (bool, _any),
        "verify_by_writing": (bool, _any),
        "temporary_name": (str, _optional(_pattern)),
        "finish_seconds": (int, _between(60, 3600)),
        "algorithms": (str, _choice(("modern", "legacy"))),
        "attempts": (int, _between(1, 100)),
        "retry_seconds": (int, _between(0, 3600)),
        "parallel": (int, _between(1, 64)),
        "keep_packages": (int, _between(0, 100)),
        "keep_receipts_days": (int, _between(1, 10_000)),
        "heartbeat_url": (str, _optional(_url)),
        "webhook_url": (str, _optional(_url)),
        "mail_to": (list, _each(_mail)),
        "mail_from": (str, _optional(_mail)),
        "smtp_host": (str, _optional(_remote_host)),
        "smtp_port": (int, _port),
        "smtp_security": (str, _choice(("none", "starttls", "tls"))),
        "smtp_username": (str, _optional(_words)),
    }
)
TARGET = ("feed", "remote_host", "remote_port", "remote_dir", "remote_name")
TYPE_NAMES = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
    bool: "true or false",
}


def problems(mapping: Mapping[str, object], *, may_lack: Collection[str] = ()) -> list[Problem]:
    """Return what is wrong with one feed's values, in the order of `KEYS`.

    `may_lack` has the keys that need not be there although they have no default.
    """
    found = [
        Problem(str(key), message)
        for key in mapping
        if (message := _known(str(key), KEYS, "key of a feed"))
    ]
    values = {**DEFAULTS, **mapping}
    for key, (kind, check) in KEYS.items():
        value = values.get(key)
        if value is None:
            found += [] if key in may_lack else [Problem(key, "is missing")]
        elif not _is(value, kind):
            found.append(Problem(key, f"must be {TYPE_NAMES[kind]}"))
        elif message := check(value):
            found.append(Problem(key, message))
    if not {p.key for p in found} & {"window_start", "deadline"}:
        start, deadline = str(values["window_start"]), str(values["deadline"])
        length = window_minutes(minutes(start), minutes(deadline))
        if not 0 < length <= LONGEST_WINDOW_MINUTES:
            found.append(Problem("window_start", f"{start} is after the deadline {deadline} (UTC)"))
    return found or [*_format_problems(values), *_needs(values)]


def _is(value: object, kind: type) -> bool:
    """Return whether a value is of a type of TOML; a whole number is a number, a switch is none."""
    kinds = (int, float) if kind is float else kind
    return isinstance(value, kinds) and isinstance(value, bool) == (kind is bool)


def _format_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Return what does not fit the format of the export."""
    form = values.get("format", ONEROSTER)
    for key in values["rules"]:
        rule, colon, column = str(key).partition(":")
        if colon and (message := _column(column, form)):
            yield Problem("rules", f"{rule}: {message}")
    for kind in values["guard_limits"]:
        if message := _known(kind, record_kinds(form), "kind of record"):
            yield Problem("guard_limits", message)
    for key in () if form == ONEROSTER else ("scope", "repairs", "faulty_rows", "removals"):
        if values[key] != DEFAULTS[key]:
            yield Problem(key, f"is for the format {ONEROSTER} only; the feed has {form}")


def _needs(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Return what one value needs of another."""
    if values["smtp_username"] and values["smtp_security"] == "none":
        yield Problem("smtp_security", "must be tls or starttls for a login by password")
    if values["removals"] == "wait" and not values["keep_packages"]:
        yield Problem("keep_packages", "must be 1 or more for `removals: wait`")
    if values["mail_to"]:
        for key in ("mail_from", "smtp_host"):
            if not values[key]:
                yield Problem(key, "is missing; mail_to needs it")


def cross_problems(mappings: Sequence[Mapping[str, object]]) -> list[Problem]:
    """What is wrong between the feeds of one host: names and remote files must differ."""
    found = []
    names: set[object] = set()
    targets: dict[tuple[object, ...], object] = {}
    for mapping in mappings:
        values = {**DEFAULTS, **mapping}
        if any(isinstance(value, list | dict) for key, value in values.items() if key in TARGET):
            continue  # told of the feed by itself
        name = values.get("feed")
        if name in names:
            found.append(Problem("feed", f"two feeds are named {name!r}; each needs its own name"))
        names.add(name)
        path = str(values.get("remote_dir", "")).strip("/")
        target = (
            str(values.get("remote_host")).lower(),
            values["remote_port"],
            path,
            values["remote_name"],
        )
        if target in targets:
            found.append(
                Problem(
                    "remote_dir",
                    f"the feeds {targets[target]!r} and {name!r} both deliver to "
                    f"{target[0]}:{path}/{target[3]}; one would overwrite the other",
                )
            )
        targets.setdefault(target, name)
    return found


def parse(
    mapping: Mapping[str, object], where: str = "configuration", *, name: str | None = None
) -> Feed:
    """A feed of its values; raises ConfigError with all problems.

    `where` is what the problems are told of; `name` what the feed has to be called, if given.
    """
    found = problems(mapping)
    if name is not None and mapping.get("feed", name) != name:
        found.append(Problem("feed", f"{mapping['feed']!r} must be the file's name, {name!r}"))
    if found:
        raise ConfigError(where, found)
    return _feed({**DEFAULTS, **mapping})


def for_comparison(
    mapping: Mapping[str, object] = MappingProxyType({}), where: str = "configuration"
) -> Feed:
    """Return a feed that goes nowhere, with the limits of a file that may be a part of a feed's.

    Raise ConfigError.
    """
    without = {key: kind() for key, (kind, _) in KEYS.items() if key not in DEFAULTS}
    if found := problems(mapping, may_lack=without):
        raise ConfigError(where, found)
    return _feed({**without, "format": ONEROSTER, **DEFAULTS, **mapping})


def _feed(values: dict[str, Any]) -> Feed:
    """Return a feed of values without a problem."""
    values["source"] = Path(values["source"])
    values["host_keys"] = tuple(parse_host_key(line) for line in values["host_keys"])
    values["blackouts"] = tuple(map(span, values["blackouts"]))
    values["expected_changes"] = tuple(map(span, values["expected_changes"]))
    values["mail_to"] = tuple(values["mail_to"])
    values["repairs"] = tuple(values["repairs"])
    values["faulty_rows_percent"] = float(values["faulty_rows_percent"])
    scope: dict[str, Any] = {
        key: tuple(item) if SCOPE[key][0] is list else item for key, item in values["scope"].items()
    }
    values["scope"] = Scope(**scope)
    values["window_start"] = minutes(values["window_start"])
    values["deadline"] = minutes(values["deadline"])
    return Feed(**values)


def read(path: Path) -> dict[str, object]:
    """The values of a configuration file; raises ConfigError where it cannot be read as TOML."""
    try:
        with path.open("rb") as handle:
            return tomllib.load(handle)
    except FileNotFoundError:
        message = "there is no such file; the feed is not configured on this host"
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"is not TOML: {error}"
    raise ConfigError(str(path), [Problem("file", message)])


def load(path: Path) -> Feed:
    """The feed of a configuration file, whose name must be the feed's; raises ConfigError."""
    return parse(read(path), str(path), name=path.stem)

"""Read a feed's configuration from its TOML file into a `Feed`.

The types, limits and defaults of its keys are in spec/feed.toml. The control node reads the same
rules before it changes a host, so this module needs only the standard library.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from roster_upload.exits import Exit, Failure
from roster_upload.spec import schema, spec
from roster_upload.spec.checks import require_column, require_known
from roster_upload.spec.contacts import VENDOR, Contact
from roster_upload.spec.formats import ONEROSTER, OPAQUE, record_kinds
from roster_upload.spec.sources import SftpSource
from roster_upload.spec.values import HostKey, Span, parse_time, window_minutes
from roster_upload.terminal.printable import path_text

LONGEST_WINDOW_MINUTES = 12 * 60
SFTP_KEYS = ("source_host_keys", "source_auth", "source_after", "source_algorithms")
TARGET = ("feed", "remote_host", "remote_port", "remote_dir", "remote_name")


@dataclass(frozen=True)
class ConfigProblem:
    """A wrong value: its key, and a sentence on the allowed values."""

    key: str
    message: str


class ConfigError(Failure):
    """A configuration that cannot be used."""

    def __init__(self, where: str, problems: Sequence[ConfigProblem]) -> None:
        super().__init__(Exit.CONFIG, *(f"{where}: {p.key}: {p.message}" for p in problems))
        self.problems = tuple(problems)


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
        """Return whether the export is sent as it is."""
        return self == Scope()


@dataclass(frozen=True)
class Feed:
    """A feed: one file that one district delivers to one product.

    spec/feed.toml describes each value under the same name.
    """

    feed: str
    district: str
    format: str
    source: Path | SftpSource
    source_host_keys: tuple[HostKey, ...]
    source_auth: str
    source_after: str
    source_algorithms: str
    source_origin: str
    time_zone: str  # IANA name, "" = UTC
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
    unchanged_nights: int  # 0 = no limit
    blackouts: tuple[Span, ...]
    reset_date: dt.date | None  # the vendor's yearly reset
    reset_resume_date: dt.date | None
    guard_removed_percent: int
    guard_removed_count: int  # 0 = no limit
    guard_added_percent: int
    guard_changed_percent: int
    guard_identity_percent: int
    guard_concentration_percent: int
    guard_limits: Mapping[str, Mapping[str, int]]  # kind to removed, added or changed to percent
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
    temporary_name: str  # a pattern with one asterisk, "" = tested at the server
    finish_seconds: int
    algorithms: str
    attempts: int
    retry_seconds: int
    parallel: int
    keep_packages: int
    keep_receipts_days: int
    heartbeat_url: str
    alert_urls: tuple[str, ...]  # of Apprise

    @property
    def contact(self) -> Contact:
        """Return the people behind the server that the feed delivers to."""
        return VENDOR

    @property
    def origin(self) -> str:
        """Return the source as messages name it: a path, or an address."""
        if isinstance(self.source, SftpSource):
            return self.source.url
        return self.source_origin or path_text(self.source)

    @property
    def has_steps(self) -> bool:
        """Return whether the package that is sent may differ from the export."""
        is_made = bool(self.repairs) or self.faulty_rows == "leave-out"
        return is_made or not self.scope.is_everything

    @property
    def is_opaque(self) -> bool:
        """Return whether the export is sent without validation of its contents."""
        return self.format == OPAQUE


def problems(
    mapping: Mapping[str, object], *, may_lack: Collection[str] = ()
) -> list[ConfigProblem]:
    """Return the problems of one feed's values, in the order of feed.toml.

    `may_lack` has required keys that may be missing here.
    """
    keys = schema.keys()
    found = [
        ConfigProblem(str(name), message)
        for name in mapping
        if (message := _message(require_known, str(name), keys, "key of a feed"))
    ]
    values = {**schema.defaults(), **mapping}
    for name, key in keys.items():
        value = values.get(name)
        if value is None:
            found += [] if name in may_lack else [ConfigProblem(name, "is missing")]
        elif message := key.problem(value):
            found.append(ConfigProblem(name, message))
    if not {p.key for p in found} & {"window_start", "deadline"}:
        start, deadline = str(values["window_start"]), str(values["deadline"])
        length = window_minutes(parse_time(start), parse_time(deadline))
        if not 0 < length <= LONGEST_WINDOW_MINUTES:
            found.append(
                ConfigProblem("window_start", f"{start} is after the deadline {deadline} (UTC)")
            )
    return found or [*_format_problems(values), *_combination_problems(values)]


def _message(check: Callable[..., None], *arguments: Any) -> str | None:
    """Return the message that a check raises, None if it raises none."""
    try:
        check(*arguments)
    except ValueError as error:
        return str(error)
    return None


def _format_problems(values: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    """Yield values that do not fit the format of the export."""
    form = values.get("format", ONEROSTER)
    for name in values["rules"]:
        rule, colon, column = str(name).partition(":")
        if colon and (message := _message(require_column, column, form)):
            yield ConfigProblem("rules", f"{rule}: {message}")
    for kind in values["guard_limits"]:
        if message := _message(require_known, kind, record_kinds(form), "kind of record"):
            yield ConfigProblem("guard_limits", message)
    for name, key in schema.keys().items():
        if key.format and form != key.format and values[name] != key.default:
            yield ConfigProblem(
                name, f"is for the format {key.format} only, but the feed has {form}"
            )


def _combination_problems(values: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    """Yield values that need another value."""
    if values["removals"] == "wait" and not values["keep_packages"]:
        yield ConfigProblem("keep_packages", "must be 1 or more for `removals: wait`")
    yield from _reset_problems(values)
    yield from _source_problems(values)


def _reset_problems(values: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    """Yield an end of the reset's pause that belongs to another year than the reset."""
    names = ("reset_date", "reset_resume_date")
    day, resume = (schema.keys()[name].parse(values[name]) for name in names)
    most = spec("imagine-learning")["reset"]["longest_planned_days"]
    if day and resume and (resume - day).days > most:
        yield ConfigProblem(
            names[1],
            f"{resume} is more than {most} days after the reset of {day}. Nothing would be sent "
            "between them. Give both dates of the same year",
        )


def _source_problems(values: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    """Yield keys about a source that do not fit its kind."""
    if "source" not in values:
        return
    is_remote = isinstance(schema.keys()["source"].parse(values["source"]), SftpSource)
    if is_remote and not values["source_host_keys"]:
        yield ConfigProblem(
            "source_host_keys",
            "no host key of the SIS's server is pinned. Add its public key after comparing the "
            "fingerprint with the one that the server's administrator names",
        )
    for key in SFTP_KEYS if not is_remote else ("source_origin",):
        if values[key] != schema.default(key):
            kind = "a path on the host" if is_remote else "a source sftp://"
            yield ConfigProblem(key, f"is for {kind} only. Remove it")


def cross_problems(mappings: Sequence[Mapping[str, object]]) -> list[ConfigProblem]:
    """Return problems between the feeds of one host. Names and remote files must differ."""
    found = []
    names: set[object] = set()
    targets: dict[tuple[object, ...], object] = {}
    for mapping in mappings:
        values = {**schema.defaults(), **mapping}
        if any(isinstance(value, list | dict) for key, value in values.items() if key in TARGET):
            continue  # reported for the feed itself
        name = values.get("feed")
        if name in names:
            found.append(
                ConfigProblem("feed", f"two feeds are named {name!r}. Each needs its own name")
            )
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
                ConfigProblem(
                    "remote_dir",
                    f"the feeds {targets[target]!r} and {name!r} both deliver to "
                    f"{target[0]}:{path}/{target[3]}. One would overwrite the other",
                )
            )
        targets.setdefault(target, name)
    return found


def parse(
    mapping: Mapping[str, object], where: str = "configuration", *, name: str | None = None
) -> Feed:
    """Return a feed. Raise ConfigError with all problems of its values.

    The problems begin with `where`. `name` is the name that the feed must have, if any.
    """
    found = problems(mapping)
    if name is not None and mapping.get("feed", name) != name:
        found.append(
            ConfigProblem("feed", f"{mapping['feed']!r} must be the file's name, {name!r}")
        )
    if found:
        raise ConfigError(where, found)
    return _feed(mapping, {})


def for_comparison(
    mapping: Mapping[str, object] = MappingProxyType({}), where: str = "configuration"
) -> Feed:
    """Return a feed without a server, for a file that may have only some of a feed's keys.

    Raise ConfigError.
    """
    required = {name: key for name, key in schema.keys().items() if key.is_required}
    if found := problems(mapping, may_lack=required):
        raise ConfigError(where, found)
    blank: dict[str, object] = {
        name: () if key.type == "list" else "" for name, key in required.items()
    }
    return _feed(mapping, {**blank, "source": Path(), "format": ONEROSTER})


def _feed(mapping: Mapping[str, object], parsed: Mapping[str, object]) -> Feed:
    """Return a feed of values without a problem. `parsed` has those of absent keys."""
    keys = schema.keys()
    given = {**schema.defaults(), **mapping}
    values = {**parsed, **{name: keys[name].parse(value) for name, value in given.items()}}
    return Feed(**{**values, "scope": Scope(**values["scope"])})


def read(path: Path) -> dict[str, object]:
    """Return the values of a configuration file. Raise ConfigError if it cannot be read as TOML."""
    try:
        with path.open("rb") as handle:
            return tomllib.load(handle)
    except FileNotFoundError:
        message = "there is no such file. The feed is not configured on this host"
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"is not TOML: {error}"
    raise ConfigError(str(path), [ConfigProblem("file", message)])


def load(path: Path) -> Feed:
    """Return the feed of a configuration file. Raise ConfigError.

    The file must have the feed's name.
    """
    return parse(read(path), str(path), name=path.stem)

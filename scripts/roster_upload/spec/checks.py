"""Check a feed's values. feed.toml refers to these functions by name.

Each takes a value of the right type and returns it as the program uses it. Each raises ValueError
with a sentence on the allowed values.
"""

from __future__ import annotations

import contextlib
import difflib
import ipaddress
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from roster_upload.spec import spec
from roster_upload.spec.formats import ONEROSTER, TRADITIONAL_KINDS, columns
from roster_upload.spec.sources import FORM as SFTP_FORM
from roster_upload.spec.sources import SFTP, SftpSource
from roster_upload.spec.values import parse_date, parse_days, parse_host_key, parse_time

SEVERITIES = ("error", "warning", "ignore")
CONTROLS = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control characters of terminals and mail headers
QUOTES = ("'", '"')
# Schemes of Apprise that stay on the host, and parameters that read files.
LOCAL_SCHEMES = (
    *("file", "dbus", "glib", "gnome", "kde", "qt", "macosx", "windows", "growl", "syslog"),
)
FILE_PARAMETERS = ("template", "keyfile", "subfile", "pgp", "pgpkey", "attach", "config")
LIMITS = ("removed", "added", "changed")
Parser = Callable[[Any], Any]


def require(is_right: bool, message: str) -> None:
    """Raise ValueError with a message unless a condition is true."""
    if not is_right:
        raise ValueError(message)


def require_known(name: object, known: Collection[str], noun: str, listed: str = "") -> None:
    """Raise ValueError with the nearest known name, or with all of them.

    `listed` replaces the list of known names, if they are too many for one line.
    """
    if name in known:
        return
    near = difflib.get_close_matches(str(name), known, 1)
    rest = listed or f"Known are: {', '.join(known)}"
    hint = f"Did you mean {near[0]}?" if near else rest
    raise ValueError(f"unknown {noun} {name!r}. {hint}")


def require_column(value: str, form: str) -> None:
    """Raise ValueError unless a value is a `file.column` of a format."""
    file, _, name = value.partition(".")
    if not name:
        raise ValueError(f"{value!r} must be written as file.column, such as users.email")
    files = columns(form)
    require_known(file, files, f"file of the format {form}")
    if files[file]:
        require_known(name, files[file], f"column of {file}")


def is_feed_name(value: str) -> bool:
    """Return whether a text can be a feed's name. It is safe in shells and paths."""
    return bool(re.fullmatch(r"[a-z0-9][a-z0-9-]{0,47}", value))


def is_count(value: object) -> bool:
    """Return whether a value is a whole number. TOML's true and false are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def words(value: str) -> str:
    """Return a printable text."""
    if not value.strip():
        raise ValueError("must not be empty")
    if any(unicodedata.category(character) in CONTROLS for character in value):
        raise ValueError("must not hold control characters")
    return value


def feed_name(value: str) -> str:
    """Return a feed's name."""
    if not is_feed_name(value):
        raise ValueError(
            f"{value!r} must be lower-case letters, digits and hyphens, 48 at most (maple-grove)"
        )
    return value


def source(value: str) -> Path | SftpSource:
    """Return the path of an export, or its address on an SFTP server."""
    if value.lower().startswith(SFTP):
        try:
            found = SftpSource.parse(SFTP + words(value)[len(SFTP) :])
            host(found.host)
            for part in (found.username, found.folder or "/", found.name):
                words(part)
        except ValueError as error:
            raise ValueError(f"{shown_source(value)!r} {error}") from None
        return found
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", value):
        raise ValueError(
            f"{shown_source(value)!r} must be an absolute path or an address {SFTP_FORM}"
        )
    if not value.startswith("/") or value.endswith("/"):
        raise ValueError(f"{value!r} must be the absolute path of a file or a folder")
    if re.search(r"[*?\[]", value.rpartition("/")[0]):
        raise ValueError(f"{value!r} may hold * and ? in its last part only")
    return Path(words(value))


def shown_source(value: str) -> str:
    """Return an address without the password that somebody has put into it.

    A password may hold each character, also a slash. Other schemes may have a token in their query.
    """
    if value.lower().startswith((SFTP, "smb://")):
        return re.sub(r"(?<=//)([^/@:]*):.*@", r"\1:...@", value, flags=re.DOTALL)
    value = re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*://)?.*@", r"\1...@", value, flags=re.DOTALL)
    return re.sub(r"[?#].*", "?...", value, flags=re.DOTALL)


def host(value: str) -> str:
    """Return the name or the address of a host."""
    if ":" in value:
        is_right = bool(re.fullmatch("[0-9A-Fa-f:.]+", value)) and _is_address(value)
    else:
        label = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
        is_right = bool(re.fullmatch(rf"{label}(\.{label})*", value))
    if not is_right:
        raise ValueError(f"{value!r} is not a host name or address")
    return value


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def remote_dir(value: str) -> str:
    """Return an upload path of the vendor's form."""
    if value.startswith(QUOTES) or value.endswith(QUOTES):
        raise ValueError(f"{value!r} has quotes around it. Write the path without them")
    parts = r"/?imagine/[^/\s]+-[^/]*[^/\s][^/]*/(?!\.\.?$)[^/]+"
    if not re.fullmatch(parts, value):
        raise ValueError(
            f"{value!r} is not imagine/<site code>-<district name>/<product>, "
            "the upload path that the vendor gave you"
        )
    return words(value)


def file_name(value: str) -> str:
    """Return the name of a file."""
    if "/" in value or value in (".", ".."):
        raise ValueError(f"{value!r} must be the name of a file, without a path")
    return words(value)


def pattern(value: str) -> str:
    """Return a file's name with one asterisk."""
    if value.count("*") != 1 or value == "*":
        raise ValueError(f"{value!r} must be a name with one asterisk, such as .*.part or *.zip")
    return file_name(value)


def time_zone(value: str) -> str:
    """Return the IANA name of a time zone."""
    import zoneinfo  # noqa: PLC0415 - few feeds have a zone, and starts have to be quick

    try:
        zoneinfo.ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        # Without any zone the machine lacks the table of zones, and shows UTC alone.
        if known := zoneinfo.available_timezones():
            require_known(value, known, "time zone", "Use a name such as America/Denver")
    return value


def url(value: str) -> str:
    """Return a web address."""
    with contextlib.suppress(ValueError):  # of a wrong port or wrong brackets
        parts = urllib.parse.urlsplit(value)
        named = parts.hostname and (parts.port is None or parts.port)
        if parts.scheme in ("https", "http") and named:
            return words(value)
    raise ValueError("must be an address such as https://alerts.example.org/{secret}")


def alert_url(value: str) -> str:
    """Return an address of Apprise. The messages show its scheme only, since it may be secret."""
    scheme, mark, rest = value.partition("://")
    if scheme.lower() in LOCAL_SCHEMES:
        raise ValueError(f"{scheme}:// is not allowed. Use a service of the network")
    if not mark or not rest or not re.fullmatch(r"[a-zA-Z0-9]{2,32}", scheme):
        raise ValueError("must be an Apprise URL such as slack://TOKEN_A/TOKEN_B/TOKEN_C")
    require(value.isprintable() and " " not in value, f"{scheme}:// must not hold spaces")
    try:
        urllib.parse.urlsplit(value)
    except ValueError:  # its text may hold the secret
        raise ValueError(
            f"{scheme}://: write brackets and special letters of names and passwords "
            "percent-encoded, such as %5B for ["
        ) from None
    asked = urllib.parse.parse_qs(rest.partition("?")[2], keep_blank_values=True)
    wrong = sorted(key for key in asked if key.lower() in FILE_PARAMETERS)
    require(not wrong, f"{scheme}://: the parameter {', '.join(wrong)} is not allowed")
    verified = [text.lower() in ("yes", "true", "1") for text in asked.get("verify", [])]
    require(all(verified), f"{scheme}://: verify=no is not allowed. Certificates are checked")
    return value


def user_role(value: str) -> str:
    """Return a role that OneRoster knows."""
    require_known(value, spec(ONEROSTER)["enums"]["user_role"], "role")
    return value


def optional_column(value: str) -> str:
    """Return a column of OneRoster that may be empty."""
    require_column(value, ONEROSTER)
    file, _, name = value.partition(".")
    if columns(ONEROSTER)[file][name] != "no":
        raise ValueError(f"{value} is a required column, which must not be blank")
    return value


def rules(value: dict[str, Any]) -> dict[str, Any]:
    """Return severities by rule, or by rule and column."""
    known = [f"{group}.{name}" for group, names in spec("rules").items() for name in names]
    for key, severity in value.items():
        rule = str(key).partition(":")[0]
        require_known(rule, known, "rule", "See spec/rules.toml")
        if severity not in SEVERITIES:
            raise ValueError(f"{key}: {severity!r} is not one of: {', '.join(SEVERITIES)}")
    return value


def guard_limits(value: dict[str, Any]) -> dict[str, Any]:
    """Return limits in percent by kind of record. The largest is that of the feed's own limit."""
    for kind, limits in value.items():
        is_table = isinstance(limits, dict) and bool(limits)
        require(is_table, f"{kind} must be a table of: {', '.join(LIMITS)}")
        for limit, percent in limits.items():
            try:
                require_known(limit, LIMITS, "limit")
            except ValueError as error:
                raise ValueError(f"{kind}: {error}") from None
            require(is_count(percent), f"{kind}.{limit} must be a whole number")
            most = spec("feed")["guard"][f"guard_{limit}_percent"]["maximum"]
            require(0 <= percent <= most, f"{kind}.{limit}: {percent} must be 0 to {most:,}")
    return value


def guard_minimum(value: dict[str, Any]) -> dict[str, Any]:
    """Return numbers of rows by kind of record."""
    for kind, count in value.items():
        require(is_count(count) and count >= 0, f"{kind}: {count!r} is not a number of rows")
    return value


def traditional_columns(value: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a Traditional format by kind of record."""
    known = {"columns": list, "required": list, "unique": list, "key": str, "school": str}
    listed = ", ".join(known)
    for kind, table in value.items():
        kinds = ", ".join(TRADITIONAL_KINDS)
        require(kind in TRADITIONAL_KINDS, f"{kind!r} is not one of: {kinds}")
        require(isinstance(table, dict), f"{kind} must be a table of: {listed}")
        for key, item in table.items():
            require(key in known, f"{kind}.{key} is not one of: {listed}")
            require(isinstance(item, known[key]), f"{kind}.{key} must be {NAMES[known[key]]}")
            are_names = known[key] is str or all(isinstance(name, str) for name in item)
            require(are_names, f"{kind}.{key} must hold the names of columns")
    return value


NAMES = {list: "a list", str: "a text"}
CHECKS: Mapping[str, Parser] = MappingProxyType(
    {
        "words": words,
        "feed_name": feed_name,
        "source": source,
        "host": host,
        "remote_dir": remote_dir,
        "file_name": file_name,
        "pattern": pattern,
        "time": parse_time,
        "date": parse_date,
        "days": parse_days,
        "host_key": parse_host_key,
        "time_zone": time_zone,
        "url": url,
        "alert_url": alert_url,
        "user_role": user_role,
        "optional_column": optional_column,
        "rules": rules,
        "guard_limits": guard_limits,
        "guard_minimum": guard_minimum,
        "traditional_columns": traditional_columns,
    }
)

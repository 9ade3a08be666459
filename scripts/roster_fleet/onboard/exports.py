"""Ask how an SIS brings its export. Each choice opens its own questions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial

from roster_upload.spec import schema

from roster_fleet.onboard import source_keys
from roster_fleet.onboard.districts import (
    AUTHS,
    COLUMNS,
    INBOX_COLUMNS,
    KEY,
    PASSWORD,
    SOURCE_COLUMNS,
    Column,
    one_of,
)
from roster_fleet.sources import SmbSource

PATH, INBOX, FETCH, SHARE, LATER = CHOICES = ("path", "inbox", "fetch", "share", "later")
MEANINGS = """\
How does the SIS bring its export?
  path    It writes to the host itself, or to a folder that is mounted there.
  inbox   It pushes by SFTP to the host, as Aeries does.
  fetch   The host fetches it from the SIS's SFTP server, as with PowerSchool.
  share   The host reads it from a Windows share.
  later   Decide later."""
URLS = {
    FETCH: "sftp://USER@HOST/PATH/NAME.zip",
    SHARE: "smb://USER@SERVER/SHARE/NAME.zip",
}
SCHEMES = {FETCH: "sftp", SHARE: "smb"}
LONGEST_USER = 31  # characters of the name of an inbox's account
# These depend on the choice. A new choice forgets the answers.
ANSWERS = ("source", "source_auth", "source_after", *SOURCE_COLUMNS, *INBOX_COLUMNS)


def _export(value: str) -> str | None:
    if value in CHOICES:
        return None
    if value == "sftp":
        return "'sftp' is now called inbox (the SIS pushes) or fetch (the host fetches)"
    return f"{value!r} is not one of: {', '.join(CHOICES)}"


def source_problem(choice: str, value: str) -> str | None:
    """Return why a text cannot be the source that a choice needs, or None."""
    scheme = SCHEMES.get(choice, "")
    if choice == SHARE and (share := re.fullmatch(r"(?:\\\\|//)([^\\/]+)[\\/](.+)", value)):
        path = share[2].replace("\\", "/").replace("%", "%25")
        return f"write it as a URL, with the user: smb://USER@{share[1]}/{path}"
    if scheme and not value.startswith(f"{scheme}://"):
        return f"does not begin with {scheme}://. Use {URLS[choice]}"
    if scheme and ":" in value.removeprefix(f"{scheme}://").rpartition("@")[0]:
        return "has a password before the @. Leave it out. A later question asks for it"
    if not scheme and "://" in value:
        return "is a URL, not a path. Choose fetch or share instead"
    if not scheme and value.startswith("\\\\"):
        return "is a Windows share. Choose share instead"
    return _share_problem(value) if choice == SHARE else schema.problem("source", value)


def _share_problem(value: str) -> str | None:
    try:
        SmbSource.parse(value)
    except ValueError as error:
        return str(error)
    return None


EXPORT = Column("export", "one of these words", _export, intro=MEANINGS)
SOURCES = {
    PATH: Column(
        "source",
        "the path of the export on the host; empty: the group's, or /srv/roster-upload/FEED/"
        "OneRoster.zip",
        partial(source_problem, PATH),
    ),
    FETCH: Column(
        "source",
        f"the export's URL, {URLS[FETCH]}. A * in NAME takes the newest match",
        partial(source_problem, FETCH),
        required=True,
    ),
    SHARE: Column(
        "source",
        f"the export's URL, {URLS[SHARE]}. A * in NAME takes the newest match",
        partial(source_problem, SHARE),
        required=True,
    ),
}
SOURCE_AUTH = Column("source_auth", "how the host logs in there: password or key", one_of(*AUTHS))
SOURCE_AFTER = Column(
    "source_after",
    "the file there after a delivery: keep or remove",
    one_of("keep", "remove"),
)
OWN_QUESTIONS = (EXPORT, SOURCE_AUTH, SOURCE_AFTER)


def choice_of(given: Mapping[str, str]) -> str:
    """Return the choice that was made, or that the given values mean."""
    if given.get("export"):
        return given["export"]
    if given.get("inbox_user"):
        return INBOX
    source = given.get("source", "")
    by_scheme = {f"{scheme}://": choice for choice, scheme in SCHEMES.items()}
    found = next((by_scheme[start] for start in by_scheme if source.startswith(start)), PATH)
    return found if source else LATER


def questions(given: Mapping[str, str]) -> Iterator[Column]:
    """Yield the questions about the export. The later ones depend on the earlier answers."""
    by_name = {column.name: column for column in COLUMNS}
    if "export" in given or not any(given.get(name) for name in ("source", "inbox_user")):
        yield EXPORT
    choice = choice_of(given)
    if choice in SOURCES:
        yield SOURCES[choice]
    if choice == FETCH:
        yield SOURCE_AUTH
        yield SOURCE_AFTER
    if (choice == FETCH and given.get("source_auth") != KEY) or (choice == SHARE and _user(given)):
        yield by_name["source_password"]
    if choice == INBOX:
        yield by_name["inbox_user"]
        if "inbox_auth" in given or "inbox_key" not in given:
            yield by_name["inbox_auth"]
        is_password = given.get("inbox_auth") == PASSWORD
        yield by_name["inbox_password" if is_password else "inbox_key"]
        yield by_name["inbox_networks"]


def _user(given: Mapping[str, str]) -> str:
    """Return the user of a share, or "" for a guest."""
    return source_keys.user_of(given.get("source"))


def default(name: str, given: Mapping[str, str]) -> str:
    """Return the answer that Enter gives to a question about the export, or ""."""
    defaults = {
        "export": LATER,
        "inbox_user": f"sis-{given.get('feed', '')}"[:LONGEST_USER].strip("-"),
        "inbox_auth": KEY,
        "source_auth": PASSWORD,
        "source_after": "keep",
    }
    return defaults.get(name, "")


def forget(name: str, given: dict[str, str]) -> None:
    """Remove the answers that depend on one that has changed."""
    dependent = {
        "export": ANSWERS,
        "inbox_auth": ("inbox_key", "inbox_password"),
        "source_auth": ("source_password",),
    }
    for other in dependent.get(name, ()):
        given.pop(other, None)

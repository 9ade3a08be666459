"""Sources of exports: shares and unknown schemes, and what a host makes of them."""

from __future__ import annotations

from typing import Any

import pytest
from roster_fleet.sources import (
    SmbSource,
    auth_of,
    cross_problems,
    for_program,
    local_folders,
    local_path,
    problem,
    problems,
    removed_twice,
    share_of,
)

PATH = "/srv/roster-upload/elm/OneRoster.zip"
SHARE = "smb://MAPLE;svc%20roster@files.example:1445/SIS%20out/2026/night/One#Roster-*.zip"
SFTP = "sftp://maple@sis.example/out/*.zip"


def feed(source: object = PATH, **more: Any) -> dict[str, Any]:
    return {"feed": "elm", "source": source, **more}


def messages(source: str) -> list[str]:
    """Return the messages about a source."""
    found = [found.message for found in problems(feed(source)) if found.key == "source"]
    assert problem(source) == (found[0] if found else None)
    return found


def test_a_share_is_parsed() -> None:
    assert share_of(feed(SHARE)) == SmbSource(
        domain="MAPLE",
        user="svc roster",
        host="files.example",
        port=1445,
        share="SIS out",
        folder="2026/night",
        name="One#Roster-*.zip",
    )
    guest = SmbSource.parse("smb://[2001:db8::7]/SIS/One%25.zip")
    assert (guest.user, guest.host, guest.port) == ("", "2001:db8::7", 445)
    assert (guest.share, guest.folder, guest.name) == ("SIS", "", "One%.zip")


@pytest.mark.parametrize("source", [PATH, SFTP, None, 7])
def test_other_sources_are_no_share(source: object) -> None:
    assert share_of(feed(source)) is None
    assert for_program(feed(source)) == feed(source)


def test_the_program_reads_a_share_where_it_is_mounted() -> None:
    assert for_program(feed(SHARE, district="Elm")) == {
        "feed": "elm",
        "district": "Elm",
        "source": "/srv/roster-source/elm/One#Roster-*.zip",
        "source_origin": SHARE,
    }


@pytest.mark.parametrize(
    ("source", "path"),
    [(PATH, PATH), (SFTP, ""), (SHARE, "/srv/roster-source/elm/One#Roster-*.zip")],
)
def test_a_host_reads_paths_and_shares_by_itself(source: str, path: str) -> None:
    assert local_path(feed(source)) == path


def test_folders_are_named_once() -> None:
    feeds = [feed(), feed(SFTP), feed(SHARE), feed("/mnt/sis/a.zip"), feed("/mnt/sis/b.zip")]
    folders = ["/srv/roster-upload/elm", "/srv/roster-source/elm", "/mnt/sis"]
    assert local_folders(feeds) == folders


@pytest.mark.parametrize(
    ("source", "auth", "found"),
    [
        (PATH, "key", ""),
        (SFTP, None, "password"),
        (SFTP, "password", "password"),
        (SFTP, "key", "key"),
        (SHARE, "key", "password"),
        ("smb://files/SIS/a.zip", "password", ""),
    ],
)
def test_a_login_depends_on_the_source(source: str, auth: str | None, found: str) -> None:
    assert auth_of(feed(source, source_auth=auth)) == found


def test_a_path_and_a_share_are_allowed() -> None:
    assert messages(PATH) == messages(SHARE) == messages("/srv/a..b/..zip") == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("/srv/a/../b.zip", "must not hold the part .."),
        ("b.zip", "Use an absolute path, sftp://"),
        ("", "Use an absolute path, sftp://"),
        (r"\\files\SIS\a.zip", "looks like a Windows share. Write smb://"),
        ("//files/SIS/a.zip", "looks like a Windows share. Write smb://"),
        (r"smb:\\files\SIS\a.zip", "looks like a Windows share. Write smb://"),
    ],
)
def test_a_path_that_is_not_plain_is_refused(source: str, words: str) -> None:
    [message] = messages(source)
    assert words in message


@pytest.mark.parametrize(
    "source",
    [
        "sftp://u:a/secret@h/x.zip",
        "smb://u:a/secret@h/s/x.zip",
        "u:secret@h.example:/x.zip",
        "https://h/x.zip?token=secret",
        "ftp://u:secret@h/x.zip",
    ],
)
def test_a_secret_in_a_source_is_not_shown(source: str) -> None:
    [message] = messages(source)
    assert "secret@" not in message
    assert "=secret" not in message


@pytest.mark.parametrize(
    "source",
    ["ftp://a@b/c.zip", "https://b/c.zip", "file:///c.zip", "SFTP://a@b/c.zip", "c:/export.zip"],
)
def test_an_unknown_scheme_is_refused_with_the_known_ones(source: str) -> None:
    [message] = messages(source)
    assert "unknown scheme" in message
    for allowed in ("absolute path", "sftp://USER@HOST/PATH/NAME", "smb://SERVER/SHARE/PATH/NAME"):
        assert allowed in message


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("smb://files/a.zip", "must hold a share and a file"),
        ("smb://files/SIS/", "must hold a share and a file"),
        ("smb://files", "must hold a share and a file"),
        ("smb:///SIS/a.zip", "wrong server"),
        ("smb://files:0/SIS/a.zip", "wrong server or port"),
        ("smb://files:70000/SIS/a.zip", "wrong server or port"),
        ("smb://fi les/SIS/a.zip", "wrong server or port"),
        ("smb://files/SIS/../a.zip", "no . or .."),
        ("smb://files/SIS/%2e%2e/a.zip", "no . or .."),
        ("smb://files/SIS//a.zip", "must hold a share"),
        ("smb://files/SIS/*/a.zip", "last part only"),
        ("smb://files/S?S/a.zip", "last part only"),
        ("smb://files/SIS/a%2Fb.zip", "encoded /"),
        ("smb://files/SIS/%2a.zip", "encoded /"),
        ("smb://files/SIS/%0a.zip", "control characters"),
        ("smb://files/SIS/100%.zip", "%25"),
        ("smb://files/SIS/%ff.zip", "UTF-8"),
        (r"smb://files\SIS\a.zip", "has backslashes. Write smb://"),
        (r"smb://files/SIS/night\a.zip", "has backslashes. Write smb://"),
        ("smb://[:::]/SIS/a.zip", "not a host name or address"),
        ("smb://MAPLE%5Csvc@files/SIS/a.zip", "DOMAIN;USER"),
        ("smb://svc%25secret@files/SIS/a.zip", "percent sign"),
        ("smb://svc,seal@files/SIS/a.zip", "cannot be mounted"),
        ("smb://files/SIS/Exports,%20nightly/a.zip", "cannot be mounted"),
        ("smb://files/SIS/night%20/a.zip", "a space at either end"),
    ],
)
def test_a_wrong_share_is_refused(source: str, words: str) -> None:
    [message] = messages(source)
    assert words in message


@pytest.mark.parametrize("end", ["@files/SIS/a.zip", "@files/*/a", "@files", "/x@files/SIS/a.zip"])
@pytest.mark.parametrize("scheme", ["smb", "ftp", "https"])
def test_a_password_in_a_url_is_not_shown(scheme: str, end: str) -> None:
    [message] = messages(f"{scheme}://svc:hunter2{end}")
    assert "hunter2" not in message


def test_a_password_in_a_share_belongs_into_the_vault_file() -> None:
    [message] = messages("smb://svc:hunter2@files/SIS/a.zip")
    assert "vault file, as secret below source" in message


# ---- files that a feed removes ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        ({}, {}, []),
        ({"source_after": "remove"}, {}, ["a"]),
        ({}, {"source_after": "remove"}, ["b"]),
        ({"source_after": "remove"}, {"source_after": "remove"}, ["a"]),
        ({"source_after": "remove"}, {"source": "sftp://maple@SIS.example:22/out/*"}, ["a"]),
        ({"source_after": "remove"}, {"source": "sftp://other@sis.example/out/x.zip"}, []),
        ({"source_after": "remove"}, {"source": "sftp://maple@sis.example:23/out/x.zip"}, []),
        ({"source_after": "remove"}, {"source": "sftp://maple@other.example/out/x.zip"}, []),
        ({"source_after": "remove"}, {"source": "sftp://maple@sis.example/in/x.zip"}, []),
        ({"source_after": "remove"}, {"source": "sftp://maple@sis.example/out/x.csv"}, []),
        ({"source_after": "remove"}, {"source": "/out/x.zip"}, []),
        ({"source_after": "remove"}, {"source": ["x"]}, []),
        ({"source_after": "remove"}, {"source": "sftp://"}, []),
    ],
)
def test_a_removed_file_is_fetched_by_one_feed(
    first: dict[str, Any], second: dict[str, Any], named: list[str]
) -> None:
    feeds = [
        {**feed(SFTP), "feed": "a", **first},
        {**feed("sftp://maple@sis.example/out/x.zip"), "feed": "b", **second},
    ]
    found = list(removed_twice([("one", feeds[0]), ("two", feeds[1])]))
    assert [remover[1] for remover, _, _ in found] == named
    assert [{remover[0], other[0]} for remover, other, _ in found] == [{"one", "two"}] * len(named)
    messages = [one.message for one in cross_problems(feeds) if one.key == "source_after"]
    assert [message.split()[0] for message in messages] == named

"""The slots of credentials on a host, from the feeds and their vault files."""

from __future__ import annotations

from typing import Any

import pytest
from credential_slots import (
    feed_credentials,
    feeds_of_other_kind,
    feeds_without_secret,
    rotated_feeds,
    rotation_slots,
    unrotated_rows,
)

LOCKS = "/run/locks"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----"


def feed(name: str = "elm", auth: str = "password") -> dict[str, Any]:
    return {"feed": name, "district": name.title(), "auth": auth}


def kept(
    secrets: dict[str, Any], auth: str = "password", alerts: dict[str, Any] | None = None
) -> dict[str, dict[str, Any]]:
    """The credentials of one feed, by name."""
    found = feed_credentials([feed(auth=auth)], secrets, alerts or {}, LOCKS)
    return {one["name"]: one for one in found}


def test_a_secret_is_kept_for_its_feed() -> None:
    entry = {"secret": "s", "since": "2026-11-01"}
    found = kept({"elm": entry, "fir": {"secret": "other"}})
    assert {name: one for name, one in found.items() if one.get("state") != "absent"} == {
        "elm_current": {
            "name": "elm_current",
            "path": "/etc/roster-upload/credentials/elm/current",
            "lock": "/run/locks/elm",
            "secret": "s",
            "accept": [],
            "since": "2026-11-01",
            "newer_only": True,
        },
        "elm_state": {
            "name": "elm_state",
            "path": "/etc/roster-upload/credentials/elm/state",
            "generate": "bytes",
        },
    }
    assert found["elm_source_current"] == {
        "name": "elm_source_current",
        "path": "/etc/roster-upload/credentials/elm/source_current",
        "state": "absent",
    }


def test_secrets_that_nothing_needs_any_more_leave_the_host() -> None:
    """Also those of an earlier release. A unit does not start with a file that is locked."""
    found = kept({"elm": {"secret": "s"}}, alerts={"heartbeat": "h"})
    folder = "/etc/roster-upload/credentials/elm"
    for name in ("alerts", "webhook", "smtp"):
        absent = {"name": f"elm_{name}", "path": f"{folder}/{name}", "state": "absent"}
        assert found[f"elm_{name}"] == absent
    assert found["elm_heartbeat"]["secret"] == "h"


def test_during_a_rotation_both_secrets_are_right() -> None:
    assert kept({"elm": {"secret": "s", "next": "n"}})["elm_current"]["accept"] == ["n"]


@pytest.mark.parametrize("entry", [{}, {"elm": {}}, {"elm": {"next": "n"}}])
def test_a_feed_without_a_secret_has_a_key_of_its_host(entry: dict[str, Any]) -> None:
    current = kept(entry, auth="key")["elm_current"]
    assert current["generate"] == "ssh_key"
    assert "secret" not in current


def test_each_feed_has_the_secrets_of_its_alerts() -> None:
    alerts = {"heartbeat": "h", "urls": ["ntfy://a", "ntfy://b"]}
    found = kept({"elm": {"secret": "s"}}, alerts=alerts)
    folder = "/etc/roster-upload/credentials/elm"
    for name, secret in (("heartbeat", "h"), ("alerts", '["ntfy://a", "ntfy://b"]')):
        one = found[f"elm_{name}"]
        assert (one["path"], one["secret"]) == (f"{folder}/{name}", secret)


@pytest.mark.parametrize(
    ("secrets", "given", "auth", "is_hosts_key", "old", "new"),
    [
        ({"secret": "s"}, "", "password", False, "s", ""),
        ({"secret": "s", "next": "n"}, "", "password", False, "s", "n"),
        ({"secret": "s", "next": "n"}, "typed", "password", False, "s", "typed"),
        ({}, "typed", "password", False, "", "typed"),
        ({}, "", "key", True, "", ""),
        ({"secret": KEY}, "", "key", False, KEY, ""),
    ],
)
def test_a_rotated_feed(
    secrets: dict[str, str], given: str, auth: str, is_hosts_key: bool, old: str, new: str
) -> None:
    [one] = rotated_feeds([feed(auth=auth)], {"elm": secrets}, given)
    assert (one["is_hosts_key"], one["secret"], one["new"]) == (is_hosts_key, old, new)
    assert (one["feed"], one["district"], one["since"]) == ("elm", "Elm", "")


@pytest.mark.parametrize(
    ("one", "current", "pending"),
    [
        ({"is_hosts_key": True}, {"generate": "ssh_key"}, {"generate": "ssh_key"}),
        ({"new": "n", "secret": "s"}, {"secret": "n", "accept": ["s"]}, {"state": "absent"}),
        ({}, {"state": "absent"}, {"state": "absent"}),
    ],
)
def test_the_slots_that_a_rotation_compares(
    one: dict[str, Any], current: dict[str, Any], pending: dict[str, Any]
) -> None:
    given = {"feed": "elm", "is_hosts_key": False, "new": "", "secret": ""} | one
    first, second = rotation_slots([given])
    root = "/etc/roster-upload"
    assert first == {
        "name": "elm_current", "path": f"{root}/credentials/elm/current", **current
    }  # fmt: skip
    assert second == {"name": "elm_pending", "path": f"{root}/pending/elm/pending", **pending}


def test_feeds_without_a_secret_are_named() -> None:
    feeds = [feed("elm"), feed("fir"), feed("oak", "key")]
    assert feeds_without_secret(feeds, {"elm": {"secret": "s"}, "fir": {"next": "n"}}) == ["fir"]


def test_feeds_with_a_secret_of_the_other_kind_are_named() -> None:
    feeds = [feed("elm"), feed("fir"), feed("oak", "key"), feed("yew", "key"), feed("ash", "key")]
    secrets = {
        "elm": {"secret": "s"},
        "fir": {"secret": KEY},
        "oak": {"secret": KEY},
        "yew": {"secret": "s"},
    }
    assert feeds_of_other_kind(feeds, secrets) == ["fir", "yew"]


# ---- the login at the server of a source --------------------------------------------------------

SFTP, GUEST = {"source": "sftp://maple@sis.example/a.zip"}, {"source": "smb://files/SIS/a.zip"}
SMB, PATH = {"source": "smb://maple@files/SIS/a.zip"}, {"source": "/srv/a.zip"}
BY_KEY = {**SFTP, "source_auth": "key"}
SOURCES = {"a": SFTP, "b": BY_KEY, "c": SMB, "d": GUEST, "e": PATH}


@pytest.mark.parametrize("source", [SFTP, SMB])
def test_the_password_of_a_source_has_a_slot_of_its_own(source: dict[str, str]) -> None:
    entry = {"secret": "s", "source": {"secret": "p", "since": "2026-11-02", "next": "n"}}
    found = feed_credentials([{**feed(), **source}], {"elm": entry}, {}, LOCKS)
    one = {item["name"]: item for item in found}
    assert one["elm_current"]["secret"] == "s"
    assert one["elm_source_current"] == {
        "name": "elm_source_current",
        "path": "/etc/roster-upload/credentials/elm/source_current",
        "lock": "/run/locks/elm",
        "secret": "p",
        "accept": ["n"],
        "since": "2026-11-02",
        "newer_only": True,
    }


def test_the_host_makes_the_key_of_a_source() -> None:
    found = feed_credentials([{**feed(), **BY_KEY}], {"elm": {"secret": "s"}}, {}, LOCKS)
    assert found[1]["generate"] == "ssh_key"


@pytest.mark.parametrize("source", [GUEST, PATH])
def test_without_a_login_at_a_source_its_credential_goes(source: dict[str, str]) -> None:
    entry = {"secret": "s", "source": {"secret": "p"}}
    found = feed_credentials([{**feed(), **source}], {"elm": entry}, {}, LOCKS)
    assert found[1]["state"] == "absent"
    assert "secret" not in found[1]


def test_a_rotation_of_sources_takes_their_own_secrets() -> None:
    feeds = [{**feed(name), **source} for name, source in SOURCES.items()]
    secrets = {"a": {"secret": "s", "next": "x", "source": {"secret": "p", "next": "n"}}}
    found = rotated_feeds(feeds, secrets, "", "source")
    assert [(it["feed"], it["secret"], it["new"], it["is_hosts_key"]) for it in found] == [
        ("a", "p", "n", False),
        ("b", "", "", True),
    ]
    first = rotation_slots(found, "source")[:2]
    assert [(it["name"], it["path"]) for it in first] == [
        ("a_source_current", "/etc/roster-upload/credentials/a/source_current"),
        ("a_source_pending", "/etc/roster-upload/pending/a/source_pending"),
    ]
    rows = unrotated_rows(feeds, "source")
    assert [(row["feed"], "site.yml" in row["note"]) for row in rows] == [
        ("c", True),
        ("d", False),
        ("e", False),
    ]
    assert unrotated_rows(feeds, "vendor") == []


def test_a_source_without_its_secret_is_named() -> None:
    feeds = [{**feed(name), **source} for name, source in SOURCES.items()]
    secrets: dict[str, Any] = {name: {"secret": "s"} for name in SOURCES}
    assert feeds_without_secret(feeds, secrets, "source") == ["a", "c"]
    secrets["a"] |= {"source": {"secret": "p"}}
    secrets["c"] |= {"source": {"next": "p"}}
    assert feeds_without_secret(feeds, secrets, "source") == ["c"]
    assert feeds_without_secret(feeds, secrets) == []


def test_a_sources_secret_of_the_other_kind_is_named() -> None:
    feeds = [{**feed("a"), **SFTP}, {**feed("b"), **BY_KEY}, {**feed("c"), **PATH}]
    secrets = {name: {"source": {"secret": KEY}} for name in "abc"}
    assert feeds_of_other_kind(feeds, secrets, "source") == ["a"]

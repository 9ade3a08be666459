"""The rows that playbooks hand to the closing table, and the feeds that a run is about."""

from __future__ import annotations

from typing import Any

import pytest
from playbook_rows import checked_rows, chosen_feeds, send_rows, site_rows, unsent
from schedule_files import planned_timers, timer_files

FEED = {"feed": "elm", "district": "Elm", "auth": "password"}
STARTS = {
    "elm": {"roster-upload": ["07:11", "07:55"], "roster-watch": ["08:30"]},
    "fir": {"roster-upload": ["07:12"]},
}


def test_a_run_is_about_all_feeds_or_one() -> None:
    feeds = [FEED, {**FEED, "feed": "fir"}]
    assert chosen_feeds(feeds) == feeds
    assert chosen_feeds(feeds, "fir") == feeds[1:]
    assert chosen_feeds(feeds, "typo") == []


def test_a_checked_feed_has_a_row() -> None:
    [row] = checked_rows([FEED])
    assert (row["district"], row["feed"], row["did"]) == ("Elm", "elm", "checked")


@pytest.mark.parametrize(
    ("auth", "kept", "words", "silent"),
    [
        ("password", {}, ["07:11, 07:55 UTC"], ["key", "password"]),
        ("key", {"public_keys": {"elm_current": "ssh-ed25519 A"}}, ["ssh-ed25519 A"], ["password"]),
        ("key", {"held": {"elm_current": "other"}}, ["rotate_key_action=generate"], []),
        ("password", {"held": {"elm_current": "other"}}, [], ["rotate_key_action"]),
        (
            "key",
            {"held": {"elm_current": "other"}, "changed_names": ["elm_current"]},
            [],
            ["rotate_key_action"],
        ),
    ],
)
def test_a_provisioned_feed_says_when_and_how_it_logs_in(
    auth: str, kept: dict[str, Any], words: list[str], silent: list[str]
) -> None:
    result = {"public_keys": {}, "held": {"elm_current": "wanted"}, "changed_names": []} | kept
    [row] = site_rows([{**FEED, "auth": auth}], STARTS, result if kept else None)
    assert [word for word in words if word not in row["note"]] == []
    assert [word for word in silent if word in row["note"]] == []


def test_a_row_has_the_key_for_the_server_of_a_source() -> None:
    kept = {"public_keys": {"elm_source_current": "ssh-ed25519 AAAA"}}
    [row] = site_rows([FEED], STARTS, kept)
    assert "the public key for the SIS's server: ssh-ed25519 AAAA" in row["note"]
    assert "for the vendor" not in row["note"]


@pytest.mark.parametrize(
    ("code", "changed", "is_check", "did"),
    [
        (0, True, False, "sent"),
        (0, False, False, "nothing to send"),
        (29, False, True, "nothing to send"),
        (5, False, False, "NOT SENT"),
        (0, True, True, "would be tried"),
        (5, False, True, "could NOT be sent"),
    ],
)
def test_a_delivery_has_a_row(code: int, changed: bool, is_check: bool, did: str) -> None:
    result = {"item": FEED, "exit_code": code, "changed": changed, "said": "words"}
    [row] = send_rows([result], is_check=is_check)
    is_good = code in {0, 29}
    assert row == {"district": "Elm", "feed": "elm", "did": did, "note": "words", "ok": is_good}
    assert unsent([result]) == ([] if is_good else ["elm"])


def test_each_planned_unit_has_an_enabled_timer() -> None:
    timers = planned_timers(STARTS)
    assert [(one["feed"], one["unit"], one["starts"]) for one in timers] == [
        ("elm", "roster-upload", ["07:11", "07:55"]),
        ("elm", "roster-watch", ["08:30"]),
        ("fir", "roster-upload", ["07:12"]),
    ]
    table, *files = timer_files(timers, ["a", "b", "c"])
    assert table == {"path": "/etc/cron.d/roster-upload", "state": "absent"}
    units = "/etc/systemd/system"
    assert files[2] == {"path": f"{units}/roster-watch@elm.timer", "content": "b"}
    assert files[3] == {
        "path": f"{units}/timers.target.wants/roster-watch@elm.timer",
        "state": "link",
        "target": f"{units}/roster-watch@elm.timer",
    }
    assert len(files) == 2 * len(timers)

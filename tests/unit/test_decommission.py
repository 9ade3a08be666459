"""Decommissioning: the feeds, inboxes and folders that it removes, and those that stay."""

from __future__ import annotations

from typing import Any

import pytest
from decommission import PROGRAM, decommission_rows, removed_exports, removed_paths

SHARED = "/srv/roster-upload/a/x.zip"


def feed(name: str, source: str = "") -> dict[str, Any]:
    source = source or f"/srv/roster-upload/{name}/OneRoster.zip"
    return {"feed": name, "district": name.title(), "source": source}


@pytest.mark.parametrize(
    ("source", "staying", "removed"),
    [
        ("/srv/roster-upload/elm/x.zip", [], ["/srv/roster-upload/elm"]),
        ("/srv/roster-upload/a/b/x.zip", [], ["/srv/roster-upload/a/b"]),
        # Another feed reads the same export, one beside it, or one below.
        ("/srv/roster-upload/a/x.zip", ["/srv/roster-upload/a/x.zip"], []),
        ("/srv/roster-upload/a/x.zip", ["/srv/roster-upload/a/y.zip"], [SHARED]),
        ("/srv/roster-upload/a/x.zip", ["/srv/roster-upload/a/b/y.zip"], [SHARED]),
        ("/srv/roster-upload/a/x.zip", ["/srv/roster-upload/ab/y.zip"], ["/srv/roster-upload/a"]),
        # Not the project's own.
        ("/srv/roster-upload/x.zip", [], []),
        ("/srv/roster-upload//x.zip", [], []),
        ("/srv/roster-upload/../x/y.zip", [], []),
        ("/srv/roster-upload/a/../../x/y.zip", [], []),
        ("/mnt/sis/elm/x.zip", [], []),
        ("/srv/roster-uploads/elm/x.zip", [], []),
        ("/srv/sis-inbox/sis/incoming/x.zip", [], []),
    ],
)  # fmt: skip
def test_an_export_goes_with_its_folder_unless_others_need_it(
    source: str, staying: list[str], removed: list[str]
) -> None:
    others = [feed(f"other-{number}", path) for number, path in enumerate(staying)]
    assert removed_exports([feed("elm", source)], others) == removed


@pytest.mark.parametrize("source", ["sftp://a@b/srv/roster-upload/elm/x.zip", "smb://a@b/S/x.zip"])
def test_an_export_on_another_server_stays(source: str) -> None:
    assert removed_exports([feed("elm", source)], [feed("fir", source)]) == []


def test_an_export_of_two_feeds_that_go_is_removed_once() -> None:
    source = "/srv/roster-upload/both/x.zip"
    assert removed_exports([feed("elm", source), feed("fir", source)], []) == [
        "/srv/roster-upload/both"
    ]


UNITS = [
    "/etc/systemd/system/roster-upload@.service",
    "/etc/systemd/system/roster-upload@elm.service.d",
    "/etc/systemd/system/roster-upload@elm-north.service.d",
    "/etc/systemd/system/roster-upload@fir.service.d",
]


def test_one_of_several_feeds_takes_nothing_of_the_others() -> None:
    assert removed_paths([feed("elm")], [feed("elm-north"), feed("fir")], UNITS) == [
        "/var/lib/roster-upload/elm",
        "/var/cache/roster-upload/elm",
        "/run/roster-upload/elm",
        "/etc/systemd/system/roster-upload@elm.service.d",
        "/etc/roster-upload/elm.toml",
        "/etc/roster-upload/credentials/elm",
        "/etc/roster-upload/pending/elm",
        "/etc/roster-upload/previous/elm",
        "/srv/roster-upload/elm",
    ]


def test_the_last_feed_takes_the_program_along() -> None:
    found = removed_paths([feed("elm"), feed("fir")], [], UNITS, ["/srv/inbox"])
    assert found[-len(PROGRAM) - len(UNITS) :] == [*PROGRAM, *UNITS]
    assert {"/srv/inbox", "/srv/roster-upload/elm", "/srv/roster-upload/fir"} <= set(found)


def test_without_a_feed_nothing_of_others_goes() -> None:
    assert removed_paths([], [feed("elm")], [*UNITS, "/etc/systemd/system/x@.service.d"]) == []


FETCHED = [{"item": {"item": {"feed": "elm"}}, "dest": "/receipts/elm.jsonl"}]


def test_a_row_says_what_is_left_to_do() -> None:
    elm, fir = decommission_rows(
        [feed("elm", "/srv/sis-inbox/a/incoming/x.zip"), feed("fir", "/mnt/sis/x.zip")],
        FETCHED,
        "It is out of the inventory",
    )
    assert (elm["district"], elm["feed"], elm["did"]) == ("Elm", "elm", "removed")
    assert "its receipts: /receipts/elm.jsonl" in elm["note"]
    assert "It is out of the inventory. Ask the vendor" in elm["note"]
    assert "stays" not in elm["note"]
    assert "it had no receipts" in fir["note"]
    assert "Its export at /mnt/sis/x.zip stays" in fir["note"]
    [oak] = decommission_rows([feed("oak", "sftp://a@sis.example/x.zip")], FETCHED, "x")
    assert "Its export at sftp://a@sis.example/x.zip stays. Ask for the end" in oak["note"]


def test_a_check_promises() -> None:
    [elm] = decommission_rows([feed("elm")], FETCHED, "x", is_check=True)
    assert elm["did"] == "would be removed"
    assert "would be fetched" in elm["note"]
    # In check mode the module says nothing of where.
    bare: list[dict[str, Any]] = [{"item": {"item": {"feed": "elm"}}}, {"skipped": True}]
    [elm] = decommission_rows([feed("elm")], bare, "x", is_check=True)
    assert "would be fetched" in elm["note"]

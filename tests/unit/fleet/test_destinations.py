"""Two ways to write a place at the vendor are one place."""

from __future__ import annotations

from roster_fleet import destinations

FEED = {"feed": "elm", "remote_host": "a.example", "remote_port": 22}
FEED |= {"remote_dir": "imagine/1-Elm/product", "remote_name": "OneRoster.zip"}


def test_the_server_is_case_insensitive_and_the_path_is_not() -> None:
    same = {
        **FEED,
        "feed": "oak",
        "remote_host": "A.example",
        "remote_dir": "/imagine/1-Elm/product/",
    }
    other = {**FEED, "remote_dir": "imagine/1-elm/product"}
    found = destinations.shared([("x", FEED), ("y", same), ("z", other)])
    assert [*found.values()] == [[("x", "elm"), ("y", "oak")]]


def test_a_path_has_many_forms() -> None:
    forms = ("./imagine/1-Elm/product", "imagine//1-Elm/./product", "//imagine/1-Elm/x/../product")
    found = {destinations.remote_file({**FEED, "remote_dir": form}) for form in forms}
    found.add(destinations.remote_file({**FEED, "remote_host": "a.example."}))
    assert found == {destinations.remote_file(FEED)}

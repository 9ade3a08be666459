"""The texts of the watch: bounded, printable, and a statement a paragraph."""

from __future__ import annotations

from dataclasses import replace

from roster_fleet.watch import message
from roster_fleet.watch.message import Scene
from roster_fleet.watch.news import Entry, News

SCENE = Scene("mine", "/build/mine/status.html")
RED = Entry("roster-1", "elm", "Elm", "2026-11-24", ("the guard holds it",), "Look.")


def test_many_red_districts_are_counted_and_not_all_listed() -> None:
    entries = [replace(RED, feed=f"elm-{number}") for number in range(message.LISTED + 3)]
    made = message.of_news(News(entries, {}), SCENE)
    assert made.title == "mine: 23 districts red"
    assert made.body.count(" is red: ") == message.LISTED
    assert "And 3 more. The page lists all." in made.body
    assert len(made.values["red"]) == len(entries)


def test_thousands_do_not_make_a_body_that_a_server_refuses() -> None:
    entries = [replace(RED, feed=f"elm-{number}") for number in range(message.VALUED + 3)]
    resolved = {str(number): f"district {number}" for number in range(message.VALUED + 2)}
    values = message.of_news(News(entries, resolved), SCENE).values
    assert (len(values["red"]), len(values["resolved"])) == (message.VALUED, message.VALUED)
    assert values["omitted"] == 5


def test_many_resolved_ones_are_counted_too() -> None:
    resolved = {str(number): f"district {number}" for number in range(message.LISTED + 2)}
    made = message.of_news(News([], resolved), SCENE)
    assert made.title == "mine: 22 in order again"
    assert made.body.split("\n\n")[0].endswith("district 19 and 2 more")


def test_many_causes_of_a_failure_are_bounded() -> None:
    """Thousands of districts may each have a channel that does not work."""
    made = message.of_failure(SCENE, [f"slack ({n}) is down" for n in range(message.LISTED + 4)])
    assert made.body.count("Cause: ") == message.LISTED
    assert "And 4 more. The watch's output lists all." in made.body


def test_new_and_resolved_are_one_message() -> None:
    made = message.of_news(News([RED], {"roster-2/": "roster-2"}), SCENE)
    assert (made.title, made.kind) == ("mine: 1 district red", "failure")
    assert "\n\nIn order again: roster-2\n\n" in made.body


def test_a_hosts_text_is_printable() -> None:
    made = message.of_news(News([replace(RED, name="Elm\x1b[2J\n")], {}), SCENE)
    assert "\x1b" not in made.title + made.body

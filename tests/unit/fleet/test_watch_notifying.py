"""Messages of the watch: the channels that get them, and those that do not work."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from roster_fleet.watch import notifying
from roster_fleet.watch.message import Scene
from roster_fleet.watch.news import Entry
from roster_fleet.watch.state import State

SCENE = Scene("mine", "/srv/rosters/build/mine/status.html")
HELD = Entry("roster-1", "elm", "Elm", "2026-11-24", ("the guard holds the export",), "Look.")
STALE = Entry("roster-2", "oak", "Oak", "2026-11-24", ("the export is old",), "Ask the SIS.")
GONE = Entry("roster-3", "", "roster-3", "2026-11-24", ("unreachable",), "Check it.")
ASKED = ["roster-1", "roster-2", "roster-3"]


class Post:
    """Keep what was sent. Addresses in `broken` do not work."""

    def __init__(self, *broken: str) -> None:
        self.broken = broken
        self.sent: list[tuple[tuple[str, ...], str, str, str]] = []
        self.values: list[Mapping[str, Any]] = []

    def __call__(
        self, urls: Sequence[str], title: str, body: str, kind: str, values: Mapping[str, Any]
    ) -> list[str]:
        self.sent.append((tuple(urls), title, body, kind))
        self.values.append(values)
        return [f"the alert to {url} did not work" for url in urls if url in self.broken]


def run(
    entries: Sequence[Entry], state: State, post: Post, urls: Mapping[str, Sequence[str]]
) -> tuple[State, list[str]]:
    """Notify, with these URLs of each host."""
    return notifying.notify(entries, state, ASKED, lambda host, _: urls.get(host, ()), SCENE, post)


def test_one_message_names_all_that_is_red_and_silent() -> None:
    post = Post()
    state, troubles = run(
        [GONE, HELD, STALE], State(), post, {host: ["json://a", "json://b"] for host in ASKED}
    )
    assert troubles == []
    [(urls, title, body, kind)] = post.sent
    assert urls == ("json://a", "json://b")
    assert (title, kind) == ("mine: 2 districts red, 1 host silent", "failure")
    assert "Elm (elm on roster-1) is red: the guard holds the export\n\nNext step: Look." in body
    assert "roster-3 is silent: unreachable\n\nNext step: Check it." in body
    assert SCENE.page in body
    assert "No host answered" not in body
    assert [value["feed"] for value in post.values[0]["red"]] == ["elm", "oak"]
    assert [value["host"] for value in post.values[0]["silent"]] == ["roster-3"]
    assert set(state.told) == {"roster-1/elm", "roster-2/oak", "roster-3/"}


def test_a_single_silent_host_does_not_blame_the_control_node() -> None:
    post = Post()
    notifying.notify([GONE], State(), [GONE.host], lambda *_: ["json://a"], SCENE, post)
    [(_, _, body, _)] = post.sent
    assert "No host answered" not in body


def test_channels_are_notified_beside_each_other() -> None:
    """Each of thousands of districts may have a channel of its own that takes its full time."""
    both = threading.Barrier(2, timeout=20)

    def send(urls: Sequence[str], *_: Any) -> list[str]:
        both.wait()
        return [f"{url} is down" for url in urls]

    urls = {"roster-1": ["json://a"], "roster-2": ["json://b"]}
    _, troubles = notifying.notify(
        [HELD, STALE], State(), ASKED, lambda host, _: urls[host], SCENE, send
    )
    assert troubles == ["json://a is down", "json://b is down"]


def test_nothing_is_sent_if_all_is_green_or_known() -> None:
    post = Post()
    urls = {host: ["json://a"] for host in ASKED}
    assert run([], State(), post, urls) == (State(), [])
    state, _ = run([HELD], State(), post, urls)
    assert run([HELD], state, post, urls) == (state, [])
    assert len(post.sent) == 1


def test_each_channel_hears_of_its_own_districts_only() -> None:
    post = Post()
    urls = {"roster-1": ["json://north", "json://all"], "roster-2": ["json://south", "json://all"]}
    run([HELD, STALE], State(), post, urls)
    heard = {url: title for urls, title, _, _ in post.sent for url in urls}
    assert heard["json://all"] == "mine: 2 districts red"
    assert heard["json://north"] == heard["json://south"] == "mine: 1 district red"
    bodies = {url: body for urls, _, body, _ in post.sent for url in urls}
    assert "Oak" not in bodies["json://north"]
    assert "Elm" not in bodies["json://south"]


def test_one_channel_that_works_is_enough_and_the_other_is_named() -> None:
    post = Post("json://a")
    state, troubles = run([HELD], State(), post, {"roster-1": ["json://a", "json://b"]})
    assert troubles == ["the alert to json://a did not work"]
    assert set(state.told) == {"roster-1/elm"}


def test_what_no_channel_took_is_sent_again() -> None:
    urls = {"roster-1": ["json://a"]}
    state, troubles = run([HELD], State(), Post("json://a"), urls)
    assert troubles
    assert state.told == {}
    post = Post()
    state, troubles = run([HELD], state, post, urls)
    assert (len(post.sent), troubles) == (1, [])
    assert set(state.told) == {"roster-1/elm"}


def test_a_red_district_without_a_channel_is_a_failure() -> None:
    post = Post()
    state, troubles = run([HELD, STALE], State(), post, {"roster-1": ["json://a"]})
    [trouble] = troubles
    assert trouble.startswith("no alert channel: Oak (oak on roster-2). Set roster_upload_alert_u")
    assert set(state.told) == {"roster-1/elm"}
    assert "Oak" not in post.sent[0][2]


def test_what_is_in_order_again_is_told_as_a_success() -> None:
    urls = {host: ["json://a"] for host in ASKED}
    state, _ = run([HELD, GONE], State(), Post(), urls)
    post = Post()
    state, troubles = run([], state, post, urls)
    [(_, title, body, kind)] = post.sent
    assert (title, kind, troubles) == ("mine: 2 in order again", "success", [])
    assert "In order again: Elm (elm on roster-1), roster-3" in body
    assert state.told == {}


def test_if_no_host_answers_the_own_network_is_named() -> None:
    post = Post()
    silent = [Entry(host, "", host, "2026-11-24", ("timed out",), "-") for host in ASKED]
    run(silent, State(), post, {host: ["json://a"] for host in ASKED})
    assert "look at the network of this control node first" in post.sent[0][2]


def test_a_failure_of_the_watch_goes_to_all_channels() -> None:
    post = Post("json://b")
    hosts = {"one": ["json://a", "json://b"], "two": ["json://a"]}
    urls = notifying.all_addresses(list(hosts), lambda host, _: hosts[host])
    assert urls == ["json://a", "json://b"]
    found = notifying.notify_of_failure(["status.yml ended with code 4"], urls, SCENE, post)
    assert found == ["the alert to json://b did not work"]
    [(_, title, body, kind)] = post.sent
    assert (title, kind) == ("mine: the watch failed", "failure")
    assert "Cause: status.yml ended with code 4" in body
    [none] = notifying.notify_of_failure([], [], SCENE, post)
    assert "no host of the inventory has one" in none

"""Hosts' answers on the control node's terminal, and commands that end."""

from __future__ import annotations

import importlib.util
import json
import shlex
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from hypothesis import given
from hypothesis import strategies as st
from roster_fleet import asking, commands, terminal
from roster_fleet.asking import Answer
from roster_upload import __version__

ROOT = Path(__file__).resolve().parents[2]
GUARD = ROOT / "roles/roster_common/callback_plugins/untrusted_hosts.py"
VERIFY = ROOT / "roles/roster_upload/action_plugins/verify_feeds.py"
DELIVER = ROOT / "roles/roster_upload/action_plugins/deliver_feed.py"


def module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one\n\ttwo\r\n", "one\n\ttwo\n"),
        ("\x1b[31mred\x1b[0m \x1b[0;32mok\x1b[0m", "\x1b[31mred\x1b[0m \x1b[0;32mok\x1b[0m"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x1b[8mhidden\x1b[30mblack", r"\x1b[8mhidden\x1b[30mblack"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x1b]52;c;aWQ=\x07", r"\x1b]52;c;aWQ=\x07"),
        ("one\rtwo\x9b2J\u202e", r"one\rtwo\x9b2J\u202e"),
        ("x" * 5000, "x" * 5000),
    ],
)
def test_the_terminal_gets_lines_and_colours(text: str, shown: str) -> None:
    assert terminal.shown(text) == shown


@given(st.text(st.characters()))
def test_what_was_shown_stays_and_steers_nothing(text: str) -> None:
    once = terminal.shown(text)
    assert terminal.shown(once) == once
    rest = "".join(terminal.KEPT.split(once)[::2])
    assert rest.isprintable()


def test_all_that_ansible_displays_goes_through_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ActionBase, "_parse_returned_data", ActionBase._parse_returned_data)
    told: list[Any] = []
    guard = module(GUARD)
    display = SimpleNamespace(display=lambda *a, **o: told.append((a, o)), verbosity=0)
    monkeypatch.setattr(guard.CallbackBase.__init__, "__defaults__", (display, None))
    for _ in range(2):
        guard.CallbackModule()
    display.display("\x1b[2J", color="red", stderr=True)
    assert told == [((r"\x1b[2J",), {"color": "red", "stderr": True})]


def test_a_module_brings_no_statistics_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Ansible reads what a host has printed, in each release of ansible-core."""
    parse = ActionBase._parse_returned_data
    printed = json.dumps({"changed": True, "ansible_stats": {"data": {"fleet_report": []}}})
    answer = {"stdout": printed, "stderr": "", "rc": 0}
    action = SimpleNamespace(_used_interpreter=None)

    def statistics() -> Any:
        read = ActionBase._parse_returned_data(action, answer, "legacy")
        assert (read["changed"] if isinstance(read, dict) else read.changed) is True
        return read.get("ansible_stats") if isinstance(read, dict) else read.stats

    assert statistics()
    monkeypatch.setattr(ActionBase, "_parse_returned_data", parse)
    module(GUARD).CallbackModule()
    assert not statistics()


class Action:
    """An action whose host runs the script here, or gives a prepared answer."""

    def __init__(self, **answer: Any) -> None:
        self.answer = answer

    def _low_level_execute_command(self, script: str, **_: Any) -> dict[str, Any]:
        if self.answer:
            return self.answer
        done = subprocess.run(
            ["/bin/sh", "-c", script], capture_output=True, text=True, check=False
        )
        return {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


def test_an_answer_is_what_was_printed() -> None:
    answer = asking.ask(Action(), "printf 'a\\033[2J'; echo b >&2; exit 3")
    assert answer == Answer(3, "a\x1b[2J", "b\n")
    assert answer.message == r"b a\x1b[2J"
    assert asking.ask(Action(), "true").message == "it printed nothing"


def test_a_host_that_does_not_answer_fails_in_time() -> None:
    start = time.monotonic()
    with pytest.raises(AnsibleActionFail, match="did not answer within 1 s"):
        asking.ask(Action(), "exec sleep 600", 1)
    assert time.monotonic() - start < 300


def test_an_answer_that_is_too_long_is_refused() -> None:
    for stream in ("stdout", "stderr"):
        told = {"rc": 0, "stdout": "", "stderr": ""} | {stream: "x" * 1_000_001}
        with pytest.raises(AnsibleActionFail, match="has 1,000,001 characters"):
            asking.ask(Action(**told), "")


CHECK = {"check": "login", "ok": False, "ready": False, "exit_code": 9, "text": "was refused"}
START = {"check": "next start", "ok": True, "ready": True, "exit_code": 0, "text": "07:12"}


def verified(feeds: Any, **more: Any) -> str:
    """The answer of `roster-upload verify --json`."""
    return json.dumps({"schema": 1, "program": __version__, "feeds": feeds, **more})


def of(feed: str, *checks: Any) -> dict[str, Any]:
    return {"feed": feed, "checks": list(checks)}


def test_checks_are_read_by_their_schema() -> None:
    feeds = [of("birch", CHECK), of("alder", CHECK | {"more": 1}) | {"more": 1}]
    action = Action(rc=9, stdout=verified(feeds, more=1))
    assert asking.checks_of(action, "alder") == [CHECK]
    silent = {key: value for key, value in START.items() if key != "ready"}
    action = Action(rc=0, stdout=verified([of("alder", silent)]))
    assert asking.checks_of(action, "alder") == [{**START, "ready": False}]


@pytest.mark.parametrize(
    ("output", "wrong"),
    [
        ("env: \x1b]0;x\x07", r"env: \\x1b\]0;x\\x07"),
        ("", "it printed nothing"),
        ("[" * 100_000, r"\["),
        ("{}", "{}"),
        ("[]", r"\[\]"),
        (verified({}), "not understood: feeds is not a list"),
        (verified([of("alder", CHECK | {"exit_code": "9"})]), r"checks\[0\].exit_code is not"),
        (verified([of("alder", CHECK | {"ok": 1})]), r"checks\[0\].ok is neither"),
        (verified([of("alder", {})]), r"feeds\[0\].checks\[0\].check is not text"),
        (verified([of("birch", CHECK)]), "has not checked alder"),
        (verified([of("alder")]), "has not checked alder"),
    ],
)
def test_an_answer_that_does_not_fit_fails_for_its_host(output: str, wrong: str) -> None:
    with pytest.raises(AnsibleActionFail, match=wrong):
        asking.checks_of(Action(rc=0, stdout=output), "alder")


def test_a_row_of_verify() -> None:
    row = module(VERIFY).row
    assert row("alder", [START]) == {"feed": "alder", "did": "ready", "note": "07:12", "ok": True}
    told = row("alder", [START, CHECK, CHECK | {"check": "clock", "text": "off"}])
    assert told == {
        "feed": "alder", "did": "login, clock", "note": "was refused; off", "ok": False
    }  # fmt: skip
    assert row("alder", []) == {"feed": "alder", "did": "not checked", "note": "", "ok": False}


def test_a_row_of_verify_with_the_test_of_the_alerts() -> None:
    with_alerts = module(VERIFY).with_alerts
    ready = {"feed": "alder", "did": "ready", "note": "07:12", "ok": True}
    good = Answer(0, "slack: accepted (0.3 s)\nntfy: accepted (0.1 s)\n")
    note = "07:12; slack: accepted (0.3 s); ntfy: accepted (0.1 s)"
    assert with_alerts(ready, good) == {**ready, "note": note}
    bad = Answer(31, "slack: HTTP 403 from hooks.slack.com (0.3 s)\x1b[2J\n")
    note = r"slack: HTTP 403 from hooks.slack.com (0.3 s)\x1b[2J; 07:12"
    told = with_alerts(ready, bad)
    assert told == {**ready, "did": "alerts", "note": note, "ok": False}
    assert with_alerts({**ready, "did": "login", "ok": False}, bad)["did"] == "login, alerts"


@pytest.mark.parametrize(
    ("check", "did"),
    [
        ("calendar", "nothing planned tonight"),
        ("export", "waits for the export"),
        ("content", "not rehearsed"),
        ("of a newer release", "not checked"),
    ],
)
def test_what_is_open_is_not_ready(check: str, did: str) -> None:
    row = module(VERIFY).row
    left = START | {"check": check, "ready": False, "text": "look"}
    assert row("alder", [START, left]) == {
        "feed": "alder", "did": did, "note": "look", "ok": True
    }  # fmt: skip
    assert row("alder", [START, left, CHECK])["did"] == "login", "a fault comes first"


@pytest.mark.parametrize(
    ("check", "ok", "code", "changed", "shown"),
    [
        ("export", False, 18, False, 18),
        ("content", False, 4, False, 4),
        ("content", False, 17, False, 17),
        ("content", True, 0, True, 0),
        ("export", True, 19, True, 0),  # a delivery waits until it is written
        ("calendar", True, 29, False, 29),
        ("next start", False, 14, True, 0),  # it is sent now
    ],
)
def test_a_preview_of_sending_knows_what_verify_knows(
    monkeypatch: pytest.MonkeyPatch, check: str, ok: bool, code: int, changed: bool, shown: int
) -> None:
    found = {"check": check, "ok": ok, "ready": False, "exit_code": code, "text": "look"}
    monkeypatch.setattr(asking, "checks_of", lambda *_, **__: [found])
    action = module(DELIVER).ActionModule
    seen = action.foreseen(action.__new__(action), "alder")
    assert (seen["changed"], seen["exit_code"]) == (changed, shown)
    assert seen["said"] == (
        "look" if code == shown else "rehearse it: roster-upload rehearse alder"
    )


@given(st.dictionaries(st.sampled_from(["feed", "why"]), st.text(st.characters(codec="utf-8"))))
def test_values_stay_values_in_a_shell(values: dict[str, str]) -> None:
    words = shlex.split(commands.playbook("approve", "a host", "my inventory", **values))
    assert words[:6] == ["ansible-playbook", "playbooks/approve.yml", "-i", "my inventory",
                         "--limit", "a host"]  # fmt: skip
    assert words[6] == "-e"
    assert json.loads(words[7]) == values
    assert len(words) == 8

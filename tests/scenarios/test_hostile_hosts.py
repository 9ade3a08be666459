"""A compromised host, and one that answers SSH but no command, beside a good one."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from roster_fleet.report import stamp
from scenarios.conftest import Play, Played, row
from support import fleets, lab_fleet
from support.lab_hosts import INVENTORY, Host, connect

EVIL, GOOD = "lab-trixie", "lab-bookworm"
FEED, GOOD_FEED = "alder-valley", "birch-hill"
ESCAPES = "\x1b]0;All districts delivered\x07\x1b[2J\x1b[H\u202e\x9b31m\r"
INJECTION = "alder-valley ansible_ssh_common_args='-o ProxyCommand=touch${IFS}/tmp/x'"
FOLDER = "/run/hostile"
PROGRAMS = {"python3": "/usr/bin/python3", "roster-upload": "/usr/local/bin/roster-upload"}


class Compromised:
    """A host whose Python and upload program answer as a test wants."""

    def __init__(self, host: Host) -> None:
        self.host = host
        shown = host.check_output(
            "systemctl list-units --type=timer --state=active --plain --no-legend"
        )
        self.timers = " ".join(line.split()[0] for line in shown.splitlines())

    def replace(self) -> None:
        # The host's own services would endlessly write the programs' output into its journal.
        self.host.check_output(f"systemctl stop {self.timers} cron.service")
        self.host.check_output("mkdir -p %s", FOLDER)
        for name, path in PROGRAMS.items():
            self.put(name, f"#!/bin/sh\ncat > /dev/null\nexec sh {FOLDER}/act")
            self.host.check_output(
                f"chmod 755 {FOLDER}/{name} && mount --bind {FOLDER}/{name} {path}"
            )

    def put(self, name: str, text: str) -> None:
        done = self.host.backend.run_with(text.encode(), f"cat > {FOLDER}/{name}")
        assert done.succeeded, done.stderr

    def answer(self, text: str) -> None:
        """Let both programs print a text."""
        self.put("answer", text)
        self.put("act", f"cat {FOLDER}/answer")

    def restore(self) -> None:
        for path in PROGRAMS.values():
            self.host.run("umount %s", path)
        self.host.check_output("rm -r %s", FOLDER)
        self.host.check_output(f"systemctl start {self.timers} cron.service")


@pytest.fixture(scope="module")
def evil() -> Iterator[Compromised]:
    compromised = Compromised(connect(EVIL))
    try:
        compromised.replace()
        yield compromised
    finally:
        compromised.restore()


def of_module(**more: object) -> str:
    """Return the output of a module that tries more than to answer."""
    told = {
        "changed": False,
        "warnings": [ESCAPES],
        "ansible_facts": {"ansible_connection": "local"},
        "ansible_stats": {"data": ESCAPES, "per_host": True, "aggregate": True},
        **more,
    }
    return json.dumps(told, ensure_ascii=False)


def of_program(answer: dict[str, object]) -> str:
    """Return the output of the upload program, as JSON that is not escaped."""
    return json.dumps(answer, ensure_ascii=False)


def report(**values: object) -> dict[str, object]:
    """A report that claims to be of the feed that the inventory assigns to the host."""
    feed = fleets.feed(20, 5, "held") | {"feed": FEED, "district": ESCAPES, **values}
    return fleets.report([feed], time=stamp(fleets.NOW))


def assert_plain(done: Played) -> None:
    """Assert that no text from a host controls the terminal."""
    for character in (done.stdout + done.stderr).replace("\n", ""):
        assert character.isprintable() or character == "\t", repr(character)


def shown(play: Play, *arguments: str) -> tuple[str, str]:
    """Return the rows of both hosts on the terminal. Nothing else of the run has failed."""
    done = play("status", INVENTORY, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_plain(done)
    table = done.stdout.partition("District")[2]
    lines = table.splitlines()
    start = next(index for index, line in enumerate(lines) if f" {EVIL} " in line)
    assert any(f" {GOOD_FEED} " in line and f" {GOOD} " in line for line in lines), table
    return " ".join(" ".join(lines[start : start + 6]).split()), page()


def page() -> str:
    return lab_fleet.outputs_of(INVENTORY).page.read_text()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (of_program(report(feed=INJECTION)), "feeds[0].feed is not a feed's name"),
        (of_program({"schema": 2, "program": ESCAPES}), "could not be read: {"),
        (of_module(schema=1, feeds=[]), "the host has no feed"),
        ("roster-upload 0.1.0", "the host runs release 0.1.0"),
        ("[" * 100_000, "could not be read"),
        (ESCAPES, "could not be read"),
        ("", "could not be read"),
    ],
)
def test_a_report_blinds_nobody(evil: Compromised, play: Play, answer: str, told: str) -> None:
    evil.answer(answer)
    text, html = shown(play)
    assert told in text
    assert "ansible_ssh_common_args" not in html


def test_a_command_is_of_the_inventory_and_its_values_stay_values(
    evil: Compromised, play: Play
) -> None:
    evil.answer(of_program(report()))
    shown(play)
    command = f'-e \'{{"roster_feed": "{FEED}", "approve_digest": "{fleets.DIGEST}"'
    assert json.dumps(command)[1:-1] in page()
    evil.answer(of_program(report(feed="not-planned")))
    text, _ = shown(play)
    assert "the inventory gives the host no feed of this name" in text
    assert "approve.yml" not in page()


@pytest.mark.parametrize("act", ["sleep 900", "yes"])
def test_a_stuck_host_and_an_endless_answer_end(evil: Compromised, play: Play, act: str) -> None:
    evil.put("act", act)
    text, _ = shown(play, "-e", "roster_status_timeout=10")
    assert "could not be read" in text


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (
            ("verify",),
            of_program(
                {
                    "schema": 1,
                    "feeds": [
                        {
                            "feed": FEED,
                            "checks": [
                                {"check": "export", "ok": False, "exit_code": 9, "text": ESCAPES}
                            ],
                        }
                    ],
                }
            ),
        ),
        (("send", "--check"), ESCAPES),
    ],
)
def test_answers_are_shown_as_text(
    evil: Compromised, play: Play, words: tuple[str, ...], answer: str
) -> None:
    evil.answer(answer)
    playbook, *check = words
    done = play(playbook, INVENTORY, *check)
    assert done.returncode != 0
    assert_plain(done)
    row(done.stdout, EVIL, "All districts delivered")
    row(done.stdout, GOOD, GOOD_FEED)


def test_what_the_journal_says_is_shown_as_text(evil: Compromised, play: Play) -> None:
    evil.answer(ESCAPES)
    done = play("send", INVENTORY)
    assert_plain(done)
    row(done.stdout, GOOD, GOOD_FEED)


@pytest.mark.parametrize(
    "answer",
    [
        ESCAPES,
        "[]",
        of_program({"schema": 1, "result": ESCAPES, "digest": "ab" * 32, "held": [ESCAPES]}),
        of_program({"schema": 1, "result": "approved", "digest": "ab" * 32, "held": [ESCAPES]}),
    ],
)
def test_an_approval_shows_what_is_held_as_text(evil: Compromised, play: Play, answer: str) -> None:
    evil.answer(answer)
    values = {
        "roster_feed": FEED,
        "approve_digest": "0" * 16,
        "approve_reason": "three schools have closed",
    }
    done = play("approve", INVENTORY, "--limit", EVIL, "-e", json.dumps(values))
    assert_plain(done)
    assert EVIL in done.stdout


def test_a_module_neither_ends_a_run_nor_sets_its_rows(evil: Compromised, play: Play) -> None:
    """The main job asks by modules, whose results can bring statistics of the run."""
    evil.answer(of_module(msg=ESCAPES, failed=True, rc=1))
    done = play("site", INVENTORY, "--check")
    assert_plain(done)
    assert "FAILED" in row(done.stdout, EVIL, "FAILED")
    assert "Unexpected Exception" not in done.stdout + done.stderr
    row(done.stdout, GOOD, GOOD_FEED)

"""Questions about a district: only valid answers end them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from ansible.errors import AnsiblePromptInterrupt, AnsiblePromptNoninteractive
from ansible.utils.display import Display
from roster_fleet.onboard.districts import COLUMNS, INBOX_COLUMNS, District, OnboardError
from roster_fleet.onboard.questions import ask_fingerprint, interview

GIVEN = {"host": "oak", "district": "Oak County", "site_code": "1", "username": "r@oak.example"}
NOT_GIVEN = ("host", "password", *INBOX_COLUMNS)


class Terminal:
    """An operator who types these answers, and the output."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.output = ""
        self.hidden: list[str] = []

    def prompt_until(self, question: str, *, private: bool) -> bytes:
        self.output += question
        if private:
            self.hidden.append(question)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    it = Terminal()
    display = Display()

    def show(message: str, *_: Any, **__: Any) -> None:
        it.output += message + "\n"

    monkeypatch.setattr(display, "prompt_until", it.prompt_until)
    monkeypatch.setattr(display, "display", show)
    return it


def plan_of(districts: Sequence[District]) -> District:
    [district] = districts
    return district


def ask(values: dict[str, Any]) -> District:
    return interview(values, plan_of)


# The answers to all questions that GIVEN leaves open.
OPEN = [b"", b"", b"", b"", b"", b" hush ", b""]


def test_only_missing_values_are_asked_for(terminal: Terminal) -> None:
    terminal.answers = [*OPEN, b""]
    district = ask(GIVEN)
    assert district.feed == "oak-county"  # the suggestion
    assert district.password == " hush "
    assert len(terminal.hidden) == 1
    assert "hush" not in terminal.output
    assert "  1  host            oak\n" in terminal.output
    assert "(hidden)" in terminal.output
    assert terminal.answers == []


def test_a_question_is_repeated_until_the_answer_is_valid(terminal: Terminal) -> None:
    given = {column.name: "x" for column in COLUMNS if column.name not in NOT_GIVEN}
    terminal.answers = [b"", b"\xff", b"all", b"{{ x }}", b"oak", b"", b"ftp", b"later", b""]
    assert ask(given).host == "oak"
    for message in ("must not be empty", "not UTF-8", "reserved name of Ansible", "'ftp' is not"):
        assert message in terminal.output


def test_an_answer_can_be_corrected_before_anything_is_written(terminal: Terminal) -> None:
    terminal.answers = [*OPEN, b"99", b"3", b"Elm", b"1", b"all", b"elm", b""]
    district = ask(GIVEN)
    assert (district.host, district.district, district.feed) == ("elm", "Elm", "elm")
    assert "'99' is not a number from 1 to 11" in terminal.output


def test_a_conflict_loses_no_answer(terminal: Terminal) -> None:
    def refuse_oak(districts: Sequence[District]) -> District:
        if districts[0].username == "r@oak.example":
            raise OnboardError(["the district, username: is taken"])
        return districts[0]

    terminal.answers = [*OPEN, b"", b"9", b"s@oak.example", b""]
    assert interview(GIVEN, refuse_oak).username == "s@oak.example"
    assert "Not possible yet: the district, username: is taken" in terminal.output


@pytest.mark.parametrize(
    "last", [[b"q"], [AnsiblePromptInterrupt("ctrl-c")], [b"3", AnsiblePromptInterrupt("ctrl-c")]]
)
def test_who_quits_gets_no_plan(last: list[bytes | Exception], terminal: Terminal) -> None:
    terminal.answers = [*OPEN, *last]
    with pytest.raises(OnboardError):
        ask(GIVEN)


def test_an_interrupt_of_the_plan_ends_the_questions(terminal: Terminal) -> None:
    terminal.answers = [*OPEN, AnsiblePromptInterrupt("ctrl-c")]
    with pytest.raises(OnboardError, match="interrupted"):
        interview(GIVEN, lambda _: ask_fingerprint("x:22", "SHA256:x", ""))


def test_the_sis_logs_in_or_writes_to_a_path(terminal: Terminal) -> None:
    key = b"ssh-ed25519 AAAAC3Nz sis"
    terminal.answers = [*OPEN[:-1], b"sftp", b"", b"x", key, b"", b"203.0.113.9", b""]
    district = ask(GIVEN)
    assert district.inbox_user == "sis-oak-county"
    assert district.feed_values["source"] == "/srv/sis-inbox/sis-oak-county/incoming/OneRoster.zip"
    assert "is not a public key" in terminal.output
    terminal.answers = [*OPEN[:-1], b"path", b"mnt", b"/mnt/oak.zip", b"11", b"later", b""]
    assert ask(GIVEN).feed_values == {}
    terminal.answers = [*OPEN[:-1], b"path", b"/mnt/oak.zip", b""]
    assert ask(GIVEN).feed_values == {"source": "/mnt/oak.zip"}


def test_without_a_terminal_the_options_are_named(terminal: Terminal) -> None:
    terminal.answers = [AnsiblePromptNoninteractive("no terminal")]
    assert ask(GIVEN).feed == "oak-county"
    assert "-e onboard_NAME=..." in terminal.output


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"password": "hush"}, "onboard_password is not allowed"),
        ({"sitecode": "1"}, "onboard_sitecode is unknown"),
        ({"host": "all"}, "onboard_host: 'all' is a reserved name"),
    ],
)
def test_wrong_values_are_refused_before_anything_is_asked(
    values: dict[str, str], problem: str, terminal: Terminal
) -> None:
    with pytest.raises(OnboardError, match=problem) as failed:
        ask(values)
    assert "hush" not in str(failed.value)
    assert terminal.output == ""

"""Questions about a district: only valid answers end them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsiblePromptInterrupt, AnsiblePromptNoninteractive
from ansible.utils.display import Display
from roster_fleet.onboard.districts import COLUMNS, OnboardError
from roster_fleet.onboard.questions import ask

GIVEN = {"host": "oak", "district": "Oak County", "site_code": "1", "username": "r@oak.example"}


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


def test_only_missing_values_are_asked_for(terminal: Terminal) -> None:
    terminal.answers = [b"", b"", b"", b"", b"", b" hush "]
    answers = ask(GIVEN)
    assert answers["feed"] == "oak-county"  # the suggestion
    assert answers["password"] == " hush "
    assert [*answers] == [*GIVEN, "address", "product", "sis", "region", "feed", "password"]
    assert len(terminal.hidden) == 1
    assert "hush" not in terminal.output


def test_a_question_is_repeated_until_the_answer_is_valid(terminal: Terminal) -> None:
    given = {column.name: "x" for column in COLUMNS if column.name not in ("host", "password")}
    terminal.answers = [b"", b"\xff", b"all", b"oak", b""]
    assert ask(given)["host"] == "oak"
    for message in ("must not be empty", "not UTF-8", "reserved name of Ansible"):
        assert message in terminal.output


def test_without_a_terminal_the_options_are_named(terminal: Terminal) -> None:
    terminal.answers = [AnsiblePromptNoninteractive("no terminal")]
    assert ask(GIVEN) == GIVEN
    assert "-e onboard_NAME=..." in terminal.output


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"password": "hush"}, "onboard_password is not allowed"),
        ({"sitecode": "1"}, "onboard_sitecode is unknown"),
    ],
)
def test_wrong_names_are_refused(values: dict[str, str], problem: str) -> None:
    with pytest.raises(OnboardError, match=problem) as failed:
        ask(values)
    assert "hush" not in str(failed.value)


def test_an_interrupt_ends_the_questions(terminal: Terminal) -> None:
    terminal.answers = [AnsiblePromptInterrupt("ctrl-c")]
    with pytest.raises(OnboardError, match="interrupted"):
        ask(GIVEN)

"""Questions about a district: only valid answers end them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from ansible.errors import AnsiblePromptInterrupt, AnsiblePromptNoninteractive
from ansible.utils.display import Display
from roster_fleet.onboard.districts import (
    COLUMNS,
    INBOX_COLUMNS,
    SOURCE_COLUMNS,
    Column,
    District,
    OnboardError,
)
from roster_fleet.onboard.questions import ask_fingerprint, interview, summary

GIVEN = {"host": "oak", "district": "Oak County", "site_code": "1", "username": "r@oak.example"}
NOT_GIVEN = ("host", "password", *INBOX_COLUMNS, *SOURCE_COLUMNS)


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
    terminal.answers = [b"", b"\xff", b"all", b"{{ x }}", b"oak", b"", b"ftp", b"Later", b""]
    assert ask(given).host == "oak"
    for message in (
        "must not be empty",
        "not UTF-8",
        "reserved name of Ansible",
        "'ftp' is not one",
    ):
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


def test_what_a_plan_leaves_open_is_shown_before_it_is_written(terminal: Terminal) -> None:
    terminal.answers = [*OPEN, b""]
    interview(GIVEN, plan_of, lambda _: ["SIS's host key NOT PINNED. x does not answer"])
    assert "Not finished by this: SIS's host key NOT PINNED." in terminal.output


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
        interview(GIVEN, lambda _: ask_fingerprint("x:22", "SHA256:x", "the vendor", ""))


def test_the_sis_logs_in_or_writes_to_a_path(terminal: Terminal) -> None:
    key = b"ssh-ed25519 AAAAC3Nz sis"
    inbox = [b"sftp", b"inbox", b"", b"", b"x", key, b"", b"203.0.113.9", b""]
    terminal.answers = [*OPEN[:-1], *inbox]
    district = ask(GIVEN)
    assert (district.inbox_user, district.inbox_auth) == ("sis-oak-county", "key")
    assert district.feed_values["source"] == "/srv/sis-inbox/sis-oak-county/incoming/OneRoster.zip"
    assert "'sftp' is now called inbox (the SIS pushes) or fetch" in terminal.output
    assert "is not a public key" in terminal.output
    path = [b"path", b"sftp://u@sis/x.zip", b"\\\\files\\x", b"mnt", b"/mnt/oak.zip"]
    terminal.answers = [*OPEN[:-1], *path, b"11", b"later", b""]
    assert ask(GIVEN).feed_values == {}
    assert "is a URL, not a path. Choose fetch or share" in terminal.output
    assert "is a Windows share. Choose share" in terminal.output
    terminal.answers = [*OPEN[:-1], b"path", b"/mnt/oak.zip", b""]
    assert ask(GIVEN).feed_values == {"source": "/mnt/oak.zip"}


def test_the_sis_logs_in_by_password(terminal: Terminal) -> None:
    auth = [b"inbox", b"", b"Password", b"sis-oak-county", b"Sis-Oak-1", b"", b"203.0.113.9"]
    terminal.answers = [*OPEN[:-1], *auth, b"13", b"key", b"ssh-ed25519 AAAAC3", b""]
    district = ask(GIVEN)
    assert district.inbox_password == ""
    assert district.inbox_account == {
        "user": "sis-oak-county",
        "networks": ["203.0.113.9/32"],
        "authorized_keys": ["ssh-ed25519 AAAAC3"],
    }
    assert "(generated)" in terminal.output
    assert "is too weak" in terminal.output
    assert "Sis-Oak-1" not in terminal.output
    assert "inbox_password" in terminal.hidden[1]
    terminal.answers = [*OPEN[:-1], *auth, b""]
    assert (ask(GIVEN).inbox_account or {})["password"] is True


def test_the_host_fetches_from_the_sis(terminal: Terminal) -> None:
    url = b"sftp://maple@sis.example:2022/out/*.zip"
    wrong = [b"", b"ftp://sis.example/x", b"sftp://maple:hush@sis.example/x", b"sftp://sis.example"]
    fetch = [b"fetch", *wrong, url, b"x", b"", b"delete", b"Remove", b" hush "]
    terminal.answers = [*OPEN[:-1], *fetch, b""]
    district = ask(GIVEN)
    assert district.source_password == " hush "
    assert district.feed_values == {
        "source": url.decode(),
        "source_auth": "password",
        "source_after": "remove",
    }
    for message in ("must not be empty", "does not begin with sftp://", "'delete' is not keep or"):
        assert message in terminal.output
    assert "hush" not in terminal.output
    assert "source_password" in terminal.hidden[1]
    terminal.answers = [*OPEN[:-1], b"fetch", url, b"key", b"", b""]
    assert ask(GIVEN).feed_values["source_auth"] == "key"


def test_the_host_reads_a_share(terminal: Terminal) -> None:
    unc = b"\\\\files\\sis\\out\\x.zip"
    url = b"smb://DISTRICT;svc@files/sis/out/x.zip"
    terminal.answers = [*OPEN[:-1], b"share", unc, url, b"hush", b""]
    district = ask(GIVEN)
    assert (district.feed_values, district.source_password) == ({"source": url.decode()}, "hush")
    assert "write it as a URL, with the user: smb://USER@files/sis/out/x.zip" in terminal.output
    # A guest has no password.
    terminal.answers = [*OPEN[:-1], b"share", b"smb://files/sis/x.zip", b""]
    assert ask(GIVEN).feed_values == {"source": "smb://files/sis/x.zip"}


def test_given_values_are_not_asked_for_again(terminal: Terminal) -> None:
    given = GIVEN | {"source": "sftp://u@sis.example/x.zip", "source_after": "keep"}
    terminal.answers = [*OPEN[:-1], b"", b"hush", b""]
    assert ask(given).source_password == "hush"
    assert "How does the SIS" not in terminal.output


def test_a_long_key_fits_a_line_of_the_summary() -> None:
    key = f"ssh-ed25519 {'A' * 68} sis"
    [line] = summary(
        [Column("inbox_key", "a key", lambda _: None)], {"inbox_key": key}
    ).splitlines()
    assert len(line) <= 80
    assert line.endswith(" sis")


def test_without_a_terminal_the_options_are_named(terminal: Terminal) -> None:
    terminal.answers = [AnsiblePromptNoninteractive("no terminal")]
    assert ask(GIVEN).feed == "oak-county"
    assert "-e onboard_NAME=..." in terminal.output


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"password": "hush"}, "onboard_password is not allowed"),
        ({"inbox_password": "hush"}, "onboard_inbox_password is not allowed"),
        ({"source_password": "hush"}, "onboard_source_password is not allowed"),
        ({"export": "sftp"}, "onboard_export: 'sftp' is now called inbox"),
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

"""Questions to a host that may be stuck or compromised: an answer in time and bounded, or none."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple, NoReturn

from ansible.errors import AnsibleActionFail
from roster_upload.terminal.printable import printable

from roster_fleet.report import LONGEST_MESSAGE, Reader, UnfitError, several, table, text, whole

SECONDS = 60  # for a look
LONGEST_ANSWER = 1_000_000  # characters
CHECKS = several(table({"check": text, "exit_code": whole, "told": text}))


class SilentError(BaseException):
    """The time for an answer is over; no `except Exception` of Ansible's may take it."""


class Answer(NamedTuple):
    """What a script on a host has ended with, and what it has printed."""

    code: int
    output: str
    errors: str = ""

    @property
    def message(self) -> str:
        """All that it has printed as one printable line."""
        words = f"{self.errors} {self.output}".split()
        return printable(" ".join(words), LONGEST_MESSAGE) or "it printed nothing"


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Raise SilentError where what is done takes longer. The task has no timeout of its own."""

    def over(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SilentError

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def ask(action: Any, script: str, seconds: int = SECONDS) -> Answer:
    """Run a shell script on the host of an Ansible action. Raise AnsibleActionFail in the end.

    No module is run: what a module returns can set facts and statistics, too.
    """
    run = action._low_level_execute_command
    try:
        with within(seconds):
            # With something to read there is no terminal, which would mix errors into the answer.
            done = run(script, executable="/bin/sh", in_data=b"\n")
    except SilentError:
        raise AnsibleActionFail(
            f"the host did not answer within {seconds} s; look at it before it is asked again"
        ) from None
    output, errors = str(done["stdout"]), str(done.get("stderr", ""))
    if (length := len(output) + len(errors)) > LONGEST_ANSWER:
        raise AnsibleActionFail(
            f"the host's answer has {length:,} characters; {LONGEST_ANSWER:,} are read at most"
        )
    return Answer(int(done["rc"]), output, errors)


def understood(answer: Answer, reader: Reader) -> Any:
    """Return the values of an answer in JSON. Raise AnsibleActionFail where they do not fit."""
    try:
        found = json.loads(answer.output)
    except (ValueError, RecursionError):
        raise AnsibleActionFail(answer.message) from None
    try:
        return reader(found, "")
    except UnfitError as error:
        raise AnsibleActionFail(f"the host's answer was not understood: {error}") from None


def checks_of(answer: Answer, feed: str) -> list[Mapping[str, Any]]:
    """Return what `roster-upload verify --json` has told of a feed. Raise AnsibleActionFail."""
    found = understood(answer, table({feed: CHECKS}))
    checks: list[Mapping[str, Any]] = found[feed]
    return checks

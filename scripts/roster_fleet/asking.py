"""Questions to hosts that may be stuck or compromised. Time and length of answers are limited."""

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

SECONDS = 60  # for a quick question
LONGEST_ANSWER = 1_000_000  # characters
CHECKS = several(table({"check": text, "exit_code": whole, "told": text}))


class SilentError(BaseException):
    """The time for an answer is over. Ansible's `except Exception` must not catch it."""


class Answer(NamedTuple):
    """The exit code and the output of a script on a host."""

    code: int
    output: str
    errors: str = ""

    @property
    def message(self) -> str:
        """Return the whole output as one printable line."""
        words = f"{self.errors} {self.output}".split()
        return printable(" ".join(words), LONGEST_MESSAGE) or "it printed nothing"


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Raise SilentError if the block takes longer. The task has no timeout of its own."""

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
    """Run a shell script on the host of an Ansible action. Raise AnsibleActionFail.

    It runs no module, because the result of a module can set facts and statistics.
    """
    run = action._low_level_execute_command
    try:
        with within(seconds):
            # Input prevents a terminal, which would mix errors into the answer.
            done = run(script, executable="/bin/sh", in_data=b"\n")
    except SilentError:
        raise AnsibleActionFail(
            f"the host did not answer within {seconds} s. Look at it before you ask it again"
        ) from None
    output, errors = str(done["stdout"]), str(done.get("stderr", ""))
    if (length := len(output) + len(errors)) > LONGEST_ANSWER:
        raise AnsibleActionFail(
            f"the host's answer has {length:,} characters. At most {LONGEST_ANSWER:,} are read"
        )
    return Answer(int(done["rc"]), output, errors)


def understood(answer: Answer, reader: Reader) -> Any:
    """Return the values of a JSON answer. Raise AnsibleActionFail if they do not fit the schema."""
    try:
        found = json.loads(answer.output)
    except (ValueError, RecursionError):
        raise AnsibleActionFail(answer.message) from None
    try:
        return reader(found, "")
    except UnfitError as error:
        raise AnsibleActionFail(f"the host's answer was not understood: {error}") from None


def checks_of(answer: Answer, feed: str) -> list[Mapping[str, Any]]:
    """Return the checks of a feed by `roster-upload verify --json`. Raise AnsibleActionFail."""
    found = understood(answer, table({feed: CHECKS}))
    checks: list[Mapping[str, Any]] = found[feed]
    return checks

"""Questions to a host that may be stuck or compromised. Answers are bounded in time and size."""

from __future__ import annotations

import json
import re
import shlex
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple, NoReturn

from ansible.errors import AnsibleActionFail
from roster_upload import __version__
from roster_upload.terminal.output import SCHEMA
from roster_upload.terminal.printable import printable

from roster_fleet.report import (
    LONGEST_MESSAGE,
    Reader,
    UnfitError,
    flag,
    maybe,
    other_release,
    release_of,
    several,
    table,
    text,
    whole,
)

SECONDS = 60  # for a quick question
LONGEST_ANSWER = 1_000_000  # characters
NOT_FOUND = 127  # a shell's exit code
VERSION_NUMBER = re.compile(r"\d{1,4}(\.\d{1,4}){1,3}(\+[0-9a-f]{1,40})?")
VERSION = re.compile(rf"roster-upload ({VERSION_NUMBER.pattern})")
# A host that does not say that a feed is ready has not looked at everything.
READY = maybe(flag, default=False)
CHECK = table({"check": text, "ok": flag, "ready": READY, "exit_code": whole, "text": text})
VERIFIED = table({"feeds": several(table({"feed": text, "checks": several(CHECK)}))})
Check = Mapping[str, Any]


class SilentError(BaseException):
    """No answer came in time. It is no Exception, since Ansible would catch that."""


class Answer(NamedTuple):
    """Exit code and output of a script on a host."""

    code: int
    output: str
    errors: str = ""

    @property
    def message(self) -> str:
        """Return errors and output as one printable line."""
        words = f"{self.errors} {self.output}".split()
        return printable(" ".join(words), LONGEST_MESSAGE) or "it printed nothing"


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Raise SilentError if the block takes longer. The task must have no timeout of its own."""

    def over(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SilentError

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def ask(action: Any, script: str, seconds: int = SECONDS, longest: int = LONGEST_ANSWER) -> Answer:
    """Run a shell script on the host of an Ansible action. Raise AnsibleActionFail without answer.

    It runs no module, because the result of a module can set facts and statistics.
    """
    run = action._low_level_execute_command
    try:
        with within(seconds):
            # Input prevents a terminal, which would mix errors into the answer.
            done = run(script, executable="/bin/sh", in_data=b"\n")
    except SilentError:
        raise AnsibleActionFail(
            f"the host did not answer within {seconds} s. Look at it before you ask again"
        ) from None
    output, errors = str(done["stdout"]), str(done.get("stderr", ""))
    if (length := len(output) + len(errors)) > longest:
        raise AnsibleActionFail(
            f"the host's answer has {length:,} characters. At most {longest:,} are read"
        )
    return Answer(int(done["rc"]), output, errors)


class OtherReleaseError(AnsibleActionFail):  # type: ignore[misc]  # Ansible carries no types
    """The host's program has another release. This control node cannot read its answers."""

    def __init__(self, program: str) -> None:
        super().__init__(other_release(program))


class NoProgramError(AnsibleActionFail):  # type: ignore[misc]  # Ansible carries no types
    """The host has no upload program."""

    def __init__(self) -> None:
        super().__init__("the host has no upload program. Run site.yml")


def ask_program(
    action: Any,
    words: Sequence[str],
    reader: Reader,
    seconds: int = SECONDS,
    longest: int = LONGEST_ANSWER,
    environment: Mapping[str, str] | None = None,
) -> Any:
    """Run a command of the host's upload program and return its answer in JSON, read by `reader`.

    `environment` has further variables, which a program of an older release ignores.
    Raise OtherReleaseError, NoProgramError, or AnsibleActionFail.
    """
    further = [f"{name}={value}" for name, value in (environment or {}).items() if value]
    command = shlex.join(["env", *further, "roster-upload", *words])
    answer = ask(action, f"command -v roster-upload >/dev/null || exit 127; {command}",
                 seconds, longest)  # fmt: skip
    if answer.code == NOT_FOUND:
        raise NoProgramError
    try:
        found = json.loads(answer.output)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise _unreadable(action, answer, found)
    try:
        return reader(found, "")
    except UnfitError as error:
        raise AnsibleActionFail(f"the host's answer was not understood: {error}") from None


def _unreadable(action: Any, answer: Answer, found: object) -> AnsibleActionFail:
    """Return the error for an answer that is not of this schema."""
    program = found.get("program") if isinstance(found, dict) else None
    if not isinstance(program, str):
        version = VERSION.fullmatch(ask(action, "roster-upload --version").output.strip())
        program = version[1] if version else ""
    if VERSION_NUMBER.fullmatch(program) and release_of(program) != __version__:
        return OtherReleaseError(program)
    return AnsibleActionFail(answer.message)


def checks_of(action: Any, feed: str, *options: str, seconds: int = SECONDS) -> list[Check]:
    """Return the checks of `roster-upload verify` of a feed. Raise AnsibleActionFail."""
    found = ask_program(action, ["verify", "--json", *options, feed], VERIFIED, seconds)
    checks: list[Check] = next((f["checks"] for f in found["feeds"] if f["feed"] == feed), [])
    if not checks:
        raise AnsibleActionFail(f"the host has not checked {feed}")
    return checks

"""A change that locks the operator out: the first failure is the one that is reported."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import confirm_or_rollback
import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

Answers = Callable[[str], Any]
ARGUMENTS: dict[str, Any] = {
    "commands": ["systemctl reload ssh.service"],
    "rollback_folder": "/folder",
    "rollback_timer": "start-timer {seconds}",
    "rollback_program": "/roll-back",
    "seconds": 60,
    "variables": ["some_networks", "some_groups"],
}
NO_ROUTE = AnsibleConnectionFailure("Connection timed out\r\n")
SUDO = AnsibleError("Missing sudo password")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answers], dict[str, Any]]:
    """Return a function that runs the action on a host with some answers to each script."""
    monkeypatch.setattr(ActionBase, "run", lambda *_: {})
    clock = itertools.count(step=20)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(time, "sleep", lambda _: None)

    def run(answers: Answers) -> dict[str, Any]:
        action = confirm_or_rollback.ActionModule.__new__(confirm_or_rollback.ActionModule)
        action._task = SimpleNamespace(check_mode=False)
        action._connection = SimpleNamespace(reset=lambda: None)

        def execute(module: str, arguments: dict[str, Any]) -> dict[str, Any]:
            answer = answers(arguments.get("_raw_params", module.rpartition(".")[2]))
            if isinstance(answer, AnsibleError):
                raise answer
            return dict(answer)

        monkeypatch.setattr(action, "validate_argument_spec", lambda **_: (None, ARGUMENTS))
        monkeypatch.setattr(action, "execute", execute)
        return dict(action.run(None, {}))

    return run


def test_a_new_login_confirms_the_changes(run: Callable[[Answers], dict[str, Any]]) -> None:
    done = run(lambda script: {"ping": "pong"} if script == "ping" else {"rc": 0})
    assert "failed" not in done


@pytest.mark.parametrize("error", [NO_ROUTE, SUDO])
def test_a_login_that_fails_names_the_variables(
    run: Callable[[Answers], dict[str, Any]], error: AnsibleError
) -> None:
    """A refusal of sudo counts as one of SSH."""
    done = run(lambda script: error if script == "ping" else {"rc": 0})
    assert done["failed"]
    first, second = done["msg"].split(": ", 1)
    assert first == (
        "With the changes in force, no login succeeded (look at some_networks, some_groups)"
    )
    assert second == f"{str(error).strip()}. {confirm_or_rollback.RESTORED}"


def test_a_broken_connection_does_not_hide_the_command_that_failed(
    run: Callable[[Answers], dict[str, Any]],
) -> None:
    def answers(script: str) -> Any:
        if script.startswith("true"):
            return {"rc": 1, "stderr": "Bad configuration option: Nonsense\nfailed: reload\n"}
        return NO_ROUTE if script.endswith("/roll-back") else {"rc": 0}

    message = run(answers)["msg"]
    assert message.startswith(
        "The changes could not be put into force: Bad configuration option: Nonsense failed: reload"
    )
    assert message.endswith(confirm_or_rollback.RESTORED)


def test_a_connection_that_breaks_at_the_end_is_reported_with_the_state_of_the_host(
    run: Callable[[Answers], dict[str, Any]],
) -> None:
    def answers(script: str) -> Any:
        if script == "ping":
            return {"ping": "pong"}
        return NO_ROUTE if "mv /folder" in script else {"rc": 0}

    expected = f"The new login broke: Connection timed out. {confirm_or_rollback.RESTORED}"
    assert run(answers)["msg"] == expected


def test_a_host_that_stays_away_is_reported_with_the_cause(
    run: Callable[[Answers], dict[str, Any]],
) -> None:
    def answers(script: str) -> Any:
        return SUDO if script == "ping" or script.startswith("test -e") else {"rc": 0}

    message = run(answers)["msg"]
    assert "Missing sudo password" in message
    assert message.endswith(confirm_or_rollback.UNREACHABLE)

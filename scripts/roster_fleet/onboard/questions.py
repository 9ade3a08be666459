"""Questions about one district, asked at the operator's terminal."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsiblePromptInterrupt, AnsiblePromptNoninteractive
from ansible.utils.display import Display

from roster_fleet.onboard.districts import COLUMNS, FEED_COLUMNS, Column, OnboardError, slug


def ask(values: dict[str, Any]) -> dict[str, str]:
    """Return the given values with the answers to all other questions. Raise OnboardError."""
    if "password" in values:
        raise OnboardError(
            ["onboard_password is not allowed, because others can see it. The playbook asks for it"]
        )
    given = {name: str(value) for name, value in values.items()}
    known = {*FEED_COLUMNS, *(column.name for column in COLUMNS)}
    if unknown := sorted(set(given) - known):
        names = ", ".join(sorted(known))
        raise OnboardError(f"onboard_{name} is unknown. There are: {names}" for name in unknown)
    for column in COLUMNS:
        if column.name not in given:
            answer = prompt(column, given)
            if answer is None:
                Display().display(
                    "There is no terminal to ask at. Give the other values as "
                    "-e onboard_NAME=..., or many districts as a CSV: -e onboard_csv=FILE"
                )
                break
            given[column.name] = answer
    return given


def prompt(column: Column, given: dict[str, str]) -> str | None:
    """Return a valid answer to a question, or None without a terminal. Raise OnboardError."""
    display = Display()
    is_secret = column.name == "password"
    default = slug(given.get("district", "")) if column.name == "feed" else ""
    hint = f" [{default}]" if default else ""
    question = f"{column.name}: {column.meaning}{hint}{' (hidden)' if is_secret else ''}: "
    while True:
        try:
            answer = display.prompt_until(question, private=is_secret).decode("utf-8")
        except AnsiblePromptNoninteractive:
            return None
        except AnsiblePromptInterrupt:
            raise OnboardError(["interrupted"]) from None
        except UnicodeDecodeError:
            display.display("The answer is not UTF-8. Try again")
            continue
        answer = answer if is_secret else answer.strip() or default
        if not answer and column.required:
            display.display("The answer must not be empty")
        elif answer and (problem := column.check(answer)):
            display.display(problem)
        else:
            return answer

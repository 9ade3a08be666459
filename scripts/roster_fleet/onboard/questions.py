"""Questions about one district, asked at the operator's terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ansible.errors import AnsiblePromptInterrupt, AnsiblePromptNoninteractive
from ansible.utils.display import Display

from roster_fleet.onboard import exports
from roster_fleet.onboard.districts import (
    COLUMNS,
    FEED_COLUMNS,
    INBOX_COLUMNS,
    SECRET_COLUMNS,
    SOURCE_COLUMNS,
    Column,
    District,
    OnboardError,
    from_values,
    slug,
    value_problem,
)

WHERE = "the district"
LONGEST_SHOWN = 56  # characters of an answer in the summary
# Answers that are one of a few words. Capitals do not matter.
WORDS = (*(column.name for column in exports.OWN_QUESTIONS), "inbox_auth")
T = TypeVar("T")


def interview(
    values: Mapping[str, Any],
    plan_of: Callable[[Sequence[District]], T],
    warnings_of: Callable[[T], Sequence[str]] = lambda _: (),
) -> T:
    """Return the plan for a district, from given values and the answers to all other questions.

    The operator sees all answers and may correct them before this returns, and what the plan leaves
    open. Raise OnboardError.
    """
    given = {name: str(value) for name, value in values.items()}
    _refuse_given(given)
    asked = ask(given)
    while True:
        problems: Sequence[str] = ()
        plan: T | None = None
        try:
            plan = plan_of([from_values(_answers(given), WHERE)])
        except OnboardError as error:
            if not asked or _INTERRUPTED in error.problems:
                raise
            problems = error.problems
        if plan is not None and not asked:
            return plan
        choice = _choice(given, problems, warnings_of(plan) if plan is not None else ())
        if choice is not None:
            _change(choice, given)
        elif plan is not None:
            return plan


_INTERRUPTED = "interrupted"


def _refuse_given(given: Mapping[str, str]) -> None:
    """Raise OnboardError for values that cannot be, before anything is asked."""
    if exposed := [name for name in SECRET_COLUMNS if name in given]:
        raise OnboardError(
            f"onboard_{name} is not allowed, because others can see it. The playbook asks for it"
            for name in exposed
        )
    columns = {column.name: column for column in (*COLUMNS, *exports.OWN_QUESTIONS)}
    known = {*FEED_COLUMNS, *columns}
    if unknown := sorted(set(given) - known):
        names = ", ".join(sorted(known))
        raise OnboardError(f"onboard_{name} is unknown. There are: {names}" for name in unknown)
    problems = {
        name: value_problem(columns[name], value)
        for name, value in given.items()
        if value and name in columns
    }
    if found := [f"onboard_{name}: {problem}" for name, problem in problems.items() if problem]:
        raise OnboardError(found)


def questions(given: Mapping[str, str]) -> Iterator[Column]:
    """Yield the questions about a district. The later ones depend on the earlier answers."""
    later = (*INBOX_COLUMNS, *SOURCE_COLUMNS)
    yield from (column for column in COLUMNS if column.name not in later)
    yield from exports.questions(given)


def ask(given: dict[str, str]) -> bool:
    """Ask for all missing values and add them. Return whether somebody has answered."""
    asked = False
    for column in questions(given):
        if column.name not in given:
            answer = prompt(column, given)
            if answer is None:
                Display().display(
                    "There is no terminal to ask at. Give the other values as "
                    "-e onboard_NAME=..., or many districts as a CSV: -e onboard_csv=FILE"
                )
                break
            asked = True
            given[column.name] = answer
    return asked


def _answers(given: Mapping[str, str]) -> dict[str, str]:
    """Return the values that describe the district."""
    return {name: value for name, value in given.items() if name != exports.EXPORT.name}


def _default(column: Column, given: Mapping[str, str]) -> str:
    """Return the answer that Enter gives to a question."""
    if column.name == "feed":
        return slug(given.get("district", ""))
    return exports.default(column.name, given)


def prompt(column: Column, given: Mapping[str, str]) -> str | None:
    """Return a valid answer to a question, or None without a terminal. Raise OnboardError.

    A wrong answer is asked for again.
    """
    is_secret = column.name in SECRET_COLUMNS
    default = _default(column, given)
    hint = f" [{default}]" if default else ""
    question = f"{column.name}: {column.meaning}{hint}{' (hidden)' if is_secret else ''}: "
    is_needed = column.name in ("feed", *INBOX_COLUMNS) and column.name not in SECRET_COLUMNS
    if column.intro:
        Display().display(column.intro)
    while True:
        answer = typed(question, is_secret=is_secret)
        if answer is None:
            return None
        answer = answer if is_secret else answer.strip() or default
        answer = answer.lower() if column.name in WORDS else answer
        problem = value_problem(column, answer)
        if not answer and is_needed:
            problem = "must not be empty"
        if problem is None:
            return answer
        Display().display(f"{column.name}: {problem}")


def typed(question: str, *, is_secret: bool = False) -> str | None:
    """Return what is typed, or None without a terminal. Raise OnboardError for Ctrl-C."""
    display = Display()
    while True:
        try:
            return str(display.prompt_until(question, private=is_secret).decode("utf-8"))
        except AnsiblePromptNoninteractive:
            return None
        except AnsiblePromptInterrupt:
            raise OnboardError([_INTERRUPTED]) from None
        except UnicodeDecodeError:
            display.display("The answer is not UTF-8. Try again")


def ask_fingerprint(server: str, shown: str, owner: str, problem: str) -> str:
    """Return the answer to a server's shown keys, or "" for none. Raise OnboardError for Ctrl-C."""
    if problem:
        Display().display(problem)
    return (
        typed(
            f"{server} shows {shown}.\nAsk {owner} for the fingerprint, but not over this "
            "network. Type it here, or type yes after you have compared it (empty: pin nothing): "
        )
        or ""
    ).strip()


def _choice(
    given: Mapping[str, str], problems: Sequence[str], warnings: Sequence[str] = ()
) -> Column | None:
    """Show all answers. Return the one to change, or None for Enter. Raise OnboardError for q."""
    columns = list(questions(given))
    display = Display()
    display.display(f"\n{summary(columns, given)}")
    for problem in problems:
        display.display(f"Not possible yet: {problem}")
    for warning in warnings:
        display.display(f"Not finished by this: {warning}")
    enter = "" if problems else "Enter to write, "
    while True:
        answer = typed(f"{enter}a number to change, q to quit: ")
        answer = "q" if answer is None else answer.strip().lower()
        if answer in ("q", "quit"):
            raise OnboardError(["you have quit"])
        if not answer and not problems:
            return None
        if answer.isdecimal() and 1 <= int(answer) <= len(columns):
            return columns[int(answer) - 1]
        display.display(f"{answer!r} is not a number from 1 to {len(columns)}")


def summary(columns: Sequence[Column], given: Mapping[str, str]) -> str:
    """Return all answers as numbered lines. Secrets are hidden."""
    return "\n".join(
        f"{number:>3}  {column.name:<15} {_shown(column.name, given.get(column.name, ''))}"
        for number, column in enumerate(columns, start=1)
    )


def _shown(name: str, value: str) -> str:
    """Return an answer for the summary."""
    if name == "inbox_password" and not value:
        return "(generated)"
    if name in SECRET_COLUMNS:
        return "(hidden)" if value else "- (later)"
    middle = len(value) - LONGEST_SHOWN
    if name == "inbox_key" and middle > 0:
        return f"{value[: LONGEST_SHOWN // 2]}...{value[middle + LONGEST_SHOWN // 2 :]}"
    return value or "-"


def _change(column: Column, given: dict[str, str]) -> None:
    """Ask one question again, and those that its answer opens."""
    name = column.name
    was_derived = given.get("feed") == slug(given.get("district", ""))
    answer = prompt(column, given)
    if answer is None:
        return
    given[name] = answer
    if name == "district" and was_derived:
        given["feed"] = slug(answer)
    exports.forget(name, given)
    ask(given)

"""Find the hosts whose variables are not surely right, thousands in seconds.

The tasks that check one host are the only place of the rules: argument specifications, and asserts
of the roles' tasks/validate.yml. They are evaluated here for all hosts at once. A host whose tasks
would fail, or that cannot be judged here, is doubtful. Ansible then runs the tasks on it, and shows
its own messages.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible.inventory.host import Host
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from roster_fleet.resolving import Fleet, Values
from roster_fleet.roles import Role

BUILTIN = "ansible.builtin."
IMPORT, ASSERT, FAIL, STATS = (
    f"{BUILTIN}{name}" for name in ("import_role", "assert", "fail", "set_stats")
)
ENTRY = "validate"  # the entry point of roles, and the name of their tasks
# All that a task of a check may have.
KNOWN = {"name", "vars", "tags", "loop", ASSERT, FAIL}
CONNECTION = "ansible_"  # Ansible resolves these for each task
REPORT = "fleet_report"
FEW = 100  # hosts that one process judges
MOST = 100  # doubtful hosts of one run, on which Ansible runs the tasks
# Types of argument specifications that accept the same type of Python as it is.
TYPES: Mapping[str, type] = {
    "str": str, "path": str, "dict": dict, "int": int, "bool": bool, "raw": object,
}  # fmt: skip


def plainly_fits(spec: Mapping[str, Any], value: Any) -> bool:
    """Return whether a value needs no conversion to its type, and may be any value of it."""
    if not {"choices", "options"}.isdisjoint(spec):
        return False
    if spec.get("type", "str") == "list":
        wanted = TYPES.get(spec.get("elements", "raw"), ())
        return isinstance(value, list) and all(isinstance(item, wanted) for item in value)
    return isinstance(value, TYPES.get(spec.get("type", "str"), ()))


class Option:
    """One variable of an argument specification. Equal values are judged once."""

    def __init__(self, name: str, spec: Mapping[str, Any]) -> None:
        self.name = name
        self._spec = spec
        self._validator = ArgumentSpecValidator({name: dict(spec)})
        self._judged: dict[int, tuple[object, bool]] = {}  # by identity. The values stay alive

    def accepts(self, values: Values) -> bool:
        """Return whether a host's value is allowed."""
        if self.name not in values.raw:
            return self._fits({})
        raw = values.raw[self.name]
        if id(raw) in self._judged:
            return self._judged[id(raw)][1]
        value = values[self.name]
        good = plainly_fits(self._spec, value) or self._fits({self.name: value})
        if value is raw:
            self._judged[id(raw)] = raw, good
        return good

    def _fits(self, given: dict[str, Any]) -> bool:
        found = self._validator.validate(given, validate_role_argument_spec=True)
        return not found.error_messages


@dataclass(frozen=True)
class Check:
    """A task of a role's tasks/validate.yml: what must hold, and lists that must be empty."""

    holds: Sequence[str] = ()
    empty: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> Check:
        """Return the check of a task. Raise ValueError for another task."""
        if set(task) - KNOWN or (FAIL in task) != ("loop" in task):
            raise ValueError(
                f"{task.get('name')}: only {ASSERT}, and {FAIL} with a loop, are known"
            )
        variables = task.get("vars") or {}
        if FAIL in task:
            return cls(empty=task["loop"], variables=variables)
        that = task[ASSERT]["that"]
        return cls([that] if isinstance(that, str) else that, variables=variables)

    def passes(self, values: Values) -> bool:
        """Return whether a host passes."""
        if self.empty and values.by_jinja(self.empty, self.variables):
            return False
        return all(values.by_jinja(text, self.variables, bare=True) is True for text in self.holds)


@dataclass(frozen=True)
class Stage:
    """The checks of one role in a run."""

    options: Sequence[Option]
    checks: Sequence[Check]

    def passes(self, values: Values) -> bool:
        """Return whether a host passes them all."""
        return all(option.accepts(values) for option in self.options) and all(
            check.passes(values) for check in self.checks
        )


@dataclass(frozen=True)
class Found:
    """The doubtful hosts, and the rows of the others for the closing table."""

    doubtful: Sequence[str]
    rows: Sequence[Mapping[str, Any]]

    @property
    def more(self) -> int:
        """Return how many doubtful hosts are too many for their messages."""
        return max(len(self.doubtful) - MOST, 0)

    @property
    def warnings(self) -> list[str]:
        """Return what to say if the run shows no messages for some hosts."""
        if not self.more:
            return []
        return [
            f"{len(self.doubtful):,} hosts seem to have mistakes. The first {MOST} are shown. "
            "Correct them, and run the same command again for the others"
        ]


def judge(fleet: Fleet, tasks: Sequence[Mapping[str, Any]], members: Sequence[Host]) -> Found:
    """Return the doubtful hosts among these, and the rows of the others.

    A large fleet is judged on all cores, mostly since each host's secrets must be decrypted.
    """
    judge_one = functools.partial(
        _judged, fleet, list(stages(tasks, fleet.roles)), report_of(tasks)
    )
    cores = len(os.sched_getaffinity(0))
    if len(members) < FEW or cores == 1:
        judged = list(map(judge_one, members))
    else:
        with multiprocessing.get_context("fork").Pool(
            cores, _remember, (judge_one, members)
        ) as pool:
            judged = pool.map(_judge_remembered, range(len(members)), len(members) // cores + 1)
    doubtful = [host.name for host, rows in zip(members, judged, strict=True) if rows is None]
    return Found(doubtful, [row for rows in judged for row in rows or ()])


Rows = list[dict[str, Any]]
_remembered: list[Any] = []  # by a process of `judge`, since a host of Ansible cannot be sent


def _remember(*what: Any) -> None:
    _remembered[:] = what


def _judge_remembered(index: int) -> Rows | None:
    judge_one, members = _remembered
    found: Rows | None = judge_one(members[index])
    return found


def _judged(fleet: Fleet, known: Sequence[Stage], report: str, host: Host) -> Rows | None:
    """Return the rows of a host, or None if it is doubtful."""
    try:
        values = fleet.values(host)
        if not passes(values, known):
            return None
        return [{"host": host.name, **row} for row in values.resolve(report)] if report else []
    except Exception:  # noqa: BLE001 - Ansible shows the reason
        return None


def is_selected(tags: Collection[str], only: Collection[str], skipped: Collection[str]) -> bool:
    """Return whether Ansible runs a task with these tags, by `--tags` and `--skip-tags`."""
    own, is_tagged = set(tags) or {"untagged"}, bool(tags)
    is_ordinary = "never" not in own
    is_meant = "always" in own or not own.isdisjoint(only)
    is_meant = is_meant or ("all" in only and is_ordinary)
    is_meant = is_meant or ("tagged" in only and is_tagged and is_ordinary)
    if "all" in skipped:
        return is_meant and "always" in own and "always" not in skipped
    return is_meant and own.isdisjoint(skipped) and not ("tagged" in skipped and is_tagged)


def roles_of(tasks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the roles whose variables the tasks check."""
    return [task[IMPORT]["name"] for task in imported(tasks)]


def imported(tasks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the tasks that check a role's variables."""
    return [task for task in tasks if task.get(IMPORT, {}).get("tasks_from") == ENTRY]


def given(tasks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the variables that a playbook gives to the roles."""
    return {name: value for task in imported(tasks) for name, value in _vars(task).items()}


def report_of(tasks: Sequence[Mapping[str, Any]]) -> str:
    """Return the template of the rows of a host that passes, or ""."""
    found = [task[STATS]["data"][REPORT] for task in tasks if STATS in task]
    return str(found[0]) if found else ""


def stages(tasks: Sequence[Mapping[str, Any]], roles: Mapping[str, Role]) -> Iterator[Stage]:
    """Yield the stages of a playbook's tasks."""
    for task in imported(tasks):
        role = roles[task[IMPORT]["name"]]
        options = [Option(name, spec) for name, spec in role.specs[ENTRY]["options"].items()]
        yield Stage(options, list(map(Check.of, role.validate)))


def passes(values: Values, known: Sequence[Stage]) -> bool:
    """Return whether a host passes all stages. Raise what Ansible would raise."""
    for name in values.raw:
        if name.startswith(CONNECTION):
            values[name]
    return all(stage.passes(values) for stage in known)


def _vars(task: Mapping[str, Any]) -> Mapping[str, Any]:
    return task.get("vars") or {}

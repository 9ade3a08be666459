"""Ansible callback: print a closing table of a playbook's results, and the next command."""

from __future__ import annotations

import gc
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import filter_loader
from ansible.utils.color import ANSIBLE_COLOR

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from roster_fleet import outputs, terminal_table, unreachable
from roster_fleet.folder import settings
from roster_fleet.terminal import TERMINAL
from roster_fleet.terminal_table import Column
from roster_upload.terminal.printable import printable

DOCUMENTATION = """
name: fleet_report
type: aggregate
short_description: Print a closing table of a playbook's results
description:
  - Shows the rows of C(fleet_report), which tasks set by C(ansible.builtin.set_stats) with
    C(per_host) and C(aggregate). Prints the lines of C(fleet_next) after it.
  - A row has C(district), C(feed), C(did), C(note) and C(ok). By default, C(did) says whether
    anything changed. C(ok) is false if somebody must act.
  - Failed, unreachable and skipped hosts have a row. Their names go to a file for C(--limit).
  - The note of a failed host is its first failure. Steps that still run after it, such as forced
    handlers, may fail because of it.
requirements: [enabled in ansible.cfg]
author: The Roster Delivery authors
"""

KEY = "fleet_report"
NEXT = "fleet_next"
CHANGED = {False: "changed", True: "would change"}
# A variable of tasks that fail because a row is not `ok`. The rows explain such a failure.
SUMS_UP = "fleet_report_sums_up"
FAIL = "fail"  # In a rescue section, its message explains the failure of the block.
# A variable of tasks that refuse the whole run. Rows of hosts would only hide their message.
STOPS_ALL = "fleet_report_stops_all"
# Modules with output that is more useful than Ansible's message.
COMMANDS = ("command", "shell", "raw", "script", "compare_host")
# They run in a terminal, so stderr is that of ssh. The host's answer is on stdout.
IN_TERMINAL = ("raw", "script", "compare_host")
CELLS = ("district", "feed", "did", "note")  # of a row
LONGEST_CELL = 2_000
LONGEST_TABLE = 100  # rows of one district host
CONTROL_NODE = "localhost"
# The action that checks all hosts at once. It runs on the control node, and no host answers it.
CHECK = "check_inventory"
# A failure is read first by the host and what was done.
COLUMNS = (
    Column("district", 2, is_styled=True),
    Column("feed", 1, is_styled=True),
    Column("host", is_styled=True),
    Column("did", is_styled=True),
)
COLLECT_AFTER = 100_000  # new objects, about 10 MB
CHECKOUT = Path(__file__).resolve().parents[3]
Row = dict[str, Any]


def blocks_of(task: Any) -> Iterator[Any]:
    """Yield the blocks around a task, the innermost first."""
    while (task := getattr(task, "_parent", None)) is not None:
        yield task


def rescuing_block(task: Any) -> str:
    """Return the id of the innermost block that can rescue a task, or ""."""
    return next((b._uuid for b in blocks_of(task) if getattr(b, "rescue", None)), "")


def first_line(text: str) -> str:
    """Return the first line of a message, without Ansible's own prefixes."""
    prefixes = r"^((Task|Action|Module) failed: |Validation of arguments failed:\s+)+"
    text = re.sub(prefixes, "", text)
    first, *more = [line.strip() for line in text.splitlines() if line.strip()] or [""]
    # The reason of a lookup follows the tasks and variables that called it.
    shown = printable(re.sub(r"^.*The lookup plugin '\w+' failed: ", "", first), LONGEST_CELL)
    return f"{shown} (and more, above)" if more else shown


def is_secret(task: Any, done: Mapping[str, Any]) -> bool:
    """Return whether a result must not be shown."""
    return bool(task.no_log or done.get("_ansible_no_log"))


def failure_message(task: Any, done: Mapping[str, Any]) -> str:
    """Return the first line that says why a task, or one item of its loop, failed, or ""."""
    if is_secret(task, done):
        return ""
    message = first_line(str(done.get("msg") or done.get("reason") or ""))  # reason: of an include
    module = task.action.rpartition(".")[2]
    if module in COMMANDS and done.get("rc"):
        keys = ("stdout", "stderr") if module in IN_TERMINAL else ("stderr", "stdout")
        output = next(filter(None, (first_line(str(done.get(key, ""))) for key in keys)), "")
        return output or _with_command(message, done.get("cmd"))
    return message


def _with_command(message: str, command: Any) -> str:
    """Return the message about a command without output, such as one that is missing."""
    words = shlex.join(map(str, command)) if isinstance(command, list) else str(command or "")
    return f"{message.rstrip('.')}: {first_line(words)}" if words else message


def why_dark(result: Any) -> str:
    """Return why a host was unreachable. A secret task hides it, and a loop has it in its items."""
    done = result._result
    if is_secret(result._task, done) or "censored" in done:
        return "the reason is hidden, since the task uses a secret. verify.yml shows it"
    items = [item for item in done.get("results", ()) if item.get("unreachable")]
    message = str((items or [done])[0].get("msg", ""))
    return first_line(unreachable.reason(message)) or "no reason is known"


def rows_of(host: str, left: Any) -> Iterator[Row]:
    """Yield the rows that a host's tasks have left, with printable texts.

    Rows of a district host come from its answers, so they are few, and about itself.
    """
    is_own = host == CONTROL_NODE
    cells_of = (*CELLS, "host") if is_own else CELLS
    for row in left[: None if is_own else LONGEST_TABLE] if isinstance(left, list) else ():
        if isinstance(row, Mapping):
            cells = {key: printable(str(row[key]), LONGEST_CELL) for key in cells_of if key in row}
            yield {"host": host, **cells, "ok": bool(row.get("ok", True))}


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible carries no types
    """See DOCUMENTATION."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = KEY
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.playbook = ""
        self.troubles: dict[str, str] = {}
        self.rescuing: dict[str, str] = {}  # the block that may still rescue a host's failure
        self.summed_up: set[str] = set()  # hosts whose failure the rows explain
        self.is_refused = False  # the whole run
        self.meant: list[str] = []  # all hosts of the plays, even of steps that were skipped
        self.checked: list[Row] = []  # rows of hosts that were checked all at once

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Remember which playbook it is. Warn about settings of an older release."""
        self.playbook = Path(playbook._file_name).stem
        path = constants.CONFIG_FILE
        if path and settings.is_outdated(Path(path), CHECKOUT):
            self._display.warning(
                f"{path} has the settings of another release. Run scripts/new-inventory . there"
            )

    def v2_playbook_on_task_start(self, _task: Any, is_conditional: bool) -> None:
        """Measure the terminal for the task, since its worker has none."""
        TERMINAL.measure()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Remember the hosts of a play. Load what each forked worker would load for itself.

        What is loaded is excluded from garbage collection. Otherwise each worker would scan it, and
        would copy it by that. A task makes little garbage, so it is also collected rarely.
        """
        filter_loader.get("default")  # the loader loads the filters of all roles for any of them
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER)
        inventory = play.get_variable_manager()._inventory
        hosts = inventory.get_hosts(play.hosts, ignore_restrictions=True)  # of a single step
        self.add_meant([host.get_name() for host in hosts])

    def add_meant(self, names: Sequence[str]) -> None:
        """Remember hosts that the run is meant for, each once."""
        self.meant = list(dict.fromkeys([*self.meant, *names]))

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Remember why a host failed. A secret task shows only its name."""
        task = result._task
        done = result._result
        message = failure_message(task, done)
        if task.loop and "results" in done and not is_secret(task, done):  # the first that failed
            failed = [failure_message(task, r) for r in done["results"] if r.get("failed")]
            message = failed[0] if failed else message
        if not ignore_errors:
            self.note_failure(result._host.get_name(), task, message)
            self.is_refused |= bool(task.vars.get(STOPS_ALL))

    def note_failure(self, host: str, task: Any, message: str) -> None:
        """Remember a failure, unless it comes after another one and may be its consequence."""
        self.drop_rescued(host, task)
        is_explanation = task.action.rpartition(".")[2] == FAIL and self.is_rescue(host, task)
        # The rows explain a failure that sums them up, but not another one.
        if host in self.troubles and host not in self.summed_up and not is_explanation:
            return
        self.troubles[host] = message or f"failed at: {task.get_name()}"
        self.rescuing[host] = rescuing_block(task)
        if task.vars.get(SUMS_UP):
            self.summed_up.add(host)
        else:
            self.summed_up.discard(host)

    def is_rescue(self, host: str, task: Any) -> bool:
        """Return whether a task is in the block that may rescue the host's failure."""
        return self.rescuing.get(host, "") in {block._uuid for block in blocks_of(task)}

    def drop_rescued(self, host: str, task: Any) -> None:
        """Forget a failure that was rescued, since the host goes on behind the block."""
        is_handler = getattr(task, "listen", None) is not None  # also runs on failed hosts
        if self.rescuing.get(host) and not is_handler and not self.is_rescue(host, task):
            del self.rescuing[host], self.troubles[host]

    def v2_runner_on_ok(self, result: Any) -> None:
        """Forget a failure of the host that was rescued. Remember what was checked at once."""
        self.drop_rescued(result._host.get_name(), result._task)
        if result._task.action == CHECK and "rows" in result._result:
            self.add_meant(result._result["hosts"])
            self.checked = result._result["rows"]

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Remember why a host was unreachable, unless it has failed before."""
        if not getattr(result._task, "ignore_unreachable", False):
            host = result._host.get_name()
            self.drop_rescued(host, result._task)
            self.troubles.setdefault(host, f"not reached: {why_dark(result)}")

    def rows(self, stats: Any, *, is_check: bool) -> list[Row]:
        """Return the rows of all hosts in the inventory's order. Failures come last."""
        found: list[Row] = [*rows_of(CONTROL_NODE, self.checked)]
        for host in self.meant:
            left = stats.custom.get(host, {}).get(KEY, [])
            did = CHANGED[is_check] if stats.changed.get(host) else "no change"
            found += [{"did": did, **row} for row in rows_of(host, left)]
        explained = {row["host"] for row in found if not row["ok"]} & self.summed_up
        if not found and not any(KEY in left for left in stats.custom.values()):
            explained = self.summed_up  # by a table of the playbook's own
        for host in self.meant:
            if host not in explained and (stats.failures.get(host) or stats.dark.get(host)):
                did = "FAILED" if stats.failures.get(host) else "UNREACHABLE"
                row = {"did": did, "note": self.troubles.get(host, ""), "ok": False}
                found.append({"host": host, **row})
        # If there are any rows, the other hosts need one, too: the run stopped before them.
        reported = {row["host"] for row in found} | {
            h for h in stats.custom if KEY in stats.custom[h]
        }
        if reported:
            for host in self.meant:
                if host not in reported | {CONTROL_NODE}:
                    note = "the run stopped before it reached this host"
                    row = {"did": "not begun", "note": note}
                    if stats.changed.get(host):  # others in its batch failed
                        row = {
                            "did": "STOPPED",
                            "note": "the run stopped before this host was finished",
                        }
                    found.append({"host": host, **row, "ok": False})
        return found

    def limit(self) -> Path:
        """Return the file with the hosts that are left. Each inventory has its own."""
        sources = context.CLIARGS.get("inventory") or constants.DEFAULT_HOST_LIST
        return outputs.of(sources, constants.CONFIG_FILE).limit(self.playbook)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Print the table, and the command for the hosts that are left."""
        is_check = bool(context.CLIARGS.get("check"))
        if self.is_refused:
            self._display.display(
                f"{self.playbook}: no host was touched. The message above says why"
            )
            return
        rows = self.rows(stats, is_check=is_check)
        if not self.meant:
            self._display.display(f"{self.playbook}: this inventory has no host for it yet")
        if not rows:
            return
        title = f"{self.playbook}: {'planned changes (check mode)' if is_check else 'results'}"
        self._display.display(text(title, rows))
        left = sorted({row["host"] for row in rows if not row["ok"]} - {CONTROL_NODE})
        good = len({row["host"] for row in rows} - set(left))
        limit = self.limit()
        if not left and not is_check and _hosts(limit) <= set(self.meant):
            with suppress(OSError):
                limit.unlink(missing_ok=True)
        if left:
            again = shlex.join(["--limit", ",".join(left)])
            # A check keeps the file of a run. A controller's project may be read-only.
            with suppress(OSError):
                if not is_check:
                    limit.parent.mkdir(parents=True, exist_ok=True)
                    limit.write_text("\n".join(left) + "\n")
                    again = shlex.join(["--limit", f"@{outputs.as_typed(limit)}"])
            self._display.display(
                f"{good} in order, {len(left)} not. To retry only these, run the same command with "
                f"{again}"
            )
        self._show_next(stats)

    def _show_next(self, stats: Any) -> None:
        """Print the next steps that a task of the control node has left."""
        for line in stats.custom.get(CONTROL_NODE, {}).get(NEXT, []):
            self._display.display(str(line))


def _hosts(limit: Path) -> set[str]:
    """Return the hosts that a run has left."""
    try:
        return set(limit.read_text().split())
    except OSError:
        return set()


def text(title: str, rows: list[Row]) -> str:
    """Return the table as text. Failures come last, where they are read first."""
    listed = [
        terminal_table.Row(
            [str(row.get(column.title, "")) for column in COLUMNS],
            [str(row["note"])] if row.get("note") else [],
            "" if row["ok"] else "red",
        )
        for row in sorted(rows, key=lambda row: not row["ok"])
    ]
    lines, _ = terminal_table.render(COLUMNS, listed, TERMINAL.measure(), colours=ANSIBLE_COLOR)
    return "\n".join(["", terminal_table.painted(title, "bold", colours=ANSIBLE_COLOR), *lines])

"""The closing table: the results, problems last, and the remaining hosts."""

from __future__ import annotations

import fcntl
import gc
import importlib.util
import os
import struct
import sys
import termios
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible import context
from rich.cells import cell_len
from roster_fleet.terminal import TERMINAL

ROOT = Path(__file__).resolve().parents[2]
SUMS_UP = {"fleet_report_sums_up": True}
SOURCE = ROOT / "roles/roster_common/callback_plugins/fleet_report.py"


class Shown:
    """Return the displayed text."""

    def __init__(self) -> None:
        self.text = ""

    def display(self, text: str, **_: Any) -> None:
        self.text += text + "\n"


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("fleet_report", SOURCE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    inventory = tmp_path / "inventories" / "east"
    inventory.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(context, "CLIARGS", {"check": False, "inventory": (str(inventory),)})
    callback = module.CallbackModule()
    callback._display = Shown()
    callback.playbook = "send"
    callback.meant = ["a", "b", "c", "d"]
    return callback


def stats(custom: dict[str, Any], failures: set[str], dark: set[str]) -> SimpleNamespace:
    counted = {"changed": {"a": 1}, "failures": dict.fromkeys(failures, 1)}
    return SimpleNamespace(
        custom={host: {"fleet_report": rows} for host, rows in custom.items()},
        dark=dict.fromkeys(dark, 1),
        **counted,
    )


def result(host: str, message: str, **more: Any) -> SimpleNamespace:
    task = SimpleNamespace(
        no_log=more.pop("no_log", False),
        loop=more.pop("loop", None),
        action=more.pop("action", "ansible.builtin.command"),
        vars=more.pop("vars", {}),
        ignore_unreachable=more.pop("ignore_unreachable", False),
        listen=more.pop("listen", None),
        _parent=more.pop("parent", None),
        get_name=lambda: "the task",
    )
    named = SimpleNamespace(get_name=lambda: host)
    return SimpleNamespace(_host=named, _task=task, _result={"msg": message, "rc": 1, **more})


def test_all_are_told_and_the_rest_is_left_in_a_file(report: Any, tmp_path: Path) -> None:
    report.v2_runner_on_failed(result("b", "Task failed: Action failed: it broke\nhere"))
    report.v2_runner_on_unreachable(result("c", "no route"))
    told = stats({"a": [{"feed": "maple", "note": "07:10"}]}, {"b"}, {"c"})
    report.v2_playbook_on_stats(told)
    lines = report._display.text.splitlines()
    words = [line.split() for line in lines if line[:5].strip()]
    assert ["maple", "a", "changed", "07:10"] in words
    assert any("b     FAILED       it broke (and more, above)" in line for line in lines)
    assert any("c     UNREACHABLE  not reached: no route" in line for line in lines)
    assert any("d     not begun" in line for line in lines)
    assert "1 in order, 3 not" in report._display.text
    assert (tmp_path / "build" / "east" / "send.limit").read_text() == "b\nc\nd\n"


def test_an_unreachable_host_has_a_reason_in_a_loop_and_for_a_secret(report: Any) -> None:
    items = [{"msg": "fine"}, {"unreachable": True, "msg": "Task failed: no route"}]
    looped = result("a", "All items completed", results=items, loop=[1])
    censored = result("b", "", censored="the output has been hidden")
    for one in (looped, censored, result("c", "no route to x", no_log=True)):
        report.v2_runner_on_unreachable(one)
    report.v2_playbook_on_stats(stats({}, set(), {"a", "b", "c"}))
    text = " ".join(report._display.text.split())
    assert "not reached: no route" in text
    assert text.count("the reason is hidden") == 2
    assert "route to x" not in text


def test_a_project_that_is_read_only(report: Any, tmp_path: Path) -> None:
    (tmp_path / "build").write_text("no folder")
    report.v2_runner_on_failed(result("b", "it broke"))
    report.v2_playbook_on_stats(stats({host: [] for host in "acd"}, {"b"}, set()))
    assert report._display.text.endswith("the same command with --limit b\n")


def test_a_secret_task_says_no_more_than_its_name(report: Any) -> None:
    report.v2_runner_on_failed(result("b", "the password is x", no_log=True))
    report.v2_playbook_on_stats(stats({}, {"b"}, set()))
    assert "failed at: the task" in report._display.text
    assert "password" not in report._display.text


def test_a_host_without_such_a_feed_is_no_trouble(report: Any) -> None:
    told = stats({host: [] for host in "bcd"} | {"a": [{"feed": "maple"}]}, set(), set())
    report.v2_playbook_on_stats(told)
    assert "not begun" not in report._display.text


def test_a_row_that_tells_of_the_trouble_is_enough(report: Any) -> None:
    rows = [{"feed": "maple", "did": "NOT SENT", "note": "refused", "ok": False}]
    report.v2_runner_on_failed(result("a", "not sent: maple", vars=SUMS_UP))
    report.v2_playbook_on_stats(stats(dict.fromkeys("abcd", rows), {"a"}, set()))
    assert "FAILED" not in report._display.text


def test_a_row_does_not_hide_another_trouble(report: Any) -> None:
    rows = [{"feed": "maple", "did": "not due", "note": "rotate it", "ok": False}]
    report.v2_runner_on_failed(result("a", "oak: the old credential stays in use"))
    report.v2_playbook_on_stats(stats(dict.fromkeys("abcd", rows), {"a"}, set()))
    assert "the old credential stays in use" in report._display.text


def test_a_playbook_that_tells_nothing_has_no_table(report: Any) -> None:
    report.v2_playbook_on_stats(stats({}, set(), set()))
    assert report._display.text == ""


def test_a_command_that_failed_speaks_for_itself(report: Any) -> None:
    report.v2_runner_on_failed(result("b", "non-zero return code", stdout="", stderr="is held"))
    report.v2_runner_on_failed(result("c", "non-zero return code", stdout="", stderr=""))
    report.v2_playbook_on_stats(stats({}, {"b", "c"}, set()))
    assert "b     FAILED     is held" in report._display.text
    assert "c     FAILED     non-zero return code" in report._display.text


def test_a_check_says_what_would_be(report: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "CLIARGS", {**context.CLIARGS, "check": True})
    report.v2_playbook_on_stats(stats({"a": [{"feed": "maple"}]}, set(), set()))
    assert "send: planned changes" in report._display.text
    assert "would change" in report._display.text


def test_a_good_run_leaves_no_hosts_for_another(report: Any, tmp_path: Path) -> None:
    limit = tmp_path / "build" / "east" / "send.limit"
    limit.parent.mkdir(parents=True)
    limit.write_text("a\n")
    report.v2_playbook_on_stats(stats({host: [{}] for host in "abcd"}, set(), set()))
    assert not limit.exists()


def test_a_check_and_a_run_of_others_leave_what_is_left(
    report: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "build" / "east" / "send.limit"
    limit.parent.mkdir(parents=True)
    limit.write_text("a\nz\n")
    good = stats({host: [{}] for host in "abcd"}, set(), set())
    report.v2_playbook_on_stats(good)
    assert limit.read_text() == "a\nz\n"
    monkeypatch.setattr(context, "CLIARGS", {**context.CLIARGS, "check": True})
    report.meant = [*"abcd", "z"]
    report.v2_playbook_on_stats(good)
    report.v2_playbook_on_stats(stats({}, {"a"}, set()))
    assert limit.read_text() == "a\nz\n"
    assert "--limit a" in report._display.text


def test_an_inventory_without_hosts_is_told(report: Any) -> None:
    report.meant = []
    report.v2_playbook_on_stats(stats({}, set(), set()))
    assert "has no host for it yet" in report._display.text


@pytest.mark.parametrize("secret", [{"no_log": True}, {"_ansible_no_log": True}])
@pytest.mark.parametrize(
    "told",
    [
        {},
        {"stderr": "the password is x"},
        {"results": [{"failed": True, "msg": "the password is x"}], "loop": [1]},
    ],
)
@pytest.mark.parametrize("message", ["the password is x", "non-zero return code"])
def test_a_secret_is_shown_in_no_way(
    report: Any, secret: dict[str, Any], told: dict[str, Any], message: str
) -> None:
    report.v2_runner_on_failed(result("b", message, **secret, **told))
    report.v2_playbook_on_stats(stats({}, {"b"}, set()))
    assert "password" not in report._display.text
    assert "b     FAILED     failed at: the task" in report._display.text


@pytest.mark.parametrize(
    "message",
    [
        "Task failed: Action failed: Validation of arguments failed:\nthe reason",
        "Task failed: Finalization of task args for 'x' failed: Error while resolving value for "
        "'fail_msg': The lookup plugin 'inbox_passwords' failed: the reason\n\nTask failed.",
    ],
)
def test_a_reason_is_shown_without_ansible_s_own_words(report: Any, message: str) -> None:
    report.v2_runner_on_failed(result("b", message))
    assert report.troubles["b"].removesuffix(" (and more, above)") == "the reason"


def test_a_loop_says_what_failed_first(report: Any) -> None:
    results = [{"msg": "fine"}, {"failed": True, "msg": "no room"}, {"failed": True, "msg": "x"}]
    report.v2_runner_on_failed(result("b", "One or more items failed", results=results, loop=[1]))
    report.v2_runner_on_failed(result("c", "All items failed", results=[{"msg": "fine"}], loop=[1]))
    assert report.troubles == {"b": "no room", "c": "All items failed"}


@pytest.mark.parametrize("command", ["/no/such 'a b'", ["/no/such", "a b"]])
def test_a_command_without_output_is_named(report: Any, command: Any) -> None:
    report.v2_runner_on_failed(result("b", "Error executing command.", cmd=command, stderr=""))
    secret = result("c", "Error executing command.", cmd=command, no_log=True)
    report.v2_runner_on_failed(secret)
    assert report.troubles["b"] == "Error executing command: /no/such 'a b'"
    assert report.troubles["c"] == "failed at: the task"


def test_a_file_that_cannot_be_included_is_named(report: Any) -> None:
    told = result("b", "", action="ansible.builtin.include_tasks", reason="no file x.yml\nmore")
    report.v2_runner_on_failed(told)
    assert report.troubles == {"b": "no file x.yml (and more, above)"}


def test_an_item_of_a_loop_speaks_like_a_command(report: Any) -> None:
    failed = {"failed": True, "msg": "non-zero return code", "rc": 1, "stderr": "no room"}
    for host, item in {"b": failed, "c": failed | {"_ansible_no_log": True}}.items():
        told = result(host, "One or more items failed", results=[{"msg": "fine"}, item], loop=[1])
        report.v2_runner_on_failed(told)
    assert report.troubles == {"b": "no room", "c": "failed at: the task"}


def test_the_words_of_ssh_are_not_the_hosts(report: Any) -> None:
    """As the look at a session of an account that cannot log in."""
    streams = {"stdout": "This account is locked.\r\n", "stderr": "Shared connection closed.\r\n"}
    report.v2_runner_on_failed(result("b", "non-zero", action="ansible.builtin.raw", **streams))
    streams["stdout"] = ""
    report.v2_runner_on_failed(result("c", "non-zero", action="compare_host", **streams))
    assert report.troubles == {"b": "This account is locked.", "c": "Shared connection closed."}


def test_the_reason_of_an_unreachable_host_is_shown_not_its_banner(report: Any) -> None:
    begin = "Failed to connect to the host via ssh: Authorized use only\r\n"
    report.v2_runner_on_unreachable(result("b", f"{begin}m@b: Permission denied\r\n"))
    report.v2_runner_on_unreachable(result("c", ""))
    assert report.troubles == {
        "b": "not reached: m@b: Permission denied",
        "c": "not reached: no reason is known",
    }


def test_a_host_that_was_left_in_the_middle_was_begun(report: Any) -> None:
    """Too many hosts of its batch failed."""
    report.v2_runner_on_failed(result("b", "it broke"))
    report.v2_playbook_on_stats(stats({}, {"b"}, set()))
    assert "a     STOPPED    the run stopped before this host was finished" in report._display.text
    assert "c     not begun  the run stopped before it reached" in report._display.text


@pytest.mark.parametrize(
    ("streams", "told"),
    [
        ({"stderr": "is held", "stdout": "x"}, "is held"),
        ({"stderr": " ", "stdout": "on the output"}, "on the output"),
        ({}, "non-zero return code"),
    ],
)
def test_a_command_speaks_by_either_stream(report: Any, streams: dict[str, str], told: str) -> None:
    report.v2_runner_on_failed(result("b", "non-zero return code", **streams))
    report.v2_runner_on_failed(
        result("c", "another message", action="ansible.builtin.apt", **streams)
    )
    report.v2_runner_on_failed(result("d", "failed_when held", rc=0, **streams))
    assert report.troubles == {"b": told, "c": "another message", "d": "failed_when held"}


def test_an_ignored_error_is_no_trouble(report: Any) -> None:
    report.v2_runner_on_failed(result("b", "it broke"), ignore_errors=True)
    assert report.troubles == {}
    report.v2_runner_on_failed(result("b", "it broke"))
    report.v2_runner_on_failed(result("b", "harmless"), ignore_errors=True)
    assert report.troubles == {"b": "it broke"}


def test_troubles_stand_last_whatever_the_order_of_hosts(report: Any) -> None:
    rows = {
        "a": [{"feed": "alder", "note": "bad", "ok": False}, {"feed": "ash"}],
        "b": [{"feed": "beech"}],
        "d": [{"feed": "dogwood", "did": "sent"}],
    }
    report.v2_runner_on_unreachable(result("c", "no route"))
    report.v2_playbook_on_stats(stats(rows, set(), {"c"}))
    lines = report._display.text.splitlines()
    shown = [line.split()[0] for line in lines if line.split()[:1] not in ([], ["send:"], ["feed"])]
    assert shown[:5] == ["ash", "beech", "dogwood", "alder", "c"]
    assert any(line.split() == ["beech", "b", "no", "change"] for line in lines)
    assert any(line.split() == ["dogwood", "d", "sent"] for line in lines), "its own word counts"
    assert "2 in order, 2 not" in report._display.text, "hosts are counted, not rows"
    assert "--limit @build/east/send.limit" in report._display.text


def test_a_host_with_its_trouble_told_is_told_once(report: Any) -> None:
    """Only the sum of the rows is omitted. Successful hosts stay successful."""
    report.v2_runner_on_failed(result("a", "not ready", vars=SUMS_UP))
    rows = {"a": [{"feed": "alder"}], "b": [{"feed": "beech"}], "c": [], "d": []}
    report.v2_playbook_on_stats(stats(rows, {"a"}, set()))
    assert "FAILED" in report._display.text, "no row of it tells of a trouble"
    assert "3 in order" not in report._display.text
    assert "not begun" not in report._display.text


def test_the_controller_is_no_host_of_the_fleet(report: Any, tmp_path: Path) -> None:
    report.meant = ["localhost", "a"]
    report.v2_playbook_on_stats(stats({"a": [{"feed": "alder"}]}, set(), set()))
    assert "not begun" not in report._display.text
    report.v2_runner_on_failed(result("localhost", "it broke"))
    report.v2_playbook_on_stats(stats({"a": [{"feed": "alder"}]}, {"localhost"}, set()))
    assert "FAILED" in report._display.text
    assert not (tmp_path / "build" / "east" / "send.limit").exists()


def play(*names: str) -> Any:
    hosts = [SimpleNamespace(get_name=lambda name=name: name) for name in names]
    inventory = SimpleNamespace(get_hosts=lambda *_, **__: hosts)
    manager = SimpleNamespace(_inventory=inventory)
    return SimpleNamespace(get_variable_manager=lambda: manager, hosts="all")


def test_hosts_of_all_plays_are_meant(report: Any) -> None:
    report.meant = []
    report.v2_playbook_on_start(SimpleNamespace(_file_name="/playbooks/rotate.yml"))
    for names in ("ba", "cb"):
        report.v2_playbook_on_play_start(play(*names))
    assert (report.playbook, report.meant) == ("rotate", ["b", "a", "c"])


@pytest.mark.parametrize(("is_check", "stays"), [(True, True), (False, False)])
def test_only_a_run_takes_the_limit_away(
    report: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_check: bool, stays: bool
) -> None:
    monkeypatch.setattr(context, "CLIARGS", {**context.CLIARGS, "check": is_check})
    limit = tmp_path / "build" / "east" / "send.limit"
    limit.parent.mkdir(parents=True)
    limit.write_text("a\n")
    report.meant = ["a"]
    report.v2_playbook_on_stats(stats({"a": [{}]}, set(), set()))
    assert limit.exists() is stays


EVIL = "\x1b]0;All districts delivered\x07\x9b2J\u202e"


@pytest.mark.parametrize("results", ["text", ["text"], [5], {"a": 1}, None])
def test_what_a_module_calls_results_is_no_loop(report: Any, results: Any) -> None:
    report.v2_runner_on_failed(result("b", "it broke", results=results))
    assert report.troubles == {"b": "it broke"}


@pytest.mark.parametrize("rows", ["text", {"feed": "a"}, None, 7, ["text", 5, None, ["a"]]])
def test_what_is_no_row_takes_no_table_from_the_others(report: Any, rows: Any) -> None:
    good = [{"feed": "beech", "note": "sent"}]
    report.v2_playbook_on_stats(stats({"a": rows} | dict.fromkeys("bcd", good), set(), set()))
    assert report._display.text.count("beech") == 3


def test_a_row_belongs_to_its_own_host(report: Any, tmp_path: Path) -> None:
    rows: dict[str, Any] = {host: [{"feed": host}] for host in "bcd"}
    rows["a"] = [{"host": "b", "feed": "beech", "ok": False}]
    report.v2_playbook_on_stats(stats(rows, set(), set()))
    assert "--limit @build/east/send.limit" in report._display.text
    lines = [line.split() for line in report._display.text.splitlines()]
    assert ["beech", "a", "changed"] in lines
    assert (tmp_path / "build" / "east" / "send.limit").read_text() == "a\n"


def test_the_control_node_tells_of_all_hosts(report: Any) -> None:
    """As if hundreds of districts are added."""
    report.meant.append("localhost")
    rows = [{"host": f"host-{n}", "feed": f"feed-{n}"} for n in range(300)]
    report.v2_playbook_on_stats(stats({"localhost": rows}, set(), set()))
    lines = [line.split() for line in report._display.text.splitlines()]
    assert ["feed-299", "host-299", "no", "change"] in lines


def test_a_district_host_has_so_many_rows(report: Any) -> None:
    rows = [{"feed": f"feed-{n}"} for n in range(300)]
    report.v2_playbook_on_stats(stats({"a": rows}, set(), set()))
    assert report._display.text.count("feed-") == 100


def test_texts_of_hosts_do_not_steer_the_terminal(report: Any) -> None:
    cells = ("district", "feed", "did", "note")
    rows = {host: [dict.fromkeys(cells, EVIL)] for host in "ab"}
    report.v2_runner_on_failed(result("c", EVIL))
    report.v2_runner_on_unreachable(result("d", EVIL))
    report.v2_playbook_on_stats(stats(rows, {"c"}, {"d"}))
    assert report._display.text.count(r"\x1b]0;All districts delivered\x07\x9b2J\u202e") == 10
    assert all(c.isprintable() or c == "\n" for c in report._display.text)


def test_a_host_fills_no_table(report: Any) -> None:
    rows = {host: [{"feed": host}] for host in "bcd"} | {"a": [{"feed": "x" * 10**6}] * 1000}
    report.v2_playbook_on_stats(stats(rows, set(), set()))
    assert len(report._display.text) < 10**6


def test_a_later_failure_is_not_summed_up_by_the_rows(report: Any) -> None:
    rows = [{"feed": "maple", "did": "NOT SENT", "note": "refused", "ok": False}]
    report.v2_runner_on_failed(result("a", "not sent", vars=SUMS_UP))
    report.v2_runner_on_failed(result("a", "the disk is full"))
    report.v2_playbook_on_stats(stats(dict.fromkeys("abcd", rows), {"a"}, set()))
    assert "the disk is full" in report._display.text


HANDLER: dict[str, Any] = {"listen": ["Host files changed"]}


def block(name: str, *, is_rescued: bool, parent: Any = None) -> SimpleNamespace:
    """Return a block of tasks, with or without a rescue section."""
    return SimpleNamespace(_uuid=name, rescue=["a task"] if is_rescued else [], _parent=parent)


def test_a_forced_handler_does_not_hide_the_cause(report: Any) -> None:
    report.v2_runner_on_failed(result("a", "All of them were rolled back."))
    report.v2_runner_on_failed(result("a", "Could not find the requested service", **HANDLER))
    report.v2_runner_on_failed(result("b", "All of them were rolled back."))
    report.v2_runner_on_unreachable(result("b", "no route", **HANDLER))
    assert report.troubles == dict.fromkeys("ab", "All of them were rolled back.")


def test_the_message_of_a_rescue_explains_the_failure(report: Any) -> None:
    role = block("role", is_rescued=False)
    rescued = block("rescued", is_rescued=True, parent=role)
    inner = block("inner", is_rescued=False, parent=rescued)
    explain = {"action": "ansible.builtin.fail", "parent": rescued}
    report.v2_runner_on_failed(result("a", "refused", parent=inner))
    report.v2_runner_on_failed(result("a", "the lock cannot be released", parent=rescued))
    assert report.troubles == {"a": "refused"}
    report.v2_runner_on_failed(result("a", "the old credential stays: refused", **explain))
    report.v2_runner_on_failed(result("a", "a handler", **HANDLER, action="fail"))
    assert report.troubles == {"a": "the old credential stays: refused"}


@pytest.mark.parametrize("is_ok", [True, False])
def test_a_failure_that_was_rescued_hides_no_other(report: Any, is_ok: bool) -> None:
    role = block("role", is_rescued=False)
    rescued = block("rescued", is_rescued=True, parent=role)
    report.v2_runner_on_failed(result("a", "refused", parent=rescued))
    report.v2_runner_on_ok(result("a", "", parent=rescued))
    report.v2_runner_on_ok(result("a", "", **HANDLER))
    assert report.troubles == {"a": "refused"}
    if is_ok:
        report.v2_runner_on_ok(result("a", "", parent=role))
        assert report.troubles == {}
    report.v2_runner_on_failed(result("a", "the disk is full", parent=role))
    assert report.troubles == {"a": "the disk is full"}


def test_a_failure_that_was_rescued_does_not_explain_a_lost_connection(report: Any) -> None:
    role = block("role", is_rescued=False)
    rescued = block("rescued", is_rescued=True, parent=role)
    report.v2_runner_on_failed(result("a", "refused", parent=rescued))
    report.v2_runner_on_unreachable(result("a", "no route", parent=role))
    assert report.troubles == {"a": "not reached: no route"}


def test_a_host_that_may_be_unreachable_is_no_trouble(report: Any) -> None:
    report.v2_runner_on_unreachable(result("a", "no route", ignore_unreachable=True))
    assert report.troubles == {}


def test_a_playbook_with_its_own_table_has_no_second_one(report: Any, tmp_path: Path) -> None:
    """As the status of hosts that were all asked, with a red district."""
    report.v2_runner_on_failed(result("a", "not in order: 1 red", vars=SUMS_UP))
    report.v2_playbook_on_stats(stats({}, {"a"}, set()))
    assert report._display.text == ""
    assert not (tmp_path / "build" / "send.limit").exists()
    report.v2_runner_on_failed(result("b", "it broke"))
    report.v2_playbook_on_stats(stats({}, {"a", "b"}, set()))
    assert "it broke" in report._display.text


LONG = "the guard holds the export: users.student: 500 of 2,000 would be removed. Run approve.yml"


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_table_fits_the_terminal(
    report: Any, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    row = {"district": "Maple Valley Unified School District", "did": "HELD", "note": LONG}
    rows = [row | {"feed": "maple-valley", "ok": False}, row | {"feed": "東京", "note": "07:10"}]
    report.v2_playbook_on_stats(stats(dict.fromkeys("abcd", rows), set(), set()))
    table = report._display.text.partition("not. To retry")[0]
    assert max(map(cell_len, table.splitlines()[:-1])) <= width
    assert table.count("HELD") == 8
    assert "".join(table.split()).count("".join(LONG.split())) == 4


def test_without_a_terminal_a_row_is_a_line(report: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    report.v2_playbook_on_stats(stats({h: [{"note": LONG * 4}] for h in "abcd"}, set(), set()))
    assert report._display.text.count(LONG * 4 + "\n") == 4


def test_a_task_finds_the_width_that_the_main_process_saw(
    report: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of Ansible has no terminal, and inherits the module."""
    monkeypatch.setenv("COLUMNS", "100")
    report.v2_playbook_on_task_start(SimpleNamespace(), is_conditional=False)
    assert TERMINAL.width == 100
    monkeypatch.setenv("COLUMNS", "0")
    leader, follower = os.openpty()
    with os.fdopen(follower, "w") as screen, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", screen)
        for columns, width in ((132, 132), (0, 80)):
            size = struct.pack("HHHH", 24, columns, 0, 0)
            fcntl.ioctl(screen, termios.TIOCSWINSZ, size)
            report.v2_playbook_on_task_start(SimpleNamespace(), is_conditional=False)
            assert TERMINAL.width == width
    os.close(leader)
    report.v2_playbook_on_task_start(SimpleNamespace(), is_conditional=False)
    assert TERMINAL.width is None


def test_the_next_steps_follow_the_table_and_only_the_control_node_gives_them(report: Any) -> None:
    told = stats({"localhost": [{"note": "x"}], "a": [{"note": "y"}]}, set(), set())
    told.custom["localhost"]["fleet_next"] = ["What comes next:", "  1. site.yml"]
    told.custom["a"]["fleet_next"] = ["evil"]
    report.meant = ["localhost", "a"]
    report.v2_playbook_on_stats(told)
    assert report._display.text.rstrip().endswith("What comes next:\n  1. site.yml")
    assert "evil" not in report._display.text


def test_a_refused_run_has_no_rows_that_hide_its_message(report: Any, tmp_path: Path) -> None:
    refused = {"fleet_report_stops_all": True}
    report.v2_runner_on_failed(result("a", "x.yml:1:1: wrong", vars=refused))
    report.v2_playbook_on_stats(stats({}, {"a"}, set()))
    assert report._display.text == "send: no host was touched. The message above says why\n"
    assert not (tmp_path / "build" / "send.limit").exists()


def test_a_loop_that_cannot_begin_has_its_reason(report: Any) -> None:
    report.v2_runner_on_failed(result("b", "no such list", loop="{{ x }}", action="debug"))
    report.v2_playbook_on_stats(stats({}, {"b"}, set()))
    assert "b     FAILED" in report._display.text
    assert "no such list" in report._display.text


def test_workers_do_not_scan_what_was_loaded_before_the_play(report: Any) -> None:
    loaded: list[Any] = [[]]
    loaded[0].append(loaded)
    assert any(it is loaded for it in gc.get_objects())
    report.v2_playbook_on_play_start(play())
    assert not any(it is loaded for it in gc.get_objects())


def test_workers_seldom_scan_what_they_make(report: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr(gc, "set_threshold", told.append)
    report.v2_playbook_on_play_start(play())
    assert told == [100_000]


def checked(host: str, **more: Any) -> SimpleNamespace:
    rows = [{"host": "b", "district": "Oak", "feed": "oak", "did": "checked"}]
    return result(
        host, "", **{"action": "check_inventory", "hosts": ["b", "x"], "rows": rows, **more}
    )


def test_hosts_that_were_checked_at_once_have_rows(report: Any) -> None:
    report.meant = ["a"]
    report.v2_runner_on_ok(checked("a"))
    rows = report.rows(stats({}, {"a"}, set()), is_check=False)
    assert [(row["host"], row["did"]) for row in rows] == [
        ("b", "checked"),
        ("a", "FAILED"),
        ("x", "not begun"),
    ]


def test_a_check_of_the_inventory_alone_brings_no_rows(report: Any) -> None:
    report.v2_runner_on_ok(result("a", "", action="check_inventory"))
    assert report.meant == ["a", "b", "c", "d"]


def test_only_the_check_itself_brings_rows_of_other_hosts(report: Any) -> None:
    """A host's answer could hold anything."""
    report.v2_runner_on_ok(checked("a", action="ansible.builtin.command"))
    assert report.meant == ["a", "b", "c", "d"]
    assert report.rows(stats({}, set(), set()), is_check=False) == []

"""Ask a host's program: of this release, of another one, or missing."""

from __future__ import annotations

import importlib.util
import json
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.utils.display import Display
from roster_fleet import asking, report
from roster_fleet.asking import NoProgramError, OtherReleaseError
from roster_fleet.status import cache as caches
from roster_fleet.status import rows as status
from roster_upload import __version__
from roster_upload.delivery.steps import Step
from support import fleets
from support.fleets import NOW

ROOT = Path(__file__).resolve().parents[2]
ACTIONS = {
    "roster_report": ROOT / "roles/roster_status/action_plugins/roster_report.py",
    "approve_feed": ROOT / "roles/roster_upload/action_plugins/approve_feed.py",
    "deliver_feed": ROOT / "roles/roster_upload/action_plugins/deliver_feed.py",
}
OLD = "0.1.0"
NEW = "99.1"


class Host:
    """A host by what its program prints for each command."""

    def __init__(self, **answers: tuple[int, str]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def _low_level_execute_command(self, script: str, **_: Any) -> dict[str, Any]:
        self.asked.append(script)
        name = "version" if "--version" in script else "command"
        code, output = self.answers[name]
        return {"rc": code, "stdout": output, "stderr": ""}


def whole(value: Any, _: str) -> Any:
    return value


def good(**more: Any) -> str:
    return json.dumps({"schema": 1, "program": __version__, **more})


def test_an_answer_of_this_schema_is_read_whatever_the_exit_code() -> None:
    host = Host(command=(9, good(feeds=[])))
    assert asking.ask_program(host, ["status", "--json"], whole)["feeds"] == []
    assert len(host.asked) == 1


@pytest.mark.parametrize(
    ("answers", "release", "remedy"),
    [
        # An older release does not know the command, or answers in a form without a schema.
        ({"command": (2, "usage: ..."), "version": (0, f"roster-upload {OLD}\n")}, OLD, "site.yml"),
        ({"command": (0, "[]"), "version": (0, f"roster-upload {OLD}\n")}, OLD, "site.yml"),
        ({"command": (0, json.dumps({"schema": 2, "program": NEW}))}, NEW, "Update this checkout"),
        ({"command": (1, ""), "version": (0, f"roster-upload {NEW}")}, NEW, "Update this checkout"),
        ({"command": (2, ""), "version": (0, f"roster-upload {OLD}+3f9c2a1")}, OLD, "site.yml"),
    ],
)
def test_another_release_is_shown_as_what_it_is(
    answers: dict[str, tuple[int, str]], release: str, remedy: str
) -> None:
    with pytest.raises(OtherReleaseError) as failed:
        asking.ask_program(Host(**answers), ["status", "--json"], whole)
    assert f"runs release {release}, this control node {__version__}" in failed.value.message
    assert remedy in failed.value.message


@pytest.mark.parametrize("version", ["", "roster-upload x\x1b[2J", f"roster-upload {__version__}"])
def test_an_error_of_this_release_is_shown_as_its_own_text(version: str) -> None:
    host = Host(command=(17, "is held"), version=(0, version))
    with pytest.raises(AnsibleActionFail, match="is held") as failed:
        asking.ask_program(host, ["status", "--json"], whole)
    assert not isinstance(failed.value, OtherReleaseError)


@pytest.mark.parametrize("program", ["\x1b[2J", "0.1.0; run this", 7, None, "1" * 50])
def test_a_release_is_a_number(program: object) -> None:
    answer = json.dumps({"schema": 2, "program": program})
    host = Host(command=(0, answer), version=(0, "roster-upload $(id)"))
    with pytest.raises(AnsibleActionFail) as failed:
        asking.ask_program(host, ["status", "--json"], whole)
    assert not isinstance(failed.value, OtherReleaseError)


def test_a_host_without_the_program() -> None:
    with pytest.raises(NoProgramError):
        asking.ask_program(Host(command=(127, "")), ["status", "--json"], whole)


def test_words_stay_words_in_the_hosts_shell() -> None:
    host = Host(command=(0, good()))
    asking.ask_program(host, ["approve", "$(id)"], whole, environment={"SUDO_USER": "a b"})
    assert "env 'SUDO_USER=a b' roster-upload approve '$(id)'" in host.asked[0]


# ---- the actions ---------------------------------------------------------------------------------


def module_of(name: str) -> Any:
    """Return the module of an action."""
    spec = importlib.util.spec_from_file_location(name, ACTIONS[name])
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def act(name: str, host: Host, *, is_check: bool = False, **arguments: Any) -> dict[str, Any]:
    """Return the result of an action on a host."""
    if name == "roster_report":
        arguments = {"heads": "/nonexistent", **arguments}
    module = module_of(name)
    task = SimpleNamespace(args=arguments, check_mode=is_check, async_val=0, action=name)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="none"))
    action = module.ActionModule(task, connection, SimpleNamespace(), None, None, None)
    action._low_level_execute_command = host._low_level_execute_command
    result: dict[str, Any] = action.run(None, {"inventory_hostname": "roster-1"})
    return result


def shown(result: dict[str, Any], tmp_path: Path) -> status.Host:
    """Return the host as the fleet's status has it."""
    cache = caches.Cache(tmp_path)
    return caches.host("roster-1", result, cache, report.stamp(NOW), planned=result.get("planned"))


def test_a_report_is_what_the_host_says_and_the_moment_is_this_nodes(tmp_path: Path) -> None:
    answer = fleets.report([fleets.feed(20, 3)], asked="2031-01-01T00:00:00Z")
    result = act("roster_report", Host(command=(0, json.dumps(answer))), feeds=["feed-0020"])
    host = shown(result, tmp_path)
    assert host.report
    assert (host.trouble, host.report["asked"]) == (None, result["asked"])
    assert (result["planned"], result["changed"]) == (["feed-0020"], False)


@pytest.mark.parametrize(
    ("answers", "problem", "text"),
    [
        (
            {"command": (2, "usage: ..."), "version": (0, f"roster-upload {OLD}")},
            "other_release",
            f"the host runs release {OLD}, this control node {__version__}. Run site.yml",
        ),
        ({"command": (127, "")}, "no_program", "has no upload program"),
    ],
)
def test_a_host_that_cannot_report_ends_no_run_and_is_shown_as_seen_last(
    answers: dict[str, tuple[int, str]], problem: str, text: str, tmp_path: Path
) -> None:
    result = act("roster_report", Host(**answers), feeds=["feed-0020"])
    assert (result["problem"], result.get("failed")) == (problem, None)
    seen = shown({"report": json.dumps(fleets.report([fleets.feed(20, 3)]))}, tmp_path)
    caches.Cache(tmp_path).keep([seen])
    [row] = status.build_rows([shown(result, tmp_path)], "")
    assert row.state == "red"
    assert text in row.problems[0].text
    assert "last seen" in row.problems[0].text
    assert "could not be read" not in row.problems[0].text
    assert len(row.nights) == 3


def test_a_host_without_feeds_needs_no_program(tmp_path: Path) -> None:
    result = act("roster_report", Host(command=(127, "")), feeds=[])
    [row] = status.build_rows([shown(result, tmp_path)], "")
    assert row.state == "off"


def test_a_host_cannot_claim_that_it_has_no_feed_by_plan(tmp_path: Path) -> None:
    host = Host(command=(0, good(feeds=[])))
    [row] = status.build_rows(
        [shown(act("roster_report", host, feeds=["feed-0020"]), tmp_path)], ""
    )
    assert (row.state, row.problems[0].text) == ("amber", "the host has no feed. Run site.yml")


def test_a_host_that_cannot_be_understood_fails(tmp_path: Path) -> None:
    host = Host(command=(14, "no space left"), version=(0, f"roster-upload {__version__}"))
    result = act("roster_report", host, feeds=["feed-0020"])
    assert result["failed"]
    [row] = status.build_rows([shown(result, tmp_path)], "")
    assert "could not be read: no space left" in row.problems[0].text


def test_a_report_of_another_release_is_read_and_the_release_is_shown(tmp_path: Path) -> None:
    answer = fleets.report([fleets.feed(20, 3)], program=OLD)
    result = act("roster_report", Host(command=(0, json.dumps(answer))), feeds=["feed-0020"])
    [row] = status.build_rows([shown(result, tmp_path)], "")
    assert row.state == "amber"
    texts = [problem.text for problem in row.problems]
    assert report.other_release(OLD) in texts


def test_a_report_that_an_older_control_node_has_kept_is_read(tmp_path: Path) -> None:
    old = fleets.report([fleets.feed(20, 3)])
    old["v"] = old.pop("schema")
    assert report.parsed(old)["feeds"][0]["feed"] == "feed-0020"


@pytest.mark.parametrize(
    ("result", "is_changed"),
    [("approved", True), ("would_approve", True), ("approved_before", False)],
)
def test_an_approval_is_told_by_its_result(result: str, is_changed: bool) -> None:
    answer = good(result=result, digest="ab" * 32, held=["users.student: too many"], who="ada")
    host = Host(command=(0, answer))
    done = act("approve_feed", host, feed="alder", digest="ab" * 8, reason="spring")
    assert (done["result"], done["changed"]) == (result, is_changed)
    assert done["digest"] == "ab" * 32
    assert "users.student: too many" in done["row"]["note"]
    assert " --check" not in host.asked[0]
    act("approve_feed", host, is_check=True, feed="alder", digest="ab" * 8, reason="spring")
    assert host.asked[1].endswith(" --check")


def test_a_digest_that_the_program_refuses_is_never_approved_before() -> None:
    """An empty digest is the beginning of any."""
    host = Host(command=(2, ""), version=(0, f"roster-upload {__version__}"))
    with pytest.raises(AnsibleActionFail):
        act("approve_feed", host, feed="alder", digest="", reason="spring")


@pytest.mark.parametrize(
    "values", [{"result": "lets it through"}, {"digest": "ab"}, {"held": "x"}, {"digest": None}]
)
def test_an_approval_that_does_not_fit_is_none(values: dict[str, Any]) -> None:
    answer = good(**{"result": "approved", "digest": "ab" * 32, "held": [], **values})
    with pytest.raises(AnsibleActionFail, match="not understood"):
        act("approve_feed", Host(command=(0, answer)), feed="a", digest="ab" * 8, reason="spring")


# ---- a delivery's progress -----------------------------------------------------------------------


def test_each_step_is_news_and_one_that_lasts_is_shown_again() -> None:
    progress = module_of("deliver_feed").Progress()
    settle, write = Step("settle", 1_000, 1_795_770_000), Step("write", 1_700, done=0, size=2_000)
    waiting = "waiting until the export is written, {} s, until 09:00 UTC"
    told = [(now, progress.news(settle, now)) for now in range(0, 24, 2)]
    assert [(now, text) for now, text in told if text] == [
        (0, waiting.format(0)), (10, waiting.format(10)), (20, waiting.format(20)),
    ]  # fmt: skip
    assert progress.news(write, 24) == "sending, 0 s, 0% of 2,000 bytes"
    assert progress.news(write, 26) == ""
    assert progress.news(replace(write, done=500), 28) == "sending, 4 s, 25% of 2,000 bytes"
    assert progress.news(None, 30) == ""


class Delivering(Host):
    """A host whose unit has these states and steps, look by look, and ends after the last."""

    def __init__(self, *looks: tuple[str, str]) -> None:
        super().__init__()
        self.looks = [*looks, ("inactive", "")]

    def _low_level_execute_command(self, script: str, **_: Any) -> dict[str, Any]:
        self.asked.append(script)
        output = ""
        if "status" in script:
            output = good(feeds=[{"feed": "ash", "last_sent": None}])
        elif "journalctl" in script:
            state, step = self.looks.pop(0)
            output = (
                f"ActiveState={state}\nLoadState=loaded\nResult=success\nExecMainStatus=0\n"
                f"InvocationID=one\nJob=0\n--\n{step}\nash: sent\n"
            )
        return {"rc": 0, "stdout": output, "stderr": ""}


@pytest.mark.parametrize("before", ["inactive", "activating"])
def test_a_delivery_is_never_silent(monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    lines: list[str] = []
    monkeypatch.setattr(Display, "display", lambda _self, line, *_, **__: lines.append(line))
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    steps = [Step("settle", 1).to_json(), "1 9", Step("write", 2, done=1, size=4).to_json()]
    host = Delivering((before, ""), *(("activating", step) for step in steps))
    assert act("deliver_feed", host, feed="ash")["exit_code"] == 0
    assert [line.removeprefix("roster-1  ash: ") for line in lines] == [
        "roster-upload@ash.service is started",
        "waiting until the export is written, 0 s",
        "ash: sent",
        "sending, 0 s, 25% of 4 bytes",
    ]
    [start] = [script for script in host.asked if "systemctl start" in script]
    assert ("rm -f" in start) is (before == "inactive"), "a run under way keeps its step"

"""The action `compare_host`: a host skips the roles if all was compared and nothing differs."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import compare_host
import pytest
import yaml
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import filter_loader
from ansible.template import Templar, trust_as_template

ROLES = Path(__file__).resolve().parents[2] / "roles"
LOOKED = ["begin", "user deploy", "has python3", "has root", "system ID=debian",
          'system VERSION_ID="13"', "end"]  # fmt: skip
JUDGED = {
    "feeds": [], "check_session": False, "remove_used_packages": False, "is_packages": False,
    "is_firewall": False, "ssh_ports": [22], "become_method": "", "has_become_password": False,
}  # fmt: skip
VALUES: dict[str, Any] = {
    "inventory_hostname": "elm",
    "ansible_run_tags": ["all"],
    "ansible_skip_tags": [],
    "roster_common_rollback_folder": "/undo",
    "__district_hardening_look": "look",
    "__district_hardening_judged": JUDGED,
    "__district_hardening_wanted": {
        "changes": trust_as_template("{{ missing | default([]) }}"),
        "files": [{"files": [{"path": "/a"}]}],
    },
    "__roster_credentials_wanted": {"credentials": {"with_key": "auto", "credentials": []}},
    "many": trust_as_template("{{ [1] }}"),
    "note": trust_as_template(
        "{{ __roster_credentials_kept.public_keys.elm ~ district_hardening_session.release }}"
    ),
    "site_report": trust_as_template("{{ [{'note': note}] }}"),
}
SAME = {"differences": {}, "credentials": {"public_keys": {"elm": "KEY"}}}


def compared(
    monkeypatch: pytest.MonkeyPatch,
    answer: Any = None,
    code: int = 0,
    answer_code: int = 0,
    is_pipelining: bool = True,
    **values: Any,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run the action. Return its result, and the arguments of the comparisons on the host."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(ActionBase, "run", lambda *_: {})
    filter_loader.add_directory(str(ROLES / "district_hardening/filter_plugins"))
    known = {**VALUES, **values}
    action = compare_host.ActionModule.__new__(compare_host.ActionModule)
    roles = ["district_hardening", "roster_credentials"]
    action._task = SimpleNamespace(
        args={"roles": roles, "group": "differing", "once": ["many"]},
    )
    action._templar = Templar(loader=DataLoader(), variables=known)
    action._display = SimpleNamespace(display=lambda _: None)

    shell = SimpleNamespace(join_path=lambda *parts: "/".join(parts))
    action._connection = SimpleNamespace(is_pipelining_enabled=lambda: is_pipelining, _shell=shell)
    sent: dict[str, bytes] = {}  # files on the host by their paths
    monkeypatch.setattr(action, "_make_tmp_path", lambda: "/a b")
    monkeypatch.setattr(action, "_transfer_data", sent.__setitem__)
    opened: set[str] = set()  # to the other account
    monkeypatch.setattr(action, "_fixup_perms2", opened.update)
    monkeypatch.setattr(action, "_remove_tmp_path", lambda folder: sent.pop(f"{folder}/given"))

    def execute(command: str, in_data: bytes | None = None, **_more: Any) -> Any:
        if command.endswith("< '/a b/given'"):
            assert opened == {"/a b", "/a b/given"}
            in_data = sent["/a b/given"]
        else:
            assert is_pipelining or in_data is None, "it gets no standard input"
        if in_data is None:
            return {"rc": code, "stdout": "", "stderr": "no", "stdout_lines": LOOKED}
        assert "/undo" not in command, "the arguments hold secrets"
        calls.append(json.loads(in_data)["arguments"])
        if isinstance(answer, AnsibleError):
            raise answer
        if isinstance(answer, str):
            return {"rc": 0, "stdout": answer}
        return {"rc": answer_code, "stdout": "a banner\n" + json.dumps(answer or SAME)}

    monkeypatch.setattr(action, "_low_level_execute_command", execute)
    done = action.run(None, known), calls
    assert not sent
    return done


def test_a_host_without_a_difference_has_its_row_already(monkeypatch: pytest.MonkeyPatch) -> None:
    done, [call] = compared(monkeypatch)
    assert "add_group" not in done
    assert done["ansible_stats"]["data"] == {"fleet_report": [{"note": "KEY13"}]}
    assert done["session"]["user"] == "deploy"
    assert call["rollback_folder"] == "/undo"
    assert call["roles"][0] == {
        "name": "district_hardening",
        "files": [{"files": [{"path": "/a"}]}],
    }


@pytest.mark.parametrize(
    ("answer", "values", "role"),
    [
        ({**SAME, "differences": {"district_hardening": ["/a"]}}, {}, "district_hardening"),
        ({**SAME, "differences": {"roster_common": ["/undo"]}}, {}, "roster_common"),
        (None, {"missing": ["cron"]}, "district_hardening"),
        (None, {"__roster_credentials_wanted": trust_as_template("{{ none_such }}")},
         "roster_credentials"),
        (None, {"answer_code": 1}, "host"),
        ("", {}, "host"),
        ("no JSON", {}, "host"),
        ("[1]", {}, "host"),
        ({"differences": {}}, {}, "host"),
        (None, {"missing": {1: datetime.date(2026, 8, 31)}}, "district_hardening"),
        (None, {"roster_common_rollback_folder": datetime.date(2026, 8, 31)}, "host"),
        ({**SAME, "differences": ["/a"]}, {}, "host"),
        ({**SAME, "differences": {"roster_upload": "/a"}}, {}, "host"),
        ({**SAME, "differences": {"roster_upload": [{}]}}, {}, "host"),
        ({**SAME, "credentials": "none"}, {}, "host"),
        (AnsibleError("Missing sudo password"), {}, "host"),
    ],
)  # fmt: skip
def test_whatever_differs_or_cannot_be_compared_goes_to_the_roles(
    monkeypatch: pytest.MonkeyPatch, answer: Any, values: dict[str, Any], role: str
) -> None:
    done, _ = compared(monkeypatch, answer, **values)
    assert done["add_group"] == "differing"
    assert list(done["differs"]) == [role]
    assert "ansible_stats" not in done


def test_a_method_that_needs_a_terminal_gets_the_arguments_by_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such as su. The file goes, also if the comparison fails."""
    done, [call] = compared(monkeypatch, is_pipelining=False)
    assert "add_group" not in done
    assert call["rollback_folder"] == "/undo"
    done, [_] = compared(monkeypatch, AnsibleError("Missing su password"), is_pipelining=False)
    assert done["differs"] == {"host": [compare_host.UNKNOWN]}


@pytest.mark.parametrize("tags", [{"ansible_run_tags": ["firewall"]}, {"ansible_skip_tags": ["x"]}])
def test_with_tags_nothing_is_compared(
    monkeypatch: pytest.MonkeyPatch, tags: dict[str, Any]
) -> None:
    done, calls = compared(monkeypatch, **tags)
    assert done["add_group"] == "differing"
    assert calls == []


def test_a_variable_that_many_read_has_one_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be about the host, too."""
    number = "{{ district_hardening_session.release ~ (range(10 ** 9) | random) }}"
    files = [{"files": [{"path": trust_as_template("{{ many }}")}]} for _ in range(2)]
    wanted: dict[str, Any] = {"__district_hardening_wanted": {"files": files}}
    _, [call] = compared(monkeypatch, many=trust_as_template(number), **wanted)
    one, other = call["roles"][0]["files"]
    assert one == other
    assert one["files"][0]["path"].startswith("13")


def test_a_variable_without_a_value_concerns_its_readers_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken: dict[str, Any] = {"many": trust_as_template("{{ none_such }}")}
    done, _ = compared(monkeypatch, **broken)
    assert "add_group" not in done
    wanted: dict[str, Any] = {
        "__district_hardening_wanted": {"changes": trust_as_template("{{ many }}")}
    }
    done, _ = compared(monkeypatch, **broken, **wanted)
    assert done["differs"] == {"district_hardening": [compare_host.UNKNOWN]}


def test_a_host_that_the_roles_cannot_work_on_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    done, calls = compared(monkeypatch, code=127)
    assert (done["failed"], done["rc"], calls) == (True, 127, [])
    monkeypatch.setitem(VALUES, "__district_hardening_judged", {**JUDGED, "become_method": "sudo"})
    monkeypatch.setattr(f"{__name__}.LOOKED", [line for line in LOOKED if "python3" not in line])
    done, calls = compared(monkeypatch)
    assert done["failed"]
    assert "elm: python3 is missing on the host" in done["msg"]
    assert calls == []


def test_what_a_host_answers_reaches_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compromised host may add to its result what Ansible would act on."""
    many = {"district_hardening": ["x"] * 5000}
    more = {"add_group": "other", "ansible_facts": {}, "ansible_stats": {"data": {"x": 1}}}
    done, _ = compared(monkeypatch, {**SAME, **more})
    assert done.keys() == {"session", "differs", "ansible_stats"}
    assert done["ansible_stats"]["data"].keys() == {"fleet_report"}
    done, _ = compared(monkeypatch, {**SAME, **more, "differences": many})
    assert done.keys() == {"session", "differs", "add_group"}
    assert done["add_group"] == "differing"
    assert len(done["differs"]["district_hardening"]) == compare_host.MOST


def test_a_host_that_is_gone_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AnsibleConnectionFailure):
        compared(monkeypatch, AnsibleConnectionFailure("gone"))


@pytest.mark.parametrize(("differ", "steps"), [(10, ["100%"]), (11, [1, "10%", "100%"])])
def test_many_hosts_that_differ_begin_with_one(differ: int, steps: list[Any]) -> None:
    """In a large fleet with few changes, one host that always fails does not stop the others."""
    play = yaml.safe_load((ROLES.parent / "playbooks/site.yml").read_text())[-1]
    groups = {"district_hosts": ["x"] * 300, "district_differing": ["x"] * differ}
    templar = Templar(loader=DataLoader(), variables={"groups": groups})
    found = [
        templar.template(trust_as_template(play[key])) for key in ("serial", "max_fail_percentage")
    ]
    assert found == [steps, 10 if len(steps) > 1 else 100]

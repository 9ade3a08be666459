"""The filters of the hardening: which controls count, and what becomes of their files."""

from __future__ import annotations

from typing import Any

import pytest
from controls import control_files, control_values, selected_controls

ORDER = ["ssh", "firewall", "su"]


@pytest.mark.parametrize(
    ("run", "skip", "selected"),
    [
        (["all"], [], ORDER),
        (["district_hardening"], [], ORDER),
        (["district_hardening", "su"], [], ORDER),
        (["tagged"], ["ssh"], ["firewall", "su"]),
        (["firewall"], [], ["firewall"]),
        (["su", "ssh"], [], ["ssh", "su"]),
        (["su", "ssh"], ["su"], ["ssh"]),
        (["my_play"], [], ORDER),  # a tag that the play gave to the whole role
        (["my_play"], ["su"], ["ssh", "firewall"]),
        (["all"], ["something else"], ORDER),
    ],
)
def test_tags_select_controls(run: list[str], skip: list[str], selected: list[str]) -> None:
    assert selected_controls(ORDER, run, skip) == selected


def test_only_controls_that_are_on_ask_for_packages() -> None:
    controls: dict[str, dict[str, Any]] = {
        "a": {"packages": ["x", "y"]},
        "b": {"packages": ["z"]},
        "c": {},
        "d": {"packages": ["w"]},
    }
    switches = {"a": True, "b": False, "c": True, "d": True}
    assert control_values(controls, switches, "packages") == ["x", "y", "w"]


SHARED = {"reload": "systemctl daemon-reload"}


def files(is_enabled: bool, *entries: dict[str, Any]) -> list[dict[str, Any]]:
    control = {"commands": {"start": "start it"}, "files": list(entries)}
    return control_files({"one": control}, {"one": is_enabled}, [], SHARED)


def test_an_entry_of_a_control_that_is_on_is_as_written_but_for_its_commands() -> None:
    entry = {"path": "/a", "source": "template", "mode": "0600", "when_disabled": {"mode": "0644"}}
    (found,) = files(True, {**entry, "on_change": ["reload", "start"]})
    assert found == {
        "path": "/a",
        "source": "template",
        "mode": "0600",
        "on_change": ["systemctl daemon-reload", "start it"],
    }


def test_base_files_come_first_and_are_always_there() -> None:
    base = [{"path": "/base", "content": "x", "on_change": ["reload"]}]
    control = {"files": [{"path": "/a", "content": "x"}]}
    assert control_files({"one": control}, {"one": False}, base, SHARED) == [
        {"path": "/base", "content": "x", "on_change": ["systemctl daemon-reload"]},
        {"path": "/a", "state": "absent"},
    ]


def test_a_file_of_a_control_that_is_off_is_removed_and_a_directory_stays() -> None:
    found = files(
        False,
        {"path": "/folder", "state": "directory"},
        {"path": "/folder/a", "source": "file", "mode": "0600", "on_change": ["start"]},
        {"path": "/link", "state": "link", "target": "/a"},
    )
    assert found == [
        {"path": "/folder/a", "state": "absent", "on_change": ["start it"]},
        {"path": "/link", "state": "absent"},
    ]


def test_when_disabled_says_what_becomes_of_a_path_instead() -> None:
    found = files(
        False,
        {
            "path": "/a",
            "source": "settings",
            "divert": True,
            "when_disabled": {"state": "original"},
        },
        {"path": "/b", "state": "existing", "mode": "0600", "when_disabled": {"mode": "0644"}},
        {"path": "/c", "state": "directory", "exclusive": "*", "when_disabled": {}},
    )
    assert found == [
        {"path": "/a", "divert": True, "state": "original"},
        {"path": "/b", "state": "existing", "mode": "0644"},
        {"path": "/c", "state": "directory", "exclusive": "*"},
    ]


def test_an_unknown_command_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^/a: .*: halt$"):
        files(True, {"path": "/a", "content": "x", "on_change": ["start", "halt"]})


class Lazy(dict[str, Any]):
    """A mapping whose values cost something, as Ansible's variables do."""

    def __getitem__(self, key: str) -> Any:
        if key == "content":
            pytest.fail("the content of a control that is off was rendered")
        return super().__getitem__(key)


def test_contents_of_a_control_that_is_off_are_not_rendered() -> None:
    (found,) = files(False, Lazy(path="/a", content="costly"))
    assert found["state"] == "absent"

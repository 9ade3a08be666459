"""The code that compares a host reaches it whole, and its answer may be anything."""

from __future__ import annotations

import ast
import json
import shlex
from pathlib import Path

import pytest
from roster_fleet import host_code

NAMES = [name for name, _ in json.loads(host_code.request({}))["modules"]]


def imports(path: str) -> set[str]:
    """Return the modules of Ansible's namespace that a file imports."""
    found = set()
    for node in ast.walk(ast.parse((host_code.ROLES / path).read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ansible"):
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in NAMES else str(node.module) for name in whole}
    return found


@pytest.mark.parametrize("path", host_code.MODULES)
def test_each_module_comes_after_those_that_it_imports(path: str) -> None:
    at = len(host_code.PACKAGES) + host_code.MODULES.index(path)
    assert imports(path) <= set(NAMES[:at])


def test_no_argument_is_in_the_command() -> None:
    python, option, code = shlex.split(host_code.command())
    assert (python, option, code) == ("/usr/bin/python3", "-c", host_code.START)
    assert json.loads(host_code.request({"a": "ä"}))["arguments"] == {"a": "ä"}


NO_ANSWERS = ["", "\n", "text", "[]", '"text"', "{", "null", "\x00", "[" * 100_000]


@pytest.mark.parametrize("output", NO_ANSWERS, ids=range(len(NO_ANSWERS)))
def test_what_is_no_answer_is_empty(output: str) -> None:
    assert host_code.answer(output) == {}


def test_an_answer_is_the_last_line() -> None:
    assert host_code.answer('Welcome\n{"a": 1}\n{"b": 2}\n') == {"b": 2}


def test_the_modules_are_files_of_roles() -> None:
    for path in host_code.MODULES:
        assert Path(host_code.ROLES, path).is_file()

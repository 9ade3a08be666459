"""Each role runs alone: by its own variables, those of its dependencies, and in any folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from jinja2 import meta, nodes
from support import forks

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.heavy
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if (path / "meta").is_dir())

# ---- the names that a role reads ------------------------------------------------------------

MAGIC = {
    "group_names", "groups", "hostvars", "inventory_dir", "inventory_hostname", "item", "lookup",
    "now", "omit", "playbook_dir", "query", "role_path",
}  # fmt: skip
BARE = {"when", "that", "changed_when", "failed_when", "until"}  # expressions without braces
# What a lookup gives to a template alone.
ITEM_NAME = re.compile(r"item_name='(\w+)'")
TEMPLATE_VARS = re.compile(r"template_vars=\{([^}]*)\}")
KEY = re.compile(r"'(\w+)':")


class AnyFilter(dict[str, Any]):
    """Filters and tests of which every name is known."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return something that can be called."""
        return super().get(key, str)


def names_in(text: str) -> tuple[set[str], set[str]]:
    """Return the variables that a template reads, and those of them that always have a default."""
    environment = jinja2.Environment()  # noqa: S701 - it only parses
    environment.filters, environment.tests = AnyFilter(), AnyFilter()
    tree = environment.parse(text)
    read = meta.find_undeclared_variables(tree)
    guarded = {
        id(one.node): one.node.name
        for one in tree.find_all(nodes.Filter)
        if one.name in {"default", "d"} and isinstance(one.node, nodes.Name)
    }
    bare = {one.name for one in tree.find_all(nodes.Name) if id(one) not in guarded}
    return read, {name for name in guarded.values() if name not in bare}


def expressions(value: Any, key: str = "") -> Iterator[str]:
    """Yield all templates of a YAML value."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from expressions(part, str(name))
    elif isinstance(value, list):
        for part in value:
            yield from expressions(part, key)
    elif isinstance(value, str) and ("{{" in value or "{%" in value):
        yield value
    elif isinstance(value, str) and key in BARE:
        yield "{{ " + value + " }}"


def set_by_tasks(value: Any) -> set[str]:
    """Return the names that tasks set: registered, facts, their own variables, loop variables."""
    found: set[str] = set()
    if isinstance(value, list):
        return found.union(*(set_by_tasks(part) for part in value))
    if isinstance(value, dict):
        for key, part in value.items():
            if key in {"register", "loop_var"}:
                found.add(part)
            elif key in {"vars", "ansible.builtin.set_fact"}:
                found |= set(part)
            found |= set_by_tasks(part)
    return found


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) or {}


def yaml_files(role: Path, *folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((role / folder).rglob("*.yml"))]


def dependencies(role: Path) -> list[Path]:
    """Return a role's dependencies, theirs included."""
    found = []
    for entry in load(role / "meta/main.yml").get("dependencies", []):
        other = role.parent / entry["role"]
        found += [other, *dependencies(other)]
    return found


def declared(role: Path) -> set[str]:
    """Return the names that a role offers: of its specification, defaults and vars."""
    specs = load(role / "meta/argument_specs.yml")["argument_specs"]
    found = {name for spec in specs.values() for name in spec.get("options", {})}
    for path in yaml_files(role, "defaults", "vars"):
        found |= load(path).keys()
    return found


def undeclared(role: Path) -> set[str]:
    """Return the variables that a role reads, though nobody declares them.

    The defaults of its variables may read the inventory's facts, each with a default of its own.
    """
    known = set(MAGIC).union(*(declared(one) for one in [role, *dependencies(role)]))
    found: set[str] = set()
    for path in yaml_files(role, "tasks", "handlers", "vars", "defaults"):
        content = load(path)
        known |= set_by_tasks(content)
        for text in expressions(content):
            read, guarded = names_in(text)
            found |= read - (guarded if "defaults" in path.parts else set())
            known |= set(ITEM_NAME.findall(text))
            known.update(*(KEY.findall(keys) for keys in TEMPLATE_VARS.findall(text)))
    for path in (role / "templates").rglob("*"):
        if path.is_file():
            found |= names_in(path.read_text())[0]
    return {name for name in found - known if not name.startswith("ansible_")}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reads_its_own_variables_and_those_of_its_dependencies(role: str) -> None:
    assert undeclared(ROOT / "roles" / role) == set()


def test_a_role_that_reads_others_is_found(tmp_path: Path) -> None:
    role = tmp_path / "some"
    files = {
        "meta/main.yml": "dependencies: []",
        "meta/argument_specs.yml": "argument_specs: {main: {options: {some_a: {type: str}}}}",
        "defaults/main.yml": "some_a: \"{{ fact | default('') }}{{ bare_fact }}\"",
        "tasks/main.yml": """
            - x: {a: "{{ some_a }}{{ own }}{{ guarded | default(1) }}"}
              vars: {own: 1}
              when: [other is defined, kept.rc == 0, item.a]
              register: kept
            - x: "{{ query('rendered', 'a.j2', items=[1], item_name='each') }}"
            """,
        "templates/a.j2": "{% for a in each %}{{ a }}{{ third }}{% endfor %}{{ ansible_managed }}",
    }
    for name, text in files.items():
        (role / name).parent.mkdir(parents=True, exist_ok=True)
        (role / name).write_text(text)
    assert undeclared(role) == {"bare_fact", "guarded", "other", "third"}


# ---- a role in a folder of its own ----------------------------------------------------------

# Stands in for each module of the roles: it keeps its arguments, and changes nothing.
STAND_IN = """\
# WANT_JSON
import json, os, sys
with open(sys.argv[1]) as file:
    args = json.load(file)
with open(os.environ["KEPT"], "a") as out:
    print(json.dumps({"module": MODULE, **args}), file=out)
print(json.dumps({"changed": False, "changed_paths": [], "commands": [], "unconfirmed": False,
                  "public_keys": {}, "held": {}, "changed_names": [], "report": "{}"}))
"""
FACTS = {
    "roster_upload_feed": "elm",
    "roster_upload_username": "r@example.org",
    "roster_upload_host_keys": [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHPnYyg29wp+52NcQKVv+8V0+4pa5RjDmFa8hpvjb9rX"
    ],
    "district_name": "Elm",
    "district_site_code": "1",
}
PACKAGES = (
    "{{ (['cron'] + __roster_upload_packages | default([]))"
    " | map('regex_replace', '^', 'installed ') }}"
)


def play(folder: Path, role: str, *, with_scripts: bool = False, **values: Any) -> tuple[int, str]:
    """Play one role from a copy that lies beside no scripts; return exit code and output."""
    roles = folder / "roles"
    for path in [ROOT / "roles" / role, *dependencies(ROOT / "roles" / role)]:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(path, roles / path.name, ignore=ignored, dirs_exist_ok=True)
        for module in (roles / path.name / "library").glob("*.py"):
            name = repr(module.stem)
            module.write_text("#!/usr/bin/python3\n" + STAND_IN.replace("MODULE", name))
    variables = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = {"all": {"hosts": {"host": {**variables, **FACTS}}}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(inventory))
    given = {"roster_common_packages": PACKAGES, **values}
    one = {"hosts": "all", "gather_facts": False, "roles": [role]}
    (folder / "play.yml").write_text(yaml.safe_dump([{**one, "vars": given}]))
    environment = {**os.environ, "KEPT": str(folder / "kept")}
    environment["PYTHONPATH"] = str(ROOT / "scripts") if with_scripts else ""
    # In check mode, so that nothing of this machine could change.
    words = ["-i", folder / "hosts.yml", folder / "play.yml", "--check"]
    done = forks.of_ansible("ansible-playbook", *words, env=environment, cwd=folder, is_alone=True)
    return done.returncode, done.stdout + done.stderr


def kept(folder: Path, module: str) -> list[dict[str, Any]]:
    """The arguments that a module was given, call by call."""
    lines = (folder / "kept").read_text().splitlines()
    return [args for line in lines if (args := json.loads(line))["module"] == module]


def test_a_schedule_alone(tmp_path: Path) -> None:
    code, told = play(tmp_path, "roster_schedule")
    assert code == 0, told
    [args] = kept(tmp_path, "file_set")
    written = {file["path"]: file.get("content", "") for file in args["files"]}
    assert "roster-upload@elm.service" in written["/etc/cron.d/roster-upload"]


def test_a_schedule_alone_of_given_feeds(tmp_path: Path) -> None:
    feeds = [{"feed": "fir", "window_start": "07:10", "deadline": "09:00"}]
    given: dict[str, Any] = {"roster_schedule_feeds": feeds, "roster_schedule_backend": "timer"}
    code, told = play(tmp_path, "roster_schedule", **given)
    assert code == 0, told
    [args] = kept(tmp_path, "file_set")
    paths = {file["path"] for file in args["files"]}
    assert "/etc/systemd/system/roster-watch@fir.timer" in paths
    assert not [path for path in paths if "elm" in path]


def test_credentials_alone(tmp_path: Path) -> None:
    secrets = {"elm": {"secret": "invented"}}
    given = {"roster_credentials_secrets": secrets}
    code, told = play(tmp_path, "roster_credentials", with_scripts=True, **given)
    assert code == 0, told
    [args] = kept(tmp_path, "systemd_credentials")
    names = ["elm_current", "elm_source_current", "elm_state"]
    assert [one["name"] for one in args["credentials"]][: len(names)] == names
    assert {one["state"] for one in args["credentials"][len(names) :]} == {"absent"}


def test_a_feeds_units_die_of_different_causes(tmp_path: Path) -> None:
    """Watcher and alarm load no secret that has to be decrypted, and failures start the alarm."""
    code, told = play(tmp_path, "roster_upload", with_scripts=True)
    assert code == 0, told
    texts = {
        Path(file["path"]).stem.removesuffix("@"): file["content"]
        for args in kept(tmp_path, "file_set")
        for file in args["files"]
        if file["path"].endswith("@.service") and file.get("state") != "absent"
    }
    loads = {name for name, text in texts.items() if "LoadCredentialEncrypted=" in text}
    assert set(texts) - loads == {"roster-alarm", "roster-watch", "roster-forget"}
    alarmed = {name for name, text in texts.items() if "\nOnFailure=roster-alarm@%i" in text}
    assert alarmed == {"roster-upload", "roster-rehearse", "roster-watch", "roster-notify"}
    notifying = {name for name, text in texts.items() if "\nOnSuccess=roster-notify@%i" in text}
    assert notifying == {"roster-watch", "roster-alarm"}
    assert "PrivateNetwork=yes" in texts["roster-watch"]


def test_a_status_alone(tmp_path: Path) -> None:
    """The host has no program, and the table shows that."""
    code, told = play(tmp_path, "roster_status", with_scripts=True)
    assert code == 0, told
    assert "the host has no upload program" in told


def test_the_program_alone(tmp_path: Path) -> None:
    code, told = play(tmp_path, "roster_upload", with_scripts=True)
    assert code == 0, told
    _, args = kept(tmp_path, "file_set")
    assert "/etc/roster-upload/elm.toml" in {file["path"] for file in args["files"]}


def test_the_program_without_its_sources_says_how_to_find_them(tmp_path: Path) -> None:
    code, told = play(tmp_path, "roster_upload")
    assert code != 0
    assert "PYTHONPATH=CHECKOUT/scripts" in told


def test_the_inboxes_alone(tmp_path: Path) -> None:
    key = FACTS["roster_upload_host_keys"]
    inbox = {"user": "sis-elm", "networks": ["192.0.2.0/24"], "authorized_keys": key}
    code, told = play(tmp_path, "sis_inbox", sis_inbox_accounts=[inbox])
    assert code == 0, told
    [args] = kept(tmp_path, "file_set")
    assert "/etc/sis-inbox.json" in {file["path"] for file in args["files"]}

"""The hardening's data fits together: sources, order, tags."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).resolve().parents[2] / "roles" / "district_hardening"


def variables() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted((ROLE / "vars/main").glob("*.yml")):
        found |= yaml.safe_load(path.read_text())
    return found


def order() -> list[str]:
    names: list[str] = variables()["__district_hardening_order"]
    return names


def test_each_control_has_a_file_of_its_name_and_a_place_in_the_order() -> None:
    for name in order():
        values = yaml.safe_load((ROLE / f"vars/main/{name}.yml").read_text())
        assert f"__district_hardening_control_{name}" in values
    named = {name for name in variables() if name.startswith("__district_hardening_control_")}
    assert named == {f"__district_hardening_control_{name}" for name in order()}


def test_each_source_lies_in_the_role_as_on_the_host_and_none_is_unused() -> None:
    values = variables()
    entries = list(values["__district_hardening_base"])
    for name in order():
        files = values[f"__district_hardening_control_{name}"].get("files", [])
        entries += files if isinstance(files, list) else []
    used = set()
    for entry in entries:
        if "source" in entry:
            folder = "templates" if entry["source"] == "template" else "files"
            suffix = ".j2" if entry["source"] == "template" else ""
            used.add(f"{folder}{entry.get('source_path', entry['path'])}{suffix}")
    there = {
        str(path.relative_to(ROLE))
        for folder in ("files", "templates")
        for top in ("etc", "usr", "var")
        for path in (ROLE / folder / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert used == there


def rendered(path: str, release: str, **more: Any) -> dict[str, str]:
    """Return the lines of a rendered template as {first word: the rest}."""
    text = (ROLE / "templates" / f"{path}.j2").read_text()
    values = yaml.safe_load((ROLE / "defaults/main.yml").read_text()) | more
    values |= {"district_hardening_session": {"release": release}}
    environment = jinja2.Environment(trim_blocks=True, autoescape=False)  # noqa: S701 - no HTML
    environment.filters["bool"] = bool
    environment.tests["match"] = lambda value, pattern: re.match(pattern, value)
    lines = environment.from_string(text).render(values).splitlines()
    return {line.partition(" ")[0]: line.partition(" ")[2] for line in lines}


@pytest.mark.parametrize("release", ["12", "13"])
def test_post_quantum_key_exchange_comes_first_and_alone_if_so_chosen(release: str) -> None:
    path = "etc/ssh/sshd_config.d/00-district-hardening.conf"
    hybrid = "sntrup761x25519-sha512@openssh.com"
    if release == "13":
        hybrid = f"mlkem768x25519-sha256,sntrup761x25519-sha512,{hybrid}"
    known = rendered(path, release)["KexAlgorithms"]
    assert known == f"{hybrid},curve25519-sha256,curve25519-sha256@libssh.org"
    alone = rendered(path, release, district_hardening_ssh_post_quantum_only=True)
    assert alone["KexAlgorithms"] == hybrid


def test_the_records_of_logins_are_watched_where_each_release_has_them() -> None:
    path = ROLE / "templates/etc/audit/rules.d/60-district.rules.j2"
    found = {}
    for release in (12, 13):
        values = {"district_hardening_session": {"release": str(release)}}
        text = jinja2.Template(path.read_text()).render(values)
        found[release] = {line.split()[1] for line in text.splitlines() if line.startswith("-w ")}
    databases = {"/var/lib/wtmpdb", "/var/log/wtmp.db", "/var/lib/lastlog"}
    assert found[13] - found[12] == databases
    assert {"/var/log/wtmp", "/var/log/btmp", "/var/log/lastlog"} <= found[12] < found[13]


@pytest.mark.parametrize("value", ["false", "no", False])
def test_a_switch_may_be_a_text(value: str | bool) -> None:
    """`-e NAME=false` gives a text."""
    given = {
        **{f"district_hardening_{name}_enabled": "true" for name in order()},
        "district_hardening_su_enabled": value,
        "__district_hardening_selected": order(),
    }
    init_plugin_loader()
    text = trust_as_template(variables()["__district_hardening_switches"])
    found = Templar(loader=DataLoader(), variables=given).template(text)
    assert [name for name in found if not found[name]] == ["su"]


@pytest.mark.parametrize("role", sorted(path.name for path in ROLE.parent.iterdir()))
def test_whether_something_is_on_is_never_asked_of_a_text(role: str) -> None:
    """A text such as "false" counts as true, unless `bool` reads it. Modules do that themselves."""
    home = ROLE.parent / role
    entries = yaml.safe_load((home / "meta/argument_specs.yml").read_text())["argument_specs"]
    options = {name: one for entry in entries.values() for name, one in entry["options"].items()}
    bools = [name for name, option in options.items() if option.get("type") == "bool"]
    names = "|".join(bools or ["none"])
    asked = re.compile(rf"{{[{{%][^}}]*?\b(?:{names})\b(?!\s*\|\s*bool\b)[^}}]*")
    paths = [path for folder in ("vars", "templates") for path in (home / folder).rglob("*.*")]
    texts = [path.read_text() for path in paths if path.is_file()]
    assert [found for text in texts for found in asked.findall(text)] == []

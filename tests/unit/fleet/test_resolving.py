"""Variables are resolved as Ansible resolves them, most of them by Jinja alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml
from ansible import constants
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible.template import trust_as_template
from ansible.vars.manager import VariableManager
from new_districts import KEY
from roster_fleet import resolving, roles

ROLES = ("roster_upload", "roster_credentials", "sis_inbox", "roster_schedule")
OURS: dict[str, Any] = {
    "a_text": "{{ district_name }} of {{ inventory_hostname }}",
    "a_number": "{{ 3 }}",
    "a_list": ["{{ district_name }}", {"key": "{{ nobody | default('x') }}"}],
    "none_in_a_text": "<{{ nothing }}>",
    "nothing": None,
    "words": "{{ query('ansible.builtin.varnames', '^a_') | sort }}",
    "values": "{{ query('ansible.builtin.vars', 'a_number', 'district_name') }}",
    "pairs": "{{ dict(['x', 'y'] | zip(['1', '2'])) }}",
    "mapped": "{{ [{'k': 1}, {'k': 2}] | map(attribute='k') }}",
    "no_default": "{{ nope }}",
}


def values_of(
    folder: Path, name: str = "roster-maple", given: Mapping[str, Any] = MappingProxyType({})
) -> resolving.Values:
    loader = DataLoader()
    loader.set_vault_secrets([("example", VaultSecret(KEY))])
    inventory = InventoryManager(loader=loader, sources=[str(folder)], cache=False)
    variables = VariableManager(loader=loader, inventory=inventory)
    used = roles.with_dependencies(ROLES, loader)
    trusted = {
        key: trust_as_template(value) if isinstance(value, str) else value
        for key, value in given.items()
    }
    fleet = resolving.Fleet(loader, variables, used, trusted)
    return fleet.values(inventory.get_host(name))


def test_jinja_alone_gives_what_ansible_gives(folder: Path) -> None:
    values = values_of(folder, given=OURS)
    for name in set(OURS) - {"no_default"}:
        expected = values.by_ansible(values.raw[name]) if name != "a_list" else [
            "Maple Grove", {"key": "x"}
        ]  # fmt: skip
        assert values[name] == expected, name
        assert type(values[name]) in (str, int, list, dict, type(None)), name
    assert values["none_in_a_text"] == "<>"
    assert values["values"] == [3, "Maple Grove"]


@pytest.mark.parametrize("host", ["roster-maple", "roster-region7"])
def test_the_roles_values_are_those_of_ansible(folder: Path, host: str) -> None:
    """Only those are compared that need no host and no task."""
    values = values_of(folder, host)
    for name in (
        "roster_upload_resolved_feeds",
        "roster_upload_remote_dir",
        "roster_common_feeds",
        "roster_credentials_folder",
        "roster_credentials_secrets",
        "roster_credentials_vault_id",
        "__roster_schedule_starts",
    ):
        if "secrets" not in name:
            assert values[name] == values.by_ansible(values.raw[name]), name
        assert values[name]


def test_a_mistake_is_shown_as_ansible_shows_it(folder: Path) -> None:
    values = values_of(folder, given=OURS)
    with pytest.raises(AnsibleError, match="'nope' is undefined"):
        values["no_default"]


def test_an_encrypted_value_that_nobody_reads_stays_closed(folder: Path) -> None:
    key = VaultSecret(b"a key that nobody has")
    sealed = VaultLib([("other", key)]).encrypt("hush", key, "other").decode()
    lines = "".join(f"  {line}\n" for line in sealed.splitlines())
    path = folder / "host_vars/roster-maple/zz.yml"
    path.write_text(f"roster_upload_memory_mb: !vault |\n{lines}")
    values = values_of(folder)
    assert values["roster_upload_resolved_feeds"][0]["feed"] == "maple-grove"
    with pytest.raises(AnsibleError):
        values["roster_upload_memory_mb"]


def test_the_inventory_precedes_defaults_and_not_vars(folder: Path) -> None:
    path = folder / "host_vars/roster-maple/zz.yml"
    path.write_text("roster_schedule_backend: timer\n__roster_credentials_locks: /nowhere\n")
    values = values_of(folder)
    assert values["roster_schedule_backend"] == "timer"
    assert values["__roster_credentials_locks"] == "/run/roster-rotation"


def test_a_template_with_marks_of_its_own_is_resolved(folder: Path) -> None:
    path = folder / "host_vars/roster-maple/zz.yml"
    text = "#jinja2: variable_start_string:'[[', variable_end_string:']]'\n[[ 'x' ]]"
    path.write_text(yaml.safe_dump({"own_marks": text}))
    assert values_of(folder)["own_marks"] == "x"


def test_mappings_are_merged_if_ansible_merges_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "host_vars/roster-maple/zz.yml"
    path.write_text("roster_upload_guard_minimum: {classes: 7}\n")
    assert values_of(folder)["roster_upload_guard_minimum"] == {"classes": 7}
    monkeypatch.setattr(constants, "DEFAULT_HASH_BEHAVIOUR", "merge")
    merged = values_of(folder)["roster_upload_guard_minimum"]
    assert merged["classes"] == 7
    assert "users.student" in merged


def test_a_value_that_fails_is_not_undefined(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise `default` would hide a lookup that fails in its own way."""
    path = folder / "host_vars/roster-maple/zz.yml"
    path.write_text("broken: '{{ 1 }}'\n")
    values = values_of(folder, given={"reader": "{{ broken | default('good') }}"})
    missing: dict[str, str] = {}
    monkeypatch.setattr(values, "by_ansible", lambda _: missing["nothing"])
    with pytest.raises(KeyError):
        values["reader"]

"""All hosts are judged at once, and exactly as Ansible would judge each of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import check_hosts
import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret
from ansible.playbook.task import Task
from ansible.plugins.loader import filter_loader
from ansible.template import Templar, trust_as_template
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from new_districts import KEY, ROOT
from roster_fleet import resolving, roles
from roster_fleet.check import hosts
from support import share

TASKS = ROOT / "playbooks/shared/check_hosts.yml"
TWO = [
    {"feed": name, "district": name, "username": "x@x.example", "remote_dir": f"imagine/1-{name}/p"}
    for name in ("oak", "pine")
]
INBOX = {"user": "sis-maple", "networks": ["192.0.2.0/24"], "password": True}
SECRET_OF_ANY = {"secret": "a password"}
SECRET = {"maple-grove": SECRET_OF_ANY}
RIGHT: list[dict[str, Any]] = [
    {},
    {"district_name": "{{ 'Maple' }} Grove"},
    {"district_site_code": 1234567},
    {"roster_upload_window_start": "{{ '07:20' }}"},
    {"roster_upload_remote_port": "{{ 2022 }}"},
    {"roster_upload_alert_urls": ["ntfy://rosters"]},
    {"roster_credentials_secrets": SECRET},
    {"roster_schedule_retries": "{{ ['07:40'] }}"},
    {"nobody_reads_this": "{{ nope }}"},
    {"district_product": "{{ nope.nope }}"},  # it has a default
    {"roster_upload_feed": "", "roster_upload_feeds": TWO,
     "roster_credentials_secrets": {"oak": SECRET_OF_ANY, "pine": SECRET_OF_ANY}},
]  # fmt: skip
WRONG: list[dict[str, Any]] = [
    {"roster_upload_format": "oneroster-2"},
    {"roster_upload_format": "{{ 'oneroster-2' }}"},
    {"roster_upload_remote_dir": "imagine/maplegrove/product"},
    {"roster_upload_window_start": "09:30"},
    {"roster_upload_alert_urls": ["syslog://hush"]},
    {"roster_upload_host_keys": []},
    {"roster_upload_district": "{{ nope }}"},
    {"roster_upload_remote_port": "2022"},
    {"roster_upload_remote_port": "{{ 70000 }}"},
    {"roster_upload_guard_floor": -1},
    {"roster_upload_feeds": "maple"},
    {"roster_upload_feeds": [TWO[0], TWO[0]]},
    {"roster_upload_feeds": [TWO[0], {**TWO[1], "auth": "smartcard"}]},
    {"roster_upload_feeds": [{**TWO[0], "username": "{{ nope }}"}]},
    {"roster_upload_feeds": [{**TWO[0], "username": "{{ omit }}"}]},
    {"roster_upload_mail_to": "a@b.example"},
    {"roster_common_packages": {"a": 1}},
    {"district_hardening_inbound_networks": ["everywhere"]},
    {"district_hardening_inbound_networks": []},
    {"district_hardening_updates_at": "07:30"},
    {"district_hardening_ssh_ports": ["ssh"]},
    {"district_hardening_ssh_permit_root_login": "yes"},
    {"district_hardening_firewall": True},
    {"ansible_user": "root"},
    {"ansible_port": "{{ nope }}"},
    {"sis_inbox_folder": "/home"},
    {"sis_inbox_accounts": [{"user": "SIS", "networks": [], "authorized_keys": []}]},
    {"sis_inbox_accounts": [{"user": "sis-maple"}]},
    {"sis_inbox_accounts": [INBOX]},
    {"sis_inbox_accounts": [{**INBOX, "password": "hush hush"}]},
    {"sis_inbox_accounts": [{**INBOX, "networks": "x"}], "sis_inbox_port": 22},
    {"roster_upload_source": "/srv/dropbox/sis-maple/incoming/OneRoster.zip"},
    {"roster_credentials_key": "none"},
    {"roster_credentials_secrets": {}},
    {"roster_credentials_secrets": {"maple-grove": {"next": "x"}}},
    {"roster_credentials_secrets": {"maple-grove": {"secret": "-----BEGIN x"}}},
    {"roster_credentials_folder": "/nowhere"},
    {"roster_credentials_feeds": ["maple-grove"]},
    {"roster_credentials_alerts": {"urls": ["syslog://hush"]}},
    {"roster_upload_source": "sftp://sis@sftp.sis.example/x.zip"},
    {"roster_schedule_backend": "at"},
    {"roster_schedule_retries": ["09:30"]},
    {"roster_schedule_retries": "{{ ['09:30'] }}"},
    {"roster_schedule_spread_minutes": "ten"},
    {"roster_schedule_feeds": [{"feed": "maple-grove"}]},
    {"roster_schedule_feeds": "{{ nope }}"},
]  # fmt: skip


class Run:
    """A playbook's checks of an inventory."""

    def __init__(
        self,
        folder: Path,
        tasks: Sequence[Mapping[str, Any]] | None = None,
        connection: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        filter_loader.add_directory(str(ROOT / "playbooks/filter_plugins"))
        loader = DataLoader()
        loader.set_vault_secrets([("example", VaultSecret(KEY))])
        inventory = InventoryManager(loader=loader, sources=[str(folder)], cache=False)
        variables = VariableManager(loader=loader, inventory=inventory)
        self.tasks = tasks or loader.load_from_file(str(TASKS), trusted_as_template=True)
        self.roles = roles.with_dependencies(hosts.roles_of(self.tasks), loader)
        extra = {"hostvars": HostVars(inventory, variables, loader)}
        self.fleet = resolving.Fleet(
            loader, variables, self.roles, hosts.given(self.tasks), extra, connection
        )
        self.members = inventory.groups["district_hosts"].get_hosts()

    def judge(self) -> hosts.Found:
        return hosts.judge(self.fleet, self.tasks, self.members)


def variants(folder: Path, values: Sequence[Mapping[str, Any]]) -> list[str]:
    """Add hosts like the example's to an inventory, each with some values. Return their names."""
    original = folder / "host_vars/roster-maple"
    names = [f"variant-{number:02}" for number, _ in enumerate(values)]
    for name, more in zip(names, values, strict=True):
        home = folder / "host_vars" / name
        home.mkdir()
        (home / "main.yml").write_text((original / "main.yml").read_text())
        (home / "zz.yml").write_text(yaml.safe_dump(dict(more)))
        (home / "maple-grove.vault").write_bytes((original / "maple-grove.vault").read_bytes())
    tree = {"all": {"children": {"district_hosts": {"hosts": dict.fromkeys(names)}}}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(tree))
    return names


def passes_by_ansible(values: resolving.Values, run: Run) -> bool:
    """Return whether Ansible's own tasks would pass on a host."""
    try:
        for name in values.raw:
            if name.startswith("ansible_"):
                values.by_ansible(values.raw[name])
        return all(role_passes(values, run, name) for name in hosts.roles_of(run.tasks))
    except AnsibleError:
        return False


def role_passes(values: resolving.Values, run: Run, name: str) -> bool:
    role = run.roles[name]
    options = role.specs["validate"]["options"]
    given = Templar(run.fleet.loader, dict(values.raw)).template(
        {option: values.raw[option] for option in options if option in values.raw}
    )
    found = ArgumentSpecValidator(options).validate(given, validate_role_argument_spec=True)
    if found.error_messages:
        return False
    return all(task_passes(values, run, task) for task in role.validate)


def task_passes(values: resolving.Values, run: Run, task: Mapping[str, Any]) -> bool:
    templar = Templar(run.fleet.loader, {**values.raw, **(task.get("vars") or {})})
    if "loop" in task:
        return not templar.template(task["loop"])
    that = task[hosts.ASSERT]["that"]
    return all(
        templar.evaluate_conditional(trust_as_template(text))
        for text in ([that] if isinstance(that, str) else that)
    )


def test_wrong_hosts_are_doubtful_and_no_others(folder: Path) -> None:
    names = variants(folder, [*RIGHT, *WRONG])
    run = Run(folder)
    found = run.judge()
    assert list(found.doubtful) == names[len(RIGHT) :]
    assert {row["host"] for row in found.rows} == set(names[: len(RIGHT)])
    assert {row["did"] for row in found.rows} == {"checked"}


def test_ansible_judges_them_so_too(folder: Path) -> None:
    right, wrong = share.some(RIGHT), share.some(WRONG)
    variants(folder, [*right, *wrong])
    run = Run(folder)
    by_ansible = [passes_by_ansible(run.fleet.values(host), run) for host in run.members]
    assert by_ansible == [True] * len(right) + [False] * len(wrong)


def test_many_hosts_are_judged_as_few(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variants(folder, [*RIGHT[:3], *WRONG[:2]])
    run = Run(folder)
    few = run.judge()
    monkeypatch.setattr(hosts, "FEW", 2)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    assert run.judge() == few


def test_a_part_of_the_tasks_is_judged_alone(folder: Path) -> None:
    """With --tags roster_schedule no vault file is opened."""
    names = variants(folder, [{"roster_credentials_folder": "/nowhere"}, WRONG[-1]])
    every = Run(folder).tasks
    some = [task for task in every if task["name"].endswith("the schedule")]
    found = Run(folder, some).judge()
    assert list(found.doubtful) == names[1:]
    assert not found.rows


def test_a_template_of_all_hosts_is_judged_for_each(folder: Path) -> None:
    """The default of roster_common_integrity is the same for both hosts, but its value is not."""
    names = variants(folder, [{}, {"district_hardening_integrity_enabled": "perhaps"}])
    shared = [task for task in Run(folder).tasks if task["name"].endswith("what the roles share")]
    assert list(Run(folder, shared).judge().doubtful) == names[1:]


def test_the_account_of_the_command_is_judged(folder: Path) -> None:
    """Ansible gives `-u root` to each task as ansible_user, and so a synonym in the inventory."""
    names = variants(folder, [{}, {"ansible_user": "admin"}, {"ansible_ssh_user": "admin"}])
    path = folder / "group_vars/all/main.yml"
    path.write_text(path.read_text().replace("ansible_user:", "nobody_reads_this:"))
    task = Task()
    task.remote_user = "root"
    action = check_hosts.ActionModule.__new__(check_hosts.ActionModule)
    action._task, action._templar = task, Templar()
    assert list(Run(folder, connection=action.connection()).judge().doubtful) == names[:1]
    assert not Run(folder).judge().doubtful


def test_a_host_whose_files_cannot_be_read_is_doubtful(folder: Path) -> None:
    """The others are judged, and Ansible names the file."""
    names = variants(folder, [{}, {}])
    (folder / "host_vars" / names[1] / "yy.yml").write_text("$ANSIBLE_VAULT;1.2;AES256;other\n61\n")
    found = Run(folder).judge()
    assert list(found.doubtful) == names[1:]
    assert {row["host"] for row in found.rows} == set(names[:1])


def test_a_synonym_of_the_account_is_judged(folder: Path) -> None:
    names = variants(folder, [{"ansible_ssh_user": "root"}])
    path = folder / "group_vars/all/main.yml"
    path.write_text(path.read_text().replace("ansible_user:", "nobody_reads_this:"))
    assert list(Run(folder).judge().doubtful) == names


def test_many_doubtful_hosts_are_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "MOST", 2)
    assert not hosts.Found(["a", "b"], []).warnings
    assert hosts.Found(["a", "b", "c"], []).more == 1
    (text,) = hosts.Found(["a", "b", "c"], []).warnings
    assert text.startswith("3 hosts seem to have mistakes. The first 2 are shown. ")


TAGS = ("always", "never", "all", "tagged", "untagged", "x", "y")


def some(of: Sequence[str]) -> list[tuple[str, ...]]:
    return [(), *itertools.combinations(of, 1), *itertools.combinations(of, 2)]


def test_tasks_are_selected_as_ansible_does() -> None:
    task = Task()
    for own in some(("always", "never", "x", "y")):
        task._tags = list(own)
        for only, skipped in itertools.product(some(TAGS)[1:], some(TAGS)):
            task.get_play = lambda: None
            expected = task.evaluate_tags(list(only), list(skipped), {})
            assert hosts.is_selected(own, only, skipped) == expected, (own, only, skipped)


@pytest.mark.parametrize(
    "task",
    [
        {"ansible.builtin.command": "true"},
        {hosts.ASSERT: {"that": "true"}, "when": "false"},
        {hosts.FAIL: {"msg": "x"}},
    ],
)
def test_a_task_that_cannot_be_judged_is_refused(task: dict[str, Any]) -> None:
    """A condition that is not known here would make a check weaker."""
    with pytest.raises(ValueError, match="are known"):
        hosts.Check.of({"name": "a task", **task})

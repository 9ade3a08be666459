"""The module `system_accounts`, in check mode: its changes of this machine's accounts."""

from __future__ import annotations

import grp
import json
import os
import pwd
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from support import forks

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "roles/roster_common/library/system_accounts.py"
# As Ansible has it: what lies in a role's module_utils is a part of ansible.module_utils.
FOLDER = ROOT / "roles/roster_common/module_utils"
PARTS = f"import ansible.module_utils; ansible.module_utils.__path__.append({str(FOLDER)!r})"
PRESENT = pwd.getpwall()[0].pw_name
GROUP = grp.getgrgid(pwd.getpwall()[0].pw_gid).gr_name


def foreseen(**given: Any) -> dict[str, Any]:
    """Run the module in check mode. Return its result."""
    arguments = {
        **given, "_ansible_check_mode": True, "_ansible_diff": True,
        "_ansible_remote_tmp": "/tmp",  # noqa: S108 - Ansible's own default
    }  # fmt: skip
    done = forks.having("ansible.module_utils.basic").run(
        f"{PARTS}; import runpy; runpy.run_path({str(MODULE)!r}, run_name='__main__')",
        stdin=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        env={**os.environ, "_ANSIBLE_MODULE_PROFILE": "legacy"},
    )
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_what_is_missing_is_made_once() -> None:
    account = {"name": "rf-none", "group": "no-such", "groups": ["rf-none", GROUP]}
    done = foreseen(groups=["no-such"], accounts=[account])
    assert done["changed_names"] == ["no-such", "rf-none", "rf-none"]
    assert [change["before"] for change in done["diff"]] == ["no group\n"] * 2 + ["no account\n"]
    groups = ", ".join(sorted(["rf-none", GROUP]))
    assert done["diff"][-1]["after"] == (
        f"group no-such, also in {groups}, home /nonexistent, shell /usr/sbin/nologin\n"
    )


def test_an_account_leaves_the_groups_that_are_not_named() -> None:
    joined = [entry.gr_name for entry in grp.getgrall() if PRESENT in entry.gr_mem]
    for groups, wanted in (([], "none"), (None, ", ".join(sorted(joined)) or "none")):
        [change] = foreseen(accounts=[{"name": PRESENT, "group": GROUP, "groups": groups}])["diff"]
        assert f"also in {wanted}," in change["after"]


def test_a_removed_account_ends_its_processes_first() -> None:
    """While one runs, userdel refuses."""
    ran: list[list[str]] = []

    def run(command: list[str], **_more: object) -> tuple[int, str, str]:
        ran.append(command)
        return len(ran) - 1, "", ""  # the second call finds none

    accounts = runpy.run_path(str(FOLDER / "system_accounts.py"))["Accounts"]
    accounts(SimpleNamespace(run_command=run), is_check=False).remove(PRESENT)
    assert [command[0] for command in ran[:3]] == ["pkill", "pkill", "userdel"]
    assert ran[0][-1] == PRESENT


def test_what_is_as_stated_stays() -> None:
    locked = next(
        entry for entry in pwd.getpwall()
        if (entry.pw_dir, entry.pw_shell) == ("/nonexistent", "/usr/sbin/nologin")
    )  # fmt: skip
    group = grp.getgrgid(locked.pw_gid).gr_name
    done = foreseen(groups=[group], accounts=[{"name": locked.pw_name, "group": group}])
    assert done["changed"] is False


def test_an_account_goes_with_its_group() -> None:
    done = foreseen(absent=["no-such", PRESENT])
    assert set(done["changed_names"]) == {PRESENT}
    assert [change["after"] for change in done["diff"]][:1] == ["no account\n"]


def test_a_password_is_set_as_a_hash_that_nobody_sees() -> None:
    wanted = "$6$rounds=1000$abc$def"
    done = foreseen(accounts=[{"name": "sis-none", "group": GROUP, "password_hash": wanted}])
    assert done["changed_names"] == ["sis-none", "sis-none"]
    last = done["diff"][-1]
    assert (last["before"], last["after"]) == ("no password\n", "a password\n")
    assert wanted not in json.dumps(done)


def test_an_account_without_a_password_stays_locked() -> None:
    new = {"name": "sis-none", "group": GROUP, "password_hash": ""}
    assert foreseen(accounts=[new])["changed_names"] == ["sis-none"]

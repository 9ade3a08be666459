"""Find what roles would change on a host, in one trip and without a change.

A host is compared with what file_set, system_accounts and systemd_credentials would bring about, by
their own code. The action compare_host sends this module to the host and runs it there.
"""

from __future__ import annotations

import subprocess

from ansible.module_utils import credential_store, system_accounts
from ansible.module_utils.file_set import apply, host
from ansible.module_utils.file_set.rollback import Rollback

RUNNING = ("active", "activating")  # as the module systemd_service takes it
NO_LOCK = {"lock": None, "holder": None, "replace_lost": False}
FILES = {"type": "list", "elements": "dict", "required": True, "options": apply.OPTIONS}
ACCOUNTS = {"type": "list", "elements": "dict", "default": [], "options": system_accounts.OPTIONS}
ROLE = {
    "name": {"type": "str", "required": True},
    "groups": {"type": "list", "elements": "str", "default": []},
    "accounts": ACCOUNTS,
    # For each call of file_set a mapping with its files.
    "files": {"type": "list", "elements": "dict", "default": [], "options": {"files": FILES}},
    "units": {"type": "list", "elements": "str", "default": []},  # those that must be active
}
OPTIONS = {
    "roles": {"type": "list", "elements": "dict", "required": True, "options": ROLE},
    "credentials": {"default": [], **credential_store.OPTIONS},
    "with_key": {"type": "str", "default": "auto"},
    "rollback_folder": {"type": "path", "required": True},
}
TYPES = {"str": str, "path": str, "bool": bool, "list": list, "dict": dict}


def completed(given, options):
    """Return arguments with their defaults, as Ansible's modules get them.

    Ansible would turn one type into another. Here another type is refused, so that nothing is
    compared with a value that the module would not have. Raise ValueError.
    """
    if unknown := given.keys() - options.keys():
        raise ValueError("unknown: %s" % ", ".join(sorted(unknown)))
    return {name: _value(name, given.get(name), option) for name, option in options.items()}


def _value(name, value, option):
    """Return the value of an option. Raise ValueError."""
    if value is None and option.get("required"):
        raise ValueError("missing: %s" % name)
    if value is None:
        value = option.get("default")
    if value is not None and not isinstance(value, TYPES[option["type"]]):
        raise ValueError("%s is no %s" % (name, option["type"]))
    if value is None or option["type"] != "list":
        return value
    if any(not isinstance(one, TYPES[option["elements"]]) for one in value):
        raise ValueError("%s has an element that is no %s" % (name, option["elements"]))
    return [completed(one, option["options"]) if "options" in option else one for one in value]


def account_differences(role):
    """Return the names of groups and accounts that differ."""
    accounts = system_accounts.Accounts(None, is_check=True)
    return accounts.apply(role["groups"], role["accounts"])


def file_differences(role):
    """Return the paths that differ, and those that cannot be compared."""
    found = []
    for call in role["files"]:
        try:
            found += apply.FileSet(None, call["files"], is_check=True).differences()
        except (host.EntryError, OSError, ValueError) as error:
            found.append(getattr(error, "path", None) or str(error))
    return found


def unit_differences(role):
    """Return the units that are not active."""
    units = role["units"]
    if not units:
        return []
    command = ["systemctl", "is-active", "--", *units]
    states = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout.split()
    found = dict(zip(units, states))  # noqa: B905 - a missing state is a difference
    return [unit for unit in units if found.get(unit) not in RUNNING]


def role_differences(role):
    """Return what a role would change."""
    return [*account_differences(role), *file_differences(role), *unit_differences(role)]


def credential_differences(kept):
    """Return the names of the credentials that differ."""
    return kept["changed_names"] or ([kept["msg"]] if "msg" in kept else [])


def answer(given):
    """Return `differences` by role, and `credentials`, which has no secret. Raise ValueError."""
    given = completed(given, OPTIONS)
    found = {role["name"]: role_differences(role) for role in given["roles"]}
    rollback = Rollback(given["rollback_folder"])
    if rollback.has_changes or rollback.damage:
        found["roster_common"] = [rollback.folder]
    kept = credential_store.see_to({**given, **NO_LOCK}, check=True)
    found["roster_credentials"] = credential_differences(kept)
    differences = {name: names for name, names in found.items() if names}
    return {"differences": differences, "credentials": kept}

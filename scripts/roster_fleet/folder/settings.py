"""The `ansible.cfg` of an operator's folder: their own lines, and marked blocks of the project's.

Ansible's settings have no include. So the blocks repeat the checkout's `ansible.cfg`, and are
written again after an update. What operators set themselves counts, and is not repeated.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

LINK = "roster-delivery"  # in the folder, to the checkout
FILE = "ansible.cfg"
CLIENT = "scripts/vault-client"
BEGIN = "# ---- roster-delivery's settings. scripts/new-inventory writes them anew. Do not edit."
END = "# ---- end of roster-delivery's settings"
# With the empty line above a block that is a section of its own.
BLOCK = re.compile(
    rf"(?:^\n)?^{re.escape(BEGIN)}\n.*?^{re.escape(END)}\n", re.MULTILINE | re.DOTALL
)
DEFAULTS, INVENTORY, VAULT_IDS = "defaults", "inventory", "vault_identity_list"
OWN = (INVENTORY, VAULT_IDS)  # never taken from the checkout
PATHS = ("playbooks", "roles", "scripts")  # of the checkout: values that begin so are paths
NEW = f"""\
# Ansible's settings for this folder. Add your own above the marked lines.
[{DEFAULTS}]
"""
PUBLIC_IDS = ("example", "lab")  # their keys are in git

Settings = Mapping[str, Mapping[str, str]]


class SettingsError(Exception):
    """The file cannot be changed. The text says why, and what to do."""


def parsed(text: str, where: object = FILE) -> dict[str, dict[str, str]]:
    """Return the settings of a text, as Ansible reads them. Raise SettingsError."""
    reader = configparser.ConfigParser(inline_comment_prefixes=(";",), interpolation=None)
    try:
        reader.read_string(text)
    except configparser.Error as error:
        message = " ".join(str(error).split())
        raise SettingsError(f"{where} cannot be read: {message}. Correct the file") from None
    return {section: dict(reader[section]) for section in reader.sections()}


def own_part(text: str) -> str:
    """Return the operator's own lines."""
    return BLOCK.sub("", text)


def is_ours(text: str) -> bool:
    """Return whether this project wrote the blocks of an ansible.cfg."""
    return BLOCK.search(text) is not None


def refreshed(text: str, project: Settings, where: object = FILE) -> str:
    """Return an ansible.cfg with the project's present settings in its blocks."""
    own = own_part(text)
    known = parsed(own, where)
    # New sections come last. Otherwise their headers would end an earlier one.
    for section in sorted(project, key=lambda section: section not in known):
        lines = [
            f"{key} = {_below_link(value)}"
            for key, value in project[section].items()
            if key not in OWN and key not in known.get(section, {})
        ]
        if lines:
            own = _with_block(own, section, lines, is_new=section not in known)
    return own


def _with_block(text: str, section: str, lines: Sequence[str], *, is_new: bool) -> str:
    """Return a text with a block at the end of a section."""
    if is_new:
        inside = [BEGIN, f"[{section}]", *lines, END]
        return text.rstrip("\n") + "\n\n" + "\n".join(inside) + "\n"
    rows = text.splitlines()
    begin = _after_header(rows, section)
    end = next((at for at in range(begin, len(rows)) if rows[at].startswith("[")), len(rows))
    while end < len(rows) and end > begin and not rows[end - 1].strip():
        end -= 1
    rows[end:end] = [BEGIN, *lines, END]
    return "\n".join(rows) + "\n"


def with_own(text: str, values: Settings) -> str:
    """Return an ansible.cfg with further settings of the operator, unless they are set already."""
    own = own_part(text)
    for section, wanted in values.items():
        known = parsed(own)
        lines = [
            f"{key} = {value}" for key, value in wanted.items() if key not in known.get(section, {})
        ]
        if lines and section not in known:
            own = own.rstrip("\n") + f"\n\n[{section}]\n"
        rows = own.splitlines()
        begin = _after_header(rows, section) if lines else 0
        rows[begin:begin] = lines
        own = "\n".join(rows) + "\n"
    return own if any(values.values()) else text


def _after_header(rows: Sequence[str], section: str) -> int:
    """Return the number of the first line of a section. Raise SettingsError."""
    for at, row in enumerate(rows):
        if row.startswith(f"[{section}]"):
            return at + 1
    raise SettingsError(f"{FILE} has no section [{section}]. Add this line to it")


def _below_link(value: str) -> str:
    """Return a value with the checkout's paths seen from the operator's folder."""
    parts = value.split(":")
    return ":".join(f"{LINK}/{part}" if part.split("/")[0] in PATHS else part for part in parts)


def with_value(text: str, key: str, value: str) -> str:
    """Return a text with a value in the section [defaults]. An empty one removes the key."""
    line = [f"{key} = {value}"] if value else []
    rows = text.splitlines()
    begin = _after_header(rows, DEFAULTS)
    for at in range(begin, len(rows)):
        if rows[at].startswith("["):
            break
        if re.match(rf"{re.escape(key)}\s*[=:]", rows[at]):
            end = at + 1
            while end < len(rows) and rows[end][:1] in {" ", "\t"} and rows[end].strip():
                end += 1  # a value of several lines
            rows[at:end] = line
            return "\n".join(rows) + "\n"
    rows[begin:begin] = line
    return "\n".join(rows) + "\n"


def with_inventory(text: str, name: str, others: Sequence[str], ids: Sequence[str] = ()) -> str:
    """Return an ansible.cfg that knows an inventory and its vault ids.

    `others` are the folder's other inventories. Only a single inventory is the default one.
    """
    text = text or NEW
    known = parsed(own_part(text)).get(DEFAULTS, {})
    entries = entries_of(known.get(VAULT_IDS, ""))
    for entry in (f"{name}@{CLIENT}", *ids):
        if entry.partition("@")[0] not in {known.partition("@")[0] for known in entries}:
            entries.append(entry)
    if entries != entries_of(known.get(VAULT_IDS, "")):
        text = with_value(text, VAULT_IDS, ", ".join(entries))
    default = known.get(INVENTORY, "")
    if default in {path_of(other) for other in others}:
        return with_value(text, INVENTORY, "")
    if not others and not default:
        return with_value(text, INVENTORY, path_of(name))
    return text


def path_of(name: str) -> str:
    """Return the path of an inventory as an operator types it in their folder."""
    return f"inventories/{name}"


def entries_of(value: str) -> list[str]:
    """Return the entries of a `vault_identity_list`."""
    return [entry.strip() for entry in value.split(",") if entry.strip()]


def project_settings(checkout: Path) -> dict[str, dict[str, str]]:
    """Return the settings of the checkout's ansible.cfg. Raise SettingsError or OSError."""
    path = checkout / FILE
    return parsed(path.read_text("utf-8"), path)


def is_outdated(path: Path, checkout: Path) -> bool:
    """Return whether an operator's ansible.cfg lacks the project's present settings."""
    try:
        text = path.read_text("utf-8")
        return is_ours(text) and text != refreshed(text, project_settings(checkout), path)
    except (OSError, ValueError, SettingsError):
        return False

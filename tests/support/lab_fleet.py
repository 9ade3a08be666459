"""Write inventories for a test, of lab hosts that the test has added."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import yaml
from ansible.parsing.vault import VaultSecret
from roster_fleet import outputs, vault

from support.lab_hosts import INVENTORY, ROOT, minutes_ahead

VAULT_ID = "lab"


def keys() -> vault.Vault:
    """Use the lab's own vault key."""
    text = (INVENTORY / "vault-key.txt").read_text().rstrip("\n")
    return vault.Vault([(VAULT_ID, VaultSecret(text.encode()))])


def keep_quiet(folder: Path) -> None:
    """Move an inventory's night hours away, so that no planned start disturbs a test."""
    hours = {
        "roster_upload_window_start": minutes_ahead(6 * 60),
        "roster_schedule_retries": [minutes_ahead(7 * 60)],
        "roster_upload_deadline": minutes_ahead(8 * 60),
        "district_hardening_updates_at": minutes_ahead(12 * 60),
        "district_hardening_reboot_at": minutes_ahead(14 * 60),
    }
    path = folder / "group_vars" / "district_hosts" / "schedule.yml"
    path.write_text(yaml.safe_dump(hours))


def write(
    name: str, hosts: Sequence[str], *, with_lab: bool = False, with_inboxes: bool = False
) -> Path:
    """Write build/NAME, an inventory of one district a host. Return its folder.

    `with_lab` keeps the lab's own hosts in it, and `with_inboxes` the inboxes of the lab's hosts.
    """
    folder = ROOT / "build" / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(INVENTORY, folder)
    keep_quiet(folder)
    inventory = yaml.safe_load((folder / "hosts.yml").read_text())
    groups = inventory["all"]["children"]
    if not with_lab:
        groups["district_hosts"]["hosts"] = {}
        shutil.rmtree(folder / "host_vars")
    groups["district_hosts"]["hosts"] |= dict.fromkeys(hosts)
    (folder / "hosts.yml").write_text(yaml.safe_dump(inventory))
    for number, host in enumerate(hosts, 1):
        feed = feed_of(host)
        home = folder / "host_vars" / host
        home.mkdir(parents=True)
        values = {
            "district_name": f"District {number:02}",
            "district_site_code": f"{number:07}",
            "roster_upload_feed": feed,
            "roster_upload_username": f"rosters@{feed}.example",
            **({} if with_inboxes else {"sis_inbox_accounts": []}),
        }
        (home / "main.yml").write_text(yaml.safe_dump(values))
        secret = f"{{{{ {host} }}}} 'x\""
        first = {"secret": secret, "since": "2026-11-01"}
        keys().write(vault.path_of(home, feed), first, VAULT_ID)
    return folder


def outputs_of(folder: Path) -> outputs.Outputs:
    """Return the outputs of runs with an inventory."""
    return outputs.of([str(folder)], ROOT / "ansible.cfg")


def entry(folder: Path, host: str) -> vault.Entry:
    """Return the content of the vault file of a host's feed."""
    path = vault.path_of(folder / "host_vars" / host, feed_of(host))
    return vault.parse(keys().read(path)[1], path)


def put(folder: Path, host: str, **values: str) -> None:
    """Change the content of the vault file of a host's feed."""
    path = vault.path_of(folder / "host_vars" / host, feed_of(host))
    keys().write(path, {**entry(folder, host), **values}, VAULT_ID)


def feed_of(host: str) -> str:
    """Return the feed of a host that `write` has made."""
    return f"feed-{host}"

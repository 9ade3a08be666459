"""Run commands and playbooks on the machine with its own kernel (scripts/dev/vm)."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from pathlib import Path
from typing import Any

from support.district import FEED
from support.vendor import Vendor

ROOT = Path(__file__).resolve().parents[2]
VM = ROOT / "scripts" / "dev" / "vm"
BOOT_SECONDS = 900


def root(command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the machine, as root."""
    return subprocess.run(
        [VM, "ssh", "sudo", "sh"], input=command, capture_output=True, text=True, check=False
    )


def told(command: str) -> str:
    """Return the output of a command that must succeed."""
    done = root(command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def site(inventory: Path, *roles: str, **values: Any) -> str:
    """Run `site.yml`, with other values, and some roles alone. Return its recap's line."""
    extra = ["-e", json.dumps(values), *(["--tags", ",".join(roles)] if roles else [])]
    command = ["ansible-playbook", "playbooks/site.yml", "-i", str(inventory), *extra]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return next(line for line in done.stdout.splitlines() if line.startswith("vm "))


def reboot(inventory: Path) -> None:
    """Reboot the machine. Return when all its services run."""
    command = ["ansible", "vm", "-i", str(inventory), "-b", "-m", "ansible.builtin.reboot"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told("systemctl is-system-running --wait")


def booted() -> str:
    """Return what differs with each boot."""
    return told("cat /proc/sys/kernel/random/boot_id")


def wait_for_boot(before: str) -> None:
    """Wait until the machine has rebooted by itself and all its services run."""
    latest = time.monotonic() + BOOT_SECONDS
    while (
        now := root("cat /proc/sys/kernel/random/boot_id")
    ).returncode or now.stdout.strip() == before:
        assert time.monotonic() < latest, "the machine has not rebooted"
        time.sleep(2)
    told("systemctl is-system-running --wait")


def denials() -> str:
    """Return what its profile has denied the program, except for the probe of its confinement."""
    logs = "cat /var/log/audit/audit.log; journalctl -k --no-pager"  # auditd takes all, if it runs
    denied = 'apparmor="DENIED".* profile="roster-upload'
    return told(f"({logs}) | grep '{denied}' | grep -v /etc/hostname || :")


def change_secure_boot() -> None:
    """Add a certificate to Secure Boot's, as an update does. PCR 7 differs after the next boot."""
    told("""
set -e
cd "$(mktemp -d)"
openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=update -out new.pem 2>&1
efi-updatevar -a -c new.pem db
""")


def deliver(vendor: Vendor) -> None:
    """Deliver through the unit. The vendor has the file afterwards."""
    target = vendor.folder / "OneRoster.zip"
    target.unlink(missing_ok=True)
    started = root(f"systemctl start roster-upload@{FEED}")
    assert started.returncode == 0, told(f"journalctl --no-pager -n 30 -u roster-upload@{FEED}")
    sent = told(f"sha256sum < /srv/roster-upload/{FEED}/OneRoster.zip").split()[0]
    assert hashlib.sha256(target.read_bytes()).hexdigest() == sent

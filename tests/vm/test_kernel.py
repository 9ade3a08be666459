"""Harden a machine with its own kernel: AppArmor, audit, modules, settings, the clock, a reboot.

Not part of `make test`, since an emulated machine takes about a quarter of an hour: `make vm`.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.district import FEED, FOLDER, USER
from support.vendor import Vendor, serving

ROOT = Path(__file__).resolve().parents[2]
VM = ROOT / "scripts" / "dev" / "vm"
PASSWORD = "a password of the machine"
PROBE = """[Service]
ExecStart=
ExecStart=/usr/bin/python3 -c "print(open('/proc/self/attr/current').read(), flush=True); \\
    open('/var/lib/roster-upload/%i/probe', 'w'); print('state is open', flush=True); \\
    open('/etc/hostname')"
"""


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


def site(inventory: Path, **values: Any) -> str:
    """Run `site.yml`, with other values. Return its recap's line."""
    extra = ["-e", json.dumps(values)]
    command = ["ansible-playbook", "playbooks/site.yml", "-i", str(inventory), *extra]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return next(line for line in done.stdout.splitlines() if line.startswith("vm "))


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendor]:
    """Start a server on the loopback of the testing machine, which is 10.0.2.2 in there."""
    with serving(Vendor(tmp_path_factory.mktemp("vendor"), PASSWORD)) as server:
        yield server


@pytest.fixture(scope="module")
def inventory(vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the hardened machine, with a feed and its export."""
    subprocess.run([VM, "up"], check=True)
    try:
        values: dict[str, Any] = yaml.safe_load((ROOT / ".vm" / "hosts.yml").read_text())
        values["all"]["children"]["district_hosts"]["hosts"]["vm"] |= {
            "district_name": "Maple Grove",
            "roster_upload_feed": FEED,
            "roster_upload_username": USER,
            "roster_upload_remote_host": "10.0.2.2",
            "roster_upload_remote_port": vendor.port,
            "roster_upload_remote_dir": FOLDER,
            "roster_upload_host_keys": [vendor.host_key],
            "roster_upload_quiet_seconds": 1,
            "roster_credentials_secrets": {FEED: {"secret": PASSWORD}},
        }
        path = tmp_path_factory.mktemp("inventory") / "hosts.json"
        path.write_text(json.dumps(values))
        site(path)
        export = path.with_name("OneRoster.zip")
        make = [sys.executable, str(ROOT / "tests" / "rosters.py"), str(export), "--district", FEED]
        subprocess.run(make, check=True)
        put = f"sudo tee /srv/roster-upload/{FEED}/OneRoster.zip >/dev/null"
        subprocess.run([VM, "ssh", put], input=export.read_bytes(), check=True)
        yield path
    finally:
        subprocess.run([VM, "down"], check=True)


def deliver(vendor: Vendor) -> None:
    """Deliver through the unit. The vendor has the file afterwards."""
    target = vendor.folder / "OneRoster.zip"
    target.unlink(missing_ok=True)
    started = root(f"systemctl start roster-upload@{FEED}")
    assert started.returncode == 0, told(f"journalctl --no-pager -n 30 -u roster-upload@{FEED}")
    sent = told(f"sha256sum < /srv/roster-upload/{FEED}/OneRoster.zip").split()[0]
    assert hashlib.sha256(target.read_bytes()).hexdigest() == sent


def assert_hardened() -> None:
    """Check what needs its own kernel."""
    assert told("systemctl is-system-running") == "running"
    assert told("systemctl is-active auditd chrony apparmor").split() == ["active"] * 3
    wanted = told("cat /etc/sysctl.d/60-district-*.conf | grep ' = '").splitlines()
    for key, value in (line.split(" = ") for line in wanted):
        found = root(f"sysctl -n {key}")
        held = {" ".join(line.split()) for line in found.stdout.splitlines()}  # of each interface
        assert found.returncode != 0 or held == {value}, key
    assert "usb_storage" not in root("modprobe usb-storage; lsmod").stdout
    rules = told("cat /etc/audit/rules.d/60-district.rules; echo").splitlines()
    count = len([rule for rule in rules if rule.startswith(("-w ", "-a "))])
    assert int(told("auditctl -l | wc -l")) == count
    assert "roster-upload" in told("aa-status --enforced 2>/dev/null; aa-status")


def test_a_delivery_goes_through_with_everything_in_force(inventory: Path, vendor: Vendor) -> None:
    assert_hardened()
    deliver(vendor)
    shown = told(f"script -qec 'roster-upload diff {FEED}' /dev/null")  # by its socket
    assert "nothing differs" in shown
    denied = root("journalctl -k --no-pager | grep 'apparmor=\"DENIED\".*roster-upload'").stdout
    assert denied == ""


def test_the_program_is_confined_by_its_profile(inventory: Path) -> None:
    folder = f"/run/systemd/system/roster-upload@{FEED}.service.d"
    script = f"mkdir -p {folder}; cat > {folder}/probe.conf <<'END'\n{PROBE}END\n"
    told(script + "systemctl daemon-reload")
    try:
        assert root(f"systemctl start roster-upload@{FEED}").returncode != 0
        said = told(f"journalctl --no-pager -o cat -n 20 -u roster-upload@{FEED}")
    finally:
        told(f"rm -r {folder} /var/lib/roster-upload/{FEED}/probe; systemctl daemon-reload; "
             "systemctl reset-failed")  # fmt: skip
    assert "roster-upload (enforce)" in said
    assert "state is open" in said
    assert "Permission denied: '/etc/hostname'" in said


def test_who_looks_for_credentials_is_recorded(inventory: Path) -> None:
    told("cat /etc/roster-upload/credentials/*/current > /dev/null")
    told(f"systemctl start roster-upload@{FEED}")  # systemd reads them as well, every night
    found = told("ausearch --input-logs -k roster-credentials -i | grep comm=")
    assert "comm=cat" in found
    assert "auid=deploy" in found


def test_the_profile_can_be_changed_and_taken_away(inventory: Path, vendor: Vendor) -> None:
    site(inventory, district_hardening_program_sources=["/mnt/exports"])
    loaded = "grep roster-upload /sys/kernel/security/apparmor/profiles"
    assert "(enforce)" in told(loaded)
    assert "/mnt/exports" in told("cat /etc/apparmor.d/roster-upload")
    deliver(vendor)
    site(inventory, district_hardening_apparmor_enabled=False)
    assert root(loaded).stdout == ""
    deliver(vendor)
    site(inventory)
    assert "(enforce)" in told(loaded)


def test_a_second_run_changes_nothing(inventory: Path) -> None:
    assert "changed=0 " in site(inventory)


def test_a_reboot_keeps_it_all_and_a_delivery_follows(inventory: Path, vendor: Vendor) -> None:
    command = ["ansible", "vm", "-i", str(inventory), "-b", "-m", "ansible.builtin.reboot"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told("systemctl is-system-running --wait")
    assert_hardened()
    deliver(vendor)

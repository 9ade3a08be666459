"""Harden a machine with its own kernel: AppArmor, audit, modules, settings, the clock, a reboot.

Not part of `make test`, since an emulated machine takes about half an hour: `make vm`.
"""

from __future__ import annotations

from pathlib import Path

from support.district import FEED
from support.vendor import Vendor
from support.vm import deliver, denials, reboot, root, site, told

PROBE = """[Service]
ExecStart=
ExecStart=/usr/bin/python3 -c "print(open('/proc/self/attr/current').read(), flush=True); \\
    open('/var/lib/roster-upload/%i/probe', 'w'); print('state is open', flush=True); \\
    open('/etc/hostname')"
"""


def assert_hardened() -> None:
    """Check what needs its own kernel."""
    assert told("systemctl is-system-running") == "running"
    assert told("systemctl is-active auditd chrony apparmor").split() == ["active"] * 3
    wanted = told("cat /etc/sysctl.d/60-district-*.conf | grep ' = '").splitlines()
    values = dict(line.split(" = ") for line in wanted)
    # A key that this kernel lacks has no value, and one of each interface has several.
    show = "; ".join(f"sysctl -n {key} 2>/dev/null | tr '\\n\\t' '; '; echo" for key in values)
    found = told(f"{show}; echo end").splitlines()
    for (key, value), line in zip(values.items(), found[:-1], strict=True):
        held = {" ".join(part.split()) for part in line.split(";")} - {""}
        assert held <= {value}, key
    assert "usb_storage" not in root("modprobe usb-storage; lsmod").stdout
    told("systemctl restart systemd-journald")  # as an upgrade of systemd does
    assert "enabled 1" in told("auditctl -s").splitlines()
    rules = told("cat /etc/audit/rules.d/60-district.rules; echo").splitlines()
    count = len([rule for rule in rules if rule.startswith(("-w ", "-a "))])
    assert int(told("auditctl -l | wc -l")) == count
    assert "roster-upload" in told("aa-status --enforced 2>/dev/null; aa-status")


def test_a_delivery_goes_through_with_everything_in_force(inventory: Path, vendor: Vendor) -> None:
    assert_hardened()
    deliver(vendor)
    shown = told(f"script -qec 'roster-upload diff {FEED}' /dev/null")  # by its socket
    assert "nothing differs" in shown
    assert denials() == ""


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


def test_kernel_settings_are_loaded_again_on_a_hardened_machine(inventory: Path) -> None:
    told("echo '# by hand' >> /etc/sysctl.d/60-district-kernel.conf; sysctl kernel.pid_max=32768")
    site(inventory)
    assert told("sysctl -n kernel.pid_max") == "65536"


def test_a_second_run_changes_nothing(inventory: Path) -> None:
    assert "changed=0 " in site(inventory)


def test_a_reboot_keeps_it_all_and_a_delivery_follows(inventory: Path, vendor: Vendor) -> None:
    reboot(inventory)
    assert_hardened()
    deliver(vendor)

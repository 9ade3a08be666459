"""The hardening, measured by tools that others wrote, against measured.toml."""

from __future__ import annotations

import json
from collections.abc import Iterable
from fnmatch import filter as filter_names
from fnmatch import fnmatchcase
from typing import Any

import pytest
from infra import measure
from infra.fleet import DISTRICT_HOSTS, Host, connect

WANTED = measure.WANTED


@pytest.fixture(scope="session")
def before() -> dict[str, Any]:
    """The measures of each host before it was hardened."""
    assert measure.BEFORE.exists(), "measure the bare hosts first: python tests/infra/measure.py"
    found: dict[str, Any] = json.loads(measure.BEFORE.read_text())
    return found


def unexplained(found: Iterable[str], tool: str) -> list[str]:
    """The findings that stay without a reason; a reason may be for all that match a pattern."""
    reasons = WANTED[tool]["stays"]
    return sorted(f for f in set(found) if not any(fnmatchcase(f, each) for each in reasons))


@pytest.fixture
def updated(host: Host) -> str:
    """What the host's own night of updates said.

    Debian may have published some since the lab's image was made; a real host has them by morning.
    """
    host.check_output("rm -f /var/lib/apt/periodic/*stamp")
    host.check_output(
        "systemctl start apt-daily.service && systemctl start apt-daily-upgrade.service"
    )
    said: str = host.check_output("cat /var/log/unattended-upgrades/unattended-upgrades.log")
    return said


def test_security_updates_come_by_themselves(host: Host, updated: str) -> None:
    assert "-security,label=Debian-Security" in updated
    last = updated.splitlines()[-1]
    assert "All upgrades installed" in last or "No packages found" in last, updated
    waiting = host.check_output("apt-get --simulate upgrade | grep '^Inst .*Debian-Security' || :")
    assert not waiting


@pytest.mark.usefixtures("updated")
def test_lynis(host: Host, before: dict[str, Any]) -> None:
    name = host.backend.get_hostname()
    after = measure.lynis(host)
    print(f"{name}: Lynis {before[name]['lynis']['index']} before, {after['index']} after")
    assert after["index"] >= WANTED["lynis"]["minimum"]
    assert after["index"] > before[name]["lynis"]["index"]
    assert unexplained(after["suggestions"], "lynis") == [], after["suggestions"]


def test_ssh_audit_finds_nothing(host: Host) -> None:
    found = measure.ssh_audit(host)
    assert not {level: found[level] for level in WANTED["ssh-audit"]["none"] if level in found}


def test_units_are_confined(host: Host, before: dict[str, Any]) -> None:
    name = host.backend.get_hostname()
    feed = host.check_output("basename -s .toml /etc/roster-upload/*.toml").split()[0]
    for unit, maximum in WANTED["systemd"].items():
        full = f"{unit}{feed}.service" if unit.endswith("@") else unit
        level = measure.exposure(host, full)
        assert level <= maximum, full
        if unit in before[name]["exposure"]:
            assert level < before[name]["exposure"][unit], full


def test_openscap(before: dict[str, Any]) -> None:
    hosts = {name: connect(name) for name in DISTRICT_HOSTS}
    release = WANTED["openscap"]["release"]
    name = next(n for n, host in hosts.items() if host.system_info.codename == release)
    after = measure.openscap(hosts[name])
    shares = [measure.share(results) for results in (before[name]["openscap"], after)]
    print(f"{name}: OpenSCAP passed {shares[0]:.0%} before, {shares[1]:.0%} after")
    assert shares[1] >= WANTED["openscap"]["minimum_share"]
    assert shares[1] > shares[0]
    failed = after["fail"]
    assert unexplained(failed, "openscap") == []
    # Nor does a reason outlive its finding; and most rules did apply.
    assert [each for each in WANTED["openscap"]["stays"] if not filter_names(failed, each)] == []
    assert len(after["pass"]) + len(failed) >= WANTED["openscap"]["minimum_rules"]

"""Tools of others measure the hardening. measured.toml has the thresholds."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from fnmatch import filter as filter_names
from fnmatch import fnmatchcase
from typing import Any

import pytest
from support import measure
from support.lab_hosts import Host, connect

WANTED = measure.WANTED


def unexplained(found: Iterable[str], tool: str) -> list[str]:
    """Return the findings without a reason. A reason may be for all that match a pattern."""
    reasons = WANTED[tool]["stays"]
    return sorted(f for f in set(found) if not any(fnmatchcase(f, each) for each in reasons))


@pytest.fixture
def updated(host: Host) -> str:
    """Return the output of the host's own night of updates.

    Debian may have published some since the lab's image was made. A real host has them by morning.
    """
    return update(host.backend.get_hostname())


@functools.cache
def update(name: str) -> str:
    """Run a host's night of updates, once. Return its output."""
    host = connect(name)
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
def test_lynis(host: Host) -> None:
    after = measure.lynis(host)
    print(f"{host.backend.get_hostname()}: Lynis {after['index']}")
    assert after["index"] >= WANTED["lynis"]["minimum"] > WANTED["lynis"]["plain"]
    assert unexplained(after["suggestions"], "lynis") == [], after["suggestions"]


def test_ssh_audit_finds_nothing_else(host: Host) -> None:
    found = measure.ssh_audit(host)
    listed = [text for level in WANTED["ssh-audit"]["levels"] for text in found.get(level, [])]
    assert unexplained(listed, "ssh-audit") == []
    assert [each for each in WANTED["ssh-audit"]["stays"] if not filter_names(listed, each)] == []


def test_units_are_confined(host: Host) -> None:
    feed = host.check_output("basename -s .toml /etc/roster-upload/*.toml").split()[0]
    for unit, maximum in WANTED["systemd"].items():
        full = f"{unit}{feed}.service" if unit.endswith("@") else unit
        assert measure.exposure(host, full) <= maximum, full


def test_openscap() -> None:
    wanted = WANTED["openscap"]
    version = (measure.openscap_rules() / "version").read_text()
    is_known = version.partition("-")[0] == wanted["version"]

    def measured(each: dict[str, Any]) -> dict[str, list[str]]:
        skipped = [] if each["with_slow"] else wanted["slow"]
        return measure.openscap(each["host"], each["content"], each["profile"], skipped)

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(measured, wanted["profiles"]))
    failed: list[str] = []
    for each, after in zip(wanted["profiles"], results, strict=True):
        share = measure.share(after)
        print(f"{each['host']}, {each['profile']}: OpenSCAP passed {share:.0%}")
        assert share >= each["minimum_share"] > each["plain_share"]
        assert len(after["pass"]) + len(after["fail"]) >= wanted["minimum_rules"]
        if each["explained"]:
            failed += after["fail"]
    if is_known:  # the reasons are for the rules of this version
        assert unexplained(failed, "openscap") == []
        # Nor does a reason outlive its finding.
        assert [each for each in wanted["stays"] if not filter_names(failed, each)] == []

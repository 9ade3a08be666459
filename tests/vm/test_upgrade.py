"""An unattended upgrade comes, the machine reboots at its time, and a delivery follows."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.vendor import Vendor
from support.vm import booted, deliver, told, wait_for_boot

# A package whose next version is in a repository on the machine, which says that it is Debian's
# security updates. The next version asks for a reboot, as a kernel does.
OFFER = """
set -e
umask 022
mkdir -p /srv/updates
cd /srv/updates
pack() {
    mkdir -p "$1/DEBIAN" "$1/etc"
    echo "$1" > "$1/etc/district-probe"
    printf '#!/bin/sh\\ntouch /run/reboot-required\\n' > "$1/DEBIAN/postinst"
    chmod 755 "$1/DEBIAN/postinst"
    printf 'Package: district-probe\\nVersion: %s\\nArchitecture: all\\n' "$1" > "$1/DEBIAN/control"
    printf 'Maintainer: nobody <nobody@example.org>\\nDescription: probe\\n' >> "$1/DEBIAN/control"
    dpkg-deb --root-owner-group --build "$1" "$1.deb"
}
pack 1
pack 2
dpkg --install 1.deb
rm -f /run/reboot-required
{ dpkg-deb --field 2.deb
  echo Filename: ./2.deb
  echo Size: $(stat -c %s 2.deb)
  echo SHA256: $(sha256sum < 2.deb | cut -d' ' -f1)
} > Packages
codename=$(. /etc/os-release; echo $VERSION_CODENAME)
{ printf 'Origin: Debian\\nLabel: Debian-Security\\nSuite: stable-security\\n'
  echo "Codename: $codename-security"
  echo "Date: $(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S UTC')"
  echo SHA256:
  echo " $(sha256sum < Packages | cut -d' ' -f1) $(stat -c %s Packages) Packages"
} > Release
list=/etc/apt/sources.list.d/probe.list
echo 'deb [trusted=yes] file:/srv/updates ./' > $list
apt-get update -o Dir::Etc::sourcelist=$list -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0
"""
PLANNED = "cat /run/systemd/shutdown/scheduled"
WITHDRAW = """
apt-get purge --yes district-probe
rm -rf /srv/updates /etc/apt/sources.list.d/probe.list /run/reboot-required
"""
# The minute comes to the machine, which has the right clock again after the boot. Until then no
# delivery may start.
BRING_THE_MINUTE = "systemctl stop chrony cron 'roster-*.timer'; date --utc --set @{second}"


@pytest.fixture
def offered(inventory: Path) -> None:
    """Offer the package's next version to the machine."""
    told(OFFER)


@pytest.mark.usefixtures("offered")
def test_an_upgrade_reboots_the_machine_and_a_delivery_follows(vendor: Vendor) -> None:
    before = booted()
    told("systemctl start apt-daily-upgrade.service")  # as its timer does
    assert told("cat /etc/district-probe") == "2"
    planned = dict(line.split("=", 1) for line in told(PLANNED).splitlines())
    second = int(planned["USEC"]) // 1_000_000
    assert planned["MODE"] == "reboot"
    assert time.gmtime(second)[3:5] == (12, 0)
    told("timeout 3000 systemctl start district-integrity-accept.service")  # or wait for it
    accepted = told("journalctl --no-pager -o cat -u district-integrity-accept")
    assert "/etc/district-probe" in accepted
    told(BRING_THE_MINUTE.format(second=second - 20))
    wait_for_boot(before)
    deliver(vendor)
    told(WITHDRAW)

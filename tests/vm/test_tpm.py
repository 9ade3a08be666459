"""Secrets that a TPM seals outlive an update of Secure Boot, and a host that lost some says so."""

from __future__ import annotations

import json
from pathlib import Path

from support.district import FEED
from support.vendor import Vendor
from support.vm import change_secure_boot, deliver, reboot, root, site, told

SECRET = f"/etc/roster-upload/credentials/{FEED}/current"
PCR_7 = "cat /sys/class/tpm/tpm0/pcr-sha256/7"
# Seals the password as earlier releases did, to PCR 7. Then PCR 7 changes until the next boot.
LOSE = f"""
set -e
systemd-creds decrypt --name={FEED}_current {SECRET} - |
  systemd-creds encrypt --name={FEED}_current --with-key=host+tpm2 --tpm2-pcrs=7 - /root/sealed
cp /root/sealed {SECRET}
tpm2_pcrextend 7:sha256=$(printf certificate | sha256sum | cut -d' ' -f1)
"""
ALARM = f"journalctl -p crit -o cat -u roster-alarm@{FEED}"


def sealing() -> str:
    """Return what `verify` says of the sealing."""
    answer = json.loads(root(f"roster-upload verify {FEED} --without-login --json").stdout)
    [check] = [check for check in answer["feeds"][0]["checks"] if check["check"] == "sealing"]
    return str(check["text"])


def test_secrets_outlive_an_update_of_secure_boot(inventory: Path, vendor: Vendor) -> None:
    assert told("systemd-creds has-tpm2").splitlines()[0] == "yes"  # its library is installed
    assert sealing() == "the host's key and the TPM, without PCRs"
    before = told(PCR_7)
    change_secure_boot()
    reboot(inventory)
    assert told(PCR_7) != before
    deliver(vendor)


def test_a_host_that_cannot_open_its_secrets_says_so(inventory: Path, vendor: Vendor) -> None:
    told(LOSE)
    assert "with PCR 7" in sealing()
    assert root(f"systemctl start roster-upload@{FEED}").returncode != 0
    assert told(f"systemctl show -P ExecMainStatus roster-upload@{FEED}") == "243"
    told(f"timeout 300 sh -c 'until {ALARM} | grep -q secrets; do sleep 1; done'")
    assert "they are bound to PCR 7 of its TPM" in told(ALARM)
    [feed] = json.loads(told("roster-upload report --json"))["feeds"]
    assert feed["last"]["exit_code"] == 6
    assert "cannot open its secrets" in feed["last"]["message"]
    # The watcher needs no secret.
    root(f"systemctl start roster-watch@{FEED}")
    assert told(f"systemctl show -P ExecMainStatus roster-watch@{FEED}") in ("0", "28")
    site(inventory)
    assert sealing() == "the host's key and the TPM, without PCRs"
    deliver(vendor)

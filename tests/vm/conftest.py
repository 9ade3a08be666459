"""One hardened machine with its own kernel for all tests of this folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.district import FEED, FOLDER, USER
from support.vendor import Vendor, serving
from support.vm import ROOT, VM, site

PASSWORD = "a password of the machine"


@pytest.fixture(scope="session")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendor]:
    """Start a server on the loopback of the testing machine, which is 10.0.2.2 in there."""
    with serving(Vendor(tmp_path_factory.mktemp("vendor"), PASSWORD)) as server:
        yield server


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of an export."""
    export = tmp_path_factory.mktemp("export") / "OneRoster.zip"
    rosters = ROOT / "tests" / "support" / "rosters.py"
    subprocess.run([sys.executable, rosters, export, "--district", FEED], check=True)
    return export


@pytest.fixture(scope="session")
def inventory(
    vendor: Vendor, exported: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Return the hardened machine, with a feed and its export. It stays if VM_KEEP is set."""
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
        put = f"sudo tee /srv/roster-upload/{FEED}/OneRoster.zip >/dev/null"
        subprocess.run([VM, "ssh", put], input=exported.read_bytes(), check=True)
        yield path
    finally:
        if not os.environ.get("VM_KEEP"):
            subprocess.run([VM, "down"], check=True)

"""Fixtures of the tests on provisioned hosts."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from roster_fleet import vault
from support.lab_hosts import DISTRICT_HOSTS, INVENTORY, Host, ansible, connect, minutes_ahead, site

SCHEDULE = ("--tags", "roster_upload,roster_schedule")  # the roles that plan a night


@pytest.fixture(scope="session", params=DISTRICT_HOSTS)
def host(request: pytest.FixtureRequest) -> Host:
    """Return each district host in turn."""
    return connect(request.param)


@pytest.fixture(scope="session")
def vendor() -> Host:
    """Return the vendor's SFTP server."""
    return connect("lab-sftp")


@pytest.fixture(scope="session")
def feeds() -> list[dict[str, Any]]:
    """Return all feeds of the lab by the hosts' configuration files, with their host's name."""
    found = []
    for name in DISTRICT_HOSTS:
        command = (
            "import glob, json, tomllib; "
            "print(json.dumps([tomllib.load(open(f, 'rb')) for f in "
            "sorted(glob.glob('/etc/roster-upload/*.toml'))]))"
        )
        listed = json.loads(connect(name).check_output("python3 -c %s", command))
        found += [{**feed, "host": name} for feed in listed]
    return found


@pytest.fixture(scope="session")
def secrets() -> list[str]:
    """Return every secret of the lab, decrypted from its vault files."""
    found: list[str] = []
    for path in sorted(INVENTORY.glob("host_vars/*/*.vault")):
        text = ansible("ansible-vault", "view", str(path))
        assert text.returncode == 0, text.stderr
        found.append(vault.parse(text.stdout, path)["secret"])
    assert len(found) == 3
    return found


@pytest.fixture(scope="module")
def plan_start() -> Iterator[Callable[[dict[str, str]], str]]:
    """Plan a start of all deliveries in the nearest minute, with the roles of `site.yml` for that.

    It takes each host's backend, `cron` or `timer`, and returns the minute as the journal expects
    it. If a run of `site.yml` is too slow for its minute, it is repeated for a later one. After the
    module's last test the inventory's own schedule is restored, since later tests need the hosts as
    `site.yml` leaves them.
    """

    def plan(backends: dict[str, str]) -> str:
        for seconds in (120, 240, 480):
            start = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds + 59)
            start = start.replace(second=0, microsecond=0)
            times = {
                # Manual deliveries count as this window's meanwhile.
                "roster_upload_window_start": minutes_ahead(-1),
                "roster_upload_deadline": minutes_ahead(120),
                "roster_schedule_spread_minutes": 1,
                "roster_schedule_retries": [f"{start:%H:%M}"],
                "roster_schedule_backend": f"{{{{ {json.dumps(backends)}[inventory_hostname] }}}}",
                "district_hardening_updates_at": minutes_ahead(12 * 60),
                "district_hardening_reboot_at": minutes_ahead(14 * 60),
            }
            site(*SCHEDULE, "--extra-vars", json.dumps(times))
            # Exports and manual deliveries come before the start.
            if start - dt.datetime.now(dt.UTC) > dt.timedelta(seconds=60):
                return f"{start:%Y-%m-%d %H:%M:%S}"
        pytest.fail("site.yml takes longer than eight minutes")

    yield plan
    site(*SCHEDULE)

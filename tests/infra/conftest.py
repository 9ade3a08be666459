"""Fixtures of the tests on provisioned hosts."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from roster_fleet import vault
from support.lab_hosts import DISTRICT_HOSTS, INVENTORY, Host, ansible, connect, minutes_ahead, site


@pytest.fixture(scope="session", params=DISTRICT_HOSTS)
def host(request: pytest.FixtureRequest) -> Host:
    """Each district host in turn."""
    return connect(request.param)


@pytest.fixture(scope="session")
def vendor() -> Host:
    """The vendor's SFTP server."""
    return connect("lab-sftp")


@pytest.fixture(scope="session")
def feeds() -> list[dict[str, Any]]:
    """All feeds of the lab as the hosts' configuration files say, with the name of their host."""
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
    """Every secret of the lab in the clear, read from its vault files."""
    found: list[str] = []
    for path in sorted(INVENTORY.glob("host_vars/*/*.vault")):
        text = ansible("ansible-vault", "view", str(path))
        assert text.returncode == 0, text.stderr
        found.append(vault.parse(text.stdout, path)["secret"])
    assert len(found) == 3
    return found


@pytest.fixture(scope="module")
def plan_start() -> Iterator[Callable[[dict[str, str]], str]]:
    """Plans a start of all deliveries in the nearest minute, by `site.yml` itself.

    It takes each host's backend, `cron` or `timer`, and returns the minute as the journal takes
    it. A run of `site.yml` that is too slow for its minute is made again for a later one. After the
    module's last test the inventory's own schedule is put back: the tests that follow find the
    hosts as `site.yml` leaves them.
    """

    def plan(backends: dict[str, str]) -> str:
        for seconds in (120, 240, 480):
            start = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds + 59)
            start = start.replace(second=0, microsecond=0)
            times = {
                # What is delivered by hand meanwhile counts as this window's.
                "roster_upload_window_start": minutes_ahead(-1),
                "roster_upload_deadline": minutes_ahead(120),
                "roster_schedule_spread_minutes": 1,
                "roster_schedule_retries": [f"{start:%H:%M}"],
                "roster_schedule_backend": f"{{{{ {json.dumps(backends)}[inventory_hostname] }}}}",
                "district_hardening_updates_at": minutes_ahead(12 * 60),
                "district_hardening_reboot_at": minutes_ahead(14 * 60),
            }
            site("--extra-vars", json.dumps(times))
            # Exports and deliveries by hand come before the start.
            if start - dt.datetime.now(dt.UTC) > dt.timedelta(seconds=60):
                return f"{start:%Y-%m-%d %H:%M:%S}"
        pytest.fail("site.yml takes longer than eight minutes")

    yield plan
    site()

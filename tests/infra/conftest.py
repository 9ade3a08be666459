"""Fixtures of the tests on provisioned hosts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from infra.fleet import DISTRICT_HOSTS, INVENTORY, Host, ansible, connect, minutes_ahead, site


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

    class Loader(yaml.SafeLoader):
        pass

    def as_it_is(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
        return str(loader.construct_scalar(node))

    Loader.add_constructor("!unsafe", as_it_is)
    for path in sorted(INVENTORY.glob("host_vars/*/vault*.yml")):
        text = ansible("ansible-vault", "view", str(path))
        assert text.returncode == 0, text.stderr
        found += yaml.load(text.stdout, Loader).values()  # noqa: S506 - a SafeLoader
    assert len(found) == 3
    return found


@pytest.fixture(scope="session")
def plan_starts() -> Iterator[Callable[..., None]]:
    """Plans the lab's deliveries for the given minutes from now, by `site.yml` itself.

    Afterwards the inventory's own schedule is put back.
    """

    def plan(*minutes: int, backend: str = "cron") -> None:
        times = {
            "roster_upload_window_start": minutes_ahead(minutes[0]),
            "roster_upload_deadline": minutes_ahead(120),
            "roster_schedule_spread_minutes": 1,
            "roster_schedule_retries": [minutes_ahead(m) for m in minutes[1:]],
            "roster_schedule_backend": backend,
        }
        site("--extra-vars", json.dumps(times))

    yield plan
    site()

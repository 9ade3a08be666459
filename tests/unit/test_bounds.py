"""The limits of a run from outside: each unit's memory and tasks, and each task's time."""

from __future__ import annotations

import configparser
from pathlib import Path

import jinja2
import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "roles" / "roster_upload" / "templates"


def settings(template: str) -> dict[str, str]:
    """Return the settings of a unit with 1,000 MiB of memory."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES))  # noqa: S701
    environment.filters["comment"] = str
    text = environment.get_template(template).render(
        ansible_managed="",
        roster_upload_memory_mb=1000,
        unit={"command": "send", "does": "Delivery"},
    )
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


@pytest.mark.parametrize("template", ["unit.service.j2", "forget.service.j2"])
def test_each_unit_has_so_much_memory_and_so_many_tasks(template: str) -> None:
    found = settings(template)
    assert found["MemoryMax"] == "1000M"
    assert found["MemorySwapMax"] == "0"
    assert found["LimitDATA"] == "875M"  # the program reports before the kernel kills
    assert found["OOMPolicy"] == "kill"
    assert found["TasksMax"] == "64"
    assert found["LimitNOFILE"] == "1024"


def test_a_delivery_ends_in_time() -> None:
    assert settings("unit.service.j2")["TimeoutStartSec"] == "90min"


def test_no_task_waits_for_a_host_for_ever() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "ansible.cfg")
    assert 0 < config.getint("defaults", "task_timeout") <= 1800

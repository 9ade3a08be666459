"""Show the lab to the tests on provisioned hosts: its hosts, receipts and playbook runs."""

from __future__ import annotations

import datetime as dt
import functools
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import testinfra.host

from support import forks, rosters
from support.root_sessions import RootBackend

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "inventories" / "lab"
DISTRICT_HOSTS = ["lab-trixie", "lab-bookworm"]

Host = Any  # testinfra's hosts have no types


@functools.cache
def connect(name: str) -> Host:
    """A lab host, with root's rights, over a login like Ansible's."""
    return testinfra.host.Host(RootBackend(name))


def ansible(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run an Ansible command in the project, as an operator does."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MOLECULE_")}
    environment |= {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"}
    program, *words = arguments
    return forks.of_ansible(program, *words, env=environment)


def wait_for(what: str, condition: Callable[[], bool], seconds: float) -> None:
    """Wait until a condition holds. Fail the test with its description otherwise."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(1)


def receipts(feed: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the receipts of a feed's deliveries, the oldest first, without rehearsals."""
    path = f"/var/lib/roster-upload/{feed['feed']}/receipts.jsonl"
    text = connect(feed["host"]).check_output("! test -e %s || cat %s", path, path)
    found = [json.loads(line) for line in text.splitlines()]
    marks = ("begun", "ended")  # of runs that have written their receipts
    return [r for r in found if r["command"] == "send" and r["outcome"] not in marks]


def remote_path(feed: dict[str, Any]) -> str:
    """Return the path of the feed's file on the vendor's disk."""
    return f"/srv/sftp/{feed['username']}/{feed['remote_dir']}/{feed['remote_name']}"


def sha256(host: Host, path: str) -> str:
    return str(host.check_output("sha256sum < %s", path).split()[0])


def new_export(feed: dict[str, Any], folder: Path, *options: str) -> str:
    """Let the SIS write an export that is new. Return its SHA-256."""
    package = folder / f"{feed['feed']}.zip"
    words = [f"--district={feed['feed']}", f"--revision={time.time_ns()}", *options]
    rosters.main([str(package), *words])
    return put_export(feed, package)


def put_export(feed: dict[str, Any], package: Path) -> str:
    """Let the SIS write a package as its export. Return its SHA-256."""
    # As an SIS does: write it beside the old one and rename it.
    source = feed["source"]
    put = "cat > %s.new && mv %s.new %s && sha256sum < %s"
    done = connect(feed["host"]).backend.run_with(package.read_bytes(), put, *[source] * 4)
    assert done.succeeded, done.stderr
    return str(done.stdout.split()[0])


def minutes_ahead(count: int) -> str:
    """Return the time of day `count` whole minutes from now, `HH:MM` in UTC."""
    return (dt.datetime.now(dt.UTC) + dt.timedelta(minutes=count)).strftime("%H:%M")


def site(*arguments: str) -> str:
    """Run `site.yml` on the lab. Return its output."""
    done = ansible("ansible-playbook", "playbooks/site.yml", "-i", "inventories/lab", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr

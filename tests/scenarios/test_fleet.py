"""Five hosts: one silent, one with a refused login, one that the guard holds. Two deliver."""

from __future__ import annotations

import concurrent.futures
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import ansible_runner
import pytest
from scenarios.conftest import DISTRICT_ONLY, Play, ansible, plain, row
from support import lab_fleet
from support import lab_vendor as vendor
from support.lab_hosts import ROOT, connect, new_export, sha256

LAB = str(ROOT / "scripts" / "lab")
SILENT, REFUSED, HELD, GOOD, ALSO_GOOD = HOSTS = [f"lab-0{n}" for n in range(1, 6)]

# These roles repair what `spoil` does, and the credential that the canary has lost. The others
# would only cost time on each host, which is hardened already.
REPAIR = "roster_credentials,roster_schedule"

# The feed of the host whose disk these hosts start with.
FORGET = "find /etc /srv /var/lib /var/cache -depth -name '*alder-valley*' -exec rm -r {} +"


def podman(*words: str) -> None:
    subprocess.run([LAB, "exec", "--", "podman", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def fleet(play: Play) -> Iterator[Path]:
    """Return the provisioned hosts, with one delivery each."""
    subprocess.run([LAB, "--provisioned", "add", *HOSTS], check=True)
    try:
        for host in HOSTS:
            connect(host).check_output(FORGET)
        folder = lab_fleet.write("fleet", HOSTS, with_inboxes=True)
        for playbook, *words in (
            ["../molecule/default/prepare"],
            ["site", *DISTRICT_ONLY],
            ["send"],
        ):
            done = play(playbook, folder, *words)
            assert done.returncode == 0, done.stdout + done.stderr
        yield folder
    finally:
        subprocess.run([LAB, "remove", *HOSTS], check=True)


@pytest.fixture(scope="module")
def troubled(fleet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same fleet, with its problems, and new exports everywhere."""
    for host in HOSTS:
        feed = lab_fleet.feed_of(host)
        source = f"/srv/roster-upload/{feed}/OneRoster.zip"
        options = ["--drop-students=200"] if host == HELD else []
        new_export(
            {"host": host, "feed": feed, "source": source},
            tmp_path_factory.mktemp("export"),
            *options,
        )
    vendor.take(f"rosters@{lab_fleet.feed_of(REFUSED)}.example", "another one")
    podman("stop", "--time=5", SILENT)
    return fleet


def test_a_run_over_all_begins_with_one(fleet: Path, play: Play) -> None:
    """The canary fails, since it cannot encrypt, and the others are skipped."""
    slot = f"/etc/roster-upload/credentials/{lab_fleet.feed_of(HOSTS[0])}/current"
    canary = connect(HOSTS[0])
    canary.check_output("rm %s && mount --bind /bin/false /usr/bin/systemd-creds", slot)
    steps = json.dumps({"site_batches": [1, "100%"], "site_max_fail_percentage": 10})
    try:
        done = play("site", fleet, "--tags", REPAIR, "-e", steps)
    finally:
        canary.check_output("umount /usr/bin/systemd-creds")
    assert done.returncode != 0
    assert "FAILED" in row(done.stdout, HOSTS[0])
    for host in HOSTS[1:]:
        assert "the run stopped before it reached this host" in row(done.stdout, host)
    left = lab_fleet.outputs_of(fleet).limit("site").read_text().split()
    assert left == HOSTS


MENDED = "/etc/cron.d/roster-upload"


def spoil(*hosts: str) -> dict[str, str]:
    """Give hosts the same file to repair. Return the digest that each file had."""
    good = {host: sha256(connect(host), MENDED) for host in hosts}
    for host in hosts:
        connect(host).check_output("echo spoiled > %s", MENDED)
    return good


@pytest.fixture(scope="module")
def in_steps(fleet: Path, play: Play) -> str:
    """Return the output of a run in steps over the whole fleet, which repairs every host."""
    good = spoil(*HOSTS)
    steps = json.dumps({"site_batches": [1, 2, "100%"]})
    done = play("site", fleet, "--tags", REPAIR, "-e", steps)
    assert done.returncode == 0, done.stdout
    assert {host: sha256(connect(host), MENDED) for host in HOSTS} == good
    return done.stdout


def test_a_run_in_steps_comes_to_all(in_steps: str) -> None:
    assert in_steps.count("PLAY [Make each host deliver") == 3
    assert recap(in_steps).keys() == set(HOSTS)


def test_a_feed_that_nobody_has_is_a_mistake(fleet: Path, play: Play) -> None:
    steps = json.dumps({"rotate_batches": ["100%"]})
    done = play("rotate_credentials", fleet, "-e", "roster_feed=feed-typo", "-e", steps)
    assert done.returncode != 0
    assert "no host of this run has a feed feed-typo. lab-01 has feed-lab-01" in done.stdout


def test_a_feed_of_one_is_asked_for_among_all(fleet: Path, play: Play) -> None:
    feed = lab_fleet.feed_of(GOOD)
    done = play("verify", fleet, "-e", f"roster_feed={feed}")
    assert done.returncode == 0, done.stdout
    assert "ready" in row(done.stdout, feed)
    assert f" {lab_fleet.feed_of(ALSO_GOOD)} " not in done.stdout
    assert "not begun" not in done.stdout
    done = play("send", fleet, "-e", f"roster_feed={feed}", "--check")
    assert done.returncode == 0, done.stdout
    assert "would be tried" in row(done.stdout, feed)
    assert "not begun" not in done.stdout


def test_a_check_of_sending_says_what_could_not_be(troubled: Path, play: Play) -> None:
    source = f"/srv/roster-upload/{lab_fleet.feed_of(GOOD)}/OneRoster.zip"
    connect(GOOD).check_output("mv %s %s.away", source, source)
    try:
        done = play("send", troubled, "--check")
    finally:
        connect(GOOD).check_output("mv %s.away %s", source, source)
    assert done.returncode != 0
    told = row(done.stdout, lab_fleet.feed_of(GOOD))
    assert "could NOT be sent" in told
    assert "there is no export" in told
    assert "would be tried" in row(done.stdout, lab_fleet.feed_of(ALSO_GOOD))
    assert "not reached" in row(done.stdout, SILENT, "UNREACHABLE")


def test_the_others_deliver(troubled: Path, play: Play) -> None:
    done = play("send", troubled)
    assert done.returncode != 0
    assert "UNREACHABLE" in row(done.stdout, SILENT)
    refused = row(done.stdout, REFUSED)
    assert "NOT SENT" in refused
    assert "was refused" in refused
    held = row(done.stdout, HELD)
    assert "the guard holds the export" in held
    for host in (GOOD, ALSO_GOOD):
        assert " sent " in row(done.stdout, host)
        feed = lab_fleet.feed_of(host)
        remote = vendor.host().check_output(
            "ls -d /srv/sftp/rosters@%s.example/imagine/*/*/OneRoster.zip", feed
        )
        source = f"/srv/roster-upload/{feed}/OneRoster.zip"
        assert sha256(vendor.host(), remote) == sha256(connect(host), source)
    assert re.search(r"\d+ ?% of [\d,]+ bytes", done.stdout), "it shows how far it is"
    assert "2 in order, 3 not" in done.stdout
    limit = lab_fleet.outputs_of(troubled).limit("send").read_text().split()
    assert limit == [SILENT, REFUSED, HELD]


def test_a_silent_host_at_the_head_stops_nobody(troubled: Path, play: Play) -> None:
    """The canary is the first host that answers and has something to change."""
    good = spoil(ALSO_GOOD)
    steps = json.dumps({"site_batches": [1, "100%"], "site_max_fail_percentage": 10})
    done = play("site", troubled, "--limit", f"{SILENT},{GOOD},{ALSO_GOOD}", "-e", steps)
    assert done.returncode != 0
    assert "UNREACHABLE" in row(done.stdout, SILENT)
    assert done.stdout.count("PLAY [Make each host deliver") == 1
    assert "no change" in row(done.stdout, GOOD)
    assert "changed" in row(done.stdout, ALSO_GOOD)
    assert {ALSO_GOOD: sha256(connect(ALSO_GOOD), MENDED)} == good


def test_verify_tells_them_apart(troubled: Path, play: Play) -> None:
    done = play("verify", troubled)
    assert done.returncode != 0
    assert "UNREACHABLE" in row(done.stdout, SILENT)
    assert "login" in row(done.stdout, REFUSED)
    assert "content" in row(done.stdout, HELD)
    assert "ready" in row(done.stdout, GOOD)
    assert "changed=0" in done.stdout
    assert "changed=1" not in done.stdout


def test_status_tells_them_apart(troubled: Path, play: Play) -> None:
    done = play("status", troubled)
    assert done.returncode == 0, done.stdout
    lines = {
        host: next(line for line in done.stdout.splitlines() if f" {host} " in line)
        for host in HOSTS
    }
    assert "unreachable" in lines[SILENT]
    assert "failed by hand" in lines[REFUSED]
    assert "was refused. It is not tried again" in " ".join(plain(done.stdout).split())
    assert "held" in lines[HELD]
    for host in (GOOD, ALSO_GOOD):
        assert "sent" in lines[host]
    page = lab_fleet.outputs_of(troubled).page.read_text()
    digest = sha256(connect(HELD), f"/srv/roster-upload/{lab_fleet.feed_of(HELD)}/OneRoster.zip")
    assert digest[:16] in page
    done = play("status", troubled, "-e", "roster_status_fail=true")
    assert done.returncode != 0
    assert "not begun" not in done.stdout  # all hosts were asked


def test_a_rotation_stops_at_the_first_refusal(troubled: Path, play: Play) -> None:
    """One wrong password may mean a banned address, so the rest are not tried."""
    for host in (GOOD, ALSO_GOOD):
        lab_fleet.put(troubled, host, next="refused by the vendor")
    done = play("rotate_credentials", troubled, "--limit", f"{GOOD},{ALSO_GOOD}")
    assert done.returncode != 0
    assert "the old credential stays in use" in row(done.stdout, GOOD)
    assert "the run stopped before it reached this host" in row(done.stdout, ALSO_GOOD)


def test_feeds_of_one_name_are_rotated_one_after_the_other(troubled: Path, play: Play) -> None:
    """Hosts of one step; the one that comes first cannot, so the other is left alone."""
    same = {"roster_upload_feed": "same", "roster_upload_auth": "key"}
    steps = {"rotate_key_action": "generate", "rotate_batches": ["100%"]}
    words = ["--limit", f"{GOOD},{ALSO_GOOD}", "-e", json.dumps(same | steps)]
    done = play("rotate_credentials", troubled, *words)
    assert done.returncode != 0
    table = [row(done.stdout, host, " ") for host in (GOOD, ALSO_GOOD)]
    ends = ["there is no folder", "the run stopped before it reached this host"]
    assert [[end in line for line in table].count(True) for end in ends] == [1, 1]


def test_what_is_held_is_approved_and_what_is_left_is_run_again(troubled: Path, play: Play) -> None:
    feed = lab_fleet.feed_of(HELD)
    digest = sha256(connect(HELD), f"/srv/roster-upload/{feed}/OneRoster.zip")
    words = ["--limit", HELD, "-e", f"roster_feed={feed}", "-e", f"approve_digest={digest[:16]}"]
    done = play("approve", troubled, *words)
    assert done.returncode != 0
    assert "approve_reason" in done.stdout
    words += ["-e", json.dumps({"approve_reason": "a school's gone"})]
    for check, told in ((["--check"], "would be approved"), ([], "approved"), ([], "before")):
        done = play("approve", troubled, *words, *check)
        assert done.returncode == 0, done.stdout
        assert told in row(done.stdout, HELD)
    podman("start", SILENT)
    good = lab_fleet.entry(troubled, REFUSED)["secret"]
    vendor.take(f"rosters@{lab_fleet.feed_of(REFUSED)}.example", good)
    done = ansible("ansible", SILENT, "-i", troubled, "-m", "ansible.builtin.wait_for_connection")
    assert done.returncode == 0, done.stdout
    done = play("send", troubled, "--limit", f"@{lab_fleet.outputs_of(troubled).limit('send')}")
    assert done.returncode == 0, done.stdout
    for host in (SILENT, REFUSED, HELD):
        assert " sent " in row(done.stdout, host)
    receipt = connect(HELD).check_output("tail -1 /var/lib/roster-upload/%s/receipts.jsonl", feed)
    assert json.loads(receipt)["approved"]["why"] == "a school's gone"


def test_slices_by_a_runner_are_as_one_run(fleet: Path, in_steps: str, tmp_path: Path) -> None:
    """AWX and automation controller run slices of an inventory with ansible-runner.

    Each has the same to repair on every host.
    """
    whole, good = recap(in_steps), spoil(*HOSTS)

    def run(number: int, limit: str) -> ansible_runner.Runner:
        folder = tmp_path / f"slice-{number}"
        folder.mkdir()
        return ansible_runner.run(
            private_data_dir=str(folder),
            project_dir=str(ROOT),
            playbook="playbooks/site.yml",
            inventory=str(fleet),
            limit=limit,
            tags=REPAIR,
            envvars={"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
            quiet=True,
        )

    slices = ["district_hosts[0:2]", "district_hosts[3:]"]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        runs = list(pool.map(run, range(len(slices)), slices))
    assert [one.rc for one in runs] == [0, 0]
    told = [one.stdout.read() for one in runs]
    assert [len(recap(text)) for text in told] == [3, 2]
    sliced = {**recap(told[0]), **recap(told[1])}
    assert sliced.keys() == set(HOSTS)
    # The first host's credential was missing before the run in steps, so that one repaired more.
    assert {host: sliced[host] for host in HOSTS[1:]} == {host: whole[host] for host in HOSTS[1:]}
    assert all("changed=0" not in result for result in sliced.values())
    assert {host: sha256(connect(host), MENDED) for host in HOSTS} == good
    for number, text in enumerate(told):  # each slice has its own closing table
        for host in (HOSTS[:3], HOSTS[3:])[number]:
            assert "changed" in row(text, host)


def recap(told: str) -> dict[str, str]:
    """Return the changes of a run by host. Cached facts save a task."""
    lines = plain(told).rpartition("PLAY RECAP")[2].splitlines()
    found = (re.match(r"(lab-\d+)\s+: ok=\d+ +(changed=.*failed=\d+)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}

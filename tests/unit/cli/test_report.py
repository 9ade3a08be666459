"""Report a host to its control node: the machine, and each feed's receipts in brief."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from roster_fleet.report import parsed
from roster_upload.cli import parser as cli
from roster_upload.records.ledger import Ledger
from support import fleets, seals
from support.fleets import DIGEST
from support.receipts import append

SCRIPTS = Path(cli.__file__).parents[2]
# The table of this host is not the one that is asked.
PROGRAM = """
import pathlib, sys
from roster_upload.host import schedule
schedule.CRON_TABLE = pathlib.Path(sys.argv.pop(1))
from roster_upload.cli.parser import main
sys.exit(main(sys.argv[1:]))
"""
CRON = """\
# This host runs in UTC
SHELL=/bin/sh
12 7 * * * root systemctl start --no-block roster-upload@alder.service
55 7 * * * root systemctl start --no-block roster-upload@alder.service
42 20 * * * root systemctl start --no-block roster-rehearse@alder.service
30 8 * * * root systemctl start --no-block roster-watch@alder.service
"""
CONFIG = """\
feed = "alder"
district = "O'Brien \\"Valley\\""
remote_host = "sftp.vendor.example"
username = "rosters-of-alder"
auth = "password"
window_start = "07:10"
deadline = "09:00"
alert_urls = ["ntfy://rosters"]
"""


def receipt(
    night: str, outcome: str = "sent", command: str = "send", **more: Any
) -> dict[str, Any]:
    """A receipt as the program writes it."""
    code = fleets.FAULTS[outcome][0] if outcome in fleets.FAULTS else 0
    return {
        "feed": "alder",
        "district": "Alder",
        "command": command,
        "outcome": outcome,
        "exit_code": code,
        "message": f"Alder: {outcome}",
        "started": f"{night}T07:12:00Z",
        "finished": f"{night}T07:25:00Z",
        "night": night,
        "deadline": f"{night}T09:00:00Z",
        "minutes_to_deadline": 108,
        "source": {"path": "/srv/OneRoster.zip", "bytes": 2000, "sha256": DIGEST},
        "changes": {"users.student": {"before": 99, "now": 100}, "classes": {"now": 7}},
        "held": ["users.student: too many"] if outcome == "held" else [],
        "seconds": {"kex": 1.2, "write": 2.4},
        **more,
    }


class HostFolders:
    """A host's folders, as the module finds them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.configuration, self.state = home / "etc", home / "lib"
        self.cron = home / "cron"
        (self.configuration / "credentials" / "alder").mkdir(parents=True)
        (self.configuration / "alder.toml").write_text(CONFIG)
        (self.configuration / "credentials" / "alder" / "current").write_text("sealed-secret")
        self.cron.write_text(CRON)
        self.systemd([])
        self.ledger("alder")

    def systemd(self, timers: list[dict[str, Any]], cron: str = "active") -> None:
        """Lets systemctl tell of these timers, and whether cron runs."""
        systemctl = self.home / "systemctl"
        systemctl.write_text(
            "#!/bin/sh\n"
            f"case $1 in is-active) echo {cron};; *) echo '{json.dumps(timers)}';; esac\n"
        )
        systemctl.chmod(0o755)

    def ledger(self, feed: str) -> Ledger:
        (self.state / feed).mkdir(parents=True, exist_ok=True)
        return Ledger(self.state / feed)

    def add(self, *receipts: dict[str, Any]) -> None:
        for one in receipts:
            append(self.ledger("alder"), one)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command as a host's root does."""
        folders = [f"--config-dir={self.configuration}", f"--state-dir={self.state}"]
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, str(self.cron), *folders, "report", "--json", *words],
            env={
                **os.environ,
                "PATH": f"{self.home}:{os.environ['PATH']}",
                "PYTHONPATH": str(SCRIPTS),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def report(self, nights: int = 400) -> dict[str, Any]:
        done = self.run(f"--nights={nights}")
        assert (done.returncode, done.stderr) == (0, "")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def feed(self, **options: Any) -> dict[str, Any]:
        told: dict[str, Any] = self.report(**options)["feeds"][0]
        return told


@pytest.fixture
def folders(tmp_path: Path) -> HostFolders:
    return HostFolders(tmp_path)


def test_a_night_is_its_last_delivery(folders: HostFolders) -> None:
    folders.add(
        receipt("2026-11-22", "failed"),
        receipt("2026-11-22"),
        receipt("2026-11-23", "failed", "watch"),
        receipt("2026-11-24", "rehearsed", "rehearse"),
        receipt("2026-11-24", "stale"),
    )
    told = folders.feed()
    assert told["nights"] == [
        ["2026-11-22", "sent", 0, 2000, 100, None, 7, None, 95, 4],
        ["2026-11-24", "stale", 18, 2000, 100, None, 7, None, 95, 4],
    ]
    assert told["district"] == 'O\'Brien "Valley"'
    assert told["last"]["outcome"] == "stale"
    assert told["last_sent"]["night"] == "2026-11-22"
    assert told["rehearsal"]["outcome"] == "rehearsed"
    assert told["watch"]["night"] == "2026-11-23"
    assert told["broken_at"] is None
    assert len(folders.feed(nights=1)["nights"]) == 1


def test_nights_of_a_clock_that_was_ahead_are_left_out(folders: HostFolders) -> None:
    folders.add(receipt("2026-11-22"), receipt("2098-01-01"))
    assert [night[0] for night in folders.feed()["nights"]] == ["2026-11-22"]


def test_a_night_that_went_well_stays_so_and_the_day_is_no_night(folders: HostFolders) -> None:
    folders.add(
        receipt("2026-11-22"),
        receipt("2026-11-22", "failed"),
        receipt("2026-11-23", in_window=False),
    )
    told = folders.feed()
    assert [night[:2] for night in told["nights"]] == [["2026-11-22", "sent"]]
    assert told["last_sent"]["night"] == "2026-11-23"


def test_a_hold_lasts_until_it_is_settled(folders: HostFolders) -> None:
    folders.add(receipt("2026-11-23"), receipt("2026-11-24", "held"))
    assert folders.feed()["held"] == {
        "digest": DIGEST,
        "reasons": ["users.student: too many"],
        "command": "send",
        "finished": "2026-11-24T07:25:00Z",
    }
    folders.add({"command": "approve", "outcome": "approved", "digest": DIGEST, "message": ""})
    assert folders.feed()["held"] is None


WAITS = {"since": "2026-11-23", "nights": 2, "counts": {"users.student": 40}}
FINDINGS = [
    {
        "rule": rule, "severity": severity, "file": "users.csv", "column": "role",
        "detail": "", "count": 3, "rows": [20],
    } for rule, severity in (("a.b", "warning"), ("c.d", "fault"), ("e.f", "fault"))
]  # fmt: skip


def test_a_wait_shows_the_digest_until_it_is_settled(folders: HostFolders) -> None:
    folders.add(receipt("2026-11-24", waiting=WAITS, held=["users.student: too many"]))
    assert folders.feed()["held"]["digest"] == DIGEST
    folders.add(receipt("2026-11-25"))
    assert folders.feed()["held"] is None


def test_what_is_to_be_looked_at_is_told_in_brief(folders: HostFolders) -> None:
    assert folders.feed()["cautions"] is None
    more: dict[str, Any] = {
        "faulty_rows": {"users": 6},
        "unchanged_nights": 3,
        "unchanged_limit": 10,
    }
    folders.add(
        receipt("2026-11-23", waiting=WAITS),
        receipt("2026-11-24", findings=FINDINGS, **more),
        receipt("2026-11-25", "held", waiting=WAITS),
        receipt("2026-11-25", "rehearsed", "rehearse", waiting=WAITS),
    )
    assert folders.feed()["cautions"] == {"feed": "alder", "findings": [FINDINGS[1]], **more}
    folders.add(receipt("2026-11-26", "skipped"))
    assert folders.feed()["cautions"] == {"feed": "alder", "findings": []}


def test_the_season_is_told(folders: HostFolders) -> None:
    lacking = ["users.student", "enrollments.student"]
    told = folders.feed()
    assert (told["season"]["reset"], told["season"]["resume"], told["banner"]) == ("", "", "")
    with (folders.configuration / "alder.toml").open("a") as file:
        file.write('format = "oneroster-1.1"\nreset_date = 2027-07-16\n')
        file.write('reset_resume_date = "2027-07-26"\nguard_minimum = {classes = 4}\n')
    login = {"login": "password", "banner": "The yearly reset is on July 16"}
    folders.add(receipt("2026-11-24", remote=login), receipt("2026-11-25", "skipped"))
    told = folders.feed()
    assert told["season"] == {"reset": "2027-07-16", "resume": "2027-07-26", "unmeasured": lacking}
    assert told["banner"] == "The yearly reset is on July 16"
    folders.add(receipt("2026-11-26", remote={"login": "password"}))
    assert folders.feed()["banner"] == "", "the last login's"


def test_what_seals_the_secrets_is_told(folders: HostFolders) -> None:
    assert folders.feed()["sealed"] == [{"key": "unknown", "pcrs": []}]
    path = folders.configuration / "credentials" / "alder"
    (path / "current").write_bytes(seals.head("host+tpm2, PCR 7"))
    (path / "state").write_bytes(seals.head("host"))
    assert folders.feed()["sealed"] == [
        {"key": "host", "pcrs": []},
        {"key": "host+tpm2", "pcrs": [7]},
    ]


def test_nothing_secret_is_told(folders: HostFolders) -> None:
    folders.add(receipt("2026-11-24"))
    told = json.dumps(folders.report())
    for secret in ("sealed-secret", "hooks.example", "rosters-of-alder"):
        assert secret not in told


def test_starts_are_the_next_ones_of_cron(folders: HostFolders) -> None:
    report = folders.report()
    starts, now = report["feeds"][0]["starts"], dt.datetime.fromisoformat(report["time"])
    assert set(starts) == {"roster-upload", "roster-rehearse", "roster-watch"}
    for start in starts.values():
        ahead = dt.datetime.fromisoformat(start) - now
        assert dt.timedelta(0) <= ahead <= dt.timedelta(days=1, seconds=1)
    assert starts["roster-watch"][11:16] == "08:30"
    assert starts["roster-upload"][11:16] in ("07:12", "07:55")


def test_starts_are_those_of_timers_without_cron(folders: HostFolders) -> None:
    folders.cron.unlink()
    folders.systemd(
        [
            {"next": 1_795_504_320_000_000, "unit": "roster-upload@alder.timer"},
            {"next": None, "unit": "roster-watch@alder.timer"},
        ]
    )
    assert folders.feed()["starts"] == {"roster-upload": "2026-11-24T07:12:00Z"}


def test_a_table_without_a_running_cron_starts_nothing(folders: HostFolders) -> None:
    folders.systemd([], cron="inactive")
    assert folders.feed()["starts"] == {}


def test_a_broken_chain_a_broken_feed_and_one_that_is_gone_are_told(folders: HostFolders) -> None:
    folders.add(receipt("2026-11-23"), receipt("2026-11-24"))
    path = folders.ledger("alder").path
    path.write_text(path.read_text().replace("2000", "2001", 1))
    (folders.configuration / "birch.toml").write_text("district = ")
    append(folders.ledger("cedar"), receipt("2026-11-20"))
    alder, birch, cedar = folders.report()["feeds"]
    assert alder["broken_at"] == 2
    assert "its configuration cannot be read" in birch["trouble"]
    assert cedar["configured"] is None
    assert cedar["district"] == "Alder"
    append(folders.ledger("cedar"), {"night": "2026-11-21", "command": "send", "outcome": "sent"})
    assert "damaged in line 2" in folders.report()["feeds"][2]["trouble"]


# ---- feeds that harm no other ------------------------------------------------------------------

OTHER = "birch"


def spoil(state: Path, how: str) -> None:
    """Do to a feed's files what somebody can who has taken over its account."""
    ledger = state / "receipts.jsonl"
    ledger.unlink(missing_ok=True)
    if how == "a link to root's file":
        ledger.symlink_to("/etc/shadow")
    elif how == "a pipe":
        os.mkfifo(ledger)
    elif how == "a folder":
        ledger.mkdir()
    elif how == "a huge file":
        with ledger.open("wb") as file:
            file.truncate(1 << 34)
    elif how == "the whole folder is a link":
        state.rmdir()
        state.symlink_to("/etc")
    elif how == "deep JSON":
        ledger.write_text("[" * 200_000 + "\n")
    elif how == "values of other types":
        one = receipt("2026-11-24") | {"changes": 7, "seconds": "x", "night": [], "source": [1]}
        ledger.write_text(json.dumps(one) + "\n")
    elif how == "a huge message":
        one = receipt("2026-11-24") | {"held": ["x" * 3000] * 1000, "outcome": "held"}
        ledger.write_text(json.dumps(one) + "\n")


@pytest.mark.parametrize(
    "how",
    [
        "a link to root's file",
        "a pipe",
        "a folder",
        "a huge file",
        "the whole folder is a link",
        "deep JSON",
        "values of other types",
        "a huge message",
    ],
)
def test_a_feed_whose_account_was_taken_over_harms_no_other(folders: HostFolders, how: str) -> None:
    folders.add(receipt("2026-11-24"))
    (folders.configuration / f"{OTHER}.toml").write_text(CONFIG.replace("alder", OTHER))
    folders.ledger(OTHER)
    spoil(folders.state / OTHER, how)
    done = folders.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert "root:" not in done.stdout
    assert len(done.stdout) < 500_000
    good, bad = parsed(json.loads(done.stdout))["feeds"]
    assert (good["feed"], good["fault"], len(good["nights"])) == ("alder", "", 1)
    assert not good["trouble"]
    assert bad["feed"] == OTHER
    if how != "values of other types":
        assert bad["trouble"], bad


@pytest.mark.skipif(os.geteuid() != 0, reason="only root reads with another account's rights")
def test_receipts_are_read_with_the_rights_of_their_owner() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        folders = HostFolders(Path(name))
        folders.add(receipt("2026-11-24"))
        state = folders.state / "alder"
        for path in (state, state / "receipts.jsonl"):
            os.chown(path, 65534, 65534)
        assert folders.feed()["trouble"] is None
        (state / "receipts.jsonl").chmod(0)  # root itself could read it
        assert "cannot be read" in folders.feed()["trouble"]


def test_a_configuration_that_cannot_be_read_is_the_feeds_trouble(folders: HostFolders) -> None:
    folders.add(receipt("2026-11-24"))
    (folders.configuration / "alder.toml").write_text("feed = ")
    found = folders.feed()
    assert "its configuration cannot be read" in found["trouble"]
    assert len(found["nights"]) == 1


def test_a_number_of_nights_is_one_at_least(folders: HostFolders) -> None:
    done = folders.run("--nights=0")
    assert (done.returncode, done.stdout) == (2, "")

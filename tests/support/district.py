"""Imitate a district host in a folder. It runs the program as its unit does."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

from roster_feeds import to_toml
from roster_upload.records.ledger import Ledger
from roster_upload.transfer.profile import Profile

from support import forks, receipts, rosters

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
FEED = "maple-grove"
USER = "rosters@maple.example"
FOLDER = "imagine/0123456-Maple Grove/product"
# All commands, which import what they need.
PROGRAM = (
    "numpy.ma",
    *(f"roster_upload.cli.{path.stem}" for path in SCRIPTS.glob("roster_upload/cli/[a-z]*.py")),
    "roster_upload.guard",
    "roster_upload.package.build",
    "roster_upload.transfer.upload",
)


class Server(Protocol):
    """The details of a district's vendor server."""

    port: int
    host_key: str

    @property
    def folder(self) -> Path:
        """Return the path at which the file arrives."""


class District:
    """A district host in a folder: configuration, secret, export, state."""

    def __init__(self, folder: Path, vendor: Server, secret: bytes) -> None:
        self.folder = folder
        self.vendor = vendor
        self.secret = secret
        self.export = folder / "OneRoster.zip"
        self.credential = folder / "credentials" / f"{FEED}_current"
        self.state = folder / "state" / FEED
        self.values: dict[str, Any] = {}
        for path in (folder / "config", self.credential.parent, folder / "tmp"):
            path.mkdir(parents=True)
        self.credential.write_bytes(secret)
        (self.credential.parent / f"{FEED}_state").write_bytes(b"k" * 32)
        self.export.write_bytes(rosters.build(students=2000))
        self.configure()

    def configure(self, **changes: Any) -> None:
        """Write the feed's configuration, with changes to the valid one. Its window is closed."""
        self.values = {
            "feed": FEED,
            "district": "Maple Grove",
            "format": "oneroster-1.1",
            "source": str(self.export),
            "remote_host": "127.0.0.1",
            "remote_port": self.vendor.port,
            "remote_dir": FOLDER,
            "username": USER,
            "host_keys": [self.vendor.host_key],
            "quiet_seconds": 0,
            "attempts": 1,
        }
        self.move_window(opens=6 * 60, closes=8 * 60)
        self.configure_more(**changes)

    def configure_more(self, **changes: Any) -> None:
        """Change the feed's configuration further."""
        self.values.update(changes)
        lines = [f"{key} = {to_toml(value)}" for key, value in self.values.items()]
        self.config_file.write_text("\n".join([*lines, ""]))

    def open_window(self) -> None:
        """Move the feed's window so that it contains the present moment."""
        self.move_window(opens=-30, closes=30)

    def move_window(self, opens: int, closes: int) -> None:
        """Move the feed's window so many minutes from now, at any time of day."""
        now = dt.datetime.now(dt.UTC)
        start, deadline = (now + dt.timedelta(minutes=m) for m in (opens, closes))
        self.configure_more(window_start=f"{start:%H:%M}", deadline=f"{deadline:%H:%M}")

    @property
    def config_file(self) -> Path:
        return self.folder / "config" / f"{FEED}.toml"

    @property
    def _options(self) -> list[str]:
        return [f"--config-dir={self.folder}/config", f"--state-dir={self.folder}/state"]

    @property
    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(SCRIPTS),
            "CREDENTIALS_DIRECTORY": str(self.credential.parent),
            "TMPDIR": str(self.folder / "tmp"),
        }

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command, `send` by default, as its unit does."""
        words = [*self._options, *(command or ["send", FEED])]
        return subprocess.Popen(
            [sys.executable, "-m", "roster_upload", *words],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, as `start` does."""
        code = "import sys; from roster_upload.cli.parser import main; sys.exit(main())"
        program = forks.having(*PROGRAM)
        done = program.run(code, *self._options, *command, env=self._environment)
        assert "Traceback" not in done.stderr
        return done

    def send(self) -> tuple[int, str]:
        """Send. Return the exit code and the whole output, which never has a traceback."""
        done = self._run("send", FEED)
        assert done.returncode == self.last["exit_code"]
        told = done.stdout + done.stderr + (self.state / "receipts.jsonl").read_text()
        for line in self.secret.decode().strip().splitlines():
            assert line not in told
        assert not list((self.folder / "tmp").iterdir()), "a private copy was left behind"
        return done.returncode, done.stdout + done.stderr

    def run(self, *command: str) -> tuple[int, str]:
        """Run a command. Return the exit code and the whole output, which never has a traceback."""
        done = self._run(*command)
        assert "ROSTER_UPLOAD_DEBUG" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    def learn(self, profile: Profile) -> None:
        """Save a profile of the server, as after a probe."""
        self.state.mkdir(parents=True, exist_ok=True)
        (self.state / "server.json").write_text(profile.to_json())
        receipts.append(Ledger(self.state), {"outcome": "ended", "command": "probe"})

    @property
    def receipts(self) -> list[dict[str, Any]]:
        return [receipt.to_json() for receipt in Ledger(self.state).receipts()]

    @property
    def last(self) -> dict[str, Any]:
        return self.receipts[-1]

    @property
    def is_delivered(self) -> bool:
        """Return whether the vendor's folder contains the whole export and nothing else."""
        held = {path.name: path.read_bytes() for path in self.vendor.folder.iterdir()}
        return held == {"OneRoster.zip": self.export.read_bytes()}

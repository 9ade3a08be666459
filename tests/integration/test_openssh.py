"""Send to Debian's own OpenSSH servers, in containers of the lab's images."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from roster_upload import config
from roster_upload.exits import Exit
from roster_upload.transfer.info import ConnectionInfo
from roster_upload.transfer.probe import probe
from support import rosters, waiting
from support.container import image, reserved_port, running
from support.district import FEED, FOLDER, District
from support.vendor import attempt

pytestmark = pytest.mark.lab
OLD = b"yesterday's roster"
SMALL = "imagine/0123456-Small Disk/product"
FROZEN = "imagine/0123456-Frozen Disk/product"
SETTINGS = """\
ListenAddress 127.0.0.1
Port {port}
HostKey /vendor/host_key
AuthorizedKeysFile /vendor/authorized_keys
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PidFile none
LogLevel VERBOSE
ChrootDirectory /vendor/files
ForceCommand internal-sftp
Subsystem sftp internal-sftp
"""


@dataclass
class OpenSsh:
    """A server that keeps its files in a folder of the test. The district's key can log in."""

    home: Path
    port: int
    host_key: str
    key: bytes

    @property
    def folder(self) -> Path:
        return self.home / "files" / FOLDER

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()


def make_key(path: Path) -> str:
    """Make a key pair. Return the public key."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return " ".join(path.with_name(path.name + ".pub").read_text().split()[:2])


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as found:
        yield found


@pytest.fixture(params=["bookworm", "trixie"])
def vendor(request: pytest.FixtureRequest, tmp_path: Path, port: int) -> Iterator[OpenSsh]:
    """Start a release's server on a free loopback port, with yesterday's file."""
    home = tmp_path / "vendor"
    for folder in (FOLDER, SMALL, FROZEN):
        (home / "files" / folder).mkdir(parents=True)
    host_key = make_key(home / "host_key")
    (home / "authorized_keys").write_text(make_key(home / "district") + "\n")
    (home / "sshd_config").write_text(SETTINGS.format(port=port))
    server = OpenSsh(home, port, host_key, (home / "district").read_bytes())
    (server.folder / "OneRoster.zip").write_bytes(OLD)
    disks = (f"--tmpfs=/vendor/files/{SMALL}:size=64k", f"--tmpfs=/vendor/files/{FROZEN}:ro")
    serve = "mkdir -p /run/sshd && exec /usr/sbin/sshd -D -e -f /vendor/sshd_config"
    with running(
        image(request.param),
        home,
        "sh",
        "-c",
        serve,
        options=disks,
        is_ready=lambda log: "Server listening" in log,
    ):
        yield server


@pytest.fixture
def district(tmp_path: Path, vendor: OpenSsh) -> District:
    """Return a district whose feed goes to that server, with its key."""
    made = District(tmp_path / "district", vendor, vendor.key)
    made.configure(username="root", auth="key")
    return made


def test_a_roster_takes_the_place_of_yesterdays(district: District, vendor: OpenSsh) -> None:
    code, told = district.send()
    assert code == Exit.OK, told
    assert district.is_delivered
    assert "OpenSSH" in district.last["remote"]["server"]
    assert district.last["remote"]["method"] == "posix-rename"
    assert vendor.log.count("Accepted publickey") == 1


def test_a_full_disk_is_told(district: District, vendor: OpenSsh) -> None:
    """OpenSSH says only "Failure". Its statvfs shows the cause."""
    district.configure(username="root", auth="key", remote_dir=SMALL)
    code, told = attempt(district)
    assert code == Exit.DISK_FULL
    assert "free disk space" in told
    # The temporary file is deleted with its session, so a smaller export still has space.
    waiting.until(lambda: "Close session" in vendor.log, "the session's end")
    district.export.write_bytes(rosters.build(students=20))
    assert attempt(district)[0] == Exit.OK


def test_a_read_only_disk_is_told(district: District, vendor: OpenSsh) -> None:
    district.configure(username="root", auth="key", remote_dir=FROZEN)
    code, told = attempt(district)
    assert code == Exit.READ_ONLY
    assert "read-only" in told


def test_a_folder_is_made_where_the_feed_says_so(district: District, vendor: OpenSsh) -> None:
    folder = "imagine/0123456-New/product"
    district.configure(username="root", auth="key", remote_dir=folder, make_remote_dir=True)
    code, told = attempt(district)
    assert code == Exit.OK, told
    made = (vendor.home / "files" / folder / "OneRoster.zip").read_bytes()
    assert made == district.export.read_bytes()


def test_a_probe_learns_and_leaves_nothing(district: District, vendor: OpenSsh) -> None:
    learned = probe(config.load(district.config_file), vendor.key, ConnectionInfo())
    assert (learned.rename, learned.login) == ("posix-rename", "publickey")
    assert (learned.sizes, learned.stat_after_close, learned.takes_on_close) == (True, True, False)
    assert learned.hash is False
    assert "statvfs@openssh.com" in learned.extensions
    assert "OpenSSH" in learned.server
    held = {path.name: path.read_bytes() for path in vendor.folder.iterdir()}
    assert held == {"OneRoster.zip": OLD}
    assert vendor.log.count("Accepted publickey") == 1


def test_a_missing_folder_is_told(district: District, vendor: OpenSsh) -> None:
    district.configure(username="root", auth="key", remote_dir="imagine/0123456-Nobody/product")
    code, told = attempt(district)
    assert code == Exit.REMOTE_PATH
    assert "does not exist" in told


def test_a_key_that_is_not_known_is_tried_once(
    district: District, vendor: OpenSsh, tmp_path: Path
) -> None:
    make_key(tmp_path / "other")
    district.credential.write_bytes((tmp_path / "other").read_bytes())
    code, told = attempt(district)
    assert code == Exit.LOGIN
    assert "was refused" in told
    assert vendor.log.count("Failed publickey") == 1
    assert (vendor.folder / "OneRoster.zip").read_bytes() == OLD


def test_a_password_is_not_asked_for(district: District, vendor: OpenSsh) -> None:
    district.configure(username="root", auth="password")
    district.credential.write_bytes(b"a password")
    code, told = attempt(district)
    assert code == Exit.LOGIN
    assert "publickey" in told


def test_an_export_is_fetched_and_removed(district: District, vendor: OpenSsh) -> None:
    """By a key, the newest of names of any kind, once it has stopped growing."""
    folder = vendor.home / "files" / "exports of tonight"
    folder.mkdir()
    (folder / "older.zip").write_bytes(b"x")
    os.utime(folder / "older.zip", (time.time() - 90_000,) * 2)
    newest = folder / "100% größe\n.zip"
    newest.write_bytes(district.export.read_bytes()[:1000])
    (district.credential.parent / f"{FEED}_source_current").write_bytes(vendor.key)
    district.configure(
        username="root",
        auth="key",
        source=f"sftp://root@127.0.0.1:{vendor.port}/exports%20of%20tonight/*.zip",
        source_host_keys=[vendor.host_key],
        source_auth="key",
        source_after="remove",
        quiet_seconds=2,
    )
    started = district.start("send", FEED)
    waiting.until(lambda: "Accepted publickey" in vendor.log, "the login")
    time.sleep(0.5)
    newest.write_bytes(district.export.read_bytes())
    _, told = started.communicate()
    assert started.returncode == Exit.OK, told
    assert district.is_delivered
    assert [path.name for path in folder.iterdir()] == ["older.zip"]
    assert district.last["source"]["after"] == "removed"
    assert "\\n" in district.last["source"]["name"]
    district.configure(
        username="root",
        auth="key",
        source=f"sftp://root@127.0.0.1:{vendor.port}/exports%20of%20nobody/*.zip",
        source_host_keys=[vendor.host_key],
    )
    assert district.send()[0] == Exit.SOURCE
    assert district.last["source"]["cause"] == "remote_path"

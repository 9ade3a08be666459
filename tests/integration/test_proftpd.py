"""Deliver to ProFTPD's mod_sftp, which shares no code with OpenSSH, in a container."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from roster_upload import config
from roster_upload.exits import Exit
from roster_upload.transfer.info import ConnectionInfo
from roster_upload.transfer.probe import probe
from roster_upload.transfer.profile import Profile
from support import trees, waiting
from support.container import reserved_port, running
from support.district import FEED, FOLDER, USER, District
from support.vendor import attempt

pytestmark = pytest.mark.lab
OLD = b"yesterday's roster"
PASSWORD = 'it\'s a "password", größe'
SETTINGS = """\
LoadModule mod_xfer.c
LoadModule mod_ls.c
LoadModule mod_sftp.c
LoadModule mod_digest.c
ServerType standalone
DefaultAddress 127.0.0.1
Port {port}
UseIPv6 off
User nobody
Group nogroup
DefaultRoot /vendor/files
AuthOrder mod_auth_file.c
AuthUserFile /vendor/users
RequireValidShell off
AllowOverwrite on
SystemLog /vendor/log
SFTPEngine on
SFTPHostKey /vendor/host_key
SFTPAuthMethods password
SFTPLog /vendor/sftp.log
"""
SERVE = """\
set -e
hash=$(openssl passwd -6 -stdin < /vendor/password)
printf '%s:%s:65534:65534::/vendor/files:/bin/false\\n' "$1" "$hash" > /vendor/users
chmod 0600 /vendor/users
chown -R nobody /vendor/files
touch /vendor/ready
LC_ALL=C.UTF-8 exec proftpd -n -c /vendor/proftpd.conf
"""


@dataclass
class ProFtpd:
    """A server that keeps its files in a folder of the test. The district's password can log in."""

    home: Path
    port: int
    host_key: str

    @property
    def folder(self) -> Path:
        return self.home / "files" / FOLDER

    @property
    def held(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    @property
    def log(self) -> str:
        names = ("output", "log", "sftp.log")
        return "".join((self.home / name).read_text() for name in names if self.has(name))

    def has(self, name: str) -> bool:
        return (self.home / name).exists()

    @property
    def is_listening(self) -> bool:
        with socket.socket() as caller:
            return self.has("ready") and caller.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with reserved_port() as found:
        yield found


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[ProFtpd]:
    """Start Debian's server on a free loopback port, for the time of the module."""
    home = tmp_path_factory.mktemp("vendor")
    (home / "files" / FOLDER).mkdir(parents=True)
    key = home / "host_key"
    command = ["ssh-keygen", "-q", "-t", "rsa", "-m", "PEM", "-N", "", "-f", str(key)]
    subprocess.run(command, check=True)
    host_key = " ".join(key.with_name("host_key.pub").read_text().split()[:2])
    (home / "password").write_text(PASSWORD)
    (home / "proftpd.conf").write_text(SETTINGS.format(port=port))
    server = ProFtpd(home, port, host_key)
    serve = ("sh", "-c", SERVE, "sh", USER)
    tree = trees.made(trees.SERVERS)["trixie"]
    with running(tree, home, *serve, is_ready=lambda _: server.is_listening):
        yield server


@pytest.fixture
def district(tmp_path: Path, vendor: ProFtpd) -> District:
    """Return a district whose feed goes to that server, which has only yesterday's file."""
    for path in vendor.folder.iterdir():
        path.unlink()
    (vendor.folder / "OneRoster.zip").write_bytes(OLD)
    return District(tmp_path / "district", vendor, PASSWORD.encode())


def learn(district: District) -> Profile:
    return probe(config.load(district.config_file), PASSWORD.encode(), ConnectionInfo())


def test_a_roster_takes_the_place_of_yesterdays(district: District) -> None:
    assert attempt(district) == (Exit.OK, "posix-rename, by size")
    assert district.is_delivered


def test_a_probe_learns_and_leaves_nothing(district: District, vendor: ProFtpd) -> None:
    learned = learn(district)
    assert "mod_sftp" in learned.server
    assert (learned.rename, learned.login, learned.hash) == ("posix-rename", "password", True)
    assert (learned.sizes, learned.stat_after_close, learned.takes_on_close) == (True, True, False)
    assert vendor.held == {"OneRoster.zip": OLD}


def test_what_it_computes_is_compared(district: District, vendor: ProFtpd) -> None:
    learned = learn(district)
    code, told = attempt(district, sha256="0" * 64, profile=learned)
    assert code == Exit.VERIFY
    assert "changed or damaged" in told
    assert vendor.held == {"OneRoster.zip": OLD}
    sha256 = hashlib.sha256(district.export.read_bytes()).hexdigest()
    assert attempt(district, sha256=sha256, profile=learned) == (Exit.OK, "posix-rename, by hash")
    assert district.is_delivered


def test_a_refused_login_is_tried_once(district: District, vendor: ProFtpd) -> None:
    wrong = "Login failed): Incorrect password"
    before = vendor.log.count(wrong)
    district.credential.write_bytes(b"another")
    assert attempt(district)[0] == Exit.LOGIN
    waiting.until(lambda: vendor.log.count(wrong) > before, "the session's log")
    assert vendor.log.count(wrong) == before + 1
    assert vendor.held == {"OneRoster.zip": OLD}


def test_a_folder_that_is_closed_is_told(district: District, vendor: ProFtpd) -> None:
    vendor.folder.chmod(0o555)
    try:
        code, told = attempt(district)
    finally:
        vendor.folder.chmod(0o755)
    assert code == Exit.PERMISSION
    assert "writing in" in told
    assert vendor.held == {"OneRoster.zip": OLD}


def test_a_missing_folder_is_told_or_made(district: District, vendor: ProFtpd) -> None:
    folder = "imagine/0123456-New/product"
    district.configure(remote_dir=folder)
    assert attempt(district)[0] == Exit.REMOTE_PATH
    district.configure(remote_dir=folder, make_remote_dir=True)
    assert attempt(district)[0] == Exit.OK
    made = (vendor.home / "files" / folder / "OneRoster.zip").read_bytes()
    assert made == district.export.read_bytes()


def test_an_export_is_fetched_and_removed(district: District, vendor: ProFtpd) -> None:
    folder = vendor.home / "files" / "exports of tonight"
    folder.mkdir()
    newest = folder / "100% größe.zip"
    newest.write_bytes(district.export.read_bytes())
    for path, hours in ((newest, 20), (folder / "older.zip", 30)):
        path.touch()
        os.utime(path, (time.time() - hours * 3600,) * 2)
    folder.chmod(0o777)
    secret = district.credential.parent / f"{FEED}_source_current"
    source = f"sftp://{quote(USER)}@127.0.0.1:{vendor.port}/exports%20of%20tonight/"
    keys = {"source_host_keys": [vendor.host_key], "source_after": "remove", "attempts": 3}
    secret.write_text("another")
    district.configure(source=f"{source}*.zip", **keys)
    wrong = "Login failed): Incorrect password"
    before = vendor.log.count(wrong)
    assert district.send()[0] == Exit.SOURCE
    waiting.until(lambda: vendor.log.count(wrong) > before, "the session's log")
    assert vendor.log.count(wrong) == before + 1, "a refused login is tried once"
    secret.write_text(PASSWORD)
    code, told = district.send()
    assert code == Exit.OK, told
    assert district.is_delivered
    assert [path.name for path in folder.iterdir()] == ["older.zip"]
    district.configure(source=f"{source}missing.zip", **keys)
    assert "older.zip" in district.send()[1]

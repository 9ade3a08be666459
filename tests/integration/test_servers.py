"""Deliver to SFTP servers of many makers, in one container.

docs/servers.md must show the capabilities of each.
"""

from __future__ import annotations

import hashlib
import os
import random
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from integration.test_cuts import Wire
from roster_upload import config
from roster_upload.config import Feed
from roster_upload.exits import Exit, Failure
from roster_upload.transfer.directory import RemoteDirectory
from roster_upload.transfer.info import ConnectionInfo, Holds
from roster_upload.transfer.probe import probe
from roster_upload.transfer.profile import Profile
from roster_upload.transfer.protocol import Sftp
from roster_upload.transfer.upload import Delivered, deliver
from roster_upload.transfer.writer import Pace
from support import trees, waiting
from support.container import reserved_port, running
from support.district import FOLDER, District

pytestmark = pytest.mark.lab
HELPERS = Path(__file__).parent / "servers"
TABLE = Path(__file__).resolve().parents[2] / "docs" / "servers.md"
NAME = "OneRoster.zip"
OLD = b"yesterday's roster"
NEW = random.Random(1).randbytes(5_000_000)  # noqa: S311 - no secret
SMALL = Pace(chunk_bytes=4096, first_bytes=1024, requests=8)
# Below, at and several times above that pace's window, and beyond the usual one.
PACKAGES = [(10_000, SMALL), (32_768, SMALL), (300_000, SMALL), (5_000_000, None)]
CUT_AT = 150_000
SMALL_DISK = "imagine/0123456-Small Disk/product"

# In the order of the table: the server's name there, and here.
SERVERS = {
    "OpenSSH": "openssh",
    "Dropbear with OpenSSH's sftp-server": "dropbear",
    "ProFTPD mod_sftp": "proftpd",
    "MySecureShell": "mysecureshell",
    "Green End sftp-server": "greenend",
    "Perl Net::SFTP::SftpServer": "perl",
    "Erlang/OTP ssh_sftpd": "erlang",
    "Twisted Conch": "twisted",
    "paramiko": "paramiko",
    "asyncssh": "asyncssh",
    "rclone serve sftp": "rclone",
    "Apache MINA SSHD": "mina",
}
REFUSED = {"tinyssh": "tinyssh"}  # before any login
SHOWN = "packages of all sizes, leftovers, cuts, refusals"


@dataclass
class Server:
    """One of the servers, and the test's folder that it serves."""

    title: str  # in the table
    port: int
    host_key: str
    user: str
    root: Path  # the user's root, or home

    @property
    def folder(self) -> Path:
        return self.root / FOLDER

    @property
    def held(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    def put(self, name: str, data: bytes) -> None:
        """Write a file into the folder as if the server had written it."""
        owner = self.folder.stat()
        path = self.folder / name
        path.write_bytes(data)
        os.chown(path, owner.st_uid, owner.st_gid)

    def reset(self) -> None:
        """Restore yesterday's file, alone in the folder."""
        for path in self.folder.iterdir():
            path.unlink()
        self.put(NAME, OLD)

    def wait_for_the_end(self) -> None:
        """Wait until the server has closed each connection."""
        port = f":{self.port:04X}"

        def is_over() -> bool:
            rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            return not [row for row in rows if row[1].endswith(port) and row[3] in ("01", "08")]

        waiting.until(is_over, "the connection's end")


def make_key(path: Path, kind: str) -> str:
    """Make a host key that every server can read. Return its public part."""
    command = ["ssh-keygen", "-q", "-t", kind, "-m", "PEM", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True)
    return " ".join(path.with_name(path.name + ".pub").read_text().split()[:2])


def is_listening(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def secret() -> bytes:
    return secrets.token_hex(16).encode()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, secret: bytes) -> Iterator[dict[str, Server]]:
    """Start all servers on free loopback ports, for the time of the module."""
    home = tmp_path_factory.mktemp("servers")
    host_key = make_key(home / "host_key", "ecdsa")
    other_key = make_key(home / "other_key", "ed25519")
    with ExitStack() as stack:
        found = {}
        for title, name in (SERVERS | REFUSED).items():
            root = home / name / "files"
            (root / FOLDER).mkdir(parents=True)
            key = other_key if name == "tinyssh" else host_key
            port = stack.enter_context(reserved_port())
            found[name] = Server(title, port, key, f"s-{name}", root)
        settings = [f"PASSWORD={secret.decode()}"]
        settings += [f"PORT_{name}={server.port}" for name, server in found.items()]
        (home / "settings").write_text("\n".join([*settings, ""]))

        missing = {server.port: name for name, server in found.items()}

        def are_ready(_: str) -> bool:
            for port in filter(is_listening, list(missing)):
                del missing[port]
            return not missing

        tree = trees.made(trees.SERVERS)["trixie"]
        start = ("sh", "/servers/start.sh")
        options = [f"--volume={HELPERS}:/servers:ro"]
        options += [f"--tmpfs=/vendor/{name}/files/{SMALL_DISK}:size=64k" for name in found]
        try:
            stack.enter_context(
                running(tree, home, *start, is_ready=are_ready, options=tuple(options))
            )
        except AssertionError as error:
            logs = [home / name / "log" for name in missing.values()]
            for path in filter(Path.exists, logs):
                error.add_note(f"{path}:\n{path.read_text()[-2000:]}")
            raise
        yield found


@pytest.fixture(params=list(SERVERS.values()))
def server(request: pytest.FixtureRequest, servers: dict[str, Server]) -> Server:
    """Return one of the servers, with yesterday's file alone."""
    servers[request.param].reset()
    return servers[request.param]


@pytest.fixture(scope="module")
def district(
    tmp_path_factory: pytest.TempPathFactory, servers: dict[str, Server], secret: bytes
) -> District:
    return District(tmp_path_factory.mktemp("district") / "home", servers["openssh"], secret)


@dataclass
class Sender:
    """Return the program with a feed that goes to one of the servers."""

    district: District
    server: Server

    def feed(self, **changes: object) -> Feed:
        values = {
            "remote_port": self.server.port,
            "host_keys": [self.server.host_key],
            "username": self.server.user,
        }
        self.district.configure(**(values | changes))
        return config.load(self.district.config_file)

    def send(
        self,
        size: int,
        *,
        pace: Pace | None = None,
        profile: Profile | None = None,
        sha256: str = "",
        **changes: object,
    ) -> Delivered:
        self.district.export.write_bytes(NEW[:size])
        return deliver(
            self.feed(**changes), self.district.secret, self.district.export, size,
            ConnectionInfo(), profile=profile, sha256=sha256, pace=pace, limit=60,
        )  # fmt: skip

    def refused(self, size: int = 10_000, **changes: Any) -> Failure:
        """Send a file that must not arrive. Return the failure."""
        with pytest.raises(Failure) as caught:
            self.send(size, pace=SMALL, **changes)
        return caught.value

    def learn(self) -> Profile:
        return probe(self.feed(), self.district.secret, ConnectionInfo(), limit=60)

    def leave(self) -> None:
        """Leave the remains of broken deliveries and probes of the feed beside yesterday's file."""
        prefix = RemoteDirectory(cast(Sftp, None), self.feed(), ConnectionInfo()).prefix
        for name in (f".{prefix}0123abcd.part", f".{prefix}old.part", f"{prefix}probe-45.zip"):
            self.server.put(name, b"part of a roster")


def read_table() -> dict[str, dict[str, str]]:
    """Return the rows of the table by server, each by column."""
    lines = [line for line in TABLE.read_text("utf-8").splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: dict(zip(head, row, strict=True)) for row in rows}


def told(value: str | bool) -> str:
    """Return a value as the table has it."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value or "usual"


@pytest.fixture
def row(server: Server) -> dict[str, str]:
    """Return the server's row of the table."""
    return read_table()[server.title]


@pytest.fixture
def sender(district: District, server: Server) -> Sender:
    return Sender(district, server)


@pytest.mark.parametrize(("size", "pace"), PACKAGES, ids=[str(size) for size, _ in PACKAGES])
def test_a_package_takes_the_place_of_yesterdays(
    sender: Sender, server: Server, size: int, pace: Pace | None
) -> None:
    sender.leave()
    done = sender.send(size, pace=pace)
    assert done.bytes in (size, None)
    assert server.held == {NAME: NEW[:size]}


def test_a_probe_learns_what_the_table_says(
    sender: Sender, server: Server, row: dict[str, str]
) -> None:
    learned = sender.learn()
    assert server.held == {NAME: OLD}
    assert learned.stat_after_close
    assert not learned.takes_on_close
    columns = {
        "Renaming": learned.rename,
        "Temporary names": told(learned.temporary_name),
        "Names listed": told(learned.lists),
        "Sizes": told(learned.sizes),
        "SHA-256": told(learned.hash),
        "Shown": SHOWN,
    }
    assert columns == {column: row[column] for column in columns}
    sha256 = hashlib.sha256(NEW[:300_000]).hexdigest()
    done = sender.send(300_000, pace=SMALL, profile=learned, sha256=sha256)
    assert (done.method, done.verified) == (learned.rename, "hash" if learned.hash else "size")
    assert server.held == {NAME: NEW[:300_000]}


def test_a_missing_folder_is_told_or_made(
    sender: Sender, server: Server, row: dict[str, str]
) -> None:
    missing = "imagine/0123456-Nobody/product"
    failure = sender.refused(remote_dir=missing)
    assert failure.code == Exit.REMOTE_PATH
    assert f"{missing} does not exist" in failure.message
    assert row["Missing folder"] == f"{failure.code.name} ({failure.code})"
    assert sender.send(10_000, pace=SMALL, remote_dir=missing, make_remote_dir=True)
    assert (server.root / missing / NAME).read_bytes() == NEW[:10_000]
    shutil.rmtree((server.root / missing).parent)


def test_a_closed_folder_is_told(sender: Sender, server: Server, row: dict[str, str]) -> None:
    server.folder.chmod(0o555)
    try:
        failure = sender.refused()
    finally:
        server.folder.chmod(0o755)
    assert failure.code == Exit.PERMISSION
    assert row["Closed folder"] == f"{failure.code.name} ({failure.code})"
    assert server.held == {NAME: OLD}


def test_a_full_disk_is_told(sender: Sender, server: Server, row: dict[str, str]) -> None:
    """Servers that give no reason, and no statvfs, refuse the transfer."""
    failure = sender.refused(300_000, remote_dir=SMALL_DISK)
    assert row["Full disk"] == f"{failure.code.name} ({failure.code})"
    assert ". The vendor still has the file that it had" in failure.message
    # No remains take up the space of a smaller file.
    assert sender.send(32_768, pace=SMALL, remote_dir=SMALL_DISK).bytes == 32_768


def test_a_cut_leaves_the_old_file_and_the_next_delivery_tidies(
    sender: Sender, server: Server
) -> None:
    with Wire(server.port, from_client=CUT_AT).up() as port:
        failure = sender.refused(300_000, remote_port=port)
    assert failure.code == Exit.VANISHED
    assert server.held[NAME] == OLD
    server.wait_for_the_end()
    assert server.held[NAME] == OLD
    assert len(server.held) == 2  # and the part that has arrived
    sender.send(300_000, pace=SMALL)
    assert server.held == {NAME: NEW[:300_000]}


@pytest.mark.parametrize("server", ["erlang"], indirect=True)
def test_a_cut_while_the_old_file_is_aside_is_mended(sender: Sender, server: Server) -> None:
    """Only this server replaces no file."""
    wire = Wire(server.port)
    with wire.up() as port:
        assert sender.send(10_000, pace=SMALL, remote_port=port).method == "move-aside"
    seen = set()
    for place in range(wire.passed["client"] - 900, wire.passed["client"], 30):
        server.reset()
        message = ""
        with Wire(server.port, from_client=place).up() as port:
            try:
                sender.send(10_000, pace=SMALL, remote_port=port)
            except Failure as failure:
                message = failure.message
        server.wait_for_the_end()
        found = server.held.get(NAME)
        # A session may be shorter than the first one. Then a late cut only ends its farewell.
        assert found in (OLD, NEW[:10_000], None) if message else found == NEW[:10_000]
        assert found or Holds.NOTHING.words in message
        seen.add(found)
        sender.send(32_768, pace=SMALL)
        assert server.held == {NAME: NEW[:32_768]}
    assert {OLD, None} <= seen


def test_a_server_without_a_common_cipher_is_told(
    servers: dict[str, Server], district: District
) -> None:
    sender = Sender(district, servers["tinyssh"])
    failure = sender.refused()
    assert failure.code == Exit.NEGOTIATION
    assert "only chacha20-poly1305@openssh.com" in failure.message
    assert "aes256-gcm@openssh.com or aes256-ctr" in failure.message
    row = read_table()["tinyssh"]
    assert row["Shown"] == f"refused with advice: {failure.code.name} ({failure.code})"


def test_the_table_names_each_server() -> None:
    assert list(read_table()) == [*SERVERS, *REFUSED]

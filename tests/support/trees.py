"""Keep trees of Debian with further packages in the lab's cache, which all checkouts share.

A tree is the lab's plain Debian with what some tests need. Tests leave it as it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab import images, settings
from lab.process import NAMESPACES, TIED, lock

INSTALL = """
set -e
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
cp /etc/resolv.conf "$1/etc/resolv.conf"
cd "$1"
# No daemon of a package starts.
printf '#!/bin/sh\\nexit 101\\n' > usr/sbin/policy-rc.d
chmod +x usr/sbin/policy-rc.d
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
chroot . apt-get --quiet update
chroot . apt-get --quiet install --yes --no-install-recommends \
  -o Dpkg::Options::=--force-unsafe-io -o "Dpkg::Options::=--path-exclude=/usr/share/doc/*" $2
chroot . sh -ec "$3"
"""


def nothing(_: Path) -> None:
    """Add nothing to a tree."""


@dataclass(frozen=True)
class Tree:
    """Plain Debian with packages and more. The name of its folder changes with these."""

    purpose: str
    release: str
    packages: str
    script: str = ":"  # runs in it after their installation
    add: Callable[[Path], None] = nothing  # adds what Debian does not have, meanwhile
    added: str = ""  # describes that

    @property
    def path(self) -> Path:
        base = images.image(self.release).name
        recipe = "\n".join([base, INSTALL, self.packages, self.script, self.added])
        digest = hashlib.sha256(recipe.encode()).hexdigest()
        return settings.CACHE / f"{self.purpose}-{self.release}-{digest[:12]}"


# The servers of other makers. MINA's package and Java work without their dependencies.
SERVERS = Tree(
    "servers",
    "trixie",
    "dropbear-bin erlang-ssh gesftpserver libnet-sftp-sftpserver-perl mysecureshell "
    "openssh-sftp-server proftpd-core proftpd-mod-crypto python3-asyncssh python3-paramiko "
    "python3-twisted rclone tinysshd",
    """
    mkdir /tmp/java
    cd /tmp/java
    apt-get --quiet download -o APT::Sandbox::User=root \\
        libbsh-java libmina-sshd-java libslf4j-java openjdk-21-jre-headless
    for package in *.deb; do dpkg --extract "$package" /; done
    rm -r /tmp/java
    """,
)
# What the program imports of Debian.
PROGRAM = [
    Tree("program", release, "python3-paramiko python3-numpy python3-rich")
    for release in settings.RELEASES
]


def made(*trees: Tree) -> dict[str, Path]:
    """Return trees of one purpose by release. Make missing and old ones, in parallel."""
    with lock(settings.CACHE / f"{trees[0].purpose}-lock"), contextlib.ExitStack() as stack:
        missing = [each for each in trees if not each.path.exists() or images.is_old(each.path)]
        folder = tempfile.TemporaryDirectory(prefix="build-", dir=settings.CACHE)
        home = Path(stack.enter_context(folder))
        building = [(each, home / each.release) for each in missing]
        running = [stack.enter_context(start(each, path)) for each, path in building]
        for tree, path in building:
            tree.add(path)
        for (tree, path), process in zip(building, running, strict=True):
            output, _ = process.communicate()
            assert process.returncode == 0, output[-2000:]
            shutil.rmtree(tree.path, ignore_errors=True)
            path.rename(tree.path)
            os.utime(tree.path)
    return {tree.release: tree.path for tree in trees}


def start(tree: Tree, path: Path) -> subprocess.Popen[str]:
    """Copy a base image and start to install a tree's packages in it."""
    subprocess.run(["cp", "--archive", images.image(tree.release), path], check=True)
    return subprocess.Popen(
        [*TIED, *NAMESPACES, "sh", "-c", INSTALL, "sh", path, tree.packages, tree.script],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip

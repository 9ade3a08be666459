"""Make the base images: plain Debian servers, kept in a cache that all checkouts share."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from lab import settings
from lab.machine import mirrors, need_tools
from lab.process import NAMESPACES, TIED, LabError, end, first_process, lock, say

# A plain Debian server as an installer leaves it. The roles install the rest.
PACKAGES = (
    "systemd,systemd-sysv,dbus,python3,python3-apt,ca-certificates,openssh-server,sudo,cron,"
    "iproute2,procps,netbase,tzdata"
)
IMAGE_DAYS = 7  # after which an image is made again, with newer packages
CUSTOMIZE = """
set -e
chroot "$1" useradd --create-home --shell /bin/bash deploy
echo "deploy ALL=(ALL) NOPASSWD: ALL" > "$1/etc/sudoers.d/deploy"
# An inbox's account, which may have few processes, gets the next free uid. The kernel counts the
# processes of a uid over all containers, and each has a bus.
chroot "$1" usermod --uid 190 messagebus
rm -f "$1"/etc/ssh/ssh_host_*
ln -s /dev/null "$1/etc/systemd/system/systemd-modules-load.service"
echo "import lab_bytecode; lab_bytecode.use()" > "$1/usr/lib/python3/dist-packages/lab_bytecode.pth"
mkdir "$1/var/cache/lab-bytecode"
chroot "$1" python3 -m py_compile /usr/lib/python3/dist-packages/lab_bytecode.py
"""
BYTECODE = Path(__file__).with_name("bytecode.py")


def prepare() -> None:
    """Install the tools and make the base images, one lab of the machine after the other."""
    with lock(settings.CACHE / "lock"):
        need_tools()
        build_all()


def image(release: str) -> Path:
    """Return the folder of a release's base image. Its name changes with the recipe."""
    recipe = "\n".join([release, PACKAGES, CUSTOMIZE, BYTECODE.read_text(), *mirrors()])
    return settings.CACHE / f"{release}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def is_old(path: Path) -> bool:
    """Return whether an image of the cache is too old to be used."""
    return time.time() - path.stat().st_mtime > IMAGE_DAYS * 86400


def build_all() -> None:
    """Make missing and old base images in parallel, and remove the cache's old files."""
    missing = [release for release in settings.RELEASES if not image(release).exists()]
    there = [release for release in settings.RELEASES if release not in missing]
    stale = [release for release in there if is_old(image(release))]
    if not missing + stale:
        return
    settings.CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=settings.CACHE) as folder:
        building: dict[str, subprocess.Popen[str]] = {}
        try:
            for release in missing + stale:
                say(f"building the Debian image {release}")
                building[release] = build(release, Path(folder))
            for release, process in building.items():
                output, _ = process.communicate()
                if process.returncode == 0:
                    replace(release, Path(folder, release))
                elif release in stale:
                    say(f"using the old image {release}, since the build failed:\n{output[-500:]}")
                else:
                    raise LabError(f"the image {release} could not be built:\n{output[-2000:]}")
        finally:
            for process in building.values():
                if pid := first_process(process):
                    end(pid)
                process.wait()
    remove_old()


def build(release: str, folder: Path) -> subprocess.Popen[str]:
    """Start to make a release's base image in a folder, as the tree RELEASE."""
    archive, security = mirrors()
    bytecode = shlex.join(
        ["upload", str(BYTECODE), "/usr/lib/python3/dist-packages/lab_bytecode.py"]
    )
    command = [
        *TIED, *NAMESPACES,
        "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={PACKAGES}",
        "--skip=cleanup/apt/lists",
        f"--customize-hook={bytecode}", f"--customize-hook={CUSTOMIZE}",
        release, str(folder / release),
        f"deb {archive} {release} main",
        f"deb {archive} {release}-updates main",
        f"deb {security} {release}-security main",
    ]  # fmt: skip
    return subprocess.Popen(
        command, env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def replace(release: str, tree: Path) -> None:
    """Put a new image into the cache. Labs that use the one before keep it for a while."""
    if image(release).exists():
        image(release).rename(replaced := settings.CACHE / f"replaced-{time.time_ns()}")
        os.utime(replaced)
    tree.rename(image(release))
    os.utime(image(release))


def remove_old() -> None:
    """Remove old images of other recipes, and the remains of killed runs."""
    used = [settings.CACHE / "lock", *map(image, settings.RELEASES)]
    for path in settings.CACHE.iterdir():
        if path not in used and is_old(path):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

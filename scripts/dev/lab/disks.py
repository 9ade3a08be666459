"""Choose the disks that containers start from, and keep the disks of provisioned hosts."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

from lab import settings
from lab.images import image
from lab.process import LabError, run, say
from lab.running import inside

# The playbooks that provision plain hosts, and all sources that their disks depend on.
PLAYBOOKS = ["molecule/default/prepare.yml", "playbooks/site.yml"]
SOURCES = [
    "ansible.cfg", "inventories/lab", "molecule/default", "playbooks", "requirements/control.txt",
    "roles", "scripts",
]  # fmt: skip
KEEP_BYTECODE = "import lab_bytecode; lab_bytecode.keep_all('/usr/local/bin/roster-upload')"


def disks() -> dict[str, str]:
    """Return the tree that each container's disk starts from. A container never changes it."""
    found: dict[str, str] = json.loads((settings.STATE / "disks.json").read_text())
    return found


def write_disks(wanted: dict[str, str]) -> None:
    """Save the tree that each container's disk starts from."""
    (settings.STATE / "disks.json").write_text(json.dumps(wanted))


def disk_of(name: str, *, provisioned: bool) -> str:
    """Return the tree that a container starts from. Further hosts start from the first one's."""
    if provisioned:
        known = name if name in settings.CONTAINERS else next(iter(settings.CONTAINERS))
        return str(settings.PROVISIONED / known)
    return str(image(settings.release_of(name)))


def digest() -> str:
    """Return the digest of all that provisioned disks depend on: images and sources."""
    listed = run("git", "-C", settings.ROOT, "ls-files", "-z", "--cached", "--others",
                 "--exclude-standard", "--", *SOURCES)  # fmt: skip
    found = hashlib.sha256("\n".join(str(image(each)) for each in settings.RELEASES).encode())
    for name in sorted(filter(None, listed.split("\0"))):
        path = settings.ROOT / name
        if path.is_file():
            found.update(name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def is_kept() -> bool:
    """Return whether the kept disks fit the present sources."""
    mark = settings.PROVISIONED / "digest"
    return mark.exists() and mark.read_text() == digest()


def provision() -> None:
    """Provision the plain hosts that are up, and keep their disks."""
    for playbook in PLAYBOOKS:
        say(f"provisioning the hosts: {playbook}")
        command = ["ansible-playbook", playbook, "-i", "inventories/lab"]
        path = settings.STATE / "provision.log"
        with path.open("w") as log:
            done = subprocess.run(
                command, cwd=settings.ROOT, stdout=log, stderr=log, check=False
            )  # fmt: skip
        if done.returncode != 0:
            raise LabError(f"{playbook} failed:\n{path.read_text(errors='replace')[-3000:]}")
    run(*inside([str(settings.SCRIPT), "keep"]))


def keep() -> None:
    """Keep the disks of the lab's containers. This runs inside of the lab.

    The copy holds apt's own lock, so that no package is half installed. Disks in the cache are
    named by what they are made of, and other labs may run from them, so they stay.
    """
    kept = settings.PROVISIONED
    is_shared = kept.parent == settings.CACHE
    if is_shared and is_kept():
        return
    new = kept.with_name(f"{kept.name}-{settings.NAME}")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for name in settings.CONTAINERS:
        run("podman", "exec", name, "python3", "-c", KEEP_BYTECODE)
        pid = run("podman", "inspect", "--format", "{{.State.Pid}}", name).strip()
        disk = Path("/proc", pid, "root")
        with (disk / "var/lib/dpkg/lock-frontend").open("w") as apt:
            fcntl.lockf(apt, fcntl.LOCK_EX)
            run("cp", "--archive", "--one-file-system", f"{disk}/.", new / name)
    for name in ("id_ed25519", "id_ed25519.pub"):
        shutil.copy(settings.STATE / name, new / name)
    (new / "digest").write_text(digest())
    if is_shared and is_kept():  # another lab was faster
        shutil.rmtree(new)
        return
    shutil.rmtree(kept, ignore_errors=True)
    new.rename(kept)

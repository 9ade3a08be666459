"""Prepare what `bench.provision` compares with: pyinfra, and dev-sec's collection."""

from __future__ import annotations

import functools
import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

from bench.cost import ROOT, Cost, play, run, unchanged

HOME = ROOT / "build" / "bench"
PYINFRA = HOME / "pyinfra"
SSH_CONFIG = ROOT / ".lab" / "ssh_config"
CONTENDERS = ROOT / "tests" / "bench" / "contenders"
# Files that site.yml brings: newer than the mark, of no package, and not written by one's scripts.
# Where it replaces a package's file, this one is beside it with another ending (dpkg-divert).
MARK = "/var/tmp/bench-mark"  # noqa: S108 - on the lab's host
FOLDERS = "/etc /usr/local"
DIVERTED = ".distrib"
OF_PACKAGES = re.compile(
    r"/etc/((passwd|shadow|group|gshadow|subuid|subgid)-?|ld\.so\.cache|\.pwd\.lock|timezone|modules"
    r"|aide/.*|apparmor\.d/(local|tunables)/.*|apt/(listchanges\.conf|apt\.conf\.d/[25]0.*)"
    r"|audit/audit\.rules|chrony/chrony\..*|pam\.d/common-.*|ssh/sshd_config)"
)
LIST = f"""
find {FOLDERS} -xdev -type f -cnewer {MARK} | sort > {MARK}.new
sort -u /var/lib/dpkg/info/*.list > {MARK}.owned
comm -23 {MARK}.new {MARK}.owned
"""
# dev-sec's collection is not in the package ansible. It is measured if it was installed here:
# ansible-galaxy collection install devsec.hardening --collections-path build/bench/collections
COLLECTIONS = HOME / "collections"
DEVSEC = COLLECTIONS / "ansible_collections" / "devsec" / "hardening"


def on_host(host: str, command: str) -> bytes:
    """Run a shell command as root on a lab host. Return its output."""
    ssh = ["ssh", "-F", str(SSH_CONFIG), host, "sudo", "sh", "-s"]
    return subprocess.run(ssh, input=command.encode(), capture_output=True, check=True).stdout


def mark(host: str) -> None:
    """Remember this moment on a host."""
    on_host(host, f"touch {MARK}")


def take_files(host: str, folder: Path) -> int:
    """Copy the files that were brought to a host since `mark`. Return their number."""
    names = on_host(host, LIST).decode().splitlines()
    ours = [name.removesuffix(DIVERTED) for name in names if not OF_PACKAGES.fullmatch(name)]
    listed = "\n".join(ours)
    packed = on_host(host, f"tar -cf - -T - <<'END'\n{listed}\nEND\n")
    files = []
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for each in archive:
            content = archive.extractfile(each)
            assert content
            copy = folder / each.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content.read())
            owner = {"user": each.uname, "group": each.gname, "mode": f"{each.mode:o}"}
            files.append({"path": f"/{each.name}", **owner})
    (folder / "files.json").write_text(json.dumps(files))
    return len(files)


def install_pyinfra() -> None:
    """Install the locked pyinfra in an environment of its own."""
    uv = [str(Path(sys.executable).with_name("uv")), "--quiet"]
    install = functools.partial(subprocess.run, cwd=ROOT, check=True)
    install([*uv, "venv", "--clear", "--python", sys.executable, str(PYINFRA)])
    lock = ["--require-hashes", "--requirement", "requirements/bench.txt"]
    install([*uv, "pip", "install", "--python", str(PYINFRA / "bin" / "python"), *lock])


def pyinfra(host: str, folder: Path) -> Cost:
    """Let pyinfra bring files to a host that has them. Return the cost."""
    words = ["--yes", "--sudo", "--data", f"ssh_config_file={SSH_CONFIG}"]
    words += ["--data", f"folder={folder}"]
    deploy = str(CONTENDERS / "pyinfra_files.py")
    # It writes its table to standard error.
    program = [str(PYINFRA / "bin" / "pyinfra"), *words, f"@ssh/{host}", deploy]
    cost, told = run("sh", "-c", 'exec "$@" 2>&1', "sh", *program)
    total = re.search(r"Grand total +(\d+) +- +- +(\d+) ", told)
    if not total or total[1] != total[2]:
        sys.exit(f"bench: pyinfra, which should change nothing, did\n{told[-3000:]}")
    return cost


def devsec(host: str, *, is_first: bool = False) -> Cost:
    """Run dev-sec's hardening. End the bench if it changes something in a later run."""
    where = {"ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_INJECT_FACT_VARS": "true"}
    cost, recap = play(str(CONTENDERS / "devsec.yml"), [host], environment=where)
    if not is_first:
        unchanged(recap)
    return cost

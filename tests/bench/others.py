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
# Files that site.yml brings: newer than the mark, of no package, and not made by a program there.
MARK = "/var/tmp/bench-mark"  # noqa: S108 - on the lab's host
FOLDERS = "/etc /usr/local"
MADE_THERE = r"/etc/(passwd|shadow|group|gshadow|subuid|subgid|ld\.so\.cache|.*-$|\.pwd\.lock)"
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
    names = [name for name in names if not re.match(MADE_THERE, name)]
    listed = "\n".join(names)
    packed = on_host(host, f"tar -cf - -T - <<'END'\n{listed}\nEND\n")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
        files = [
            {
                "path": f"/{each.name}",
                "user": each.uname,
                "group": each.gname,
                "mode": f"{each.mode:o}",
            }
            for each in archive
        ]
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
    cost, _ = run(str(PYINFRA / "bin" / "pyinfra"), *words, host, deploy)
    return cost


def devsec(host: str, *, is_first: bool = False) -> Cost:
    """Run dev-sec's hardening. End the bench if it changes something in a later run."""
    where = {"ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_INJECT_FACT_VARS": "true"}
    cost, recap = play(str(CONTENDERS / "devsec.yml"), [host], environment=where)
    if not is_first:
        unchanged(recap)
    return cost

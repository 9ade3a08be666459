"""Make a lab host a control node: this checkout, and its locked packages, below one folder."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from importlib import metadata
from importlib.util import cache_from_source
from pathlib import Path
from typing import IO

from support.lab_hosts import ROOT, Host

SOURCES = ("ansible.cfg", "playbooks", "roles", "scripts")
PROGRAMS = ("ansible-playbook", "ansible-vault")
PYTHONS = {"lab-trixie": (3, 13), "lab-bookworm": (3, 11)}  # of their Debian
# Ansible's own collections are a gigabyte, and the playbooks use none.
LEFT_OUT = ("ansible_collections", "__pycache__", "..")


def fitting() -> str:
    """Return the lab host whose Python can use the packages of this one, or ""."""
    return next((name for name, version in PYTHONS.items() if version == sys.version_info[:2]), "")


def bring(host: Host, name: str, folder: str) -> None:
    """Bring the checkout and its environment to a host. Programs are as scripts/setup has them."""
    host.check_output("python3 -m venv --without-pip %s", f"{folder}/.venv")
    library = f".venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    ssh = ["ssh", "-F", str(ROOT / ".lab" / "ssh_config"), name, f"sudo tar -x -C '{folder}'"]
    with subprocess.Popen(ssh, stdin=subprocess.PIPE) as process:
        assert process.stdin
        _pack(process.stdin, library)
        process.stdin.close()
        assert process.wait() == 0
    for program in PROGRAMS:
        path = f"{folder}/.venv/bin/{program}"
        module = program.removeprefix("ansible-")
        text = (
            f'#!/bin/sh\nexec "{folder}/.venv/bin/python" -c '
            f"\"import sys; sys.argv[0] = '{path}'; from ansible.cli.{module} import main; main()\""
            ' "$@"\n'
        )
        host.check_output("echo %s > %s && chmod 0755 %s", text, path, path)


def _pack(out: IO[bytes], library: str) -> None:
    with tarfile.open(fileobj=out, mode="w|") as archive:
        for source in SOURCES:
            archive.add(ROOT / source, source, filter=_kept)
        for path, name in _files():
            archive.add(path, f"{library}/{name}", recursive=False)


def _kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if Path(member.name).name in LEFT_OUT else member


def _files() -> Iterator[tuple[Path, str]]:
    """Yield the files of the locked packages, with their names, and their bytecode."""
    lock = (ROOT / "requirements" / "control.txt").read_text()
    for package in re.findall(r"^([A-Za-z0-9_.-]+)==", lock, re.MULTILINE):
        for file in metadata.files(package) or ():
            if not set(LEFT_OUT) & set(file.parts):
                path = Path(str(file.locate()))
                yield path, str(file)
                cached = Path(cache_from_source(str(path)))
                if path.suffix == ".py" and cached.exists():
                    yield cached, str(file.parent / "__pycache__" / cached.name)

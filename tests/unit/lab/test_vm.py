"""The machine with its own kernel: what it accelerates with, and what killed runs leave."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from lab.process import LabError, wait

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "dev" / "vm"
QEMU = "qemu-system-x86_64"


@pytest.fixture
def vm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the script's module, with its files in an empty folder."""
    loader = importlib.machinery.SourceFileLoader("vm", str(SCRIPT))
    spec = importlib.util.spec_from_loader("vm", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    monkeypatch.setattr(module, "STATE", tmp_path / ".vm")
    monkeypatch.setattr(module, "KVM_SECONDS", 0.5)
    monkeypatch.setattr(module, "build", lambda: pytest.fail("a machine was built"))
    return module


@pytest.fixture
def machine(vm: ModuleType, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that looks like a machine with trixie."""
    vm.STATE.mkdir()
    (vm.STATE / "release").write_text("trixie")
    with subprocess.Popen(
        [QEMU, "-c", "read line", str(vm.STATE)], executable="/bin/sh", stdin=subprocess.PIPE
    ) as started:
        (vm.STATE / f"{QEMU}.pid").write_text(f"{started.pid}\n")
        wait(vm.process, 5, "the machine's command line")
        yield started
        started.kill()


def emulator(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a qemu that runs a script, with $console as the file of its serial port."""
    find = 'while [ "$1" != -serial ]; do shift; done; console=${2#file:}; '
    (folder / QEMU).write_text(f"#!/bin/sh\n{find}{script}\n")
    (folder / QEMU).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("script", "is_used"),
    [
        pytest.param(
            'echo "Run /init as init process" > "$console"; exec sleep 9', True, id="boots"
        ),
        pytest.param("exec sleep 9", False, id="stays silent"),
        pytest.param("exit 1", False, id="ends at once"),
    ],
)
def test_kvm_is_used_if_the_kernel_boots_with_it(
    vm: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, is_used: bool
) -> None:
    vm.STATE.mkdir()
    monkeypatch.setattr(vm.os, "access", lambda *_: True)
    emulator(tmp_path, script, monkeypatch)
    assert vm.accelerator() == (vm.KVM if is_used else vm.EMULATED)


def test_without_kvm_the_machine_is_emulated(
    vm: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vm.os, "access", lambda *_: False)
    assert vm.accelerator() == vm.EMULATED


def test_a_machine_of_another_release_stays(
    vm: ModuleType, machine: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vm, "RELEASE", "bookworm")
    with pytest.raises(LabError, match="a machine with trixie runs"):
        vm.up()
    assert machine.poll() is None
    monkeypatch.setattr(vm, "RELEASE", "trixie")
    vm.up()


def test_down_ends_the_machine_and_removes_its_files(
    vm: ModuleType, machine: subprocess.Popen[bytes]
) -> None:
    vm.down()
    assert machine.wait(5) == -15
    assert not vm.STATE.exists()


def test_another_process_with_the_old_number_lives_on(vm: ModuleType) -> None:
    vm.STATE.mkdir()
    with subprocess.Popen(["sleep", "9", str(vm.STATE)], stderr=subprocess.DEVNULL) as other:
        (vm.STATE / f"{QEMU}.pid").write_text(f"{other.pid}\n")
        assert vm.process() is None
        other.kill()


@pytest.mark.parametrize("left", ["a file", "a link", "nothing", "a folder", "no pid"])
def test_leftovers_of_a_killed_run_are_removed(vm: ModuleType, tmp_path: Path, left: str) -> None:
    if left == "a file":
        vm.STATE.write_text("")
    elif left == "a link":
        (tmp_path / "kept").mkdir()
        vm.STATE.symlink_to(tmp_path / "kept")
    elif left != "nothing":
        (vm.STATE / "root").mkdir(parents=True)
        (vm.STATE / f"{QEMU}.pid").write_text("" if left == "no pid" else "999999999\n")
    vm.down()
    assert not vm.STATE.is_symlink()
    assert not vm.STATE.exists()
    assert (tmp_path / "kept").exists() == (left == "a link")

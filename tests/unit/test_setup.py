"""scripts/setup on control nodes that are not Debian, and from any folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("cat", "dirname", "find", "rm", "sh", "ssh", "touch")  # POSIX's own, and ssh


class Checkout:
    """A checkout with scripts/setup, a Python that installs nothing, and few other programs."""

    def __init__(self, root: Path) -> None:
        self.root = root / "a checkout"
        for name in ("scripts", "requirements", "elsewhere"):
            (self.root / name).mkdir(parents=True)
        shutil.copy(ROOT / "scripts" / "setup", self.root / "scripts")
        for name in ("control.txt", "dev.txt"):
            (self.root / "requirements" / name).write_text(f"# {name}\n")
        self.programs = root / "programs"
        self.programs.mkdir()
        for tool in TOOLS:
            (self.programs / tool).symlink_to(str(shutil.which(tool)))
        self.python = root / "python"
        # `-m venv .venv` makes what a real one leaves, and pip does nothing.
        self.python.write_text(
            f'#!{shutil.which("sh")}\n[ "$1 $2" != "-m venv" ] || {{\n'
            'mkdir -p .venv/bin && cp "$0" .venv/bin/python\n'
            "echo \"VIRTUAL_ENV='$PWD/.venv'\" >.venv/bin/activate\n}\n"
            f'[ "$1" = -m ] || exec {sys.executable} "$@"\n'
        )
        self.python.chmod(0o755)
        for tool in ("mkdir", "cp"):
            (self.programs / tool).symlink_to(str(shutil.which(tool)))

    def setup(
        self, *words: str, shell: Sequence[str] = (), folder: str = ".", path: str = "scripts/setup"
    ) -> subprocess.CompletedProcess[str]:
        """Run scripts/setup by a path, in a folder of the checkout."""
        environment = {"PATH": str(self.programs), "PYTHON": str(self.python)}
        return subprocess.run(
            [*shell, path, *words], cwd=self.root / folder, env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize("shell", [["sh"], ["bash", "--posix"]])
def test_it_needs_only_what_every_unix_has(checkout: Checkout, shell: list[str]) -> None:
    """macOS has neither sha256sum nor GNU's options."""
    shell[0] = str(shutil.which(shell[0]))
    done = checkout.setup(shell=shell)
    assert done.returncode == 0, done.stderr
    assert "Now run: . './.venv/bin/activate'" in done.stderr
    done = checkout.setup(shell=shell)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_works_from_another_folder(checkout: Checkout) -> None:
    """An environment with the contributors' packages suits operators, too."""
    assert checkout.setup("--dev").returncode == 0
    (checkout.root / ".venv" / "stamp").write_text("of an older release\n")
    done = checkout.setup(folder="elsewhere", path="../scripts/setup")
    assert done.returncode == 0, done.stderr
    assert "requirements/dev.txt" in done.stderr


@pytest.mark.parametrize("script", ["scripts/setup", "roster-delivery/scripts/setup"])
@pytest.mark.parametrize("option", [[], ["--dev"]])
def test_the_checkout_is_found_through_a_link(
    checkout: Checkout, script: str, option: list[str]
) -> None:
    folder = checkout.root.with_name("my rosters")
    folder.mkdir()
    (folder / "roster-delivery").symlink_to(checkout.root)
    (folder / "scripts").symlink_to("roster-delivery/scripts")
    done = checkout.setup(*option, folder=str(folder), path=script)
    assert done.returncode == 0, done.stderr
    assert f". '{checkout.root}/.venv/bin/activate'" in done.stderr
    done = checkout.setup(folder=str(folder), path=script)  # more than needed is good, too
    assert (done.returncode, done.stderr) == (0, "")
    assert not (folder / ".venv").exists()


def test_an_environment_of_a_moved_checkout_is_made_again(checkout: Checkout) -> None:
    assert checkout.setup().returncode == 0
    checkout.root = checkout.root.rename(checkout.root.with_name("moved"))
    assert "into .venv" in checkout.setup().stderr
    assert checkout.setup().stderr == ""


def test_a_folder_that_everybody_can_write_to_is_named(checkout: Checkout) -> None:
    """Ansible ignores the ansible.cfg of such a folder. All of WSL's /mnt/c looks so."""
    checkout.root.chmod(0o777)
    done = checkout.setup()
    assert done.returncode == 0
    warning = f"everybody can write to {checkout.root}, so Ansible ignores its ansible.cfg"
    assert warning in done.stderr
    checkout.root.chmod(0o775)
    assert checkout.setup().stderr == ""


def test_an_old_python_is_refused_with_the_way_out(checkout: Checkout) -> None:
    checkout.python.write_text(f"#!{shutil.which('sh')}\nexit 1\n")
    done = checkout.setup()
    assert done.returncode == 1
    assert "PYTHON=python3.13 scripts/setup" in done.stderr

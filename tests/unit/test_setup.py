"""scripts/setup on control nodes that are not Debian, and from any folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from checks import other_python

ROOT = Path(__file__).resolve().parents[2]
TOOLS = (
    "cat",
    "cp",
    "dirname",
    "find",
    "mkdir",
    "mv",
    "rm",
    "sh",
    "ssh",
    "touch",
)  # POSIX's own, and ssh
SYSTEM = "/usr/bin/python3"
# What a Python does for scripts/setup. `-m venv .venv` makes what a real one leaves. pip and uv
# note what they install, or fail: both without a network, uv with a mirror that only pip knows.
PYTHON = """\
#!{sh}
run="import sys; sys.version_info = (3, {minor}, 0); exec"
case "$1 $2" in
-m\\ venv)
    mkdir -p .venv/bin && cp "$0" .venv/bin/python
    echo "VIRTUAL_ENV='$PWD/.venv'" >.venv/bin/activate
    ;;
-m\\ pip)
    [ ! -e offline ] || exit 1
    for lock; do :; done
    [ "$lock" != /dev/stdin ] || {{ lock=$(cat) && cp "$0" .venv/bin/uv; }}
    echo "pip $lock" >>installed
    ;;
pip\\ install)
    [ ! -e mirror ] || exit 1
    for lock; do :; done
    echo "uv $lock" >>installed
    ;;
--version*) echo "Python 3.{minor}.0" ;;
*ensurepip*) exit {no_venv:d} ;;
-c*) shift && exec {real} -c "$run(sys.argv.pop(1))" "$@" ;;
-\\ *) shift && exec {real} -c "$run(sys.stdin.read())" "$@" ;;
esac
"""
LOCKED_UV = """\
uv==1.0 \\
    --hash=sha256:00 \\
    --hash=sha256:11
xyz==2.0 \\
    --hash=sha256:22
"""


class Checkout:
    """A checkout with scripts/setup, Pythons that install nothing, and few other programs."""

    def __init__(self, root: Path) -> None:
        self.root = root / "a checkout"
        for name in ("scripts", "requirements", "elsewhere"):
            (self.root / name).mkdir(parents=True)
        self.programs = root / "programs"
        self.programs.mkdir()
        script = (ROOT / "scripts" / "setup").read_text()
        assert SYSTEM in script
        copy = self.root / "scripts" / "setup"
        copy.write_text(script.replace(SYSTEM, str(self.programs / "of-the-system")))
        copy.chmod(0o755)
        for name in ("control.txt", "dev.txt"):
            (self.root / "requirements" / name).write_text(f"# {name}\n{LOCKED_UV}")
        for tool in TOOLS:
            (self.programs / tool).symlink_to(str(shutil.which(tool)))

    def python(self, name: str, minor: int, *, has_venv: bool = True) -> None:
        """Install a Python as a program of this name."""
        path = self.programs / name
        path.write_text(
            PYTHON.format(
                sh=shutil.which("sh"), real=sys.executable, minor=minor, no_venv=not has_venv
            )
        )
        path.chmod(0o755)

    def setup(
        self,
        *words: str,
        shell: Sequence[str] = (),
        folder: str = ".",
        path: str = "scripts/setup",
        python: str = "",
        is_activated: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run scripts/setup by a path, in a folder of the checkout."""
        own = f"{self.root / '.venv' / 'bin'}:" * (2 * is_activated)
        environment = {"PATH": f"{own}{self.programs}", "PYTHON": python}
        return subprocess.run(
            [*shell, path, *words], cwd=self.root / folder, env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def installed(self) -> str:
        """Return what was installed, and by which program."""
        return (self.root / "installed").read_text()

    def chosen(self, *words: str, python: str = "") -> str:
        """Run scripts/setup. Return the version of Python in the environment."""
        done = self.setup(*words, python=python)
        assert done.returncode == 0, done.stderr
        stamp = (self.root / ".venv" / "stamp").read_text()
        return stamp.split(" ")[1].removesuffix(".0")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """Return a checkout beside one Python that gets the newest Ansible."""
    made = Checkout(tmp_path)
    made.python("python3", 13)
    return made


def test_an_operator_needs_pip_alone(checkout: Checkout) -> None:
    """An operator installs once, and pip knows mirrors and certificates of a network."""
    assert checkout.setup().returncode == 0
    assert checkout.installed() == "pip requirements/control.txt\n"


def test_uv_installs_what_contributors_need(checkout: Checkout) -> None:
    """It is installed first, with its locked version and hashes."""
    assert checkout.setup("--dev").returncode == 0
    uv = LOCKED_UV[: LOCKED_UV.index("\nxyz")]
    assert checkout.installed() == f"pip {uv}\nuv requirements/dev.txt\n"


def test_pip_installs_what_uv_cannot(checkout: Checkout) -> None:
    """Nobody is notified of it: there is nothing to do."""
    (checkout.root / "mirror").touch()
    done = checkout.setup("--dev")
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if not line.startswith("setup: ")] == []
    assert checkout.installed().endswith("pip requirements/dev.txt\n")
    assert "uv requirements" not in checkout.installed()


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
    checkout.python("python3", 10)
    for python in ("", "python3"):
        done = checkout.setup(python=python)
        assert done.returncode == 1
        assert "PYTHON=python3.13 scripts/setup" in done.stderr
    assert "missing does not run, or is older than" in checkout.setup(python="missing").stderr


@pytest.mark.parametrize(
    ("pythons", "chosen"),
    [
        ({"of-the-system": 11, "python3": 11, "python3.12": 12}, "3.12"),
        ({"of-the-system": 11, "python3.12": 12, "python3.13": 13}, "3.13"),
        ({"of-the-system": 13, "python3": 14}, "3.13"),  # the system's own is faster
        ({"of-the-system": 10, "python3.11": 11}, "3.11"),
    ],
)
def test_python_3_12_or_newer_is_preferred(
    tmp_path: Path, pythons: dict[str, int], chosen: str
) -> None:
    checkout = Checkout(tmp_path)
    for name, minor in pythons.items():
        checkout.python(name, minor)
    assert checkout.chosen() == chosen
    assert checkout.setup().returncode == 0


def test_a_python_that_cannot_make_an_environment_is_passed_over(tmp_path: Path) -> None:
    """A shim of pyenv exists and does not run. Debian has the module venv in its own package."""
    checkout = Checkout(tmp_path)
    checkout.python("of-the-system", 11)
    checkout.python("python3", 13, has_venv=False)
    shim = checkout.programs / "python3.14"
    shim.write_text(f"#!{shutil.which('sh')}\necho 'pyenv: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    assert checkout.chosen() == "3.11"
    assert "pyenv" not in checkout.setup().stderr


def test_an_environment_stays_until_you_name_another_python(tmp_path: Path) -> None:
    """A run that nobody asked to change the Python changes nothing, and says what is better."""
    checkout = Checkout(tmp_path)
    checkout.python("of-the-system", 11)
    assert checkout.chosen() == "3.11"
    # Debian 12 has none, so a command to install one would be of no use there.
    advice = (
        'There is no newer one here. The way to one is in docs/control-nodes.md, "Which Python"'
    )
    assert checkout.setup().stderr.endswith(f"until October 2027. {advice}\n")

    checkout.python("python3.12", 12)
    mark = checkout.root / ".venv" / "mark"
    mark.touch()
    told = checkout.setup().stderr
    assert told.count("\n") == 1
    assert told.endswith("October 2027. Run: PYTHON=python3.12 scripts/setup\n")
    assert mark.exists()

    assert checkout.chosen(python="python3.12") == "3.12"
    assert not mark.exists()
    assert (checkout.setup().stderr, checkout.chosen()) == ("", "3.12")
    assert checkout.chosen(python="of-the-system") == "3.11"
    assert checkout.chosen() == "3.11"


def test_new_packages_are_installed_for_the_preferred_python(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    checkout.python("of-the-system", 11)
    assert checkout.chosen() == "3.11"
    checkout.python("python3.13", 13)
    (checkout.root / "requirements" / "control.txt").write_text("# of the next release\n")
    assert checkout.chosen() == "3.13"


@pytest.mark.parametrize("name", ["", "python3.13"])
def test_an_active_environment_does_not_make_its_successor(tmp_path: Path, name: str) -> None:
    """Operators activate it in each terminal. Its Python vanishes with it."""
    checkout = Checkout(tmp_path)
    checkout.python("of-the-system", 11)
    checkout.python("python3.13", 13)
    assert checkout.chosen() == "3.13"
    (checkout.root / "requirements" / "control.txt").write_text("# of the next release\n")
    for program in ("python3", "python3.13"):
        (checkout.root / ".venv" / "bin" / program).symlink_to("python")
    done = checkout.setup(python=name, is_activated=True)
    assert done.returncode == 0, done.stderr
    assert "Python 3.13.0" in (checkout.root / ".venv" / "stamp").read_text()
    assert checkout.setup(python=name, is_activated=True).stderr == ""


def test_a_named_python_without_venv_leaves_the_environment(checkout: Checkout) -> None:
    assert checkout.chosen() == "3.13"
    checkout.python("python3.14", 14, has_venv=False)
    # As on Debian, whose package is for its own Python.
    for program in ("apt-get", "id"):
        path = checkout.programs / program
        path.write_text(f"#!{shutil.which('sh')}\necho 0\n")
        path.chmod(0o755)
    done = checkout.setup(python="python3.14")
    assert done.returncode == 1
    assert "python3.14 lacks the module venv" in done.stderr
    assert checkout.chosen() == "3.13"


def test_without_a_network_the_old_environment_stays(checkout: Checkout) -> None:
    """Otherwise a failed upgrade would end all playbooks, and the watch."""
    assert checkout.chosen() == "3.13"
    (checkout.root / ".venv" / "mine").touch()
    (checkout.root / "requirements" / "control.txt").write_text("# of the next release\n")
    offline = checkout.root / "offline"
    offline.touch()
    done = checkout.setup()
    assert done.returncode == 1
    assert "could not be installed. The reason is above. The .venv from before stays" in done.stderr
    kept = sorted(path.name for path in checkout.root.glob(".venv*/mine"))
    assert kept == ["mine"]
    assert (checkout.root / ".venv" / "mine").exists()
    offline.unlink()
    assert checkout.chosen() == "3.13"
    assert not list(checkout.root.glob(".venv*/mine"))


def test_an_environment_whose_upgrade_was_killed_comes_back(checkout: Checkout) -> None:
    assert checkout.chosen("--dev") == "3.13"
    (checkout.root / ".venv").rename(checkout.root / ".venv.before")
    (checkout.root / ".venv").mkdir()
    assert checkout.setup().stderr == ""
    assert not (checkout.root / ".venv.before").exists()
    assert (checkout.root / ".venv" / "dev").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--help"], 0, "scripts/setup --dev"),
        (["--devel"], 1, "setup: unknown argument --devel"),
        (["--dev", "now"], 1, "setup: unknown argument now"),
    ],
)
def test_arguments_are_checked(checkout: Checkout, words: list[str], code: int, said: str) -> None:
    done = checkout.setup(*words)
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True)
    assert not (checkout.root / ".venv").exists()


def test_the_checks_make_the_same_environment(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newcomer of the tests runs scripts/setup, which would install everything again."""
    assert checkout.chosen("--dev") == "3.13"
    monkeypatch.setattr(other_python, "ROOT", checkout.root)
    stamp = (checkout.root / ".venv" / "stamp").read_text()
    assert other_python.stamp((3, 13, 0)) == stamp


def test_a_python_that_was_removed_or_updated_is_noticed(checkout: Checkout) -> None:
    assert checkout.chosen() == "3.13"
    checkout.python("python3", 14)
    (checkout.root / ".venv" / "bin" / "python").unlink()
    assert checkout.chosen() == "3.14"
    checkout.python("python3", 15)
    shutil.copy(checkout.programs / "python3", checkout.root / ".venv" / "bin" / "python")
    assert checkout.chosen() == "3.15"

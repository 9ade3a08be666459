"""The sources of vault keys, and the refused ones: real runs of scripts/vault-client."""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import forks

ROOT = Path(__file__).resolve().parents[2]

# The client's fixed imports. It imports a keyring as the environment says.
ALWAYS = ("argparse", "getpass", "importlib", "runpy", "shlex", "subprocess", "tomllib")

# A keyring in a file, in place of the system's.
BACKEND = """
import json, os, pathlib
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked
class Kept(KeyringBackend):
    priority = 1
    file = pathlib.Path(os.environ["TEST_KEYRING_FILE"])
    def all(self):
        return json.loads(self.file.read_text()) if self.file.exists() else {}
    def get_password(self, service, username):
        if "TEST_KEYRING_LOCKED" in os.environ:
            raise KeyringLocked("locked")
        return self.all().get(f"{service}/{username}")
    def set_password(self, service, username, password):
        self.file.write_text(json.dumps({**self.all(), f"{service}/{username}": password}))
    def delete_password(self, service, username):
        self.file.write_text(json.dumps(
            {k: v for k, v in self.all().items() if k != f"{service}/{username}"}))
"""


class Client:
    """The vault client of its own checkout, with its own home and keyring."""

    def __init__(self, root: Path) -> None:
        self.checkout = root / "checkout"
        (self.checkout / "scripts").mkdir(parents=True)
        (self.checkout / "inventories").mkdir()
        self.script = Path(
            shutil.copy(ROOT / "scripts" / "vault-client", self.checkout / "scripts")
        )
        self.settings = root / "config" / "roster-delivery"
        (self.settings / "vault-keys").mkdir(parents=True)
        (root / "backend").mkdir()
        (root / "backend" / "kept.py").write_text(BACKEND)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "XDG_CONFIG_HOME": str(root / "config"),
            "PYTHONPATH": str(root / "backend"),
            "PYTHON_KEYRING_BACKEND": "kept.Kept",
            "TEST_KEYRING_FILE": str(root / "keyring.json"),
        }

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Run it. Return its exit code and its output."""
        done = forks.having(*ALWAYS).run(
            f"import runpy; runpy.run_path({str(self.script)!r}, run_name='__main__')",
            *arguments,
            env=self.environment,
        )
        return done.returncode, done.stdout, done.stderr

    def file(self, vault_id: str, key: str, mode: int = 0o600) -> Path:
        """Write a key into the operator's file."""
        path = self.settings / "vault-keys" / vault_id
        path.write_text(key + "\n")
        path.chmod(mode)
        return path

    def type(self, vault_id: str, *lines: str, force: bool = False) -> int:
        """Run it with --set in a terminal, with these typed lines. Return its exit code."""
        terminal, inner = pty.openpty()
        with subprocess.Popen(
            [sys.executable, self.script, "--set", vault_id, *(["--force"] if force else [])],
            env=self.environment,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        ) as client:
            os.close(inner)
            for line in lines:
                shown = b""
                while not shown.endswith(b": "):
                    shown += os.read(terminal, 1024)
                os.write(terminal, line.encode() + b"\n")
            with contextlib.suppress(OSError):  # the end of a terminal
                while chunk := os.read(terminal, 1024):
                    shown += chunk
        os.close(terminal)
        assert lines[0].encode() not in shown
        return client.returncode


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path)


def test_each_place_in_its_order(client: Client) -> None:
    code, out, told = client("--vault-id", "my-district")
    assert (code, out) == (2, "")
    for place in ("$ROSTER_VAULT_KEY_MY_DISTRICT", "vault-keys/my-district", "keyring", "command"):
        assert place in told
    (client.settings / "vault-commands.toml").write_text('my-district = ["echo", "$HOME; x"]')
    assert client("--vault-id", "my-district") == (0, "$HOME; x\n", "")  # no shell's line
    client.environment["ROSTER_VAULT_COMMAND_MY_DISTRICT"] = "printf 'by command'"
    assert client("--vault-id", "my-district") == (0, "by command\n", "")
    assert client.type("my-district", "in keyring", "in keyring") == 0
    assert client("--vault-id", "my-district") == (0, "in keyring\n", "")
    home = client.checkout / "inventories" / "my-district"
    home.mkdir()
    (home / "vault-key.txt").write_text("in checkout\n")
    (home / "vault-key.txt").chmod(0o600)
    assert client("--vault-id", "my-district") == (0, "in checkout\n", "")
    client.file("my-district", "in file")
    assert client("--vault-id", "my-district") == (0, "in file\n", "")
    client.environment["ROSTER_VAULT_KEY_MY_DISTRICT"] = "in environment"
    assert client("--vault-id", "my-district") == (0, "in environment\n", "")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_refused(mode: int, client: Client) -> None:
    path = client.file("mine", "known", mode)
    code, out, told = client("--vault-id", "mine")
    assert (code, out) == (1, "")
    assert f"chmod 600 {path}" in told
    assert "known" not in told.replace("for known", "")
    # Those in git are public. An operator's own file for such an id is secret.
    home = client.checkout / "inventories" / "lab"
    home.mkdir()
    (home / "vault-key.txt").write_text("public")
    (home / "vault-key.txt").chmod(0o644)
    assert client("--vault-id", "lab") == (0, "public\n", "")
    client.file("lab", "known", mode)
    assert client("--vault-id", "lab")[0] == 1


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ('["false"]', "(false) ended with 1"),
        ('["true"]', "printed no key"),
        ('["/no/such/program"]', "No such file"),
        ('"pass show x"', "must be a list of words"),
        ("[", "is not TOML"),
    ],
)
def test_a_command_that_does_not_work_is_told(command: str, told: str, client: Client) -> None:
    (client.settings / "vault-commands.toml").write_text(f"mine = {command}\n")
    code, out, error = client("--vault-id", "mine")
    assert (code, out) == (1, "")
    assert told in error


def test_a_keyring_that_does_not_work_is_none(client: Client) -> None:
    client.environment["PYTHON_KEYRING_BACKEND"] = "no.such.Backend"
    assert client("--vault-id", "mine")[0] == 2
    client.environment["ROSTER_VAULT_COMMAND_MINE"] = "echo it"
    assert client("--vault-id", "mine") == (0, "it\n", "")


PROGRAM = """#!/bin/sh
# Keeps a key in a file beside it; the user is the last word.
verb=$1 last=; for last; do :; done
case $verb in
get | lookup) cat "$0.$last" ;;
set | store) cat >"$0.$last" ;;
del | clear) rm "$0.$last" ;;
*) exit 2 ;;
esac
"""


@pytest.mark.parametrize("name", ["keyring", "secret-tool"])
def test_a_keyring_by_a_program(name: str, client: Client, tmp_path: Path) -> None:
    client.environment["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / name).write_text(PROGRAM)
    (programs / name).chmod(0o755)
    client.environment["PATH"] = f"{programs}:/usr/bin:/bin"
    assert client("--vault-id", "mine")[0] == 2
    assert client.type("mine", "old", "old") == 0
    assert client.type("mine-next", "new", "new") == 0
    assert client("--vault-id", "mine") == (0, "old\n", "")
    assert client("--promote", "mine")[0] == 0
    assert client("--vault-id", "mine") == (0, "new\n", "")
    assert client("--vault-id", "mine-next")[0] == 2


def test_a_key_in_the_keyring_is_not_overwritten_by_the_way(client: Client) -> None:
    assert client.type("mine", "old", "old") == 0
    assert "already" in client("--set", "mine")[2]
    assert client("--vault-id", "mine") == (0, "old\n", "")
    assert client.type("mine", "new", "new", force=True) == 0
    assert client("--vault-id", "mine") == (0, "new\n", "")


def test_a_locked_keyring_is_told(client: Client) -> None:
    client.environment["TEST_KEYRING_LOCKED"] = "1"
    for words in (("--vault-id", "mine"), ("--set", "mine"), ("--promote", "mine")):
        code, _, told = client(*words)
        assert code == 1
        assert "the keyring does not answer: locked" in told
        assert "Traceback" not in told


def test_what_is_typed_wrongly_is_not_kept(client: Client) -> None:
    assert client.type("mine", "one", "two") == 1
    assert client("--vault-id", "mine")[0] == 2


def test_the_next_key_takes_the_place_of_the_old_one(client: Client) -> None:
    assert "no file" in client("--promote", "mine")[2]
    old, new = client.file("mine", "old"), client.file("mine-next", "new")
    assert client("--vault-id", "mine-next") == (0, "new\n", "")
    assert client("--promote", "mine")[0] == 0
    assert old.read_text() == "new\n"
    assert not new.exists()
    assert client.type("other", "old", "old") == 0
    assert client.type("other-next", "new", "new") == 0
    assert client("--promote", "other")[0] == 0
    assert client("--vault-id", "other") == (0, "new\n", "")
    assert client("--vault-id", "other-next")[0] == 2
    assert client("--vault-id", "other-old") == (0, "old\n", "")
    assert "has taken its place already" in client("--promote", "other")[2]
    client.environment["ROSTER_VAULT_KEY_MINE"] = "old"
    client.file("mine-next", "newer")
    assert "counts before all else" in client("--promote", "mine")[2]


def test_the_next_key_in_the_checkout(client: Client) -> None:
    home = client.checkout / "inventories" / "mine"
    home.mkdir()
    for name in ("vault-key.txt", "vault-key-next.txt"):
        (home / name).write_text(name)
        (home / name).chmod(0o600)
    assert client("--vault-id", "mine-next")[1] == "vault-key-next.txt\n"
    client.file("mine", "another")
    assert "holds a key of mine, too" in client("--promote", "mine")[2]
    client.file("mine", "x").unlink()
    assert client("--promote", "mine")[0] == 0
    assert client("--vault-id", "mine")[1] == "vault-key-next.txt\n"


def test_no_key_is_taken_for_a_host(client: Client) -> None:
    """Ansible reads every file of an inventory's folder with an unknown ending."""
    home = client.checkout / "inventories" / "mine"
    home.mkdir()
    (home / "hosts.yml").write_text("all: {hosts: {a: }}\n")
    for name in ("vault-key.txt", "vault-key-next.txt"):
        (home / name).write_text(f"{name}-key\n")
        (home / name).chmod(0o600)
    assert client("--promote", "mine")[0] == 0
    assert client("--vault-id", "mine-old")[1] == "vault-key.txt-key\n"
    listed = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-inventory")), "-i", home, "--graph"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--a" in listed.stdout
    assert "key" not in listed.stdout


def test_the_ids_of_an_inventory(client: Client) -> None:
    code, out, told = client("--ids", str(ROOT / "inventories"))
    assert (code, out) == (0, "\n")
    assert "no key here for example" in told
    client.file("lab", "x")
    client.file("example", "y", mode=0o644)
    code, out, told = client("--ids", str(ROOT / "inventories"))
    assert (code, out) == (0, f"lab@{client.script}\n")
    assert "may be read by others" in told
    assert client("--ids", "/no/such")[0] == 1


def test_what_is_no_id_is_refused(client: Client) -> None:
    assert client("--vault-id", "../x")[0] == 1


def test_a_foreign_label_is_no_path_and_no_second_entry(client: Client) -> None:
    (client.checkout / "key").write_text("x")
    folder = client.checkout / "inventories" / "mine"
    folder.mkdir()
    for number, label in enumerate(("../../../checkout/key", "a@/bin/sh,b", "$(id)")):
        (folder / f"{number}.vault").write_text(f"$ANSIBLE_VAULT;1.2;AES256;{label}\n3132\n")
    code, out, told = client("--ids", str(folder))
    assert (code, out) == (0, "\n")
    assert told.count("is not a vault id") == 3

"""The sources of vault keys, in real runs of scripts/vault-client."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import forks

ROOT = Path(__file__).resolve().parents[3]

# What the client imports.
ALWAYS = ("argparse", "runpy", "shlex")
WITH_A_COMMAND = ("subprocess", "tomllib")


class Client:
    """The vault client in a checkout of its own, with a home of its own."""

    def __init__(self, root: Path) -> None:
        root /= "my home"  # commands in messages quote it
        self.checkout = root / "checkout"
        (self.checkout / "scripts").mkdir(parents=True)
        (self.checkout / "inventories").mkdir()
        self.script = Path(
            shutil.copy(ROOT / "scripts" / "vault-client", self.checkout / "scripts")
        )
        self.settings = root / "config" / "roster-delivery"
        (self.settings / "vault-keys").mkdir(parents=True)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "XDG_CONFIG_HOME": str(root / "config"),
        }

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Run it. Return its exit code, its output and its errors."""
        done = forks.having(*ALWAYS, *WITH_A_COMMAND).run(
            f"import runpy; runpy.run_path({str(self.script)!r}, run_name='__main__')",
            *arguments,
            env=self.environment,
        )
        return done.returncode, done.stdout, done.stderr

    def file(self, vault_id: str, key: str, mode: int = 0o600) -> Path:
        """Write a key into the operator's own key file."""
        path = self.settings / "vault-keys" / vault_id
        path.write_text(key + "\n")
        path.chmod(mode)
        return path


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path)


def test_each_place_in_its_order(client: Client) -> None:
    code, out, error = client("--vault-id", "my-district")
    assert (code, out) == (2, "")
    for place in ("$ROSTER_VAULT_KEY_MY_DISTRICT", "vault-keys/my-district", "COMMAND_MY_DISTRICT"):
        assert place in error
    (client.settings / "vault-commands.toml").write_text('my-district = ["echo", "$HOME; x"]')
    assert client("--vault-id", "my-district") == (0, "$HOME; x\n", "")  # no shell's line
    client.environment["ROSTER_VAULT_COMMAND_MY_DISTRICT"] = "printf 'by command'"
    assert client("--vault-id", "my-district") == (0, "by command\n", "")
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
def test_a_file_that_others_can_read_is_refused(mode: int, client: Client) -> None:
    path = client.file("mine", "known", mode)
    code, out, error = client("--vault-id", "mine")
    assert (code, out) == (1, "")
    assert f"chmod 600 '{path}'." in error
    assert "known" not in error
    # Those in git are no secrets; a file of the operator's own for such an id is one.
    home = client.checkout / "inventories" / "lab"
    home.mkdir()
    (home / "vault-key.txt").write_text("public")
    (home / "vault-key.txt").chmod(0o644)
    assert client("--vault-id", "lab") == (0, "public\n", "")
    client.file("lab", "known", mode)
    assert client("--vault-id", "lab")[0] == 1


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ('["false"]', "(false) ended with 1"),
        ('["true"]', "printed no key"),
        ('["/no/such/program"]', "No such file"),
        ('"pass show x"', "must be a list of words"),
        ("[", "is not valid TOML"),
    ],
)
def test_a_command_that_fails_is_reported(command: str, message: str, client: Client) -> None:
    (client.settings / "vault-commands.toml").write_text(f"mine = {command}\n")
    code, out, error = client("--vault-id", "mine")
    assert (code, out) == (1, "")
    assert message in error


def test_the_next_key_replaces_the_old_one(client: Client) -> None:
    assert "no key file of mine-next" in client("--promote", "mine")[2]
    old, new = client.file("mine", "old"), client.file("mine-next", "new")
    assert client("--vault-id", "mine-next") == (0, "new\n", "")
    assert client("--promote", "mine")[0] == 0
    assert old.read_text() == "new\n"
    assert not new.exists()
    assert client("--vault-id", "mine-old") == (0, "old\n", "")
    assert "promoted already" in client("--promote", "mine")[2]
    client.environment["ROSTER_VAULT_KEY_MINE"] = "old"
    client.file("mine-next", "newer")
    assert "$ROSTER_VAULT_KEY_MINE precedes all files" in client("--promote", "mine")[2]


def test_an_empty_or_readable_next_key_is_not_promoted(client: Client) -> None:
    old, new = client.file("mine", "old"), client.file("mine-next", "")
    assert "is empty" in client("--promote", "mine")[2]
    client.file("mine-next", "new", 0o644)
    assert "other users can read" in client("--promote", "mine")[2]
    assert (old.read_text(), new.read_text()) == ("old\n", "new\n")


def test_the_next_key_in_the_checkout(client: Client) -> None:
    home = client.checkout / "inventories" / "mine"
    home.mkdir()
    for name in ("vault-key.txt", "vault-key-next.txt"):
        (home / name).write_text(name)
        (home / name).chmod(0o600)
    assert client("--vault-id", "mine-next")[1] == "vault-key-next.txt\n"
    client.file("mine", "another")
    assert "also holds a key of mine" in client("--promote", "mine")[2]
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


def test_the_caller_is_known_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS, `ps` knows the program that asks for the key."""
    client = runpy.run_path(str(ROOT / "scripts" / "vault-client"))
    known = client["command_line_of"](os.getpid())
    monkeypatch.setitem(
        client["command_line_of"].__globals__, "Path", lambda name: Path("/missing" + name)
    )
    shown = client["command_line_of"](os.getpid())
    assert shown[:2] == known[:2]
    assert Path(shown[0]).name.startswith("python")


@pytest.fixture
def folder(client: Client, tmp_path: Path) -> Path:
    """Return an operator's own folder, with a link to the client and a key."""
    folder = tmp_path / "my rosters"
    home = folder / "inventories" / "mine"
    home.mkdir(parents=True)
    (folder / "scripts").symlink_to(client.checkout / "scripts")
    (home / "vault-key.txt").write_text("in my folder\n")
    (home / "vault-key.txt").chmod(0o600)
    return folder


def test_the_key_in_the_folder_of_the_link(client: Client, folder: Path) -> None:
    assert client("--vault-id", "mine")[0] == 2, "the checkout knows nothing of the folder"
    client.script = folder / "scripts" / "vault-client"
    assert client("--vault-id", "mine") == (0, "in my folder\n", "")
    other = client.checkout / "inventories" / "mine"
    other.mkdir()
    (other / "vault-key.txt").write_text("in checkout\n")
    (other / "vault-key.txt").chmod(0o600)
    assert client("--vault-id", "mine")[1] == "in my folder\n", "the link's folder comes first"
    shutil.rmtree(other)
    new = folder / "inventories" / "mine" / "vault-key-next.txt"
    new.write_text("the next\n")
    new.chmod(0o600)
    assert client("--promote", "mine")[0] == 0
    assert client("--vault-id", "mine")[1] == "the next\n"
    assert client("--vault-id", "mine-old")[1] == "in my folder\n"


def test_the_key_in_the_folder_of_the_settings(client: Client, folder: Path) -> None:
    client.environment["ANSIBLE_CONFIG"] = str(folder / "ansible.cfg")
    assert client("--vault-id", "mine") == (0, "in my folder\n", "")


def test_the_ids_of_an_inventory_elsewhere(client: Client, folder: Path) -> None:
    home = folder / "inventories" / "mine"
    (home / "a.vault").write_text("$ANSIBLE_VAULT;1.2;AES256;mine\n61\n")
    beside = folder / "scripts" / "vault-client"
    assert client("--ids", str(home)) == (0, f"mine@{beside}\n", "")


def test_the_ids_of_an_inventory(client: Client) -> None:
    code, out, error = client("--ids", str(ROOT / "inventories"))
    assert (code, out) == (0, f"inventories@{client.script}\n")  # Ansible takes no empty list
    assert "no key for example" in error
    client.file("lab", "x")
    client.file("example", "y", mode=0o644)
    code, out, error = client("--ids", str(ROOT / "inventories"))
    assert (code, out) == (0, f"lab@{client.script}\n")
    assert "other users can read" in error
    assert client("--ids", "/no/such")[0] == 1


def test_a_wrong_id_is_refused(client: Client) -> None:
    assert client("--vault-id", "../x")[0] == 1


def test_a_foreign_label_is_no_path_and_no_second_entry(client: Client) -> None:
    (client.checkout / "key").write_text("x")
    folder = client.checkout / "inventories" / "mine"
    folder.mkdir()
    for number, label in enumerate(("../../../checkout/key", "a@/bin/sh,b", "$(id)")):
        (folder / f"{number}.vault").write_text(f"$ANSIBLE_VAULT;1.2;AES256;{label}\n3132\n")
    code, out, error = client("--ids", str(folder))
    assert (code, out) == (0, f"mine@{client.script}\n")
    assert error.count("is not a vault id") == 3


def test_a_key_from_a_file_costs_no_further_imports(client: Client) -> None:
    """Ansible starts the client for each vault id of each run."""
    client.file("oak", "key of oak")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", client.script, "--vault-id", "oak"],
        env=client.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "key of oak\n"
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert imported >= set(ALWAYS) - {"runpy"}
    assert not imported & set(WITH_A_COMMAND)

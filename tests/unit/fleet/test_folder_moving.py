"""An inventory leaves the checkout with all that belongs to it. A killed move is finished."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from roster_fleet.folder import command, moving
from roster_fleet.folder.layout import Folder, LayoutError
from roster_fleet.folder.settings import parsed

CONFIG = """\
[defaults]
roles_path = roles
vault_identity_list = lab@scripts/vault-client, example@scripts/vault-client
forks = 20
"""
FILES = (
    "build/status.html",
    "build/status/maple.json",
    "build/site.limit",
    "build/mine/verify.limit",
    "receipts/maple/a.jsonl",
    "receipts/mine/oak/b.jsonl",
)
MOVED = {
    "build/mine/status.html",
    "build/mine/status/maple.json",
    "build/mine/site.limit",
    "build/mine/verify.limit",
    "receipts/mine/maple/a.jsonl",
    "receipts/mine/oak/b.jsonl",
}
CROSS_DEVICE = OSError(errno.EXDEV, "another file system")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a checkout with an operator's inventory, as earlier releases wanted it."""
    checkout = tmp_path / "my checkout"  # commands in messages quote it
    for name in ("lab", "example"):
        (checkout / "inventories" / name).mkdir(parents=True)
        (checkout / "inventories" / name / "hosts.yml").touch()
    for name in ("playbooks", "scripts"):
        (checkout / name).mkdir()
    (checkout / "ansible.cfg").write_text(CONFIG)
    (checkout / ".gitignore").write_text("build/\nreceipts/\n")
    git = ["git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    home = checkout / "inventories" / "mine"
    home.mkdir()
    (home / "hosts.yml").write_text("all:\n")
    (home / "vault-key.txt").write_text("key\n")
    (home / "vault-key.txt").chmod(0o600)
    (home / "a.vault").write_text("$ANSIBLE_VAULT;1.2;AES256;mine\n61\n")
    for name in FILES:
        path = checkout / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    mine = "mine@scripts/vault-client, shared@prompt"
    text = CONFIG.replace("forks = 20", "forks = 7")
    text = text.replace("example@scripts/vault-client", f"example@scripts/vault-client, {mine}")
    (checkout / "ansible.cfg").write_text(text)
    return checkout


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "rosters"


def move(root: Path, checkout: Path, *more: str) -> int:
    arguments = [str(root), *more, "--move", str(checkout / "inventories" / "mine")]
    return command.main(arguments, checkout)


def files(root: Path) -> Iterator[str]:
    for path in root.rglob("*"):
        if path.is_file() and "roster-delivery" not in path.parts:
            yield str(path.relative_to(root))


def assert_moved(root: Path, checkout: Path) -> None:
    found = set(files(root))
    assert found > MOVED
    key = root / "inventories" / "mine" / "vault-key.txt"
    assert (key.read_text(), key.stat().st_mode & 0o777) == ("key\n", 0o600)
    assert not [path for path in files(checkout) if "mine" in path or "maple" in path]
    assert not [path for path in found if ".moving" in path or ".moved" in path]
    assert parsed((root / "ansible.cfg").read_text())["defaults"] == {
        "forks": "7",
        "inventory": "inventories/mine",
        "vault_identity_list": "mine@scripts/vault-client, shared@prompt",
        "roles_path": "roster-delivery/roles",
    }


def test_all_of_an_inventory_is_moved(
    root: Path, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert move(root, checkout) == 0
    assert_moved(root, checkout)
    said = capsys.readouterr().out
    assert f"git -C '{checkout}' restore ." in said
    assert "Keep a copy" not in said, "its key is not new"
    assert move(root, checkout) == 0, "the next run finds nothing to move"
    assert_moved(root, checkout)
    subprocess.run(["git", "-C", checkout, "restore", "."], check=True)
    done = subprocess.run(
        ["git", "-C", checkout, "status", "--porcelain"], capture_output=True, check=True
    )
    assert done.stdout == b""


@pytest.mark.parametrize("is_cross_device", [False, True])
def test_a_killed_move_is_finished_by_the_same_command(
    root: Path, checkout: Path, is_cross_device: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill it before each of its renames."""
    rename = Path.rename
    renames, last = 0, 1

    def killed(self: Path, target: Path) -> Path:
        nonlocal renames
        if is_cross_device and self.is_relative_to(checkout) and target.is_relative_to(root):
            raise CROSS_DEVICE
        renames += 1
        if renames == last:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", killed)
    while True:
        renames = 0
        try:
            assert move(root, checkout) == 0
            break
        except KeyboardInterrupt:
            last += 1
    assert last > 2
    monkeypatch.undo()
    assert_moved(root, checkout)


@pytest.mark.parametrize(
    "name", ["inventories/mine/hosts.yml", "build/mine/status.html", "receipts/mine/oak/x"]
)
def test_nothing_is_overwritten(
    root: Path, checkout: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / name).parent.mkdir(parents=True)
    (root / name).write_text("mine")
    before = set(files(checkout))
    assert move(root, checkout) == 1
    assert "Nothing was moved" in capsys.readouterr().err
    assert set(files(checkout)) == before
    assert (root / name).read_text() == "mine"


def test_outputs_of_several_inventories_stay(
    root: Path, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "inventories" / "other").mkdir()
    assert move(root, checkout) == 0
    assert (checkout / "build" / "status.html").exists()
    assert (checkout / "receipts" / "maple").exists()
    assert (root / "build" / "mine" / "verify.limit").exists()
    assert "by hand" in capsys.readouterr().out


def test_a_wrong_source_is_refused(root: Path, checkout: Path, tmp_path: Path) -> None:
    assert move(root, checkout, "other") == 1, "an inventory keeps its name"
    for source in (tmp_path / "no", checkout / "inventories" / "none"):
        with pytest.raises(LayoutError):
            moving.Move(source, Folder(root, checkout)).check()
    assert not root.exists()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (".", "is not an inventory"),
        ("inventories", "is not an inventory"),
        ("..", "is not an inventory"),
        ("inventories/example", "its key is public"),
    ],
)
def test_only_an_inventory_of_the_operator_is_moved(
    root: Path, checkout: Path, source: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole checkout, or a folder with other things in it, must stay where it is."""
    before = set(files(checkout))
    assert command.main([str(root), "--move", str(checkout / source)], checkout) == 1
    assert words in capsys.readouterr().err
    assert set(files(checkout)) == before
    assert not root.exists()

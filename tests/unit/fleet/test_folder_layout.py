"""The operator's folder: complete after each run, and nothing in it is overwritten."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from roster_fleet.folder.layout import Folder, LayoutError, has_secrets
from roster_fleet.folder.settings import parsed

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "my rosters", ROOT)


def again(folder: Folder) -> Folder:
    return Folder(folder.root, folder.checkout)


def content(folder: Folder) -> dict[Path, bytes]:
    found = (path for path in (folder.root / "inventories").rglob("*") if path.is_file())
    files = [*found, folder.root / "ansible.cfg", folder.root / ".gitignore"]
    return {path: path.read_bytes() for path in files}


def test_a_new_folder_is_complete(folder: Folder) -> None:
    folder.lay_out("east")
    home = folder.inventory("east")
    key = home / "vault-key.txt"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_text().strip()) >= 40
    assert yaml.safe_load((home / "hosts.yml").read_text()) == {
        "all": {"children": {"district_hosts": None}}
    }
    assert yaml.safe_load((home / "group_vars/district_hosts/main.yml").read_text()) is None
    for path in ("playbooks/site.yml", "scripts/vault-client", "roster-delivery/roles"):
        assert (folder.root / path).exists()
    assert folder.has_new_key
    before = content(folder)
    second = again(folder)
    second.lay_out("east")
    assert (second.made, second.has_new_key) == ([], False)
    assert content(folder) == before


def test_a_folder_that_everybody_can_write_to_is_refused(folder: Folder) -> None:
    """Ansible ignores the settings in it. All folders below WSL's /mnt/c are such ones."""
    folder.root.mkdir()
    folder.root.chmod(0o777)
    with pytest.raises(LayoutError, match=r"everybody can write to .* In WSL, choose"):
        folder.lay_out("east")
    assert list(folder.root.iterdir()) == []
    folder.root.rmdir()
    before = os.umask(0)  # as there, a new folder is writable for everybody, too
    try:
        with pytest.raises(LayoutError, match="chmod o-w"):
            folder.lay_out("east")
    finally:
        os.umask(before)
    folder.root.chmod(0o775)
    folder.lay_out("east")


def test_the_values_to_fill_in_are_of_the_project(folder: Folder) -> None:
    """Without their comment signs they are YAML that Ansible reads."""
    folder.lay_out("east")
    text = (folder.inventory("east") / "group_vars/district_hosts/main.yml").read_text()
    lines = [
        line[2:]
        for line in text.splitlines()
        if line.startswith(("# ansible_", "# district_", "# roster_", "#   -"))
    ]
    assert yaml.safe_load("\n".join(lines)) == {
        "ansible_user": "admin",
        "district_hardening_inbound_networks": ["192.0.2.0/24"],
        "roster_upload_remote_host": "sftp.imaginelearning.com",
    }


def test_a_second_inventory_has_its_own_key(folder: Folder) -> None:
    folder.lay_out("east")
    before = content(folder)
    second = again(folder)
    second.lay_out("west")
    changed = [path for path, data in before.items() if path.read_bytes() != data]
    assert changed == [folder.root / "ansible.cfg"]
    keys = {(folder.inventory(name) / "vault-key.txt").read_text() for name in ("east", "west")}
    assert len(keys) == 2
    assert "inventory" not in parsed((folder.root / "ansible.cfg").read_text())["defaults"]


def test_git_ignores_keys_and_outputs_but_not_receipts(folder: Folder) -> None:
    folder.lay_out("east")
    home = folder.inventory("east")
    ignored = [
        home / "vault-key.txt", home / "vault-key-next.txt", home / "host_vars/a/.b.vault.rekey",
        folder.root / "build/east/status.html", folder.root / "roster-delivery",
    ]  # fmt: skip
    kept = [home / "hosts.yml", folder.root / "receipts/east/h/f.jsonl", folder.root / "playbooks"]
    subprocess.run(["git", "init", "-q", folder.root], check=True)
    done = subprocess.run(
        ["git", "-C", folder.root, "check-ignore", *ignored, *kept],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == [str(path) for path in ignored]


def test_a_repository_of_the_operators_gets_only_missing_lines(folder: Folder) -> None:
    folder.root.mkdir()
    (folder.root / ".gitignore").write_text("*.bak\nbuild/")
    folder.lay_out("east")
    lines = (folder.root / ".gitignore").read_text().splitlines()
    assert lines[:3] == ["*.bak", "build/", "inventories/*/vault-key*.txt"]
    assert lines.count("build/") == 1


def test_a_clone_gets_its_links_but_no_key_that_opens_nothing(folder: Folder) -> None:
    folder.lay_out("east")
    home = folder.inventory("east")
    (home / "host_vars").mkdir()
    (home / "host_vars" / "a.vault").write_text("$ANSIBLE_VAULT;1.2;AES256;east\n61\n")
    (home / "vault-key.txt").unlink()
    (folder.root / "roster-delivery").unlink()
    clone = again(folder)
    clone.lay_out("east")
    assert clone.made == [f"made the link roster-delivery to {ROOT}"]
    assert has_secrets(home)
    assert clone.lacks_key("east")


def test_a_link_to_a_checkout_that_is_gone_is_made_anew(folder: Folder) -> None:
    folder.root.mkdir()
    (folder.root / "roster-delivery").symlink_to("/no/such")
    folder.lay_out()
    assert (folder.root / "scripts" / "setup").is_file()
    assert folder.inventories() == []


@pytest.mark.parametrize(
    "name", ["", "-x", "a b", "a/b", "..", "lab", "example", "east-next", "east-old"]
)
def test_a_name_that_is_no_vault_id_is_refused(folder: Folder, name: str) -> None:
    if name:
        with pytest.raises(LayoutError, match=r"letters|public key|is a path"):
            folder.lay_out(name)
        assert not folder.root.exists()


@pytest.mark.parametrize("path", [ROOT, ROOT / "build" / "rosters"])
def test_a_folder_in_the_checkout_is_refused(path: Path) -> None:
    with pytest.raises(LayoutError, match="is in the checkout"):
        Folder(path, ROOT).lay_out("east")


def test_what_is_in_the_way_is_named_before_anything_is_written(folder: Folder) -> None:
    folder.root.mkdir()
    file = folder.root / "ansible.cfg"
    file.write_text("[defaults]\nforks = 3\n")
    with pytest.raises(LayoutError, match="is your own"):
        folder.lay_out("east")
    file.unlink()
    (folder.root / "playbooks").mkdir()
    with pytest.raises(LayoutError, match="playbooks exists already"):
        folder.lay_out("east")
    (folder.root / "playbooks").rmdir()
    (folder.root / "roster-delivery").symlink_to(folder.root)
    with pytest.raises(LayoutError, match="Remove it if you want to use this one"):
        folder.lay_out("east")
    assert [path.name for path in folder.root.iterdir()] == ["roster-delivery"]
    (folder.root / "file").touch()
    with pytest.raises(LayoutError, match="is not a folder"):
        Folder(folder.root / "file", ROOT).lay_out("east")


@pytest.mark.parametrize("name", ["a$HOME", "a,b", "a {{ b }}"])
def test_a_path_that_ansible_reads_otherwise_is_refused(name: str, tmp_path: Path) -> None:
    folder = Folder(tmp_path / name, ROOT)
    with pytest.raises(LayoutError, match="Choose another folder"):
        folder.check()

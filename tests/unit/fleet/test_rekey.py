"""A new vault key: all files get it or none, even if the run is killed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
from roster_fleet import rekey
from support import forks

ROOT = Path(__file__).resolve().parents[3]
OLD = VaultSecret(b"this key opens the example only; replace it in your copy")
NEW = VaultSecret(b"a new key of more than sixteen characters")
SECRETS = [("example", OLD), ("example-next", NEW)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The example, with encrypted variables of a group, and a file of another id."""
    home = Path(shutil.copytree(ROOT / "inventories" / "example", tmp_path / "example"))
    sealed = VaultLib([("example", OLD)]).encrypt("vault_x: 1\n", OLD, "example")
    (home / "group_vars/all/vault.yml").write_bytes(sealed)
    other = VaultLib([("other", NEW)]).encrypt("secret: 'x'\n", NEW, "other")
    (home / "host_vars/roster-maple/other.vault").write_bytes(other)
    return home


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def plain(folder: Path, secret: VaultSecret) -> dict[Path, bytes]:
    """Return the plain texts of the files of the id `example` that a key opens."""
    keys = VaultLib([("example", secret)])
    found = {}
    for path, data in content(folder).items():
        is_waiting = path.name.endswith((rekey.ENDING, rekey.KEPT))
        if not is_waiting and data.startswith(b"$ANSIBLE_VAULT;1.2;AES256;example\n"):
            text = rekey.opened(keys, data)
            if text is not None:
                found[path] = text
    return found


def test_every_file_opens_with_the_new_key_and_none_with_the_old(folder: Path) -> None:
    before, files = plain(folder, OLD), content(folder)
    done = rekey.Rekey(folder, "example", SECRETS).run()
    assert len(done.changed) == 5
    assert folder / "host_vars/roster-region7/alerts.vault" in done.changed
    assert plain(folder, NEW) == before
    assert plain(folder, OLD) == {}
    after = content(folder)
    assert set(after) == set(files)
    assert {path for path in files if files[path] != after[path]} == set(before)
    again = rekey.Rekey(folder, "example", SECRETS).run()
    assert (again.changed, len(again.already)) == ((), 5)
    assert content(folder) == after


def test_check_mode_says_which_and_writes_nothing(folder: Path) -> None:
    files = content(folder)
    assert len(rekey.Rekey(folder, "example", SECRETS).run(check=True).changed) == 5
    assert content(folder) == files


KILLED = """
import os, sys
from pathlib import Path
from ansible.parsing.vault import VaultSecret
from roster_fleet import rekey
count, real = 0, getattr({owner}, {name!r})
def counted(*args, **kwargs):
    global count
    count += 1
    if count == int(sys.argv[2]):
        os._exit(9)
    return real(*args, **kwargs)
setattr({owner}, {name!r}, counted)
old, new = (VaultSecret(key.encode()) for key in sys.argv[3:])
rekey.Rekey(Path(sys.argv[1]), "example", [("example", old), ("example-next", new)]).run()
"""


CALLS = {"replace": 5, "create": 10, "unlink": 5}  # of a run on the folder's five files


@pytest.mark.parametrize(
    ("owner", "name", "at"),
    [
        *(("Path", name, at) for name in ("replace", "unlink") for at in range(1, CALLS[name] + 2)),
        *(("rekey", "create", at) for at in range(1, CALLS["create"] + 2)),
    ],
)
def test_a_killed_run_is_finished_by_the_next(owner: str, name: str, at: int, folder: Path) -> None:
    before, names = plain(folder, OLD), set(content(folder))
    script = KILLED.format(owner=owner, name=name)
    keys = [OLD.bytes.decode(), NEW.bytes.decode()]
    done = forks.having("roster_fleet.rekey").run(script, folder, at, *keys)
    assert done.returncode == (9 if at <= CALLS[name] else 0)
    # Nothing is lost: each file opens with one of both keys.
    assert plain(folder, OLD) | plain(folder, NEW) == before
    if plain(folder, NEW) and plain(folder, OLD):
        third = VaultSecret(b"a third key that is no good here")
        with pytest.raises(rekey.RekeyError, match="neither key"):
            rekey.Rekey(folder, "example", [("example", OLD), ("example-next", third)]).run()
    rekey.Rekey(folder, "example", SECRETS).run()
    assert plain(folder, NEW) == before
    assert plain(folder, OLD) == {}
    assert set(content(folder)) == names


@pytest.mark.parametrize("at", range(1, 5))
@pytest.mark.parametrize("kind", [OSError, KeyboardInterrupt])
def test_a_run_that_fails_takes_everything_back(
    at: int, kind: type[BaseException], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = content(folder)
    real, calls = Path.replace, iter(range(1, 99))

    def fails(self: Path, target: Path) -> Path:
        if next(calls) == at:
            raise kind
        return Path(real(self, target))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fails)
        with pytest.raises(kind):
            rekey.Rekey(folder, "example", SECRETS).run()
    assert content(folder) == files


def test_files_that_cannot_be_restored_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, real = content(folder), Path.replace

    def fails(self: Path, target: Path) -> Path:
        if self.name.endswith(rekey.KEPT) or target.name == "vault.yml":
            raise OSError("the disk is gone")
        return Path(real(self, target))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fails)
        with pytest.raises(rekey.TornError, match="These files could not be restored") as error:
            rekey.Rekey(folder, "example", SECRETS).run()
    assert ".vault.yml.rekey-old" in str(error.value)
    rekey.Rekey(folder, "example", SECRETS).run()
    assert set(content(folder)) == set(files)
    assert plain(folder, OLD) == {}


def test_a_full_disk_takes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, real, calls = content(folder), rekey.create, iter(range(1, 99))

    def fails(path: Path, data: bytes) -> None:
        if next(calls) > 5:
            raise OSError(28, "No space left on device")
        real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(rekey, "create", fails)
        with pytest.raises(OSError, match="No space left"):
            rekey.Rekey(folder, "example", SECRETS).run()
    assert content(folder) == files


def test_files_behind_links_and_other_forms_are_seen(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    sealed = VaultLib([("example", OLD)]).encrypt("x: 1\n", OLD, "example")
    (elsewhere / "shared.vault").write_bytes(sealed)
    (folder / "group_vars/linked").symlink_to(elsewhere)
    (folder / "group_vars/round").symlink_to(folder)  # leads above itself
    inline = sealed.decode().replace("\n", "\\n")
    (folder / "host_vars/roster-maple/quoted.yml").write_text(f'x: !vault "{inline}"\n')
    (folder / "host_vars/roster-maple/x.json").write_text(f'{{"__ansible_vault": "{inline}"}}\n')
    (folder / "README.md").write_text("Files begin with $ANSIBLE_VAULT;1.2;AES256;example\n")
    with pytest.raises(rekey.RekeyError) as error:
        rekey.Rekey(folder, "example", SECRETS).run()
    problems = str(error.value).splitlines()
    assert len(problems) == 3, problems
    assert "shared.vault is a link, or below one" in problems[0]
    assert "quoted.yml has an encrypted value among others" in problems[1]
    assert "x.json has an encrypted value among others" in problems[2]


def test_a_file_without_an_id_gets_it(folder: Path) -> None:
    for name, key in (("mine", OLD), ("other", VaultSecret(b"of somebody else"))):
        sealed = VaultLib([(name, key)]).encrypt("secret: 'x'\n", key)
        assert sealed.startswith(b"$ANSIBLE_VAULT;1.1;")
        (folder / f"host_vars/roster-maple/{name}.vault").write_bytes(sealed)
    before = content(folder)
    done = rekey.Rekey(folder, "example", SECRETS).run()
    assert len(done.changed) == 6
    assert folder / "host_vars/roster-maple/mine.vault" in plain(folder, NEW)
    other = folder / "host_vars/roster-maple/other.vault"
    assert content(folder)[other] == before[other]


def test_a_file_that_cannot_be_made_stops_it_before_the_first(folder: Path) -> None:
    (folder / "host_vars/roster-region7/.pine-ridge.vault.rekey").mkdir()
    files = content(folder)
    with pytest.raises(OSError, match="File exists"):
        rekey.Rekey(folder, "example", SECRETS).run()
    assert content(folder) == files


def test_files_that_cannot_be_rekeyed_stop_it_before_the_first(folder: Path) -> None:
    sealed = VaultLib([("example", OLD)]).encrypt("x", OLD, "example").decode()
    inline = "x: !vault |\n" + "".join(f"  {line}\n" for line in sealed.splitlines())
    (folder / "host_vars/roster-maple/mixed.yml").write_text(inline)
    foreign = VaultLib([("example", NEW)]).encrypt("x", VaultSecret(b"another"), "example")
    (folder / "host_vars/roster-maple/foreign.vault").write_bytes(foreign)
    files = content(folder)
    with pytest.raises(rekey.RekeyError) as error:
        rekey.Rekey(folder, "example", SECRETS).run()
    assert "mixed.yml has an encrypted value among others" in str(error.value)
    assert "foreign.vault opens with neither key" in str(error.value)
    assert content(folder) == files


@pytest.mark.parametrize(
    ("secrets", "named"),
    [
        ([("example", OLD)], "no new key"),
        ([("example-next", NEW)], "no key for the vault id 'example'"),
        ([("example", OLD), ("example-next", OLD)], "are the same"),
        ([*SECRETS, ("example-next", VaultSecret(b"another of enough length"))], "several keys"),
        ([("example", OLD), ("example-next", VaultSecret(b"short"))], "shorter than 16"),
        ([("example", NEW), ("example-next", OLD)], "is in git and known to everybody"),
    ],
)
def test_wrong_keys_are_refused(
    secrets: list[tuple[str, VaultSecret]], named: str, folder: Path
) -> None:
    with pytest.raises(rekey.RekeyError, match=named):
        rekey.Rekey(folder, "example", secrets)


def test_an_inventory_without_such_files_is_refused(folder: Path) -> None:
    with pytest.raises(rekey.RekeyError, match="has no file"):
        rekey.Rekey(folder, "mine", [("mine", OLD), ("mine-next", NEW)]).run()

"""All files of an onboarding are written, or none."""

from __future__ import annotations

from pathlib import Path

import pytest
from new_districts import OAK, content, refused, rows
from roster_fleet import inventory, vault
from roster_fleet.onboard.plan import make_plan
from roster_fleet.onboard.writing import write
from roster_upload.host import atomic


def test_all_or_nothing(folder: Path, keys: vault.Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    files = make_plan(folder, rows(OAK + "pw"), keys).files
    before = content(folder)
    assert files[-1].path.name == "hosts.yml"
    for fail_at in range(len(files)):
        calls = iter(range(len(files)))
        real = atomic.replace

        def replace(path: Path, data: bytes) -> None:
            if next(calls, None) == fail_at:  # noqa: B023 - it is called at once
                raise OSError(28, "No space left on device")
            real(path, data)  # noqa: B023

        with monkeypatch.context() as patch:
            patch.setattr(atomic, "replace", replace)
            with pytest.raises(OSError, match="No space"):
                write(files)
        assert content(folder) == before
        assert not (folder / "host_vars/oak").exists()


def test_after_a_kill_the_next_run_goes_on(folder: Path, keys: vault.Vault) -> None:
    write(make_plan(folder, rows(OAK + "pw"), keys).files[:-1])  # all but hosts.yml
    assert "oak" not in inventory.names(folder, [])
    plan = make_plan(folder, rows(OAK + "pw"), keys)
    assert [file.path.name for file in plan.files] == ["hosts.yml"]
    (folder / "host_vars/oak/main.yml").write_text("mine: 1\n")
    assert "exists with other content" in refused(folder, keys, rows(OAK + "pw"))


def test_ends_of_lines_and_links_stay_as_they_are(folder: Path, keys: vault.Vault) -> None:
    hosts, main = folder / "hosts.yml", folder / "host_vars/roster-maple/main.yml"
    elsewhere = folder.parent / "fleet.yml"
    hosts.rename(elsewhere)
    hosts.symlink_to(elsewhere)
    main.write_bytes(main.read_bytes().replace(b"\n", b"\r\n"))
    old = main.read_bytes().splitlines(keepends=True)
    second = 'roster-maple,,"Elm",0000009,,,,,e@elm.example,pw'
    write(make_plan(folder, rows(OAK + "pw", second), keys).files)
    assert hosts.is_symlink()
    assert b"oak:" in elsewhere.read_bytes()
    assert all(line.endswith(b"\r\n") for line in main.read_bytes().splitlines(keepends=True))
    assert main.read_bytes().endswith(b"".join(old[6:]))
    assert make_plan(folder, rows(OAK + "pw", second), keys).files == []


def test_a_file_in_another_encoding_is_named(folder: Path, keys: vault.Vault) -> None:
    hosts = folder / "hosts.yml"
    hosts.write_bytes(hosts.read_bytes() + "# Peña\n".encode("latin-1"))
    with pytest.raises(OSError, match=r"hosts\.yml is not UTF-8\. Save it as UTF-8"):
        make_plan(folder, rows(OAK + "pw"), keys)

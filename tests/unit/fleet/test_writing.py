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

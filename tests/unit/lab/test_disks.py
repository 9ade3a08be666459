"""Check the choice of disks, and whether kept ones still fit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from lab import disks, images, settings


def git(*words: str | Path) -> None:
    subprocess.run(["git", *words], check=True, capture_output=True)


@pytest.mark.parametrize(
    "source", ["roles/some_role/tasks.yml", "scripts/lab", "scripts/dev/lab/containers.py"]
)
def test_disks_are_kept_for_what_made_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str
) -> None:
    monkeypatch.setattr(settings, "PROVISIONED", tmp_path / "provisioned")
    git("init", settings.ROOT)
    path = settings.ROOT / source
    path.parent.mkdir(parents=True)
    path.write_text("one")
    assert not disks.is_kept()
    settings.PROVISIONED.mkdir()
    (settings.PROVISIONED / "digest").write_text(disks.digest())
    (settings.ROOT / "README.md").write_text("makes no difference")
    assert disks.is_kept()
    path.write_text("two")
    assert not disks.is_kept()
    path.write_text("one")
    assert disks.is_kept()
    monkeypatch.setattr(images, "PACKAGES", images.PACKAGES + ",less")
    assert not disks.is_kept()


def test_a_container_begins_plain_or_provisioned(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(settings, "PROVISIONED", tmp_path)
    assert disks.disk_of("lab-bookworm", provisioned=False) == str(images.image("bookworm"))
    assert disks.disk_of("lab-01", provisioned=False) == str(images.image("trixie"))
    assert disks.disk_of("lab-bookworm", provisioned=True) == str(tmp_path / "lab-bookworm")
    assert disks.disk_of("lab-01", provisioned=True) == str(tmp_path / "lab-trixie")


def test_disks_of_the_cache_stay_for_the_labs_that_run_from_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    git("init", settings.ROOT)
    monkeypatch.setattr(settings, "PROVISIONED", settings.CACHE / "provisioned-0123")
    monkeypatch.setattr(settings, "CONTAINERS", {})
    settings.STATE.mkdir()
    for name in ("id_ed25519", "id_ed25519.pub"):
        (settings.STATE / name).write_text("first")
    disks.keep()
    (settings.STATE / "id_ed25519").write_text("second")
    disks.keep()
    assert (settings.PROVISIONED / "id_ed25519").read_text() == "first"
    monkeypatch.setattr(settings, "PROVISIONED", settings.ROOT / "build" / "provisioned")
    disks.keep()
    assert (settings.PROVISIONED / "id_ed25519").read_text() == "second"
    assert [path.name for path in settings.CACHE.iterdir()] == ["provisioned-0123"]

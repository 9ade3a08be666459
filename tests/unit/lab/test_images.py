"""Check the cache of base images, with builds that a shell fakes."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lab import images, settings
from lab.process import LabError


def test_an_image_is_named_by_what_it_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {images.image("trixie"), images.image("bookworm")}
    monkeypatch.setattr(images, "PACKAGES", images.PACKAGES + ",less")
    names.add(images.image("trixie"))
    monkeypatch.setattr(images, "BYTECODE", Path(__file__))
    names.add(images.image("trixie"))
    assert len(names) == 4
    assert images.image("trixie") in names


def builder(script: str) -> Callable[[str, Path], subprocess.Popen[str]]:
    """Return a fake of `build` that runs a shell's line. $1 is the tree to make."""

    def build(release: str, folder: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["sh", "-c", script, "sh", folder / release],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return build


MAKE = "mkdir $1; echo {} > $1/state"


def age(path: Path) -> None:
    past = time.time() - 30 * 86400
    os.utime(path, (past, past))


def test_images_are_made_once_and_old_files_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "build", builder(MAKE.format("made")))
    settings.CACHE.mkdir()
    for name in ("trixie-0123", "build-killed", "bookworm-4567"):
        (settings.CACHE / name).mkdir()
    for name in ("trixie-0123", "build-killed"):
        age(settings.CACHE / name)
    images.build_all()
    made = {images.image(release) for release in settings.RELEASES}
    assert set(settings.CACHE.iterdir()) == made | {settings.CACHE / "bookworm-4567"}
    assert all((path / "state").read_text() == "made\n" for path in made)

    monkeypatch.setattr(images, "build", builder(MAKE.format("again")))
    images.build_all()
    assert all((path / "state").read_text() == "made\n" for path in made)
    age(images.image("trixie"))
    images.build_all()
    assert (images.image("trixie") / "state").read_text() == "again\n"
    assert (images.image("bookworm") / "state").read_text() == "made\n"
    # Labs that run from the replaced one keep it until it is old, too.
    [replaced] = settings.CACHE.glob("replaced-*")
    assert (replaced / "state").read_text() == "made\n"
    images.build_all()
    assert replaced.exists()


def test_an_image_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "build", builder("echo half > $1; echo no mirror; exit 1"))
    with pytest.raises(LabError, match="no mirror"):
        images.build_all()
    assert list(settings.CACHE.iterdir()) == []


def test_an_old_image_serves_where_no_new_one_can_be_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(images, "build", builder("echo no mirror; exit 1"))
    settings.CACHE.mkdir()
    for release in settings.RELEASES:
        images.image(release).touch()
        age(images.image(release))
    images.build_all()
    assert capsys.readouterr().err.count("using the old image") == len(settings.RELEASES)
    assert set(settings.CACHE.iterdir()) == {images.image(release) for release in settings.RELEASES}


def test_an_interrupted_build_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[str]] = []

    def build(release: str, folder: Path) -> subprocess.Popen[str]:
        if started:
            raise KeyboardInterrupt
        process = builder("sleep 300 & echo half > $1; wait")(release, folder)
        started.append(process)
        return process

    monkeypatch.setattr(images, "build", build)
    with pytest.raises(KeyboardInterrupt):
        images.build_all()
    assert started[0].returncode is not None
    assert list(settings.CACHE.iterdir()) == []

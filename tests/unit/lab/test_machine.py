"""Check the machine's mirrors and tools."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from lab import machine
from lab.process import LabError

MIRROR, SECURITY = "http://mirror.example/debian", "http://mirror.example/debian-security"


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    """Return an empty /etc/apt."""
    (tmp_path / "apt" / "sources.list.d").mkdir(parents=True)
    return tmp_path / "apt"


def test_mirrors_from_one_line_sources(apt: Path) -> None:
    (apt / "sources.list").write_text(
        "# deb http://old.example/debian trixie main\n"
        "deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] "
        f"{MIRROR}/ trixie main\ndeb {SECURITY} trixie-security main\n"
    )
    assert machine.mirrors(apt) == (MIRROR + "/", SECURITY)


def test_mirrors_from_deb822_sources_before_those_of_other_publishers(apt: Path) -> None:
    folder = apt / "sources.list.d"
    (folder / "a.list").write_text("deb https://download.other.example/linux/debian trixie main\n")
    (folder / "debian.sources").write_text(
        f"Types: deb\nURIs: {MIRROR}\nSuites: trixie\nComponents: main\n\n"
        f"Types: deb\nURIs: {SECURITY}\nSuites: trixie-security\nComponents: main\n"
    )
    (folder / "debian.sources.bak").write_text("URIs: http://backup.example/debian\n")
    assert machine.mirrors(apt) == (MIRROR, SECURITY)


def test_mirrors_from_the_lists_of_cloud_images(apt: Path) -> None:
    lines = []
    for name, url in (("debian.list", MIRROR), ("debian-security.list", SECURITY)):
        (apt / name).write_text(url + "\n")
        lines.append(f"Types: deb\nURIs: mirror+file://{apt / name}\nSuites: x\n")
    (apt / "sources.list.d" / "debian.sources").write_text("\n".join(lines))
    assert machine.mirrors(apt) == (MIRROR, SECURITY)


def test_a_mirror_without_security_line(apt: Path) -> None:
    (apt / "sources.list").write_text(f"deb {MIRROR} trixie main\n")
    assert machine.mirrors(apt) == (MIRROR, SECURITY)


def test_no_mirror(apt: Path) -> None:
    with pytest.raises(LabError, match="no Debian mirror"):
        machine.mirrors(apt)


def test_missing_tools_without_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(LabError, match=r"aardvark-dns .*podman"):
        machine.need_tools()

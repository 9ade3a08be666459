"""The units that mount the exports of Windows shares."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pytest
from share_mounts import changed_shares, share_files, share_mounts, share_units, unit_name

TEMPLATES = Path(__file__).resolve().parents[2] / "roles" / "roster_upload" / "templates"
URL = "smb://MAPLE;svc%20roster@files.example:1445/SIS%20out/100%25/night/One-*.zip"
UNIT = "srv-roster\\x2dsource-maple\\x2dmath"


def mounts(source: str = URL) -> list[dict[str, Any]]:
    """Return the mounts of one feed with a share, beside one with a folder."""
    feeds = [
        {"feed": "maple-math", "source": source},
        {"feed": "other", "source": "/srv/roster-upload/other/OneRoster.zip"},
    ]
    return share_mounts(feeds, {"maple-math": "rf-maple-math", "other": "rf-other"})


def rendered(kind: str, mount: dict[str, Any]) -> str:
    """Return a unit's text."""
    environment = jinja2.Environment(  # noqa: S701 - a unit, no page
        loader=jinja2.FileSystemLoader(TEMPLATES), trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters["comment"] = lambda text: f"# {text}"
    template = environment.get_template(f"share.{kind}.j2")
    return template.render(mount=mount, ansible_managed="managed", roster_upload_memory_mb=1024)


def test_a_share_is_mounted_for_its_feed_alone() -> None:
    [mount] = mounts()
    assert mount["unit"] == UNIT
    assert mount["where"] == "/srv/roster-source/maple-math"
    assert mount["what"] == "//files.example/SIS out/100%%/night"
    assert mount["login"] is True
    options = mount["options"].split(",")
    for option in ("ro", "nosuid", "nodev", "noexec", "vers=3", "soft", "seal", "port=1445"):
        assert option in options
    for option in ("uid=rf-maple-math", "gid=rf-maple-math", "file_mode=0440", "dir_mode=0550"):
        assert option in options
    assert options[-2:] == ["seal", "domain=MAPLE"]
    assert "username=svc roster" in options


def test_a_guest_has_neither_password_nor_encryption() -> None:
    [mount] = mounts("smb://nas/SIS/One.zip")
    assert mount["login"] is False
    assert mount["what"] == "//nas/SIS"
    options = mount["options"].split(",")
    assert "guest" in options
    assert not {"seal", "port=445"} & set(options)
    text = rendered("mount", mount)
    assert "PASSWD_FILE" not in text
    assert "roster-share@" not in text


@pytest.mark.parametrize("name", ["alder", "maple-math", "a-1--b", "9"])
def test_the_names_of_units_are_those_of_systemd(name: str) -> None:
    path = f"/srv/roster-source/{name}"
    if tool := shutil.which("systemd-escape"):
        done = subprocess.run([tool, "--path", path], capture_output=True, text=True, check=True)
        assert unit_name(path) == done.stdout.strip()
    assert unit_name("/srv/a-b") == "srv-a\\x2db"


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if not (tool := shutil.which("systemd-analyze")):
        pytest.skip("there is no systemd-analyze")
    [mount] = mounts()
    paths = [tmp_path / f"{UNIT}.mount", tmp_path / f"{UNIT}.automount"]
    for path in paths:
        path.write_text(rendered(path.suffix[1:], mount))
    (tmp_path / "roster-share@.service").write_text(rendered("service", mount))
    done = subprocess.run([tool, "verify", *paths], capture_output=True, text=True, check=False)
    own = [line for line in done.stderr.splitlines() if "roster" in line and "man " not in line]
    assert own == []


def test_files_of_former_shares_are_removed() -> None:
    [*folders, login] = share_files([], "login", [], [])
    assert [folder["exclusive"] for folder in folders] == ["srv-roster\\x2dsource-*"] * 2
    assert login["state"] == "absent"


def test_each_share_has_a_mount_an_automount_and_its_link() -> None:
    files = share_files(mounts(), "login", ["mount"], ["automount"])
    found = {file["path"]: file.get("content", file.get("target")) for file in files[2:]}
    folder = "/etc/systemd/system"
    assert found == {
        f"{folder}/roster-share@.service": "login",
        f"{folder}/{UNIT}.mount": "mount",
        f"{folder}/{UNIT}.automount": "automount",
        f"{folder}/multi-user.target.wants/{UNIT}.automount": f"{folder}/{UNIT}.automount",
    }
    assert changed_shares([*found, "/etc/roster-upload/other.toml"]) == [UNIT]


def test_units_are_stopped_before_their_share_goes() -> None:
    feeds = [{"feed": "maple-math", "source": URL}, {"feed": "other", "source": "/srv/x.zip"}]
    assert share_units(feeds) == [f"{UNIT}.automount", f"{UNIT}.mount"]


def test_no_text_of_a_unit_holds_a_password() -> None:
    [mount] = mounts()
    text = rendered("mount", mount)
    assert "password=" not in text
    assert f"PASSWD_FILE=/run/credentials/roster-share@{mount['feed']}.service/" in text

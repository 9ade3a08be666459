"""Read exports from a real Samba: through the unit's sandbox, the firewall and the kernel."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from support.district import FEED
from support.samba import SHARE, USER, Samba
from support.vendor import Vendor
from support.vm import denials, reboot, root, site, told

PASSWORD = "pass, wörd='\"x\\%  "
NEXT = " next, one"
MOUNT = f"/srv/roster-source/{FEED}"


@pytest.fixture(scope="module")
def samba(tmp_path_factory: pytest.TempPathFactory) -> Samba:
    """Return a server on the loopback of the testing machine, which is 10.0.2.2 in there."""
    return Samba(tmp_path_factory.mktemp("samba") / "root", PASSWORD)


def values(samba: Samba, password: str = PASSWORD, since: str = "2026-01-01") -> dict[str, Any]:
    """Return the variables of a feed with its export on the share."""
    source = {"secret": password, "since": since}
    share = SHARE.replace(" ", "%20")
    return {
        "roster_upload_source": f"smb://{USER}@10.0.2.2:{samba.port}/{share}/night/One-*.zip",
        "roster_credentials_secrets": {
            FEED: {"secret": "a password of the machine", "source": source}
        },
    }


def put(samba: Samba, name: str, export: Path) -> Path:
    """Lay an export into the share."""
    folder = samba.folder / "night"
    folder.mkdir(exist_ok=True)
    samba.folder.chmod(0o755)
    folder.chmod(0o755)
    shutil.copy(export, folder / name)
    (folder / name).chmod(0o644)
    return folder / name


def night(vendor: Vendor) -> dict[str, Any]:
    """Run the feed's unit once. Return its receipt."""
    (vendor.folder / "OneRoster.zip").unlink(missing_ok=True)
    root(f"systemctl reset-failed; systemctl start roster-upload@{FEED}")
    last = told(f"tail -n 1 /var/lib/roster-upload/{FEED}/receipts.jsonl")
    receipt: dict[str, Any] = json.loads(last)
    return receipt


def unmount() -> None:
    """Unmount the share. The next reader mounts it again."""
    unit = told(f"systemd-escape --path {MOUNT}")
    told(f"systemctl stop '{unit}.mount'")


@pytest.fixture(scope="module")
def share(inventory: Path, samba: Samba, exported: Path) -> Path:
    """Let the feed read from the share. Return the inventory."""
    old = put(samba, "One-1.zip", exported)
    os.utime(old, (time.time() - 9000, time.time() - 9000))
    put(samba, "One-2.zip", exported)
    put(samba, "Other.zip", exported)
    site(inventory, **values(samba))
    assert "changed=0 " in site(inventory, **values(samba))
    with samba.running():
        told(f"ls {MOUNT}")  # loads the kernel's modules, which takes long in an emulated machine
    unmount()
    return inventory


def test_the_newest_export_of_a_share_is_delivered(
    share: Path, samba: Samba, vendor: Vendor
) -> None:
    with samba.running():
        receipt = night(vendor)
    assert receipt["outcome"] == "sent", receipt
    assert (vendor.folder / "OneRoster.zip").exists()
    mounted = told(f"grep ' {MOUNT} cifs ' /proc/mounts")
    for option in (
        "ro",
        "nosuid",
        "nodev",
        "noexec",
        "seal",
        "soft",
        "vers=3.1.1",
        "file_mode=0440",
    ):
        assert f"{option}," in mounted, option
    shown = told("cat /proc/mounts; journalctl --no-pager; ps axww -o args")
    assert PASSWORD.strip() not in shown
    assert denials() == ""


def test_the_share_is_only_there_while_it_is_read(share: Path) -> None:
    unmount()
    unit = told(f"systemd-escape --path {MOUNT}")
    assert told(f"systemctl is-active 'roster-share@{FEED}' '{unit}.automount' || :").split() == [
        "inactive", "active",
    ]  # fmt: skip
    assert root(f"ls /run/credentials/roster-share@{FEED}.service").stdout == ""


def test_a_refused_login_is_the_cause(share: Path, samba: Samba, vendor: Vendor) -> None:
    samba.set_password(NEXT)
    unmount()
    with samba.running():
        receipt = night(vendor)
        assert receipt["source"]["cause"] == "login", receipt
        site(share, "roster_credentials", **values(samba, NEXT, "2026-01-02"))
        assert night(vendor)["outcome"] == "sent"


def test_a_server_that_is_down_is_the_cause(share: Path, samba: Samba, vendor: Vendor) -> None:
    unmount()
    receipt = night(vendor)
    assert receipt["source"]["cause"] == "network", receipt


def test_after_a_reboot_the_share_is_read(share: Path, samba: Samba, vendor: Vendor) -> None:
    reboot(share)
    with samba.running():
        assert night(vendor)["outcome"] == "sent"


def test_a_former_share_leaves_nothing(share: Path) -> None:
    site(share, "roster_upload", "roster_credentials")
    left = "ls -d /etc/systemd/system/srv-* /etc/systemd/system/*/srv-* /srv/roster-source/*"
    assert root(f"{left} /etc/systemd/system/roster-share@.service").stdout == ""
    assert root("ls /usr/sbin/mount.cifs").stdout == ""
    assert "cifs" not in told("cat /proc/mounts")
    assert "source" not in told(f"ls /etc/roster-upload/credentials/{FEED}")

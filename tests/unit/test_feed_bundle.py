"""The bundle that carries a feed's state: what it has, and what a hostile old host can put in."""

from __future__ import annotations

import datetime as dt
import importlib.util
import io
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from roster_upload.records import evidence, package_store
from roster_upload.records.ledger import Ledger
from roster_upload.records.state import State

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location(
    "feed_bundle", ROOT / "roles/roster_credentials/module_utils/feed_bundle.py"
)
assert spec
assert spec.loader
feed_bundle = importlib.util.module_from_spec(spec)
spec.loader.exec_module(feed_bundle)

SHA256 = "ab" * 32
STAMP = dt.datetime(2026, 11, 27, tzinfo=dt.UTC).strftime(package_store.STAMP)
SECRETS = {"state": (b"\x00" * 32, 1_700_000_000.5), "current": (b"p\xc3\xa9", 1_600_000_000.0)}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return a feed's state with one of each file, and some that stay."""
    folder = tmp_path / "old"
    package = evidence.packages(folder) / f"{STAMP}-{SHA256}.package"
    kept = [
        Ledger(folder).path,
        State(folder).profile,
        evidence.marker(folder),
        evidence.baseline(folder, SHA256),
        package,
    ]
    for path in (*kept, folder / "lock", folder / ".accepted-rehearsal", folder / "accepted-x"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.name.encode() * 3)
    return folder


@pytest.fixture
def opened(state: Path) -> Iterator[int]:
    handle = os.open(state, os.O_RDONLY)
    yield handle
    os.close(handle)


def packed(opened: int, **changes: Any) -> bytes:
    """Return the bundle of a state, with changes of its first line."""
    files = feed_bundle.listed(opened, os.getuid())
    about = feed_bundle.describe("elm", "lab-01", files, SECRETS) | changes
    out = io.BytesIO()
    secrets = {slot: data for slot, (data, _) in SECRETS.items()}
    feed_bundle.pack(out, about, opened, os.getuid(), secrets)
    return out.getvalue()


def unpacked(data: bytes, target: Path) -> Any:
    target.mkdir(mode=0o700, exist_ok=True)
    return feed_bundle.unpack(io.BytesIO(data), str(target), "elm")


def test_all_parts_of_a_state_arrive_with_their_modes(
    state: Path, opened: int, tmp_path: Path
) -> None:
    about, secrets = unpacked(packed(opened), tmp_path / "new")
    assert secrets == {slot: data for slot, (data, _) in SECRETS.items()}
    assert about["written"] == {slot: time for slot, (_, time) in SECRETS.items()}
    found = {
        str(path.relative_to(tmp_path / "new")): stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path / "new").rglob("*")
        if path.is_file()
    }
    assert found == {
        "receipts.jsonl": 0o640,
        "server.json": 0o640,
        "delivered.json": 0o600,
        f"accepted-{SHA256[:16]}.npz": 0o600,
        f"packages/{STAMP}-{SHA256}.package": 0o600,
    }
    for name in found:
        assert (tmp_path / "new" / name).read_bytes() == (state / name).read_bytes()


def test_a_run_of_the_feed_changes_the_snapshot(state: Path, opened: int) -> None:
    before = feed_bundle.snapshot(feed_bundle.listed(opened, os.getuid()))
    assert feed_bundle.snapshot(feed_bundle.listed(opened, os.getuid())) == before
    with Ledger(state).path.open("ab") as ledger:
        ledger.write(b"{}\n")
    assert feed_bundle.snapshot(feed_bundle.listed(opened, os.getuid())) != before


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_the_account_cannot_have_other_files_packed(
    state: Path, opened: int, kind: str, tmp_path: Path
) -> None:
    ledger = Ledger(state).path
    ledger.unlink()
    if kind == "link":
        (tmp_path / "shadow").write_text("secret")
        ledger.symlink_to(tmp_path / "shadow")
    elif kind == "pipe":
        os.mkfifo(ledger)
    else:
        ledger.mkdir()
    with pytest.raises((OSError, feed_bundle.BundleError)):
        feed_bundle.listed(opened, os.getuid())
    ledger.rmdir() if kind == "folder" else ledger.unlink()
    ledger.write_text("of another account")
    with pytest.raises(feed_bundle.BundleError, match="not a plain file of its account"):
        feed_bundle.listed(opened, os.getuid() + 1)


@pytest.mark.parametrize(
    "name",
    [
        "state/../../../../etc/cron.d/x",
        "state/packages/../../x.package",
        "/etc/passwd",
        "state/accepted-x/receipts.jsonl",
        "state/receipts.jsonl\n",
        "state/authorized_keys",
        "secrets/pending",
        "secrets/../state",
        "other/receipts.jsonl",
        "",
    ],
)
def test_a_hostile_host_cannot_name_another_file(tmp_path: Path, name: str) -> None:
    one = {"size": 1, "sha256": SHA256}
    line = {"schema": 1, "feed": "elm", "files": {name: one}, "written": {}}
    with pytest.raises(feed_bundle.BundleError):
        unpacked(json.dumps(line).encode() + b"\nx", tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("size", [-1, 1.0, True, "1", None, 1 << 62, feed_bundle.STATE[0].most + 1])
def test_a_hostile_host_cannot_give_another_size(tmp_path: Path, size: Any) -> None:
    one = {"size": size, "sha256": SHA256}
    line = {"schema": 1, "feed": "elm", "files": {"state/receipts.jsonl": one}, "written": {}}
    with pytest.raises(feed_bundle.BundleError, match="is too large"):
        unpacked(json.dumps(line).encode() + b"\nx", tmp_path / "new")


def test_a_hostile_host_cannot_fill_the_disk(tmp_path: Path) -> None:
    """Each file has a possible size, and all of them together have not."""
    one = {"size": feed_bundle.STATE[3].most, "sha256": SHA256}
    count = feed_bundle.MOST_BYTES // one["size"] + 1
    files = {f"state/accepted-{number:016x}.npz": one for number in range(count)}
    line = {"schema": 1, "feed": "elm", "files": files, "written": {}}
    with pytest.raises(feed_bundle.BundleError, match="impossible"):
        unpacked(json.dumps(line).encode() + b"\nx", tmp_path / "new")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"feed": "fir"}, "another feed"),
        ({"schema": 2}, "another release"),
        ({"written": {"state": float("nan"), "current": 0}}, "impossible"),
        ({"written": {"state": -1, "current": 0}}, "impossible"),
        ({"written": {}}, "cannot be read"),
        ({"written": []}, "cannot be read"),
    ],
)
def test_a_bundle_of_another_kind_is_refused(
    opened: int, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(feed_bundle.BundleError, match=reason):
        unpacked(packed(opened, **changes), tmp_path / "new")


def test_a_damaged_bundle_is_refused(opened: int, tmp_path: Path) -> None:
    whole = packed(opened)
    for number, data in enumerate((whole[:-1], whole + b"x", b"", b"[]\n", b"{" * 9000)):
        with pytest.raises(feed_bundle.BundleError):
            unpacked(data, tmp_path / str(number))
    first = whole.index(b"\n") + 1
    changed = whole[:first] + bytes([whole[first] ^ 1]) + whole[first + 1 :]
    with pytest.raises(feed_bundle.BundleError, match="another content"):
        unpacked(changed, tmp_path / "changed")

"""The steps of a feed's move, between two hosts in folders of the test."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import importlib.util
import io
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ansible.module_utils
import pytest
import yaml
from roster_upload.records.evidence import LEARNING
from unit.test_feed_bundle import ROOT, feed_bundle

FEED = "elm"
CRON = f"1 7 * * * root systemctl start roster-upload@{FEED}.service\n"
OTHERS = "2 7 * * * root systemctl start roster-upload@north-elm.service\n"


class Seal:
    """systemd-creds and its seals: a secret opens on its host alone."""

    SealError = RuntimeError

    def __init__(self, host: str) -> None:
        self.host = host

    def sealed(self, name: str, _key: str, secret: bytes) -> bytes:
        return f"{self.host} {name} ".encode() + secret

    def systemd_creds(self, words: list[str]) -> tuple[int, bytes, bytes]:
        own = f"{self.host} {words[1].removeprefix('--name=')} ".encode()
        data = Path(words[2]).read_bytes()
        return (0, data.removeprefix(own), b"") if data.startswith(own) else (1, b"", b"no")


class Age:
    """A process of age. What it encrypts has a word before it."""

    def __init__(self, words: list[str], stdin: bool) -> None:
        self.words = words
        self.stdin = io.BytesIO() if stdin else None
        if words[0] == "age-keygen":
            text = b"age1" + b"q" * 58 if words[1] == "-y" else b""
            self.stdout = io.BytesIO(text)
            if words[1] == "-o":
                Path(words[2]).write_text("private")
        elif not stdin:
            assert Path(words[words.index("-i") + 1]).read_text() == "private"
            self.stdout = io.BytesIO(Path(words[-1]).read_bytes().removeprefix(b"age:"))

    def close(self) -> None:
        if self.stdin:
            path = Path(self.words[self.words.index("-o") + 1])
            path.write_bytes(b"age:" + self.stdin.getvalue())


@contextlib.contextmanager
def running(words: list[str], stdin: bool = False) -> Iterator[Age]:
    process = Age(words, stdin)
    yield process
    process.close()


class Host:
    """The module on a host."""

    def __init__(self, name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.name, self.root = name, root
        self.commands: list[list[str]] = []
        monkeypatch.setattr(ansible.module_utils, "credential_seal", Seal(name), raising=False)
        monkeypatch.setattr(ansible.module_utils, "feed_bundle", feed_bundle, raising=False)
        path = ROOT / "roles/roster_credentials/library/feed_move.py"
        spec = importlib.util.spec_from_file_location("feed_move", path)
        assert spec
        assert spec.loader
        self.module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)
        for constant in ("SETTINGS", "STATE", "CACHE", "UNITS", "CRON", "MOVES", "KEYS"):
            monkeypatch.setattr(self.module, constant, f"{root}{getattr(self.module, constant)}")
        monkeypatch.setattr(self.module, "EXPORTS", f"{root}/srv/roster-upload/")
        monkeypatch.setattr(self.module, "running", running)
        run = SimpleNamespace(run=lambda words, check: self.commands.append(words))
        monkeypatch.setattr(self.module, "subprocess", run)
        wants = f"{self.module.UNITS}/timers.target.wants"
        for folder in (f"{self.module.SETTINGS}/credentials/{FEED}", self.state, wants):
            Path(folder).mkdir(parents=True)
        Path(self.module.CRON).parent.mkdir(parents=True)
        Path(self.module.CRON).write_text(CRON + OTHERS)
        Path(f"{self.module.UNITS}/roster-upload@{FEED}.timer").touch()
        Path(f"{wants}/roster-upload@{FEED}.timer").symlink_to("../x")
        Path(f"{self.module.UNITS}/roster-upload@north-{FEED}.timer").touch()
        Path(f"{self.module.SETTINGS}/{FEED}.toml").touch()
        self.keep("state", name)

    @property
    def state(self) -> Path:
        return Path(self.module.STATE) / FEED

    @property
    def ledger(self) -> Path:
        return self.state / "receipts.jsonl"

    def slot(self, slot: str) -> Path:
        return Path(self.module.SETTINGS) / "credentials" / FEED / slot

    def keep(self, slot: str, secret: str) -> None:
        self.slot(slot).write_bytes(Seal(self.name).sealed(f"{FEED}_{slot}", "", secret.encode()))

    def step(self, step: str, **given: Any) -> dict[str, Any]:
        empty = dict.fromkeys(("host", "other", "account", "recipient", "digest", "snapshot"), "")
        words = {**empty, "feed": FEED, "with_key": "auto", "paths": [], **given}
        found: dict[str, Any] = self.module.STEPS[step](words)
        return found

    @property
    def mark(self) -> tuple[str, str]:
        found: tuple[str, str] = self.module.mark_of(FEED)
        return found

    @property
    def delivers(self) -> bool:
        """Return whether the units start, as their condition says."""
        return not (Path(self.module.MOVES) / "away" / FEED).exists()


class Move:
    """Two hosts, and the steps of the playbook between them."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.old = Host("lab-01", tmp_path / "old", monkeypatch)
        self.new = Host("lab-02", tmp_path / "new", monkeypatch)
        self.old.ledger.write_text("{}\n")
        self.old.keep("current", "pässword")
        os.utime(self.old.slot("current"), (1_600_000_000, 1_600_000_000))

    def carry(self) -> dict[str, Any]:
        key = self.new.step("receive")
        packed = self.old.step("pack", host="lab-01", recipient=key["recipient"])
        Path(key["path"]).write_bytes(Path(packed["path"]).read_bytes())
        return packed

    def open(self, packed: dict[str, Any]) -> None:
        words = {name: packed[name] for name in ("digest", "snapshot")}
        self.new.step("open", account=getpass.getuser(), **words)

    def leave(self, packed: dict[str, Any]) -> None:
        self.old.step("leave", other="lab-02", snapshot=packed["snapshot"])


@pytest.fixture
def move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Move:
    found = Move(tmp_path, monkeypatch)
    found.new.step("expect", other="lab-01")
    return found


def test_never_do_both_hosts_deliver_and_the_secrets_are_sealed_anew(move: Move) -> None:
    old, new = move.old, move.new
    assert (old.delivers, new.delivers) == (True, False)
    packed = move.carry()
    move.open(packed)
    assert (old.delivers, new.delivers) == (True, False)
    move.leave(packed)
    assert (old.delivers, new.delivers) == (False, False)
    assert old.mark == ("moved", "lab-02")
    new.step("start", other="lab-01")
    assert (old.delivers, new.delivers) == (False, True)
    assert new.mark == ("arrived", "lab-01")
    assert new.ledger.read_text() == "{}\n"
    assert new.slot("state").read_bytes() == b"lab-02 elm_state lab-01"
    assert new.slot("current").read_bytes() == "lab-02 elm_current pässword".encode()
    assert new.slot("current").stat().st_mtime == 1_600_000_000
    old.step("remove")
    assert not old.state.exists()
    assert not old.slot("state").parent.exists()
    assert not Path(f"{old.module.SETTINGS}/{FEED}.toml").exists()
    assert Path(old.module.CRON).read_text() == OTHERS
    left = [path.name for path in Path(old.module.UNITS).rglob("*.timer")]
    assert left == [f"roster-upload@north-{FEED}.timer"]
    assert old.mark == ("moved", "lab-02")
    names = {path.name for host in (old, new) for path in host.root.rglob("*") if path.is_file()}
    assert not names & {"elm.age", f".{FEED}"}
    assert list(Path(new.module.KEYS).iterdir()) == []


def test_a_run_meanwhile_keeps_the_old_host_delivering(move: Move) -> None:
    packed = move.carry()
    move.open(packed)
    with move.old.ledger.open("a") as ledger:
        ledger.write("{}\n")
    with pytest.raises(move.old.module.Trouble, match="newer than the copy"):
        move.leave(packed)
    assert move.old.delivers
    move.new.step("forget", other="lab-01")
    assert move.new.mark == ("", "")
    assert not move.new.state.exists()


@pytest.mark.parametrize("step", ["pack", "leave"])
def test_a_delivery_under_way_is_not_moved(move: Move, step: str) -> None:
    packed = move.carry()
    given = packed | {"recipient": "age1" + "q" * 58, "other": "lab-02"}
    with (move.old.state / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(move.old.module.Trouble, match="under way"):
            move.old.step(step, **given)
    assert move.old.delivers


def test_another_file_than_the_packed_one_is_refused(move: Move) -> None:
    packed = move.carry()
    with pytest.raises(move.new.module.Trouble, match="not the one that the old host has packed"):
        move.open(packed | {"digest": "0" * 64})
    with pytest.raises(move.new.module.Trouble, match="another state"):
        move.open(packed | {"snapshot": "0" * 64})
    assert not move.new.ledger.exists()
    assert [path.name for path in Path(move.new.module.STATE).iterdir()] == [FEED]


def test_an_interrupted_move_is_repeated(move: Move) -> None:
    """The new host has an older copy already."""
    move.open(move.carry())
    with move.old.ledger.open("a") as ledger:
        ledger.write("{}\n")
    move.new.step("expect", other="lab-01")
    packed = move.carry()
    move.open(packed)
    move.leave(packed)
    assert move.new.ledger.read_text() == "{}\n" * 2


def test_a_feed_that_delivers_there_is_not_replaced(move: Move, tmp_path: Path) -> None:
    new = move.new
    with pytest.raises(new.module.Trouble, match="comes from lab-01 already"):
        new.step("expect", other="lab-03")
    new.step("forget")
    new.state.mkdir()
    new.ledger.write_text("its own")
    with pytest.raises(new.module.Trouble, match="receipts of its own"):
        new.step("expect", other="lab-01")
    for step in ("receive", "open", "start", "remove", "forget"):
        with pytest.raises(new.module.Trouble, match="not possible"):
            new.step(step, digest="", account=getpass.getuser())
    assert new.ledger.read_text() == "its own"


def test_a_feed_can_come_back(move: Move) -> None:
    packed = move.carry()
    move.open(packed)
    move.leave(packed)
    move.new.step("start", other="lab-01")
    move.old.step("remove")
    move.old.step("expect", other="lab-02")
    assert move.old.mark == ("arriving", "lab-02")
    move.new.step("leave", other="lab-01", snapshot=packed["snapshot"])
    marks = [path.parent.name for path in Path(move.new.module.MOVES).rglob(FEED)]
    assert marks == ["away"]  # site.yml judges each of them


def test_only_exports_of_the_project_are_removed(move: Move) -> None:
    old = move.old
    packed = move.carry()
    move.open(packed)
    move.leave(packed)
    inside, outside = old.root / "srv/roster-upload/elm", old.root / "srv/other"
    for folder in (inside, outside):
        folder.mkdir(parents=True)
    old.step("remove", paths=[str(inside), f"{inside}/../../other", str(outside)])
    assert not inside.exists()
    assert outside.exists()


def test_a_key_that_is_none_is_no_option_of_age(move: Move) -> None:
    for recipient in ("", "-R/etc/shadow", "age1x\n", "ssh-ed25519 AAAA"):
        with pytest.raises(move.old.module.Trouble, match="no key of age"):
            move.old.step("pack", recipient=recipient)


def test_what_changes_the_state_stays_where_a_feed_is_not_at_home(move: Move) -> None:
    role = ROOT / "roles/roster_upload"
    units = yaml.safe_load((role / "vars/main.yml").read_text())["__roster_upload_units"]
    assert {unit["command"] for unit in units if unit.get("stays")} == {*LEARNING}
    away = f"{move.new.module.MOVES}/away/%i".removeprefix(str(move.new.root))
    assert f"AssertPathExists=!{away}\n" in (role / "templates/unit.service.j2").read_text()

"""A rotation's plan, and the module that keeps slots: due steps, and the state after a cut."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import rotation_lock
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from feed_vault import edited
from rotation import FilterModule, rotation_plan
from support import forks

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "roles/roster_credentials/library/systemd_credentials.py"
# As Ansible has it: what lies in a role's module_utils is a part of ansible.module_utils.
FOLDER = ROOT / "roles/roster_credentials/module_utils"
PARTS = f"import ansible.module_utils; ansible.module_utils.__path__.append({str(FOLDER)!r})"
TODAY = "2026-11-26"
KEY = (
    ed25519.Ed25519PrivateKey.generate()
    .private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    .decode()
)

# ---- the plan ------------------------------------------------------------------------------


def plan(
    *,
    new: str = "",
    in_use: str = "old",
    since: str = "2026-11-01",
    is_hosts_key: bool = False,
    asked: str = "",
    current: str = "accepted",
    pending: str = "nothing",
    written: str = "2026-11-01",
    waiting: str = "",
    has: str = "",
    credential: str = "vendor",
) -> dict[str, Any]:
    """Return the plan for one feed."""
    feed = {"feed": "a", "district": "A", "secret": in_use, "since": since, "new": new}
    name = "a_source_" if credential == "source" else "a_"
    slots: dict[str, Any] = {
        "held": {f"{name}current": current, f"{name}pending": pending},
        "written": {f"{name}current": written},
        "public_keys": {
            slot: key for slot, key in ((f"{name}pending", waiting), (f"{name}current", has)) if key
        },
    }
    feeds = [{**feed, "is_hosts_key": is_hosts_key}]
    return rotation_plan(feeds, slots, asked, 365, TODAY, credential)[0]


@pytest.mark.parametrize(
    ("given", "action"),
    [
        ({}, ""),
        ({"new": "x"}, "rotate"),
        ({"new": "x", "current": "wanted"}, "finish"),
        ({"new": "old"}, ""),
        ({"pending": "other"}, "discard"),
        ({"is_hosts_key": True}, ""),
        ({"is_hosts_key": True, "asked": "generate"}, "generate"),
        ({"is_hosts_key": True, "asked": "activate"}, ""),
        ({"is_hosts_key": True, "asked": "discard"}, ""),
        ({"new": "old", "current": "other"}, "rotate"),
        ({"is_hosts_key": True, "pending": "wanted", "waiting": "k"}, ""),
        ({"is_hosts_key": True, "pending": "wanted", "waiting": "k", "asked": "generate"}, ""),
        (
            {"is_hosts_key": True, "pending": "wanted", "waiting": "k", "asked": "activate"},
            "rotate",
        ),
        (
            {"is_hosts_key": True, "pending": "wanted", "waiting": "k", "asked": "discard"},
            "discard",
        ),
        # Cut behind the switch; and a password that was left there before the feed got a key.
        ({"is_hosts_key": True, "pending": "wanted", "waiting": "k", "has": "k"}, "finish"),
        ({"is_hosts_key": True, "pending": "other", "asked": "activate"}, "discard"),
    ],
)
def test_what_is_due(given: dict[str, Any], action: str) -> None:
    assert plan(**given)["action"] == action
    of_source = plan(**given, credential="source")
    assert (of_source["action"], of_source["feed"]) == (action, "a")


def test_a_waiting_key_of_a_source_is_for_the_sis() -> None:
    waiting: dict[str, Any] = {"is_hosts_key": True, "pending": "wanted", "waiting": "k"}
    note = plan(**waiting, credential="source")["row"]["note"]
    assert "the administrator of the SIS's server has installed it" in note
    assert "-e rotate_credential=source -e rotate_key_action=activate" in note
    assert (
        "the vendor has installed it: -e rotate_key_action=activate"
        in plan(**waiting)["row"]["note"]
    )


@pytest.mark.parametrize(
    ("given", "note", "ok"),
    [
        ({}, "25 of 365 days old", True),
        ({"since": "2025-12-26"}, "335 of 365 days old: rotate it", False),
        ({"since": "2025-12-27"}, "334 of 365 days old", True),
        ({"since": "2026-11-16", "written": "2025-01-01"}, "10 of 365 days old", True),
        ({"since": "", "written": "2026-11-16"}, "10 of 365 days old", True),
        ({"since": "", "written": ""}, "its age is unknown", False),
        ({"new": "old"}, "is in use already", True),
        (
            {"is_hosts_key": True, "pending": "wanted", "waiting": "ssh-ed25519 AAAA"},
            "-e rotate_key_action=activate (or never: -e rotate_key_action=discard): "
            "ssh-ed25519 AAAA",
            True,
        ),
    ],
)
def test_what_is_not_due_says_how_it_stands(given: dict[str, Any], note: str, ok: bool) -> None:
    row = plan(**given)["row"]
    assert note in row["note"]
    assert (row["feed"], row["district"], row["ok"]) == ("a", "A", ok)


@pytest.mark.parametrize(
    ("given", "is_told"),
    [({}, False), ({"new": "old"}, True), ({"new": "x"}, False), ({"pending": "other"}, False)],
)
def test_a_given_secret_that_is_in_use_is_told(given: dict[str, Any], is_told: bool) -> None:
    assert ("in use already" in plan(**given)["row"]["note"]) is is_told


def test_the_plan_keeps_the_order_of_the_feeds() -> None:
    feed = {"district": "A", "secret": "s", "since": "2026-11-01", "new": "", "is_hosts_key": False}
    held = dict.fromkeys(("a_current", "b_current"), "accepted") | dict.fromkeys(
        ("a_pending", "b_pending"), "nothing"
    )
    slots: dict[str, Any] = {"held": {**held, "a_pending": "other"}, "written": {}}
    feeds = [{**feed, "feed": name} for name in ("b", "a")]
    made = FilterModule().filters()["rotation_plan"](
        feeds, {**slots, "public_keys": {}}, "", "365", TODAY
    )
    assert [(row["feed"], row["action"]) for row in made] == [("b", ""), ("a", "discard")]


def test_a_plan_holds_nothing_secret() -> None:
    told = json.dumps(plan(new="hunter-new", in_use="hunter-old"))
    assert "hunter" not in told


# ---- the module ----------------------------------------------------------------------------

# In place of systemd-creds: the same arguments, and a "seal" that opens under its name alone.
SEALER = """#!/bin/sh
if [ "$1" = encrypt ]; then
    echo "$2"
    exec base64
fi
read -r name < "$3"
[ "$name" = "$2" ] || exit 1
sed 1d "$3" | base64 -d
"""
# Kills itself at the n-th call of a function of `os`.
CUT = """
import os, runpy, sys
count, real = 0, os.{name}
def counted(*args, **kwargs):
    global count
    count += 1
    if count == {at}:
        os._exit(9)
    return real(*args, **kwargs)
os.{name} = counted
runpy.run_path({module!r}, run_name="__main__")
"""


class Host:
    """Slots in a folder, as the module keeps them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        sealer = folder / "bin" / "systemd-creds"
        sealer.write_text(SEALER)
        sealer.chmod(0o755)
        for slot in ("current", "pending", "previous"):
            (folder / slot).mkdir()

    def path(self, slot: str) -> Path:
        return self.folder / slot / slot

    def slot(self, slot: str, **more: Any) -> dict[str, Any]:
        """Return a credential for the module, in the slot's place."""
        return {"name": f"a_{slot}", "path": str(self.path(slot)), **more}

    def holds(self, slot: str) -> str:
        """Return the secret in a slot, empty if there is none."""
        path = self.path(slot)
        return (
            base64.b64decode(path.read_text().partition("\n")[2]).decode() if path.exists() else ""
        )

    def run(
        self,
        *credentials: dict[str, Any],
        check: bool = False,
        cut: tuple[str, int] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Run the module. Return its result, empty if it was interrupted."""
        arguments = {
            "credentials": list(credentials),
            **options,
            "_ansible_check_mode": check,
            "_ansible_remote_tmp": str(self.folder),
        }
        text = f"{PARTS}; import runpy; runpy.run_path({str(MODULE)!r}, run_name='__main__')"
        if cut:
            text = PARTS + CUT.format(name=cut[0], at=cut[1], module=str(MODULE))
        done = forks.having("ansible.module_utils.basic").run(
            text,
            stdin=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            env={
                **os.environ,
                "_ANSIBLE_MODULE_PROFILE": "legacy",
                "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            },
        )
        if cut and done.returncode == 9:
            return {}
        assert done.stdout, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        result.pop("invocation", None)
        return result


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path)
    assert made.run(made.slot("current", secret="old", since="2026-11-01"))["changed"]
    return made


def test_a_secret_is_written_once(host: Host) -> None:
    wanted = host.slot("current", secret="old", since="2026-11-01")
    result = host.run(wanted)
    assert result["held"] == {"a_current": "wanted"}
    assert result["written"] == {"a_current": "2026-11-01"}
    assert result["changed"] is (os.geteuid() != 0)  # another's file is no closed one
    assert "old" not in json.dumps(result)


def test_an_older_vault_file_undoes_no_rotation(host: Host) -> None:
    """The same is true of one of the same day, and of one without a day. Newer ones are brought."""

    def brought(secret: str, since: str, *, check: bool = False) -> dict[str, Any]:
        return host.run(
            host.slot("current", secret=secret, since=since, newer_only=True), check=check
        )

    assert brought("new", "2026-11-20")["changed"]
    for since in ("2026-11-01", ""):
        for check in (True, False):
            result = brought("old", since, check=check)
            assert result["failed"]
            assert "git pull" in result["msg"]
            assert host.holds("current") == "new"
    assert brought("by hand", "2026-11-21")["changed"]
    # As a rotation does, without a day.
    host.run(host.slot("pending", secret="rotated"))
    host.run(host.slot("current", source=host.slot("pending")))
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert brought("by hand", today)["failed"]
    assert not brought("rotated", today).get("failed")
    assert host.holds("current") == "rotated"


def test_what_cannot_be_read_any_more_is_not_replaced_by_a_new_one(host: Host) -> None:
    host.path("current").write_text("of another machine")
    for kind in ("bytes", "ssh_key"):
        result = host.run(host.slot("current", generate=kind))
        assert result["failed"]
        assert "this host can no longer decrypt" in result["msg"]
    assert host.path("current").read_text() == "of another machine"
    # A secret in the vault is not at risk.
    assert host.run(host.slot("current", secret="old"))["changed"]


def test_a_password_stays_until_the_key_takes_its_place(host: Host) -> None:
    result = host.run(host.slot("current", generate="ssh_key"))
    assert (result["held"], result["public_keys"]) == ({"a_current": "other"}, {})
    assert host.holds("current") == "old"
    first = host.run(host.slot("pending", generate="ssh_key"))["public_keys"]["a_pending"]
    assert first.startswith("ssh-ed25519 ")
    again = host.run(host.slot("pending", generate="ssh_key"), check=True)
    assert (again["held"]["a_pending"], again["public_keys"]["a_pending"]) == ("wanted", first)


def test_a_failure_says_what_was_changed_before_it(host: Host) -> None:
    nowhere = {"name": "b", "path": str(host.folder / "none" / "b"), "secret": "x"}
    result = host.run(host.slot("current", secret="new"), nowhere)
    assert result["failed"]
    assert result["changed_names"] == ["a_current"]
    assert "there is no folder" in result["msg"]


@pytest.mark.parametrize("secret", ["new", KEY], ids=["password", "key"])
@pytest.mark.parametrize(
    ("name", "at"), [("replace", 1), ("replace", 2), ("fsync", 1), ("fsync", 2), ("fsync", 3)]
)
def test_a_switch_that_is_cut_leaves_one_that_works(
    name: str, at: int, secret: str, host: Host
) -> None:
    """Before, between and after the writing of the two slots."""
    host.run(host.slot("pending", secret=secret))
    switch = [
        host.slot("previous", source=host.slot("current")),
        host.slot("current", source=host.slot("pending")),
    ]
    assert host.run(*switch, cut=(name, at)) == {}
    assert host.holds("current") in ("old", secret)
    assert host.holds("current") == "old" or host.holds("previous") == "old"
    assert host.holds("pending") == secret
    # The remains are hidden from systemd.
    for slot in ("current", "previous"):
        names = {path.name for path in host.path(slot).parent.iterdir()}
        assert {name for name in names if not name.startswith(".")} <= {slot}
    if host.holds("current") == "old":
        host.run(*switch)
    assert (host.holds("current"), host.holds("previous")) == (secret, "old")


def test_only_the_named_values_of_a_login_change() -> None:
    values = {"secret": "old", "next": "new", "source": {"secret": "x"}}
    assert edited(values, {"secret": "new", "since": 2026}, ["next"]) == {
        "secret": "new",
        "since": "2026",
        "source": {"secret": "x"},
    }
    assert values["secret"] == "old"


# ---- two operators -------------------------------------------------------------------------


def holder(name: str, **more: str) -> dict[str, Any]:
    """Return who rotates, in the action's words."""
    return {"token": f"here {name} 1", "who": f"{name}@control", **more}


def locked(host: Host, *credentials: dict[str, Any], name: str, **more: Any) -> dict[str, Any]:
    """Run the module as somebody's rotation."""
    lock = {"lock": str(host.folder / "locks" / "a"), "holder": holder(name)}
    return host.run(*credentials, **(lock | more))


def test_one_operator_at_a_time(host: Host) -> None:
    assert not locked(host, host.slot("pending", secret="of alice"), name="alice").get("failed")
    for check in (True, False):
        result = locked(host, host.slot("pending", secret="x"), name="bob", check=check)
        assert result["failed"]
        assert "a is being rotated by alice@control, since 2" in result["msg"]
        assert result["lock"]["token"] == "here alice 1"
    assert host.holds("pending") == "of alice"
    # The holder continues, and gives it back.
    since = result["lock"]["since"]
    assert not locked(host, name="alice", release=True).get("failed")
    assert not locked(host, name="bob").get("failed")
    assert locked(host, name="alice")["lock"]["since"] >= since
    # Of a finished run, and of one without a sign of life for long.
    gone = holder("alice", gone="here bob 1")
    assert not locked(host, name="alice", holder=gone).get("failed")
    lock = host.folder / "locks" / "a"
    lock.write_text(json.dumps({**json.loads(lock.read_text()), "until": 0}))
    assert not locked(host, name="bob").get("failed")


def test_a_check_takes_no_lock(host: Host) -> None:
    assert not locked(host, name="alice", check=True).get("failed")
    assert not locked(host, name="bob").get("failed")


def test_a_damaged_lock_is_told(host: Host) -> None:
    locked(host, name="alice")
    for text in ("", "{}", "[]", '{"until": "x"}', "\0"):
        (host.folder / "locks" / "a").write_text(text)
        result = locked(host, name="bob")
        assert result["failed"]
        assert "locks/a is damaged" in result["msg"]


def test_site_changes_nothing_that_somebody_rotates(host: Host) -> None:
    locked(host, name="alice")
    lock = str(host.folder / "locks" / "a")
    newer = host.slot("current", secret="newer", since="2099-01-01", newer_only=True, lock=lock)
    result = host.run(newer)
    assert result["failed"]
    assert "is being rotated by alice@control" in result["msg"]
    assert host.holds("current") == "old"
    same = host.slot("current", secret="old", since="2026-11-01", newer_only=True, lock=lock)
    if os.geteuid() == 0:
        assert not host.run(same).get("failed")
    locked(host, name="alice", release=True)
    assert host.run(newer)["changed"]


def switch_to(host: Host, digest: str, **more: str) -> dict[str, Any]:
    """Run the module as the switch of a rotation."""
    return host.run(
        host.slot("previous", source=host.slot("current")),
        host.slot("current", source=host.slot("pending", digest=digest), **more),
    )


def test_the_host_switches_to_what_was_tried(host: Host) -> None:
    tried = host.run(host.slot("pending", secret="tried"))["digests"]["a_pending"]
    host.run(host.slot("pending", secret="of somebody else"))
    result = switch_to(host, tried)
    assert result["failed"]
    assert "a_pending is not the tested credential" in result["msg"]
    assert switch_to(host, "not tried")["failed"]
    assert (host.holds("current"), host.holds("previous")) == ("old", "")
    again = host.run(host.slot("pending", secret="of somebody else"))["digests"]["a_pending"]
    assert again != tried
    result = switch_to(host, again, secret="of the vault file")
    assert "a_pending differs from the vault file" in result["msg"]
    assert host.holds("current") == "old"
    assert not switch_to(host, again, secret="of somebody else").get("failed")
    assert (host.holds("current"), host.holds("previous")) == ("of somebody else", "old")


def test_a_run_that_has_ended_is_known_by_its_process() -> None:
    program = "import time; print(flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        token = rotation_lock.token_of(process.pid)
        assert not rotation_lock.has_ended(token)
        process.kill()
    assert rotation_lock.has_ended(token)
    mine = rotation_lock.token_of(os.getpid())
    assert not rotation_lock.has_ended(mine)
    assert rotation_lock.has_ended(mine + "0")  # the number is another process's by now
    for foreign in ("", "x", "another-boot pid:[1] 99999999 1", mine.replace("[", "[9")):
        assert not rotation_lock.has_ended(foreign)


def test_a_run_on_macos_keeps_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no /proc. Such a lock expires, since nobody sees that its run has ended."""
    linux = rotation_lock.token_of(os.getpid())
    monkeypatch.setattr(rotation_lock, "Path", lambda name: Path("/missing" + name))
    mine = rotation_lock.token_of(os.getpid())
    assert mine == rotation_lock.token_of(os.getpid()) != linux
    assert mine != rotation_lock.token_of(os.getppid())
    assert not any(map(rotation_lock.has_ended, (mine, mine + "0", linux + "0", "1 5")))

"""An attacker controls one feed: it reaches neither the host's other feeds nor root."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support.lab_hosts import Host, connect, wait_for

HOST = "lab-bookworm"
ATTACKER, VICTIM = "birch-hill", "cedar-creek"
SOURCES = {
    ATTACKER: "/srv/roster-upload/birch-hill/OneRoster.zip",
    VICTIM: "/srv/sis-inbox/sis-lab/incoming/OneRoster.zip",
}
STATE = "/var/lib/roster-upload"
# Tries everything that a feed's own unit can do with a feed. Prints the result of each try.
ATTACK = """
import json, os, signal, sys
feed, pid, source, output = sys.argv[1:]
state, cache, run = ("/var/lib/roster-upload/", "/var/cache/roster-upload/", "/run/roster-upload/")

def read(path):
    if os.path.isdir(path):
        os.listdir(path)
    else:
        open(path, "rb").close()

def write(path):
    open(path, "ab").close()

TRIES = {
    "credential": lambda: read(f"/run/credentials/roster-upload@{feed}.service/{feed}_current"),
    "credential in its process": lambda: read(
        f"/proc/{pid}/root/run/credentials/roster-upload@{feed}.service/{feed}_current"),
    "environment": lambda: read(f"/proc/{pid}/environ"),
    "configuration": lambda: read(f"/etc/roster-upload/{feed}.toml"),
    "export": lambda: read(source),
    "state": lambda: read(state + feed),
    "receipts": lambda: write(f"{state}{feed}/receipts.jsonl"),
    "its lock": lambda: write(f"{state}{feed}/lock"),
    "metrics": lambda: write(f"{cache}{feed}/{feed}.prom"),
    "progress": lambda: write(f"{run}{feed}/progress"),
    "signal": lambda: os.kill(int(pid), 0),
    "end": lambda: os.kill(int(pid), signal.SIGCONT),
    "sealed credentials": lambda: read("/etc/roster-upload/credentials"),
    "a shared lock written": lambda: write(run + "turns/slot-0.lock"),
    "a shared lock moved": lambda: os.rename(run + "turns/slot-0.lock", run + "turns/x"),
    "a shared lock removed": lambda: os.remove(run + "turns/slot-0.lock"),
    "metrics beside": lambda: write(f"{cache}{feed}.prom"),
    "another's resend": lambda: write(f"{run}{feed}.resend"),
    "another's diff": lambda: write(f"{run}{feed}.diff"),
}
came = {}
for name, attempt in TRIES.items():
    try:
        attempt()
        came[name] = "done"
    except (OSError, ValueError) as error:
        came[name] = getattr(error, "strerror", "no number")
with open(output, "w") as out:
    json.dump(came, out)
"""
OWN = 10  # of the tries, the first ones, which a feed may do with its own files
WHOLE_SANDBOX = ""
# Without the sandbox, the unit still has its account.
ACCOUNT_ALONE = (
    "ProtectProc=default\\nProcSubset=all\\nProtectSystem=no\\nReadWritePaths=/run /var\\n"
    "PrivateTmp=no\\nSystemCallFilter=\\nRestrictNamespaces=no\\n"
)
HELD = {
    "v": 2, "feed": VICTIM, "command": "send", "outcome": "held", "exit_code": 17,
    "message": "held", "district": "Cedar Creek", "night": "2026-11-27",
    "finished": "2026-11-27T07:20:00Z", "started": "2026-11-27T07:19:00Z",
    "source": {"sha256": "ab" * 32},
}  # fmt: skip


@pytest.fixture(scope="module")
def host() -> Host:
    """Return the host with two feeds."""
    return connect(HOST)


def drop_in(feed: str) -> str:
    return f"/run/systemd/system/roster-upload@{feed}.service.d"


def run_instead(host: Host, feed: str, command: str, more: str = "") -> None:
    """Let a feed's real unit run another command in place of the program."""
    text = f"[Service]\\nExecStart=\\nExecStart={command}\\n{more}"
    host.check_output("mkdir -p %s && printf %s > %s/x.conf", drop_in(feed), text, drop_in(feed))
    host.check_output("systemctl daemon-reload")


@pytest.fixture
def running(host: Host) -> Iterator[str]:
    """Return the process id of the victim's unit, which runs as long as needed."""
    unit = f"roster-upload@{VICTIM}.service"
    host.check_output("cp /etc/hostname %s", SOURCES[VICTIM])
    run_instead(host, VICTIM, "/bin/sleep 600")
    host.check_output("systemctl start --no-block %s", unit)
    try:
        wait_for("the unit", lambda: main_pid(host, unit) != "0", 30)
        yield main_pid(host, unit)
    finally:
        host.run("systemctl stop %s; systemctl reset-failed %s", unit, unit)
        for feed in (ATTACKER, VICTIM):
            host.run("rm -rf %s", drop_in(feed))
        host.run("rm -f /opt/attack.py %s; systemctl daemon-reload", SOURCES[VICTIM])


def main_pid(host: Host, unit: str) -> str:
    return str(host.check_output("systemctl show --value --property=MainPID %s", unit))


def attack(host: Host, target: str, pid: str, sandbox: str) -> dict[str, str]:
    """Attack a feed from the attacker's unit. Return the result of each try."""
    unit, output = f"roster-upload@{ATTACKER}.service", f"{STATE}/{ATTACKER}/came.json"
    host.check_output("printf %%s %s | install -m 0644 /dev/stdin /opt/attack.py", ATTACK)
    words = f"/usr/bin/python3 /opt/attack.py {target} {pid} {SOURCES[target]} {output}"
    run_instead(host, ATTACKER, words, sandbox)
    host.check_output("systemctl start %s", unit)
    came: dict[str, str] = json.loads(host.check_output("cat %s", output))
    host.check_output("rm %s", output)
    return came


@pytest.mark.parametrize("sandbox", [WHOLE_SANDBOX, ACCOUNT_ALONE], ids=["sandbox", "account"])
def test_a_feed_reaches_nothing_of_another(host: Host, running: str, sandbox: str) -> None:
    for feed in (ATTACKER, VICTIM):
        host.check_output(
            "touch %s %s; chown --reference=%s %s %s",
            f"/var/cache/roster-upload/{feed}/{feed}.prom", f"{STATE}/{feed}/receipts.jsonl",
            f"{STATE}/{feed}", f"/var/cache/roster-upload/{feed}/{feed}.prom",
            f"{STATE}/{feed}/receipts.jsonl",
        )  # fmt: skip
    before = host.check_output("find /run/roster-upload %s -printf '%%p %%i %%u %%m\\n'", STATE)
    came = attack(host, VICTIM, running, sandbox)
    refusals = {
        "Permission denied", "Operation not permitted", "Read-only file system",
        "No such file or directory", "No such process",
    }  # fmt: skip
    assert {name: said for name, said in came.items() if said not in refusals} == {}
    if sandbox == ACCOUNT_ALONE:  # nothing is refused only because it is invisible
        assert not {"No such process", "Read-only file system"} & set(came.values())
    assert host.run("kill -0 %s", running).succeeded
    after = host.check_output("find /run/roster-upload %s -printf '%%p %%i %%u %%m\\n'", STATE)
    lines = {line for line in after.splitlines() if ATTACKER not in line}
    assert lines == {line for line in before.splitlines() if ATTACKER not in line}


@pytest.mark.usefixtures("running")
def test_the_same_tries_open_what_is_the_feeds_own(host: Host) -> None:
    """Otherwise a refusal would prove nothing."""
    host.check_output("cp /etc/hostname %s", SOURCES[ATTACKER])
    came = attack(host, ATTACKER, "self", WHOLE_SANDBOX)
    said = list(came.values())
    assert set(said[:OWN]) == {"done"}, came
    assert "done" not in said[OWN:], came


def test_every_file_of_a_feed_is_its_accounts(host: Host) -> None:
    """This includes files that a former release has left to its single account."""
    for feed in (ATTACKER, VICTIM):
        owners = "find %s /var/cache/roster-upload/%s -printf '%%u\\n' | sort -u"
        assert host.check_output(owners, f"{STATE}/{feed}", feed) == f"rf-{feed}"
        config = host.file(f"/etc/roster-upload/{feed}.toml")
        assert (config.user, config.group, config.mode) == ("root", f"rf-{feed}", 0o640)
    old = f"{STATE}/{ATTACKER}"
    host.check_output("touch %s/former; chown -R nobody %s", old, old)
    host.check_output("systemd-tmpfiles --create /etc/tmpfiles.d/roster-upload.conf")
    assert host.check_output("stat -c %%U %s/former", old) == f"rf-{ATTACKER}"
    host.check_output("rm %s/former", old)


# ---- from the account to root --------------------------------------------------------------


@pytest.fixture
def state(host: Host) -> Iterator[str]:
    """The victim's state, which the account may fill as it likes. It is restored afterwards."""
    folder = f"{STATE}/{VICTIM}"
    host.check_output("rm -rf /root/kept /root/secret; cp -a %s /root/kept", folder)
    yield folder
    host.check_output("rm -rf %s /root/secret; mv /root/kept %s", folder, folder)


def as_account(host: Host, command: str, *arguments: str) -> None:
    """Run a shell command as the attacker with the victim's account."""
    script = f"runuser -u rf-{VICTIM} -- sh -c %s x" + " %s" * len(arguments)
    host.check_output(script, command, *arguments)


def told(host: Host, command: str) -> tuple[int, str]:
    """Return the answer of root's command. The code is 124 if it has hung."""
    done = host.run(f"SUDO_USER=ada timeout 20 roster-upload {command}")
    return done.rc, done.stdout + done.stderr


def test_root_who_approves_writes_through_no_link(host: Host, state: str) -> None:
    """The file behind the link is writable only for root."""
    line = json.dumps(HELD)
    host.check_output("printf '%%s\\n' %s > /root/secret", line)
    before = host.check_output("cat /root/secret; stat -c '%i %a %Y' /root/secret")
    as_account(host, f"rm -f {state}/receipts.jsonl; ln -s /root/secret {state}/receipts.jsonl")
    code, said = told(host, f"approve {VICTIM} --digest {'ab' * 8} --reason spring")
    assert code not in (0, 124), said
    assert "receipts.jsonl" in said
    assert host.check_output("cat /root/secret; stat -c '%i %a %Y' /root/secret") == before


def test_root_who_resends_writes_nothing_into_the_accounts_folder(host: Host, state: str) -> None:
    host.check_output("echo untouched > /root/secret")
    as_account(host, f"ln -s /root/secret {state}/resend-digest")
    told(host, f"resend {VICTIM} --digest {'ab' * 32}")
    assert host.check_output("cat /root/secret") == "untouched"
    assert host.file(f"{state}/resend-digest").is_symlink
    assert host.run("test -e /run/roster-upload/%s.resend", VICTIM).rc != 0


@pytest.mark.parametrize("command", ["approve", "resend"])
def test_a_digest_is_hex(host: Host, state: str, command: str) -> None:
    """Neither root's input nor the account's files can become anything else."""
    evil = "ab" * 8 + "; touch $HOME"
    receipt = {**HELD, "source": {"sha256": evil}}
    as_account(host, 'printf "%s\\n" "$1" > "$2"', json.dumps(receipt), f"{state}/receipts.jsonl")
    why = " --reason spring" if command == "approve" else ""
    code, said = told(host, f"{command} {VICTIM} --digest '{evil}'{why}")
    assert code == 2, said
    assert "is not the start of a digest" in said
    code, said = told(host, f"approve {VICTIM} --digest {'ab' * 8} --reason spring")
    assert code == 2, said
    assert "No export is held" in said
    assert "touch" not in told(host, f"status {VICTIM}")[1]


def test_an_approval_is_the_accounts_file_and_the_operators_name(host: Host, state: str) -> None:
    as_account(host, 'printf "%s\\n" "$1" > "$2"', json.dumps(HELD), f"{state}/receipts.jsonl")
    code, said = told(host, f"approve {VICTIM} --digest {'AB' * 8} --reason spring")
    assert code == 0, said
    last = json.loads(host.check_output("tail -n 1 %s/receipts.jsonl", state))
    assert (last["who"], last["digest"]) == ("ada", "ab" * 32)
    assert host.check_output("find %s -printf '%%u\\n' | sort -u", state) == f"rf-{VICTIM}"


@pytest.mark.parametrize("kind", ["mkfifo {}", "ln -s /dev/zero {}", "mkdir {}"])
def test_what_is_no_file_holds_no_command_of_roots_up(host: Host, state: str, kind: str) -> None:
    path = f"{state}/receipts.jsonl"
    as_account(host, f"rm -rf {path}; {kind.format(path)}")
    for command in (
        f"status {VICTIM}", f"history {VICTIM}", f"explain {VICTIM}", f"forget {VICTIM}",
        f"approve {VICTIM} --digest {'ab' * 8} --reason spring",
    ):  # fmt: skip
        code, said = told(host, command)
        assert code not in (70, 124), (command, said)
    code, said = told(host, "status")  # one feed does not hide another
    assert code == 14, said
    assert ATTACKER in said


def test_a_check_reads_what_the_feed_may_read(host: Host) -> None:
    """A link in place of an export shows root's command no file of root."""
    host.check_output("echo secret > /root/secret; ln -sf /root/secret %s", SOURCES[VICTIM])
    try:
        code, said = told(host, f"check {VICTIM}")
        assert code == 5, said
        assert "cannot be read" in said
    finally:
        host.check_output("rm -f %s /root/secret", SOURCES[VICTIM])

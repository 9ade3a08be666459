"""An SIS attacks the host through its inbox: it harms itself, and nobody beside it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from support.lab_hosts import DISTRICT_HOSTS, Host, connect, wait_for
from support.sis import PORT, Sis, password_of

# One logs in by password, the other one by key, and at the administrators' port.
BAD, GOOD = "sis-aeries", "sis-other"
USERS = f"{BAD} {GOOD} sis-lab"
SETTINGS = "/etc/sis-inbox.json"
UNIT = "sis-inbox.service"
Settle = Callable[..., None]


@pytest.fixture(scope="module", params=DISTRICT_HOSTS)
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    """Each district host in turn. Its inboxes are looked at when a test says so."""
    one = connect(request.param)
    one.check_output("systemctl stop sis-inbox.timer && cp -p /etc/shadow /root/shadow")
    # Who logs in as often as here would have the host hash its password for seconds.
    cheap = bcrypt.hashpw(password_of(BAD).encode(), bcrypt.gensalt(4)).decode()
    one.check_output("usermod --password %s %s", cheap, BAD)
    yield one
    one.check_output("mv /root/shadow /etc/shadow && systemctl start sis-inbox.timer")


@pytest.fixture
def settle(host: Host) -> Iterator[Settle]:
    """Give the watcher other limits, until the test ends."""
    kept = host.file(SETTINGS).content_string

    def write(**values: Any) -> None:
        text = json.dumps({**json.loads(kept), **values})
        host.check_output("printf %%s %s > %s", text, SETTINGS)

    yield write
    host.check_output("printf %%s %s > %s", kept, SETTINGS)
    host.check_output("cd /srv/sis-inbox && rm -rf %s/incoming/d* */incoming/t-*", BAD)
    assert host.run("systemctl start %s", UNIT).succeeded


@pytest.fixture
def small_disk(host: Host) -> Iterator[None]:
    """A disk of the inboxes' own, of 20 MB and 1,000 files."""
    host.check_output(
        "mount -t tmpfs -o size=20m,nr_inodes=1000,mode=0751 none /srv/sis-inbox; "
        f"cd /srv/sis-inbox; for user in {USERS}; do install -d -m 0751 $user; "
        "install -d -m 2750 -o $user -g roster-upload $user/incoming; done"
    )
    assert host.run("systemctl start %s", UNIT).succeeded
    yield
    host.check_output("umount --lazy /srv/sis-inbox && systemctl start %s", UNIT)


def sis(host: Host, user: str) -> Sis:
    """Return the client of an account."""
    if user == BAD:
        return Sis(host, user, PORT, password_of(user))
    return Sis(host, user, 22)


def sftp(host: Host, user: str, *commands: str) -> subprocess.CompletedProcess[str]:
    """Run one session of the real client. It ends at the first command that is refused."""
    return sis(host, user).sftp(*commands)


def look(host: Host) -> bool:
    """Have the host look at its inboxes. Return whether it could look at all."""
    return bool(host.run("systemctl start %s", UNIT).succeeded)


def is_open(host: Host, user: str, folder: Path) -> bool:
    """Return whether an account can bring a file, by bringing one."""
    small = folder / "t-small"
    small.write_text("x")
    return sftp(host, user, f"put {small} t-small", "rm t-small").returncode == 0


# Within the chroot each of them has a path. From outside it is longer than the kernel takes.
NESTED = {
    "1,100 folders in each other": ["d"] * 1100,
    "a path longer than PATH_MAX": ["d" * 203] * 20,
}
LONGEST = 1_700  # characters of a path. The client takes no longer lines


def nested(names: list[str]) -> Iterator[str]:
    """Yield the client's commands that make folders in each other."""
    count = LONGEST // (len(names[0]) + 1)
    for start in range(0, len(names), count):
        stride = names[start : start + count]
        for depth in range(len(stride)):
            yield f"mkdir {'/'.join(stride[: depth + 1])}"
        yield f"cd {'/'.join(stride)}"


@pytest.mark.parametrize("names", NESTED.values(), ids=NESTED)
def test_a_tree_beyond_all_paths_closes_its_own_inbox(
    host: Host, settle: Settle, tmp_path: Path, names: list[str]
) -> None:
    made = sftp(host, BAD, *nested(names))
    assert made.returncode == 0, made.stderr
    assert look(host)
    assert is_open(host, BAD, tmp_path)
    settle(max_files=len(names) - 1)
    assert look(host)
    assert not is_open(host, BAD, tmp_path)
    assert is_open(host, GOOD, tmp_path)


@pytest.mark.usefixtures("small_disk", "settle")
def test_who_takes_all_files_of_the_disk_is_closed_alone(host: Host, tmp_path: Path) -> None:
    many = tmp_path / "d"
    many.mkdir()
    for number in range(600):
        (many / str(number)).touch()
    assert sftp(host, BAD, f"put -r {many}").returncode == 0
    assert look(host)
    assert not is_open(host, BAD, tmp_path)
    assert is_open(host, GOOD, tmp_path)
    # Its owner makes room.
    assert sftp(host, BAD, "rm d/*", "rmdir d").returncode == 0
    assert look(host)
    assert is_open(host, BAD, tmp_path)


@pytest.mark.usefixtures("small_disk", "settle")
def test_who_fills_the_disk_is_closed_alone_and_makes_room(host: Host, tmp_path: Path) -> None:
    big = tmp_path / "d-big"
    big.write_bytes(b"x" * 30_000_000)
    assert "Failure" in sftp(host, BAD, f"put {big}").stderr  # the disk is full
    assert look(host)
    (tmp_path / "d-more").touch()
    closed = sftp(host, BAD, "ls", f"put {tmp_path / 'd-more'}")
    assert "d-big" in closed.stdout
    assert "Permission denied" in closed.stderr
    # Nothing but room is missing to the other one, and its files are its own to take away.
    assert sftp(host, GOOD, "mkdir t-mine", "rmdir t-mine").returncode == 0
    for refused in ("get d-big /dev/null", "rename d-big x", "mkdir x", "chmod 777 d-big"):
        assert "ermission denied" in sftp(host, BAD, refused).stderr, refused
    assert sftp(host, BAD, "rm d-big").returncode == 0
    assert look(host)
    assert is_open(host, BAD, tmp_path)


def test_a_file_without_a_name_counts_and_its_session_ends(
    host: Host, settle: Settle, tmp_path: Path
) -> None:
    arrived = "test $(stat -c %%s %s) -gt 600000"
    big = tmp_path / "d-held"
    big.write_bytes(b"x" * 4_000_000)
    client = sis(host, BAD)
    with subprocess.Popen(
        client.command("-l", "4000"),  # 500 KB a second
        stdin=subprocess.PIPE,
        text=True,
        stderr=subprocess.PIPE,
        env=client.environment,
    ) as held:
        assert held.stdin
        held.stdin.write(f"put {big}\n")
        held.stdin.flush()
        path = f"/srv/sis-inbox/{BAD}/incoming/d-held"
        wait_for("the file", lambda: host.run(arrived, path).rc == 0, 30)
        assert sftp(host, BAD, "rm d-held").returncode == 0
        used = int(host.check_output("du -sB1 /srv/sis-inbox/%s/incoming", BAD).split()[0])
        settle(max_bytes=used + 300_000)
        assert look(host)
        assert held.wait(timeout=20) != 0
    assert look(host)
    assert is_open(host, BAD, tmp_path)


def test_no_session_outlives_its_account(host: Host, settle: Settle) -> None:
    client = sis(host, BAD)
    with subprocess.Popen(
        client.command(),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=client.environment,
    ) as held:
        wait_for("the session", lambda: host.run("pgrep -u %s", BAD).rc == 0, 30)
        settle(users=[GOOD, "sis-lab"])
        assert look(host)
        wait_for("its end", lambda: host.run("pgrep -u %s", BAD).rc == 1, 30)
        held.kill()


def test_what_cannot_be_looked_at_is_closed_alone_and_the_unit_fails(
    host: Host, tmp_path: Path
) -> None:
    home = f"/srv/sis-inbox/{BAD}"
    host.check_output("mv %s/incoming %s/away", home, home)
    try:
        assert not look(host)
        assert UNIT in host.check_output("systemctl list-units --failed --plain --no-legend")
        assert not is_open(host, BAD, tmp_path)
        assert is_open(host, GOOD, tmp_path)
    finally:
        host.check_output("mv %s/away %s/incoming", home, home)
    assert look(host)
    assert is_open(host, BAD, tmp_path)


def test_closing_touches_nothing_in_an_inbox(host: Host) -> None:
    """Whatever an account puts in the way, root writes nothing there: it has no right to."""
    shown = "systemctl show --value -p %s sis-inbox.service"
    assert host.check_output(shown, "ProtectSystem") == "strict"
    assert host.check_output(shown, "ReadWritePaths") == ""
    rights = set(host.check_output(shown, "CapabilityBoundingSet").split())
    assert rights == {"cap_dac_read_search", "cap_kill", "cap_sys_ptrace"}

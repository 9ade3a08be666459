"""The lab's own decisions, without containers; tests/integration/test_lab.py starts real ones."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "lab"
MIRROR, SECURITY = "http://mirror.example/debian", "http://mirror.example/debian-security"


def load() -> ModuleType:
    """The script as a module of its own."""
    loader = SourceFileLoader("lab", str(SCRIPT))
    spec = importlib.util.spec_from_loader("lab", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, with state, cache and mirrors of the test's own."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module = load()
    for name in ("ROOT", "STATE", "CACHE"):
        monkeypatch.setattr(module, name, tmp_path / name.lower())
    monkeypatch.setattr(module, "mirrors", lambda: (MIRROR, SECURITY))
    monkeypatch.delenv("CONTAINERS_CONF", raising=False)  # these tests may run inside of a lab
    (tmp_path / "root").mkdir()
    return module


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    """An empty /etc/apt."""
    (tmp_path / "apt" / "sources.list.d").mkdir(parents=True)
    return tmp_path / "apt"


# ---- the machine's mirrors


def test_mirrors_from_one_line_sources(apt: Path) -> None:
    (apt / "sources.list").write_text(
        "# deb http://old.example/debian trixie main\n"
        "deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] "
        f"{MIRROR}/ trixie main\ndeb {SECURITY} trixie-security main\n"
    )
    assert load().mirrors(apt) == (MIRROR + "/", SECURITY)


def test_mirrors_from_deb822_sources_before_those_of_other_publishers(apt: Path) -> None:
    folder = apt / "sources.list.d"
    (folder / "a.list").write_text("deb https://download.other.example/linux/debian trixie main\n")
    (folder / "debian.sources").write_text(
        f"Types: deb\nURIs: {MIRROR}\nSuites: trixie\nComponents: main\n\n"
        f"Types: deb\nURIs: {SECURITY}\nSuites: trixie-security\nComponents: main\n"
    )
    (folder / "debian.sources.bak").write_text("URIs: http://backup.example/debian\n")
    assert load().mirrors(apt) == (MIRROR, SECURITY)


def test_mirrors_from_the_lists_of_cloud_images(apt: Path) -> None:
    lines = []
    for name, url in (("debian.list", MIRROR), ("debian-security.list", SECURITY)):
        (apt / name).write_text(url + "\n")
        lines.append(f"Types: deb\nURIs: mirror+file://{apt / name}\nSuites: x\n")
    (apt / "sources.list.d" / "debian.sources").write_text("\n".join(lines))
    assert load().mirrors(apt) == (MIRROR, SECURITY)


def test_a_mirror_without_security_line(apt: Path) -> None:
    (apt / "sources.list").write_text(f"deb {MIRROR} trixie main\n")
    assert load().mirrors(apt) == (MIRROR, SECURITY)


def test_no_mirror(apt: Path) -> None:
    module = load()
    with pytest.raises(module.LabError, match="no Debian mirror"):
        module.mirrors(apt)


# ---- images


def test_an_image_is_named_by_what_it_is_made_of(
    lab: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {lab.image("trixie"), lab.image("bookworm")}
    monkeypatch.setattr(lab, "PACKAGES", lab.PACKAGES + ",less")
    names.add(lab.image("trixie"))
    assert len(names) == 3
    assert lab.image("trixie") in names


def builder(script: str) -> Callable[[str, Path], subprocess.Popen[str]]:
    """Stands in for build_image: a shell's line, which finds its tree's name in $1."""

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


def test_images_are_made_once_and_old_files_go(
    lab: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab, "build_image", builder(MAKE.format("made")))
    lab.CACHE.mkdir()
    for name in ("trixie-0123", "build-killed", "bookworm-4567"):
        (lab.CACHE / name).mkdir()
    for name in ("trixie-0123", "build-killed"):
        age(lab.CACHE / name)
    lab.build_images()
    made = {lab.image(release) for release in lab.RELEASES}
    assert set(lab.CACHE.iterdir()) == made | {lab.CACHE / "bookworm-4567"}
    assert all((path / "state").read_text() == "made\n" for path in made)

    monkeypatch.setattr(lab, "build_image", builder(MAKE.format("again")))
    lab.build_images()
    assert all((path / "state").read_text() == "made\n" for path in made)
    age(lab.image("trixie"))
    lab.build_images()
    assert (lab.image("trixie") / "state").read_text() == "again\n"
    assert (lab.image("bookworm") / "state").read_text() == "made\n"
    # Labs that run from the replaced one keep it until it is old, too.
    [replaced] = lab.CACHE.glob("replaced-*")
    assert (replaced / "state").read_text() == "made\n"
    lab.build_images()
    assert replaced.exists()


def test_an_image_that_cannot_be_made(lab: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "build_image", builder("echo half > $1; echo no mirror; exit 1"))
    with pytest.raises(lab.LabError, match="no mirror"):
        lab.build_images()
    assert list(lab.CACHE.iterdir()) == []


def test_an_old_image_serves_where_no_new_one_can_be_made(
    lab: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lab, "build_image", builder("echo no mirror; exit 1"))
    lab.CACHE.mkdir()
    for release in lab.RELEASES:
        lab.image(release).touch()
        age(lab.image(release))
    lab.build_images()
    assert capsys.readouterr().err.count("could not be made anew") == len(lab.RELEASES)
    assert set(lab.CACHE.iterdir()) == {lab.image(release) for release in lab.RELEASES}


def test_an_interrupted_build_leaves_nothing(
    lab: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[str]] = []

    def build(release: str, folder: Path) -> subprocess.Popen[str]:
        if started:
            raise KeyboardInterrupt
        process = builder("sleep 300 & echo half > $1; wait")(release, folder)
        started.append(process)
        return process

    monkeypatch.setattr(lab, "build_image", build)
    with pytest.raises(KeyboardInterrupt):
        lab.build_images()
    assert started[0].returncode is not None
    assert list(lab.CACHE.iterdir()) == []


# ---- provisioned hosts


def git(*words: str | Path) -> None:
    subprocess.run(["git", *words], check=True, capture_output=True)


def test_disks_are_kept_for_what_made_them(
    lab: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lab, "PROVISIONED", tmp_path / "provisioned")
    git("init", lab.ROOT)
    role = lab.ROOT / "roles" / "some_role" / "tasks.yml"
    role.parent.mkdir(parents=True)
    role.write_text("one")
    assert not lab.is_kept()
    lab.PROVISIONED.mkdir()
    (lab.PROVISIONED / "digest").write_text(lab.digest())
    (lab.ROOT / "README.md").write_text("makes no difference")
    assert lab.is_kept()
    role.write_text("two")
    assert not lab.is_kept()
    role.write_text("one")
    assert lab.is_kept()
    monkeypatch.setattr(lab, "PACKAGES", lab.PACKAGES + ",less")
    assert not lab.is_kept()


def test_a_container_begins_plain_or_provisioned(
    lab: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lab, "PROVISIONED", tmp_path)
    assert lab.disk_of("lab-bookworm", provisioned=False) == str(lab.image("bookworm"))
    assert lab.disk_of("lab-01", provisioned=False) == str(lab.image("trixie"))
    assert lab.disk_of("lab-bookworm", provisioned=True) == str(tmp_path / "lab-bookworm")
    assert lab.disk_of("lab-01", provisioned=True) == str(tmp_path / "lab-trixie")


# ---- inside


@pytest.mark.parametrize(
    ("machine", "inside"),
    [
        ("nameserver 192.0.2.53\n", "nameserver 192.0.2.53\n"),
        ("search example\nnameserver 127.0.0.53\n", "search example\nnameserver 10.0.2.3\n"),
        ("nameserver ::1\n", "nameserver 10.0.2.3\n"),
        ("nameserver 127.0.0.1\nnameserver 192.0.2.1\n", "nameserver 192.0.2.1\n"),
        ("nameserver fe80::1%eth0\n", "nameserver fe80::1%eth0\n"),
        ("# nameserver 192.0.2.1\n", "# nameserver 192.0.2.1\nnameserver 10.0.2.3\n"),
        ("", "nameserver 10.0.2.3\n"),
    ],
)
def test_resolver(lab: ModuleType, machine: str, inside: str) -> None:
    assert lab.resolver_settings(machine) == inside


V1 = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n"


@pytest.mark.parametrize(
    ("mount_table", "commands"),
    [
        ("cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n", []),
        (
            V1 + "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nsdelegate 0 0\n",
            ["umount /sys/fs/cgroup/pids", "mount --move /sys/fs/cgroup/unified /sys/fs/cgroup"],
        ),
        (V1, ["umount /sys/fs/cgroup/pids", "mount -t cgroup2 none /sys/fs/cgroup"]),
    ],
    ids=["version 2", "hybrid", "version 1"],
)
def test_a_cgroup_tree_is_mounted_anew_only_where_there_is_none(
    lab: ModuleType, monkeypatch: pytest.MonkeyPatch, mount_table: str, commands: list[str]
) -> None:
    done: list[str] = []
    monkeypatch.setattr(lab, "run", lambda *words: done.append(" ".join(words)))
    lab.use_cgroup2(mount_table)
    assert done == commands


# ---- processes


def test_waiting_has_an_end(lab: ModuleType) -> None:
    lab.wait(lambda: True, 0, "nothing")
    with pytest.raises(lab.LabError, match="a miracle: not within 0 s"):
        lab.wait(lambda: False, 0.01, "a miracle")


def test_the_first_process_is_found_and_ended(lab: ModuleType) -> None:
    outer = subprocess.Popen(["sh", "-c", "sleep 300; exit 7"], text=True)
    pid = lab.first_process(outer)
    assert Path(f"/proc/{pid}/comm").read_text() in {"sleep\n", "sh\n"}
    lab.end(pid)
    assert outer.wait(10) == 7
    assert lab.first_process(outer) is None
    lab.end(pid)  # no longer there: nothing to do


@pytest.mark.parametrize("text", [None, "", "nonsense", "999999999", "another's"])
def test_no_lab_runs(lab: ModuleType, text: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    if text == "another's":
        text = str(os.getpid())
    if text is not None:
        lab.STATE.mkdir()
        (lab.STATE / "pid").write_text(text)
    assert lab.holder() is None
    assert lab.status_command([]) == 1
    assert ("scripts/lab down" in capsys.readouterr().out) is (text is not None)
    with pytest.raises(lab.LabError, match="scripts/lab up"):
        lab.inside(["true"])
    with pytest.raises(lab.LabError, match="scripts/lab up"):
        lab.connect_command(["192.0.2.1", "22"])


def test_one_command_at_a_time(lab: ModuleType) -> None:
    path = lab.ROOT / ".lab.lock"
    with lab.lock(), path.open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)])
def test_run_ends_as_its_command_does(
    lab: ModuleType, monkeypatch: pytest.MonkeyPatch, script: str, code: int
) -> None:
    monkeypatch.setattr(lab, "within", lambda: True)
    assert lab.run_command(["sh", "-c", script]) == code


def test_inside_of_the_lab_commands_run_directly(
    lab: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in lab.podman_environment().items():
        monkeypatch.setenv(name, value)
    assert lab.inside(["true"]) == ["true"]
    monkeypatch.setattr(lab, "STATE", lab.STATE / "of-another-checkout")
    with pytest.raises(lab.LabError):
        lab.inside(["true"])


# ---- the relay


def test_the_relay_carries_both_ways_at_once_and_tells_ends(lab: ModuleType) -> None:
    ours, theirs = socket.socketpair()
    source, feed = os.pipe()
    outlet, sink = os.pipe()
    sent, answer = os.urandom(3_000_000), os.urandom(3_000_000)
    got: dict[str, bytes] = {}

    def server() -> None:  # answers before it reads, which would block a relay of one thread
        theirs.sendall(answer)
        with theirs.makefile("rb") as stream:
            got["server"] = stream.read()  # ends where the relay says that its input has ended
        theirs.close()

    def writer() -> None:
        with open(feed, "wb") as stream:  # noqa: PTH123 - a descriptor
            stream.write(sent)

    def reader() -> None:
        with open(outlet, "rb") as stream:  # noqa: PTH123 - a descriptor
            got["client"] = stream.read()

    threads = [threading.Thread(target=work) for work in (server, writer, reader)]
    for thread in threads:
        thread.start()
    lab.relay(ours, source, sink)
    os.close(sink)
    for thread in threads:
        thread.join(10)
    assert got == {"server": sent, "client": answer}
    ours.close()
    os.close(source)


def test_a_closed_port_is_named(lab: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "within", lambda: True)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(lab.LabError, match=f"127.0.0.1 port {port}: .*refused"):
            lab.connect("127.0.0.1", port)


# ---- the command line


@pytest.mark.parametrize(
    "words",
    [
        "", "bogus", "run", "run --", "exec", "sh", "connect", "connect 192.0.2.1", "up now",
        "--only=nobody up", "--provisioned down", "--only=lab-sftp add lab-01",
    ],
)  # fmt: skip
def test_wrong_usage(
    lab: ModuleType, monkeypatch: pytest.MonkeyPatch, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["scripts/lab", *words.split()])
    with pytest.raises(SystemExit) as ended:
        lab.main()
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_port_is_a_number(lab: ModuleType) -> None:
    with pytest.raises(lab.LabError, match="'x' is not a port"):
        lab.connect_command(["192.0.2.1", "x"])


@pytest.mark.parametrize(("level", "says"), [(None, "sudo scripts/lab up"), ("1", "sudo make")])
def test_without_root_it_says_what_to_type(
    lab: ModuleType, monkeypatch: pytest.MonkeyPatch, level: str | None, says: str
) -> None:
    monkeypatch.delenv("MAKELEVEL", raising=False)
    if level:
        monkeypatch.setenv("MAKELEVEL", level)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", ["scripts/lab", "up"])
    with pytest.raises(lab.LabError, match=says):
        lab.main()


def test_missing_tools_without_apt(lab: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab.shutil, "which", lambda _: None)
    with pytest.raises(lab.LabError, match=r"aardvark-dns .*podman"):
        lab.need_tools()


def test_a_signal_becomes_an_exit_code(lab: ModuleType) -> None:
    with pytest.raises(SystemExit) as ended:
        lab.stop(signal.SIGTERM, None)
    assert ended.value.code == 143

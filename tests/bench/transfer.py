"""Measure an upload beside other clients, login included, to a real OpenSSH server.

    make bench                                                    all benches
    PYTHONPATH=scripts:tests scripts/lab run -- python -m bench.transfer [--rounds N]
        [--release trixie|bookworm]

Server and clients are Debian's own, in one container of the lab. The targets are the project's own
(README.md beside this file). A missed target is marked and ends with exit code 1.
"""

from __future__ import annotations

import argparse
import contextlib
import filecmp
import json
import os
import platform
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import paramiko
from roster_upload import config
from roster_upload.transfer import upload, writer
from roster_upload.transfer.info import ConnectionInfo

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = [
    "openssh-client", "rclone", "lftp", "python3-paramiko", "python3-numpy",
    "dropbear-bin", "openssh-sftp-server",
]  # fmt: skip
# The only cipher of a release's server: the fastest one of its paramiko.
CIPHERS = {"trixie": "aes128-gcm@openssh.com", "bookworm": "aes128-ctr"}
SETTINGS = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {home}/host_key
AuthorizedKeysFile {home}/key.pub
Ciphers {cipher}
MACs hmac-sha2-256-etm@openssh.com
KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
PidFile none
ChrootDirectory /vendor
ForceCommand internal-sftp
Subsystem sftp internal-sftp
"""
VENDOR = Path("/vendor")  # in the container, in memory
TARGET = "/imagine/0123456-Bench/product/arrived.zip"
SIZES = {"64 MB": 64 << 20, "2 MB": 2 << 20}
SLOW_SIZES = {"300 kB": 300_000, "8 MB": 8_000_000}
WINDOW_BYTES = 2 << 20  # of OpenSSH's channels: no client has more in flight
ROUND_TRIP = 0.06  # seconds
NEAR, PROXIED, FAR = "0 ms", "0 ms, by the delaying proxy", "60 ms"
# Slow lines: round trip in seconds, bytes a second, and the file.
SLOW = {
    "60 ms, 256 kbit/s": (0.06, 32_000, "300 kB"),
    "80 ms, 16 Mbit/s": (0.08, 2_000_000, "8 MB"),
}
SLOW_ROUNDS = 2
# A server with a small window: Dropbear's is 24 KB.
NARROW = {"0 ms, window of 24 KB": 0.0, "60 ms, window of 24 KB": 0.06}
NARROW_SIZE = "2 MB"
FIRST = "until the first acknowledged bytes"
FIRST_LIMIT = 1.0  # seconds
DATA = "of it from the first request to the last answer"
OURS, REFERENCE = "roster-upload", "OpenSSH sftp"
LIMITS = {
    NEAR: 1.0,
    FAR: 0.87,
    **dict.fromkeys(SLOW, 1.05),
    **dict.fromkeys(NARROW, 1.3),
}  # of the reference's time

Phases = dict[str, float]  # seconds by phase of a delivery


@dataclass(frozen=True)
class Bench:
    """The input of all clients: a folder with key, files and settings, and the host key."""

    home: Path
    host_key: str

    def source(self, size: str) -> Path:
        """Return the file of a size."""
        return self.home / f"{size.replace(' ', '')}.zip"

    def values(self, port: int, size: str) -> dict[str, object]:
        """Return a feed's configuration."""
        folder, _, name = TARGET.rpartition("/")
        return {
            "feed": "bench",
            "district": "Bench",
            "format": "other",
            "source": str(self.source(size)),
            "remote_host": "127.0.0.1",
            "remote_port": port,
            "remote_dir": folder,
            "remote_name": name,
            "username": "root",
            "auth": "key",
            "host_keys": [self.host_key],
            "quiet_seconds": 0,
            "keep_packages": 0,
        }

    def ssh(self, port: int) -> list[str]:
        """Return the options of OpenSSH's programs."""
        known = self.home / "known_hosts"
        known.write_text(f"[127.0.0.1]:{port} {self.host_key}\n")
        options = ["IdentitiesOnly=yes", "BatchMode=yes", f"UserKnownHostsFile={known}"]
        return ["-F", "none", "-i", f"{self.home}/key", *(f"-o{option}" for option in options)]


# ---- the clients ---------------------------------------------------------------------------


def ours(bench: Bench, port: int, size: str) -> Phases:
    """Deliver with the program's own upload, as `send` calls it."""
    feed = config.parse(bench.values(port, size))
    facts = ConnectionInfo()
    secret = (bench.home / "key").read_bytes()
    write, began = writer.write, 0.0

    def timed(*given: Any, **named: Any) -> Any:
        nonlocal began
        began = time.monotonic()
        with facts.phase(DATA):
            return write(*given, **named)

    def progress(_count: int) -> None:
        facts.seconds.setdefault(FIRST, time.monotonic() - began)

    source = bench.source(size)
    with mock.patch.object(upload, "write", timed):
        upload.deliver(feed, secret, source, source.stat().st_size, facts, progress=progress)
    return facts.seconds


def ours_from_the_start(bench: Bench, port: int, size: str) -> Phases:
    """Run the program as its unit does: interpreter, private copy, hash, receipt and all."""
    state = bench.home / "state"
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in bench.values(port, size).items()]
    (bench.home / "bench.toml").write_text("".join(lines))
    options = [f"--config-dir={bench.home}", f"--state-dir={state}"]
    settings = {**os.environ, "CREDENTIALS_DIRECTORY": str(bench.home)}
    command = [sys.executable, "-I", f"{bench.home}/roster-upload", *options, "send", "bench"]
    try:
        run(command, env=settings)
    finally:
        shutil.rmtree(state)
    return {}


def openssh(bench: Bench, port: int, size: str) -> Phases:
    """`sftp -b`."""
    words = ["sftp", *bench.ssh(port), "-b", "-", "-P", str(port), "root@127.0.0.1"]
    run(words, stdin=f"put {bench.source(size)} {TARGET}\n")
    return {}


def rclone(bench: Bench, port: int, size: str) -> Phases:
    """Run `rclone copyto`, which has no shell to compute a hash on a server like this."""
    bench.ssh(port)
    options = {
        "config": "/dev/null",
        "sftp-host": "127.0.0.1",
        "sftp-port": str(port),
        "sftp-user": "root",
        "sftp-key-file": f"{bench.home}/key",
        "sftp-known-hosts-file": f"{bench.home}/known_hosts",
        "sftp-disable-hashcheck": "true",
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    run(["rclone", "copyto", *words, str(bench.source(size)), f":sftp:{TARGET}"])
    return {}


def lftp(bench: Bench, port: int, size: str) -> Phases:
    """Run `lftp` over OpenSSH's ssh."""
    program = " ".join(["ssh", "-a", "-x", *bench.ssh(port)])
    script = (
        f'set sftp:connect-program "{program}"; set cmd:fail-exit yes; '
        f"open -u root,none -p {port} sftp://127.0.0.1; put {bench.source(size)} -o {TARGET}"
    )
    run(["lftp", "-c", script])
    return {}


def paramiko_put(bench: Bench, port: int, size: str) -> Phases:
    """Run paramiko's own `put`."""
    key = paramiko.Ed25519Key.from_private_key_file(f"{bench.home}/key")
    with contextlib.closing(paramiko.Transport(("127.0.0.1", port))) as transport:
        transport.connect(username="root", pkey=key)
        session = paramiko.SFTPClient.from_transport(transport)
        if session is None:
            sys.exit("bench: paramiko opened no SFTP session")
        session.put(str(bench.source(size)), TARGET)
    return {}


CLIENTS: dict[str, Callable[[Bench, int, str], Phases]] = {
    OURS: ours,
    "the same, as its unit starts it": ours_from_the_start,
    REFERENCE: openssh,
    "rclone": rclone,
    "lftp": lftp,
    "paramiko's put": paramiko_put,
}


def run(words: list[str], *, stdin: str = "", env: dict[str, str] | None = None) -> str:
    """Run a command and return its output. End the bench if it fails."""
    done = subprocess.run(
        words, input=stdin, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


# ---- in the container ----------------------------------------------------------------------


@contextlib.contextmanager
def process(*words: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process for the time of the block."""
    started = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        yield started
    finally:
        started.terminate()
        started.wait(20)


@contextlib.contextmanager
def server(home: Path, release: str) -> Iterator[tuple[Bench, int]]:
    """Start an OpenSSH server that keeps its files in memory. Return its port."""
    for name in ("key", "host_key"):
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / name)])
    shutil.copy(home / "key", home / "bench_current")  # the feed's credentials
    (home / "bench_state").write_bytes(os.urandom(32))
    bench = Bench(home, " ".join((home / "host_key.pub").read_text().split()[:2]))
    for size, count in {**SIZES, **SLOW_SIZES}.items():
        bench.source(size).write_bytes(os.urandom(count))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = SETTINGS.format(port=port, home=home, cipher=CIPHERS[release])
    (home / "sshd_config").write_text(settings)
    Path("/run/sshd").mkdir(exist_ok=True)
    (VENDOR / TARGET[1:]).parent.mkdir(parents=True)
    with process("/usr/sbin/sshd", "-D", "-f", f"{home}/sshd_config"):
        wait_for(port)
        yield bench, port


def wait_for(port: int) -> None:
    """Wait until a server listens."""
    end = time.monotonic() + 10
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        if time.monotonic() > end:
            sys.exit("bench: the server does not listen")
        time.sleep(0.05)


@contextlib.contextmanager
def narrow_server(home: Path) -> Iterator[tuple[Bench, int]]:
    """Start a Dropbear server for the same key and files. Return its port."""
    host_key = home / "dropbear_key"
    told = run(["dropbearkey", "-t", "ed25519", "-f", str(host_key)])
    [public] = [line for line in told.splitlines() if line.startswith("ssh-ed25519 ")]
    (Path.home() / ".ssh").mkdir(mode=0o700, exist_ok=True)
    shutil.copy(home / "key.pub", Path.home() / ".ssh/authorized_keys")
    root = Path("/imagine")  # it does not have its folder as its root
    if not root.is_symlink():
        root.symlink_to(VENDOR / "imagine")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with process("dropbear", "-F", "-p", f"127.0.0.1:{port}", "-r", str(host_key)):
        wait_for(port)
        yield Bench(home, " ".join(public.split()[:2])), port


@contextlib.contextmanager
def line(port: int, round_trip: float, rate: float | None = None) -> Iterator[int]:
    """Open a line to a port, with a round trip in seconds and bytes a second. Return its port."""
    words = [sys.executable, "-m", "bench.link", str(round_trip), str(port)]
    words += [str(rate)] if rate else []
    with process(*words) as proxy:
        assert proxy.stdout
        yield int(proxy.stdout.readline())


def measure(client: str, bench: Bench, port: int, size: str) -> tuple[float, Phases]:
    """Return the seconds of one verified upload, and of the program's own by phase."""
    arrived = VENDOR / TARGET[1:]
    arrived.unlink(missing_ok=True)
    start = time.monotonic()
    phases = CLIENTS[client](bench, port, size)
    seconds = time.monotonic() - start
    if not filecmp.cmp(bench.source(size), arrived, shallow=False):
        sys.exit(f"bench: by {client} another file has arrived")
    return seconds, phases


Samples = dict[tuple[str, str, str], list[tuple[float, Phases]]]  # by line, size and client


def take_samples(home: Path, release: str, rounds: int) -> Samples:
    """Upload with all clients in turn, each round in another order. The first is a warm-up."""
    samples: Samples = {}
    with (
        server(home, release) as (bench, port),
        line(port, 0) as proxied,
        line(port, ROUND_TRIP) as far,
    ):
        for number in range(rounds + 1):
            for name, to in ((NEAR, port), (PROXIED, proxied), (FAR, far)):
                for size in SIZES:
                    for client in random.sample(list(CLIENTS), len(CLIENTS)):
                        sample = measure(client, bench, to, size)
                        if number:
                            samples.setdefault((name, size, client), []).append(sample)
        for name, (round_trip, rate, size) in SLOW.items():
            with line(port, round_trip, rate) as slow:
                for _ in range(SLOW_ROUNDS):
                    for client in random.sample([OURS, REFERENCE], 2):
                        sample = measure(client, bench, slow, size)
                        samples.setdefault((name, size, client), []).append(sample)
        with narrow_server(home) as (narrow, narrow_port):
            for name, round_trip in NARROW.items():
                with line(narrow_port, round_trip) as to:
                    for _ in range(SLOW_ROUNDS):
                        for client in random.sample([OURS, REFERENCE], 2):
                            sample = measure(client, narrow, to, NARROW_SIZE)
                            samples.setdefault((name, NARROW_SIZE, client), []).append(sample)
    return samples


def median(samples: Samples, name: str, size: str, client: str) -> float:
    """Return the median of a client's seconds."""
    return statistics.median(seconds for seconds, _ in samples[name, size, client])


def report(samples: Samples) -> bool:
    """Print the tables. Return whether all targets are met."""
    is_good = True
    for name in (NEAR, PROXIED, FAR):
        for size, count in SIZES.items():
            print(f"\n{size}, round trip {name}")
            print(f"{'client':<34} {'seconds':>8} {'MB/s':>6} {'to sftp':>8}  target")
            reference = median(samples, name, size, REFERENCE)
            for client in CLIENTS:
                seconds = median(samples, name, size, client)
                ratio, speed = seconds / reference, count / 1e6 / seconds
                limit = LIMITS.get(name) if client == OURS else None
                told = f"{limit:.2f}{' OVER' if ratio > limit else ''}" if limit else ""
                is_good = is_good and not told.endswith("OVER")
                print(f"{client:<34} {seconds:>8.3f} {speed:>6.0f} {ratio:>8.2f}  {told}")
    return is_good


def report_slow(samples: Samples) -> bool:
    """Print slow lines and the server with a small window. Return whether all targets are met."""
    is_good = True
    print(f"\n{'line':<24} {'file':>7} {'ours s':>8} {'sftp s':>8} {'to sftp':>8}  target")
    sizes = {name: size for name, (_, _, size) in SLOW.items()} | dict.fromkeys(NARROW, NARROW_SIZE)
    for name, size in sizes.items():
        seconds = median(samples, name, size, OURS)
        reference = median(samples, name, size, REFERENCE)
        first = max(phases[FIRST] for _, phases in samples[name, size, OURS])
        is_met = seconds / reference <= LIMITS[name] and first <= FIRST_LIMIT
        is_good = is_good and is_met
        told = f"{LIMITS[name]:.2f}; {first:.2f} s {FIRST} (limit {FIRST_LIMIT:g})"
        ratio = seconds / reference
        print(
            f"{name:<24} {size:>7} {seconds:>8.2f} {reference:>8.2f} {ratio:>8.2f}  {told}"
            f"{'' if is_met else ' OVER'}"
        )
    return is_good


def report_phases(samples: Samples) -> None:
    """Print the program's own phases at a distance, and its share of the window's limit."""
    print(f"\n{OURS} at {FAR}, by phase: seconds (round trips)")
    for size, count in SIZES.items():
        taken = [phases for _, phases in samples[FAR, size, OURS]]
        medians = {name: statistics.median(phases[name] for phases in taken) for name in taken[0]}
        shown = [f"{name} {s:.3f} ({s / ROUND_TRIP:.1f})" for name, s in medians.items()]
        print(f"{size}: {', '.join(shown)}")
        limit, reached = WINDOW_BYTES / ROUND_TRIP, count / medians[DATA]
        told = f"of the {limit / 1e6:.0f} MB/s that the server's window allows"
        print(f"  {reached / 1e6:.0f} MB/s while writing, {reached / limit:.0%} {told}")


def bench_inside(release: str, rounds: int) -> int:
    """Measure inside the container, where this writes files. Return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy("/bench/roster-upload", folder)
        samples = take_samples(Path(folder), release, rounds)
    versions = {
        "OpenSSH": run(["ssh", "-V"]).split(",")[0].removeprefix("OpenSSH_"),
        "Python": platform.python_version(),
        "paramiko": str(paramiko.__version__),
        "rclone": run(["rclone", "version"]).split()[1],
        "lftp": run(["lftp", "--version"]).split("|")[1].split()[1],
    }
    print(", ".join(f"{name} {version}" for name, version in versions.items()))
    print(f"{os.cpu_count()} cores, {CIPHERS[release]}, medians of {rounds} rounds")
    is_good = report(samples)
    is_good = report_slow(samples) and is_good
    report_phases(samples)
    return 0 if is_good else 1


# ---- outside of it -------------------------------------------------------------------------


def bench_in_container(release: str, rounds: int) -> int:
    """Start the container and measure in it. Return the exit code."""
    from support.container import image, unchanged  # noqa: PLC0415 - needs pytest, which is not in there
    from unit.test_program import build  # noqa: PLC0415 - needs Ansible, which is not in there

    install = (
        f"apt-get update -qq && apt-get install -qq -y --no-install-recommends {' '.join(PACKAGES)}"
    )
    measure_there = f"python3 -m bench.transfer --inside --release={release} --rounds={rounds}"
    script = f"({install}) >/tmp/log 2>&1 || {{ cat /tmp/log; exit 2; }}; exec {measure_there}"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "roster-upload").write_bytes(build())
        words = [
            "podman", "run", "--rm", "--network=host", "--privileged", "--cgroups=disabled",
            f"--volume={ROOT}:/project:ro", f"--volume={folder}:/bench:ro",
            "--tmpfs=/vendor:size=256m,mode=755", "--tmpfs=/tmp:size=512m",
            "--env=PYTHONPATH=/project/scripts:/project/tests",
            "--env=DEBIAN_FRONTEND=noninteractive",
            *unchanged(image(release)), "sh", "-ec", script,
        ]  # fmt: skip
        return subprocess.run(words, check=False).returncode


def main() -> int:
    """Measure. Return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--release", choices=CIPHERS, default="trixie")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        return bench_inside(given.release, given.rounds)
    if "LAB" not in os.environ:
        sys.exit("bench: needs the lab's images; type: make bench")
    return bench_in_container(given.release, given.rounds)


if __name__ == "__main__":
    sys.exit(main())

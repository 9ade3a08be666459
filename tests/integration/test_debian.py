"""Run the program on Debian's own Python and paramiko, of both releases, in containers."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import struct
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from roster_upload.exits import Exit
from support import rosters, trees, verdicts, waiting
from support.container import running
from support.district import FEED, SCRIPTS, District
from support.line import Line, Uplink
from support.vendor import OLD, PASSWORD, Vendor, serving
from unit.test_config import GOOD
from unit.test_program import build
from unit.transfer.test_packets import TITLE, VERSION, offer
from unit.transfer.test_packets import serving as raw_server
from unit.validation import test_fuzz as fuzz

pytestmark = pytest.mark.lab
SERVE = """\
set -e
python3 -c 'import paramiko; print("paramiko", paramiko.__version__)'
echo "ready to deliver"
trap 'exit 0' TERM
sleep infinity & wait
"""
# The expected version of each release.
PARAMIKO = {"bookworm": "2.12", "trixie": "3.5"}
# The algorithms with AES-CTR. Without strict kex, packets can be cut out under the second one.
MAC = {"2.12": "hmac-sha2-256", "3.5": "hmac-sha2-256-etm@openssh.com"}
MUTATED = 150  # of the fuzzer's packages
# Their many megabytes are about memory and time, which the fuzzer itself limits.
TOO_LONG = {"long-sourcedids", "long-values", "a-quote-a-line"}
LARGE_STUDENTS = 80_000  # more than a window of bytes


class Container:
    """A container in which a district's commands run. Its folders have the same names there."""

    def __init__(self, name: str, folder: Path, paramiko: str) -> None:
        self.name = name
        self.paramiko = paramiko
        self.folder = folder

    def start(self, district: District) -> subprocess.Popen[str]:
        """Start a delivery."""
        settings = {
            "PYTHONPATH": str(SCRIPTS),
            "PYTHONDONTWRITEBYTECODE": "1",
            "CREDENTIALS_DIRECTORY": str(district.credential.parent),
            "TMPDIR": str(district.folder / "tmp"),
        }
        options = [f"--env={key}={value}" for key, value in settings.items()]
        folders = [f"--config-dir={district.folder}/config", f"--state-dir={district.folder}/state"]
        return subprocess.Popen(
            ["podman", "exec", *options, self.name, "python3", "-m", "roster_upload", *folders,
             "send", FEED],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def send(self, district: District) -> tuple[int, str]:
        """Deliver. Return the exit code and the output."""
        process = self.start(district)
        told, _ = process.communicate(timeout=waiting.HANG_SECONDS)
        return process.returncode, told

    def stop(self, name: str) -> None:
        """Send a signal to the delivery."""
        words = ["podman", "exec", self.name, "pkill", f"-{name}", "-f", "roster_upload"]
        subprocess.run(words, check=True)


@pytest.fixture(scope="module", params=PARAMIKO)
def container(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Container]:
    folder = tmp_path_factory.mktemp("debian")
    name = f"roster-{uuid.uuid4().hex[:12]}"
    options = (f"--name={name}", f"--volume={folder}:{folder}", f"--volume={SCRIPTS}:{SCRIPTS}:ro")
    home = folder / "home"
    home.mkdir()
    tree = trees.made(*trees.PROGRAM)[request.param]
    with running(
        tree, home, "sh", "-c", SERVE,
        is_ready=lambda log: "ready to deliver\n" in log, options=options,
    ):  # fmt: skip
        assert f"paramiko {PARAMIKO[request.param]}" in (home / "log").read_text()
        yield Container(name, folder, PARAMIKO[request.param])


@dataclass(frozen=True)
class Corpus:
    """Packages, their questions, and the control node's answer, by package."""

    folder: Path
    answer: dict[str, list[dict[str, Any]]]

    def asked_at(self, folder: Path) -> list[str]:
        """Return the command to run if the packages are in this folder."""
        names = ("verdicts.py", "program", "packages", "question")
        return ["-I", *(str(folder / name) for name in names)]


def is_damaged(verdict: dict[str, Any]) -> bool:
    """Return whether the archive is faulty. Debian's zipfile knows more such faults than others."""
    return any(finding["rule"] == "package.damaged" for finding in verdict["findings"])


def answer(output: str) -> dict[str, list[dict[str, Any]]]:
    """Return the verdicts by package."""
    return {line["package"]: line["verdicts"] for line in map(json.loads, output.splitlines())}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    packages = folder / "packages"
    packages.mkdir()
    (packages / verdicts.BASE).write_bytes(rosters.build(students=6, schools=2))
    for seed in range(MUTATED):
        (packages / f"{seed:05}").write_bytes(fuzz.mutated(seed))
    for name in fuzz.HOSTILE.keys() - TOO_LONG:
        (packages / name).write_bytes(fuzz.HOSTILE[name]())
    (folder / "program").write_bytes(build())
    (folder / "question").write_text(json.dumps({"feed": GOOD, "terms": fuzz.ASKED}))
    shutil.copy(verdicts.__file__, folder / "verdicts.py")
    made = Corpus(folder, {})
    command = [sys.executable, *made.asked_at(folder)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return Corpus(folder, answer(told))


@pytest.fixture
def at(container: Container) -> Iterator[tuple[Container, District, Vendor]]:
    """Start a district in the container, and its vendor with yesterday's file."""
    folder = container.folder / uuid.uuid4().hex[:8]
    with contextlib.ExitStack() as stack:
        vendor = stack.enter_context(serving(Vendor(folder / "vendor", PASSWORD)))
        (vendor.folder / "OneRoster.zip").write_bytes(OLD)
        district = District(folder / "district", vendor, PASSWORD.encode())
        large = rosters.build(students=LARGE_STUDENTS)
        district.export.write_bytes(large)
        assert len(large) > 2_088_960
        yield container, district, vendor


def test_a_leftover_beside_a_large_package(at: tuple[Container, District, Vendor]) -> None:
    container, district, vendor = at
    vendor.cut_at, vendor.at_write, vendor.cut_once = "write", 40, True
    assert container.send(district)[0] == Exit.VANISHED
    assert len(vendor.held) == 2
    code, told = container.send(district)
    assert code == Exit.OK, told
    assert district.is_delivered


@pytest.mark.parametrize("name", ["TERM", "INT"])
def test_a_stop_while_it_sends(at: tuple[Container, District, Vendor], name: str) -> None:
    container, district, vendor = at
    with Line(vendor.port, Uplink(60_000)).up() as port:
        district.configure(remote_port=port, attempts=5)
        process = container.start(district)
        waiting.until(lambda: vendor.writes > 3, "the transfer")
        container.stop(name)
        told, _ = process.communicate(timeout=waiting.HANG_SECONDS)
    assert process.returncode == Exit.STOPPED, told
    assert f"stopped by SIG{name}: " in district.last["message"]
    assert vendor.held == {"OneRoster.zip": OLD}


def test_a_server_that_renames_nothing(at: tuple[Container, District, Vendor]) -> None:
    container, district, vendor = at
    vendor.refuse = {"posix-rename": 4, "rename": 4}
    code, told = container.send(district)
    assert code == Exit.OK, told
    assert district.last["remote"]["method"] == "in-place"
    assert district.is_delivered


def test_no_packet_can_be_cut_out_unseen(at: tuple[Container, District, Vendor]) -> None:
    """CVE-2023-48795, with a server that offers AES-CTR alone."""
    container, district, _ = at
    ctr = {"encryption_algs": ["aes128-ctr"]}
    with serving(Vendor(container.folder / uuid.uuid4().hex[:8], PASSWORD, options=ctr)) as vendor:
        district.configure(remote_port=vendor.port, host_keys=[vendor.host_key])
        code, told = container.send(district)
        assert code == Exit.OK, told
        assert set(vendor.macs) == {MAC[container.paramiko]}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (VERSION + struct.pack(">I", 0xFFFF_FFFC) * 4, "a packet's length is wrong"),
        (VERSION + offer(b"\xff\xfe"), "its handshake is malformed (UnicodeDecodeError)"),
        (VERSION + offer(TITLE), "no algorithm in common"),
        (TITLE + b"\r\n", r"says: \x1b]0;All districts delivered\x07"),
    ],
)
def test_a_server_that_speaks_no_good_ssh(
    at: tuple[Container, District, Vendor], said: bytes, told: str
) -> None:
    container, district, _ = at

    def talk(server: socket.socket) -> None:
        server.sendall(said)
        server.shutdown(socket.SHUT_WR)

    with raw_server(talk) as feed:
        district.configure(remote_port=feed.remote_port)
        _, shown = container.send(district)
    assert told in shown
    assert all(map(str.isprintable, shown.split("\n")))


def test_hostile_packages_get_the_verdict_of_the_control_node(
    container: Container, corpus: Corpus
) -> None:
    """Use the shipped program, on the release's own Python and numpy."""
    folder = container.folder / "corpus"
    shutil.copytree(corpus.folder, folder)
    command = ["podman", "exec", container.name, "python3", *corpus.asked_at(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-200:] + done.stderr[-2000:]
    told = answer(done.stdout)
    assert len(told) > MUTATED
    assert told.keys() == corpus.answer.keys()
    for name, verdicts_there in told.items():
        for there, here in zip(verdicts_there, corpus.answer[name], strict=True):
            assert there["accepted"] == here["accepted"], name
            assert there == here or is_damaged(there) or is_damaged(here), name

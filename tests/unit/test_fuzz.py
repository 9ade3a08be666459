"""A bounded fuzzer: whatever is in a package, it ends in a report, soon, and in little memory."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import rosters

ROOT = Path(__file__).resolve().parents[2]
CASES = 400
# Checks each package of a folder in a process of its own limits; a case that takes too long, too
# much memory, or raises ends it, and its name is the last that was printed.
CHILD = """
import resource, signal, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000))
from roster_upload.validate import Terms, check
formats = ("oneroster-1.1", "traditional-math")
for path in sorted(Path(sys.argv[1]).iterdir()):
    print(path.name, flush=True)
    signal.alarm(15)
    for name in formats:
        report = check(path, Terms(format=name), key=b"k" * 32)
        for finding in report.findings:
            assert "Quillfeather" not in finding.text()
            finding.record()
print("end", flush=True)
"""


def run(folder: Path) -> None:
    """Checks a folder's packages in the child; fails with the name of the one that broke it."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)],
        env={"PYTHONPATH": str(ROOT / "scripts"), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["end"], done.stdout[-200:] + done.stderr[-2000:]


def flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 20)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def splice(data: bytearray, chance: random.Random) -> None:
    at, start = chance.randrange(len(data)), chance.randrange(len(data))
    data[at:at] = data[start : start + chance.randint(1, 2000)]


def drop(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    del data[at : at + chance.randint(1, 500)]


def lie(data: bytearray, chance: random.Random) -> None:
    """Other numbers in the archive's directory: sizes, offsets, flags, methods."""
    at = data.find(b"PK\x01\x02", chance.randrange(len(data)))
    if at >= 0:
        place = at + chance.choice([8, 10, 16, 20, 24, 28, 30, 42])
        value = chance.choice([0, 1, 0xFFFF, 0xFFFFFFFF, chance.getrandbits(32)])
        data[place : place + 4] = struct.pack("<I", value)


def noise(data: bytearray, chance: random.Random) -> None:
    """Within a file's text: quotes, NULs, line ends, bytes that are no UTF-8."""
    for _ in range(chance.randint(1, 30)):
        at = chance.randrange(len(data) + 1)
        data[at:at] = chance.choice([b'"', b'""', b"\0", b"\r", b"\n", b",", b"\xff", b"\xc3"])


OUTSIDE: list[Callable[[bytearray, random.Random], None]] = [flip, cut, splice, drop, lie]
INSIDE: list[Callable[[bytearray, random.Random], None]] = [flip, cut, splice, drop, noise]


def mutated(seed: int) -> bytes:
    """A package with faults in its archive or in one of its files."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    members = rosters.invent(students=6, schools=2, full=seed % 3 == 0).members()
    if chance.random() < 0.6:
        at = chance.randrange(len(members))
        content = bytearray(members[at][1])
        for _ in range(chance.randint(1, 3)):
            if content:
                chance.choice(INSIDE)(content, chance)
        members[at] = (members[at][0], bytes(content))
    data = bytearray(rosters.to_zip(members))
    if chance.random() < 0.6:
        for _ in range(chance.randint(1, 3)):
            if data:
                chance.choice(OUTSIDE)(data, chance)
    return bytes(data)


def test_mutated_packages_end_in_a_report(tmp_path: Path) -> None:
    for seed in range(CASES):
        (tmp_path / f"{seed:05}").write_bytes(mutated(seed))
    run(tmp_path)


def random_bytes(count: int) -> bytes:
    """Bytes that do not pack well, the same each time."""
    return random.Random(1).randbytes(count)  # noqa: S311 - no secret


def users(content: bytes) -> bytes:
    """A package whose users are other bytes."""
    members = dict(rosters.invent(students=3, schools=1).members())
    header = members["users.csv"].split(b"\r\n")[0] + b"\r\n"
    return rosters.to_zip([*{**members, "users.csv": header + content}.items()])


def many_members() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        for number in range(100_000):
            out.writestr(zipfile.ZipInfo(f"{number}.csv"), b"")
    return archive.getvalue()


def overlapping() -> bytes:
    """Two entries of the directory that lead to the same bytes."""
    data = bytearray(rosters.build(students=30))
    entries = []
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        entries.append(at)
        at = data.find(b"PK\x01\x02", at + 4)
    first, second = entries[-2:]
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    return bytes(data)


def deep() -> bytes:
    """A bomb: a gibibyte of one letter, which its archive admits."""
    archive = io.BytesIO()
    with (
        zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out,
        out.open(zipfile.ZipInfo("users.csv"), "w") as entry,
    ):
        for _ in range(256):
            entry.write(b"x" * (4 << 20))
    return archive.getvalue()


def lying_bomb() -> bytes:
    """The same, whose archive says that it is small."""
    data = bytearray(deep())
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.find(mark)
        data[at + place : at + place + 4] = struct.pack("<I", 100_000)
    return bytes(data)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "many-members": many_members,
    "overlapping": overlapping,
    "bomb": deep,
    "lying-bomb": lying_bomb,
    "one-long-line": lambda: users(random_bytes(3 << 20).hex().encode()),
    "one-long-field": lambda: users(b'"' + random_bytes(3 << 20).hex().encode()),
    "quotes-only": lambda: users(b'"' * 3_000_000 + random_bytes(99)),
    "commas-only": lambda: users(random_bytes(1 << 16).hex().encode() + b"," * 900_000),
    "line-ends-only": lambda: users(b"\n" * 2_000_000 + random_bytes(20_000)),
    "carriage-returns-only": lambda: users(b"\r" * 800_000 + random_bytes(9_000)),
    "quoted-line-breaks": lambda: users(b'"a\nb",' * 300_000 + random_bytes(20_000)),
    "a-quote-a-line": lambda: users(b'5" pipe,x\r\n' * 200_000 + random_bytes(20_000)),
    "empty": lambda: b"",
    "no-members": lambda: b"PK\x05\x06" + bytes(18),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_package_ends_in_a_report(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(HOSTILE[name]())
    run(tmp_path)

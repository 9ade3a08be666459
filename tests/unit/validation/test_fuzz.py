"""A bounded fuzzer: any package ends in a report, with little work and little memory."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import io
import json
import pickle
import random
import resource
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from roster_upload import config
from roster_upload.guard import guard
from roster_upload.guard.baseline import Baseline
from roster_upload.validation import enrollments
from roster_upload.validation.check import check
from roster_upload.validation.options import ValidationOptions
from support import forks, rosters, share
from unit.test_config import GOOD
from unit.validation.test_traditional import COLUMNS, FILES

CASES = 400
CPU_SECONDS = 40  # for one case, whose slowest takes 3 on a free machine
KEY = b"k" * 32
NIGHT = dt.date(2026, 11, 1)
ADDRESS_BYTES = 1_500_000_000
RESIDENT_BYTES = 160_000_000  # the interpreter and numpy take 60 MB of it
# A feed may ask for fewer columns than are known of a kind, and for unknown ones.
ODD_COLUMNS: dict[str, Any] = {
    "organizations": {"required": ["OrganizationNumber"]},
    "users": {"key": "nowhere"},
}
ASKED: tuple[dict[str, Any], ...] = (
    {},
    {"format": "traditional-math", "traditional_columns": COLUMNS},
    {"format": "traditional-literacy", "traditional_columns": ODD_COLUMNS},
)
TERMS = tuple(ValidationOptions(**asked) for asked in ASKED)
NAMES = (*rosters.GIVEN, *rosters.FAMILY)


def look_at(folder: Path, base: Path, formats: str) -> None:
    """Check each package of a folder, in a process with its own limits. Print each name first.

    It checks it by so many of the formats.

    Too much work or an exception ends the process, so the last name is the culprit's.
    """
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    old, feed = check(base, key=KEY).baseline, config.parse(GOOD)
    judged: set[bytes] = set()
    for path in sorted(folder.iterdir()):
        print(path.name, flush=True)
        limit = int(time.process_time()) + 1 + CPU_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        for terms in TERMS[: int(formats)]:
            report = check(path, terms, key=KEY)
            told = json.dumps(report.record()) + "".join(f.text() for f in report.findings)
            assert not any(name in told for name in NAMES)
            # Four of five baselines exist already, mostly the empty one.
            known = hashlib.sha256(pickle.dumps(report.baseline)).digest()
            if known not in judged:
                judged.add(known)
                guard.judge(feed, old, report.baseline, NIGHT)
                guard.judge(feed, guard.accepted(old, report.baseline), old, NIGHT)
        assert most_resident() < RESIDENT_BYTES
    print("end", flush=True)


def most_resident() -> int:
    """Return this process's peak memory in bytes. `ru_maxrss` would include the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def run(folder: Path, base: Path, formats: int = len(TERMS)) -> None:
    """Let a folder's packages be checked. Fail with the name of the one that broke it."""
    code = "import sys; from pathlib import Path; from unit.validation.test_fuzz import look_at; "
    code += "look_at(*map(Path, sys.argv[1:3]), sys.argv[3])"
    done = forks.having("unit.validation.test_fuzz").run(code, folder, base, formats)
    assert done.returncode == 0, done.stdout[-200:] + done.stderr[-2000:]
    assert done.stdout.splitlines()[-1:] == ["end"], done.stdout[-200:]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Return a good package, which the vendor has."""
    path = tmp_path / "base.zip"
    path.write_bytes(rosters.build(students=6, schools=2))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder for packages to check."""
    path = tmp_path / "packages"
    path.mkdir()
    return path


# ---- mutations ----------------------------------------------------------------------------------


def flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 20)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def splice(data: bytearray, chance: random.Random) -> None:
    at, start = chance.randrange(len(data)), chance.randrange(len(data))
    data[at:at] = data[start : start + chance.randint(1, 2000)]


def repeat(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    data[start:start] = data[start : start + chance.randint(1, 200)] * chance.randint(2, 200)


def drop(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    del data[at : at + chance.randint(1, 500)]


# Marks of an archive's parts, and the offsets of numbers that can lie.
LIES = {
    b"PK\x01\x02": (6, 8, 10, 16, 20, 24, 28, 30, 32, 42),
    b"PK\x03\x04": (4, 6, 8, 14, 18, 22, 26, 28),
    b"PK\x05\x06": (4, 8, 10, 12, 16, 20),
}


def lie(data: bytearray, chance: random.Random) -> None:
    """Change numbers in the archive's directory: sizes, offsets, flags, methods."""
    mark = chance.choice(list(LIES))
    at = data.find(mark, chance.randrange(len(data)))
    if at >= 0:
        place = at + chance.choice(LIES[mark])
        value = chance.choice([0, 1, 0x800, 0xFFFF, 0xFFFFFFFF, chance.getrandbits(32)])
        data[place : place + 4] = struct.pack("<I", value)


def noise(data: bytearray, chance: random.Random) -> None:
    """Change a file's text: quotes, NULs, line ends, invalid UTF-8."""
    for _ in range(chance.randint(1, 30)):
        at = chance.randrange(len(data) + 1)
        data[at:at] = chance.choice([b'"', b'""', b"\0", b"\r", b"\n", b",", b"\xff", b"\xc3"])


Mutation = Callable[[bytearray, random.Random], None]
OUTSIDE: list[Mutation] = [flip, cut, splice, repeat, drop, lie, lie]
INSIDE: list[Mutation] = [flip, cut, splice, repeat, drop, noise]


def mutate(content: bytes, kinds: list[Mutation], chance: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        if data:
            chance.choice(kinds)(data, chance)
    return bytes(data)


def some_members(chance: random.Random) -> list[tuple[str, bytes]]:
    """Return a good package's members: bulk or delta, few files or all, or the other format."""
    if chance.random() < 0.3:
        return [(name, text.encode()) for name, text in FILES.items()]
    mode, is_full = chance.choice(["bulk", "delta"]), chance.random() < 0.4
    return rosters.invent(students=6, schools=2, full=is_full, mode=mode).members()


def mutated(seed: int) -> bytes:
    """Return a package with faults in its archive or in its files."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    members = some_members(chance)
    if chance.random() < 0.2:  # each content under another's name
        names, contents = zip(*members, strict=True)
        members = list(zip(names, chance.sample(contents, len(contents)), strict=True))
    for _ in range(chance.randint(0, 2)):
        at = chance.randrange(len(members))
        members[at] = (members[at][0], mutate(members[at][1], INSIDE, chance))
    data = rosters.to_zip(members)
    return mutate(data, OUTSIDE, chance) if chance.random() < 0.5 else data


def test_mutated_packages_end_in_a_report(folder: Path, base: Path) -> None:
    for seed in range(share.of(CASES)):
        (folder / f"{seed:05}").write_bytes(mutated(seed))
    run(folder, base)


def test_a_mutated_baseline_is_read_or_refused(tmp_path: Path, base: Path) -> None:
    new = check(base, key=KEY).baseline
    new.save(tmp_path / "good", KEY)
    good, feed = (tmp_path / "good").read_bytes(), config.parse(GOOD)
    for seed in range(share.of(300)):
        chance = random.Random(seed)  # noqa: S311 - no secret
        path = tmp_path / "baseline"
        path.write_bytes(mutate(good, OUTSIDE, chance))
        try:
            old = Baseline.load(path, KEY)
        except (OSError, ValueError):
            continue
        guard.judge(feed, old, new, NIGHT)


# ---- named cases --------------------------------------------------------------------------------


@functools.cache
def random_bytes(count: int) -> bytes:
    """Return bytes that do not compress well, the same each time."""
    return random.Random(1).randbytes(count)  # noqa: S311 - no secret


def with_rows(file: str, rows: Iterable[bytes], **changed: str) -> bytes:
    """Return a package with other rows in one file. `changed` are values of its first class."""
    package = rosters.invent(students=3, schools=1)
    for column, value in changed.items():
        package.set("classes", 2, column, value)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        for name, content in package.members():
            if name == f"{file}.csv":
                info = rosters.member(name)
                info._compresslevel = 1  # type: ignore[attr-defined]
                with out.open(info, "w") as entry:
                    entry.write(content.split(b"\r\n")[0] + b"\r\n")
                    entry.writelines(rows)
            else:
                out.writestr(rosters.member(name), content)
    return archive.getvalue()


def users(content: bytes) -> bytes:
    return with_rows("users", [content])


def user(sourced_id: str, given: str) -> bytes:
    return f"{sourced_id},,,true,school-0,student,u,,{given},B,,,,,,,03,\r\n".encode()


def enrolled(*rows: str) -> list[bytes]:
    return [f"e{i},,,class-0,school-0,{row}\r\n".encode() for i, row in enumerate(rows)]


def days(count: int) -> list[str]:
    first = dt.date(1990, 1, 1)
    return [(first + dt.timedelta(days=number)).isoformat() for number in range(count)]


def many_members(count: int) -> bytes:
    """An archive whose directory lists its members repeatedly."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        for number in range(1000):
            out.writestr(zipfile.ZipInfo(f"{number:06}.csv"), b"")
    data = archive.getvalue()
    start, end = data.find(b"PK\x01\x02"), data.rfind(b"PK\x05\x06")
    directory = data[start:end] * (count // 1000)
    record = struct.pack(
        "<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(directory), start
    )
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, start + len(directory), 1)
    ending = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, *[0xFFFF] * 2, *[0xFFFFFFFF] * 2, 0)
    return data[:start] + directory + record + locator + ending


def directory_entries(data: bytearray) -> list[int]:
    found = []
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        found.append(at)
        at = data.find(b"PK\x01\x02", at + 4)
    return found


def overlapping() -> bytes:
    """Two entries of the directory that lead to the same bytes."""
    data = bytearray(rosters.build(students=30))
    first, second = directory_entries(data)[-2:]
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    return bytes(data)


def far_away() -> bytes:
    """A member that starts beyond the end of the file."""
    data = bytearray(rosters.build(students=3))
    at = directory_entries(data)[0]
    data[at + 42 : at + 46] = b"\xff" * 4
    data[at + 30 : at + 32] = struct.pack("<H", 12)
    name_ends = at + 46 + struct.unpack_from("<H", data, at + 28)[0]
    data[name_ends:name_ends] = struct.pack("<HHQ", 1, 8, 2**64 - 1)
    end = data.rfind(b"PK\x05\x06")
    data[end + 12 : end + 16] = struct.pack("<I", struct.unpack_from("<I", data, end + 12)[0] + 12)
    return bytes(data)


def name_without_text() -> bytes:
    """A member whose own header claims that its name is UTF-8."""
    data = bytearray(rosters.build(students=3))
    data[7] |= 0x08
    data[30] = 0xFF
    return bytes(data)


def nameless() -> bytes:
    """A member without a name."""
    data = bytearray(rosters.to_zip([("x", b"x")]))
    entry = directory_entries(data)[0]
    data[entry + 28] = 0
    del data[entry + 46]
    data[data.rfind(b"PK\x05\x06") + 12] -= 1
    return bytes(data)


@functools.cache
def deep() -> bytes:
    """A bomb: a gibibyte of one letter, which its archive declares."""
    block, times = b"x" * (4 << 20), 256
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    # No block refers to an earlier one, so one can be repeated.
    packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    content = packed * times + packer.flush()
    crc = 0
    for _ in range(times):
        crc = zlib.crc32(block, crc)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr(zipfile.ZipInfo("users.csv"), content)
    data = bytearray(archive.getvalue())
    numbers = struct.pack("<3I", crc, len(content), len(block) * times)
    for mark, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        method = data.find(mark) + at
        data[method : method + 2] = struct.pack("<H", zipfile.ZIP_DEFLATED)
        data[method + 6 : method + 18] = numbers
    return bytes(data)


def lying_bomb() -> bytes:
    """The same, whose archive declares a small size."""
    data = bytearray(deep())
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.find(mark)
        data[at + place : at + place + 4] = struct.pack("<I", 100_000)
    return bytes(data)


def without_types() -> bytes:
    """Organizations without a vocabulary's column, which a feed does not ask for."""
    files = {**FILES, "District organizations.csv": "OrganizationNumber\r\n0100\r\n"}
    return rosters.to_zip([(name, text.encode()) for name, text in files.items()])


LONG = random_bytes(500).hex() + "x" * 100_000  # packs within the limits
LONG_ROWS = range(share.of(1100))  # more than may be resident
ONE_DAY = "teacher,true,2026-09-01,2026-09-01"

HOSTILE: dict[str, Callable[[], bytes]] = {
    "many-members": lambda: many_members(80_000),
    "millions-of-members": lambda: many_members(2_000_000),
    "overlapping": overlapping,
    "far-away": far_away,
    "name-without-text": name_without_text,
    "nameless": nameless,
    "bomb": deep,
    "lying-bomb": lying_bomb,
    "one-long-line": lambda: users(random_bytes(3 << 20).hex().encode()),
    "one-long-field": lambda: users(b'"' + random_bytes(3 << 20).hex().encode()),
    "quotes-only": lambda: users(b'"' * 3_000_000 + random_bytes(99)),
    "commas-only": lambda: users(random_bytes(1 << 16).hex().encode() + b"," * 900_000),
    "line-ends-only": lambda: users(b"\n" * 600_000 + random_bytes(20_000)),
    "carriage-returns-only": lambda: users(b"\r" * 800_000 + random_bytes(9_000)),
    "quoted-line-breaks": lambda: users(b'"a\nb",' * 300_000 + random_bytes(20_000)),
    "a-quote-a-line": lambda: users(b'5" pipe,x\r\n' * 200_000 + random_bytes(20_000)),
    "unclosed-after-stray": lambda: users(b'5" pipe,"x\r\n' + b"y\r\n" * 900_000),
    "long-sourcedids": lambda: with_rows("users", (user(f"{i}{LONG}", "A") for i in LONG_ROWS)),
    "long-values": lambda: with_rows("users", (user(f"{i}", f"{i}{LONG}") for i in LONG_ROWS)),
    "many-terms": lambda: with_rows(
        "enrollments",
        enrolled(*[f"1-s0,student,,{day},2026-12-01" for day in days(9000)]),
        termSourcedIds=",".join(["fall"] * 150_000),
    ),
    "all-primary": lambda: with_rows("enrollments", enrolled(*[f"1-t0,{ONE_DAY}"] * 60_000)),
    "without-types": without_types,
    "empty": lambda: b"",
    "no-members": lambda: b"PK\x05\x06" + bytes(18),
}

# Both traditional formats read their rows in the same way. These are many, or long.
LARGE = {"a-quote-a-line", "line-ends-only", "long-sourcedids", "long-values"}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_package_ends_in_a_report(folder: Path, base: Path, name: str) -> None:
    (folder / name).write_bytes(HOSTILE[name]())
    run(folder, base, 2 if name in LARGE else len(TERMS))


def test_more_days_than_there_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Time stamps instead of days: millions of them, here as many as there are bits left."""
    monkeypatch.setattr(enrollments, "NUMBER_BITS", 3)
    path = tmp_path / "OneRoster.zip"
    rows = enrolled(*[f"1-s0,student,,{day}T00:00:00Z,2026-12-01" for day in days(300)])
    path.write_bytes(with_rows("enrollments", rows))
    errors = {(f.rule, f.count) for f in check(path, key=KEY).findings.errors}
    assert ("value.format", 300) in errors

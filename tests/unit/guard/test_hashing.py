"""Keyed hashes: the documented ones, of whole batches."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st
from roster_upload.guard import hashing
from roster_upload.guard.hashing import KeyedHasher

KEY = b"k" * 32
HASHER = KeyedHasher(KEY)


# ---- hashes, as they are documented -------------------------------------------------------------


def encrypted(purpose: bytes, blocks: bytes) -> int:
    """Return the first 64 bits of the last block of AES-CBC without an initial value."""
    key = hashlib.blake2b(purpose, key=KEY, digest_size=32).digest()
    made = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).encryptor().update(blocks)
    return int.from_bytes(made[-16:-8], "little")


def hash_of(value: str) -> int:
    """Return the hash of a value: its length in the first block, and at most 256 bytes of it."""
    data = value.encode()
    text = data[:256]
    return encrypted(b"id", len(data).to_bytes(16, "little") + text + bytes(-len(text) % 16))


def tag_of(id_hash: int, checksum: int) -> int:
    """Return the hash of a row: of its id's hash and of a checksum of its content."""
    return encrypted(b"tag", id_hash.to_bytes(8, "little") + checksum.to_bytes(8, "little"))


def hashes(*values: int) -> Any:
    return np.array(values, np.uint64)


@pytest.mark.parametrize(
    "values",
    [
        [""],
        ["a"],
        ["1-s1", "", "1-s10"],
        # Values of the same padded text differ by their length.
        ["a", "a\0", "a" * 16, "a" * 16 + "\0", "a" * 17],
        ["é" * 8, "é" * 9, "x" * 15],
        ["x" * size for size in (1, 31, 32, 33, 255, 256, 257, 1000)],
        ["x" * 255 + last for last in "yz"],
    ],
)
def test_a_hash_is_the_documented_one(values: list[str]) -> None:
    """Files on hosts are compared with it, so another hash would hold every district."""
    assert HASHER.of(values).tolist() == [hash_of(value) for value in values]
    assert len(set(HASHER.of(values).tolist())) == len(values)


def test_256_bytes_and_the_length_of_a_value_count() -> None:
    long = "x" * 256
    one, other, longer, earlier = HASHER.of([f"{long}a", f"{long}b", f"{long}bb", f"{long[1:]}yb"])
    assert one == other
    assert len({other, longer, earlier}) == 3


def test_no_value_has_no_hash() -> None:
    empty = HASHER.of([])
    assert (len(empty), empty.dtype.name) == (0, "uint64")
    assert len(HASHER.tags(empty, empty)) == 0
    assert len(HASHER.marks(1, empty)) == 0


def test_a_rows_hash_is_of_its_id_and_its_content() -> None:
    made = HASHER.tags(hashes(1, 1, 2), hashes(7, 8, 7)).tolist()
    assert made == [tag_of(1, 7), tag_of(1, 8), tag_of(2, 7)]
    assert len(set(made)) == 3


def test_the_mark_of_a_value_is_32_bits_of_a_tag_and_zero_for_nothing() -> None:
    made = HASHER.marks(3, hashes(7, 0, 8, 7))
    assert made.dtype == np.uint32
    assert made.tolist() == [tag_of(3, n) & 0xFFFFFFFF if n else 0 for n in (7, 0, 8, 7)]
    assert HASHER.marks(4, hashes(7)).tolist() != made[:1].tolist()


def test_no_value_has_the_mark_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HASHER, "tags", lambda _, sums: sums << np.uint64(32))
    assert HASHER.marks(1, hashes(0, 5)).tolist() == [0, 1]


def test_the_hash_of_nothing_is_known() -> None:
    assert HASHER.nothing == hash_of("")


def test_another_key_gives_other_hashes() -> None:
    other = KeyedHasher(b"o" * 32)
    assert other.of(["a"]).tolist() != HASHER.of(["a"]).tolist()
    assert other.tags(hashes(1), hashes(1)).tolist() != HASHER.tags(hashes(1), hashes(1)).tolist()


def test_the_mark_of_a_key_stays_the_same() -> None:
    """Files on hosts contain it. With another mark, all of them would have another key."""
    assert hashing.mark(KEY) == "c6b519658a230a05"
    assert hashing.mark(b"o" * 32) != hashing.mark(KEY)


@given(st.lists(st.text(max_size=40), max_size=20))
def test_a_hash_does_not_depend_on_its_neighbours(values: list[str]) -> None:
    assert HASHER.of(values).tolist() == [int(HASHER.of([value])[0]) for value in values]
    sums = hashes(*(zlib.crc32(value.encode()) for value in values))
    assert HASHER.marks(1, sums).tolist() == [
        int(HASHER.marks(1, sums[n : n + 1])[0]) for n in range(len(sums))
    ]

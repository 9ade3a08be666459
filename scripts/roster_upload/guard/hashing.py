"""Compute keyed hashes of sourcedIds and of rows, for whole batches at once.

A sourcedId becomes 64 bits of an AES-CBC-MAC. Its length is in the first block, so that this is a
pseudorandom function of values of any length. The content of a row becomes 64 bits of AES over the
hash of its sourcedId and a checksum of its values. Without the key neither can be guessed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.uint32]
Bytes = npt.NDArray[np.uint8]
BLOCK = 16
LONGEST_VALUE = 256  # bytes of a value that are hashed. No sourcedId is longer


class KeyedHasher:
    """Keyed hashes of values. Equal keys and values give equal hashes."""

    def __init__(self, key: bytes) -> None:
        self._ids = self._cipher(b"id", key)
        self._tags = self._cipher(b"tag", key)
        self.nothing = self.of([""])[0]

    @staticmethod
    def _cipher(purpose: bytes, key: bytes) -> Any:
        own = hashlib.blake2b(purpose, key=key, digest_size=32).digest()
        # It encrypts single blocks only, as inputs of the MAC, and never a text.
        return Cipher(algorithms.AES(own), modes.ECB()).encryptor()  # noqa: S305

    @staticmethod
    def _blocks(cipher: Any, data: Bytes) -> Bytes:
        return np.frombuffer(cipher.update(data.tobytes()), np.uint8).reshape(-1, BLOCK)

    def of(self, values: Sequence[str]) -> Hashes:
        """Return a hash of each value, in their order."""
        encoded = list(map(str.encode, values))
        longest = min(max(map(len, encoded), default=0), LONGEST_VALUE)
        width = -(-max(longest, 1) // BLOCK) * BLOCK
        texts = np.array(encoded, dtype=f"S{width}").view(np.uint8).reshape(-1, width)
        return self.of_texts(texts, np.fromiter(map(len, encoded), np.int64, len(values)))

    def of_texts(self, texts: Bytes, lengths: npt.NDArray[np.int64]) -> Hashes:
        """Return a hash of each row of `texts`: bytes, padded with zeros to a multiple of 16.

        `lengths` are those of the whole values. Beyond 256 bytes only the length is hashed.
        """
        count, width = texts.shape
        state = np.zeros((count, BLOCK), np.uint8)
        state[:, :8] = lengths.astype(np.uint64).view(np.uint8).reshape(-1, 8)
        state = self._blocks(self._ids, state)
        # A value takes as many blocks as its length needs, independent of the rest of the batch.
        needed = -(-np.minimum(lengths, LONGEST_VALUE) // BLOCK)
        for number in range(width // BLOCK):
            is_short = needed <= number
            if is_short.all():
                break
            further = self._blocks(
                self._ids, state ^ texts[:, number * BLOCK : (number + 1) * BLOCK]
            )
            state = np.where(is_short[:, None], state, further) if is_short.any() else further
        return np.ascontiguousarray(state[:, :8]).view(np.uint64).ravel()

    def tags(self, ids: Hashes, sums: Hashes) -> Hashes:
        """Return a hash of each pair of an id's hash and a checksum."""
        data = np.empty((len(ids), 2), np.uint64)
        data[:, 0], data[:, 1] = ids, sums
        made = self._blocks(self._tags, data.view(np.uint8))
        return np.ascontiguousarray(made.view(np.uint64)[:, 0])

    def marks(self, purpose: int, sums: Hashes) -> Numbers:
        """Return 32 bits of a hash of each checksum, 0 for the checksum 0 of an empty value."""
        made = self.tags(np.full(len(sums), purpose, np.uint64), sums)
        made = (made & np.uint64(0xFFFFFFFF)).astype(np.uint32)
        return np.where(sums == 0, np.uint32(0), np.maximum(made, np.uint32(1)))


def mark(key: bytes) -> str:
    """Return a text that identifies a key without revealing it."""
    return hashlib.blake2b(b"mark", key=key, digest_size=8).hexdigest()

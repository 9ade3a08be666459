"""Operations on many fields at once: hashes, items of lists, blanks at edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from roster_upload.validation.batch import COMMA, QUOTE, Bytes, Offsets
from roster_upload.validation.text import BLANKS

Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
WORD = 8  # bytes that are hashed at once
FACTOR = np.uint64(0x9E3779B97F4A7C15)
SEED = np.uint64(0xD6E8FEB86659FD93)
MASKS = np.array([(1 << 8 * length) - 1 for length in range(WORD + 1)], np.uint64)
ASCII_BLANKS = [blank.encode() for blank in BLANKS if blank.isascii()]


def _edge_table(*, first: bool) -> Flags:
    """Return which bytes may be the first, or the last, of a blank in UTF-8."""
    table = np.zeros(256, np.bool_)
    table[[blank.encode()[0 if first else -1] for blank in BLANKS]] = True
    return table


MAY_BEGIN_BLANK, MAY_END_BLANK = _edge_table(first=True), _edge_table(first=False)


@dataclass(frozen=True)
class Fields:
    """Values in some bytes, by the offsets of their begins and ends."""

    data: bytes
    buffer: Bytes  # of `data`, and WORD more
    starts: Offsets
    ends: Offsets

    def __len__(self) -> int:
        return len(self.starts)

    def at(self, which: Offsets | Flags) -> Fields:
        """Return the fields chosen by an index or a mask."""
        return Fields(self.data, self.buffer, self.starts[which], self.ends[which])

    def value(self, number: int) -> bytes:
        """Return one value."""
        return self.data[self.starts[number] : self.ends[number]]

    @property
    def are_quoted(self) -> Flags:
        """Return which fields are quoted."""
        quoted: Flags = (self.starts > 0) & (self.buffer[self.starts - 1] == QUOTE)
        return quoted

    def words(self, at: Offsets) -> Hashes:
        """Return the eight bytes at each offset as a number."""
        whole = np.ndarray((len(self.buffer) - WORD + 1,), "<u8", self.buffer.data, strides=(1,))
        return whole[at]

    def hashes(self) -> Hashes:
        """Return a 64-bit hash for each value, 0 for an empty one."""
        lengths = self.ends - self.starts
        hashes = lengths.astype(np.uint64) * SEED
        longest = int(lengths.max(initial=0))
        for done in range(0, longest, WORD):
            left = lengths - done
            which: slice | Offsets = slice(None)
            if int(left.min()) <= 0:
                which = np.flatnonzero(left > 0)
            words = self.words(self.starts[which] + done) & MASKS[np.minimum(left[which], WORD)]
            mixed = (hashes[which] ^ words) * FACTOR
            hashes[which] = mixed ^ (mixed >> np.uint64(32))
        hashes |= (hashes == 0).astype(np.uint64)
        hashes[lengths == 0] = 0
        return hashes

    def items(self) -> tuple[Offsets, Fields]:
        """Return the items of lists: the number of each item's field, and the items as fields."""
        quoted = self.are_quoted  # no other field holds a comma
        count = np.arange(len(self))
        if not quoted.any():
            return count, self
        commas = np.flatnonzero(self.buffer[: len(self.data)] == COMMA)
        low, high = np.searchsorted(commas, self.starts), np.searchsorted(commas, self.ends)
        counts = high - low + 1
        owners = np.repeat(count, counts)
        firsts = np.cumsum(counts) - counts
        index = np.arange(len(owners)) - firsts[owners]  # of each item in its list
        commas = np.append(commas, 0)
        comma_before = np.maximum(low[owners] + index - 1, 0)
        comma_behind = np.minimum(low[owners] + index, len(commas) - 1)
        is_last = index == counts[owners] - 1
        starts = np.where(index == 0, self.starts[owners], commas[comma_before] + 1)
        ends = np.where(is_last, self.ends[owners], commas[comma_behind])
        return owners, Fields(self.data, self.buffer, starts, ends)

    def trimmed(self) -> Fields:
        """Return the fields without white space at their edges."""
        edges = MAY_BEGIN_BLANK[self.buffer[self.starts]]
        edges |= MAY_END_BLANK[self.buffer[self.ends - 1]]
        candidates = np.flatnonzero(edges & (self.ends > self.starts))
        if not len(candidates):
            return self
        starts, ends = self.starts.copy(), self.ends.copy()
        for number in candidates.tolist():
            text = self.value(number).decode("utf-8", "surrogateescape")
            bare = text.lstrip(BLANKS)
            start = starts[number] + _size(text) - _size(bare)
            # Without the blanks, this quote would begin a quoted field.
            if start < ends[number] and self.buffer[start] == QUOTE:
                continue
            starts[number], ends[number] = start, start + _size(bare.rstrip(BLANKS))
        return Fields(self.data, self.buffer, starts, ends)


def may_hold_blanks(data: bytes) -> bool:
    """Return whether there may be white space in plain lines, apart from line ends."""
    blanks = (blank for blank in ASCII_BLANKS if blank not in b"\r\n")
    return not data.isascii() or any(blank in data for blank in blanks)


def fields_of(*values: str) -> Fields:
    """Return fields with these values."""
    texts = [value.encode() for value in values]
    lengths = np.array([len(text) for text in texts], np.int64)
    ends = np.cumsum(lengths)
    data = b"".join(texts)
    return Fields(data, padded(data), ends - lengths, ends)


def padded(data: bytes) -> Bytes:
    """Return bytes as an array, with padding for `Fields.words`."""
    return np.frombuffer(data + bytes(WORD), np.uint8)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))

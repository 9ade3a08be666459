"""Edits of a part of a file: bytes to remove, and letters to lower."""

from __future__ import annotations

import numpy as np

from roster_upload.package.rows import Part
from roster_upload.package.values import Fields, Flags
from roster_upload.validation.batch import Offsets

SMALL = np.uint8(0x20)  # the bit by which a small letter differs from its capital


class Edits:
    """The edits of one part. They may overlap."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.gone: Flags = np.zeros(len(part.starts), np.bool_)  # rows, by their index in the part
        self._cuts: list[tuple[Offsets, Offsets]] = []
        self._lowered: list[Offsets] = []

    def cut(self, starts: Offsets, ends: Offsets) -> None:
        """Remove bytes."""
        if len(starts):
            self._cuts.append((starts, ends))

    def trim(self, old: Fields, new: Fields) -> Flags:
        """Remove the bytes between the old and the new edges. Return flags of changed fields."""
        changed: Flags = (old.starts != new.starts) | (old.ends != new.ends)
        which = np.flatnonzero(changed)
        self.cut(old.starts[which], new.starts[which])
        self.cut(new.ends[which], old.ends[which])
        return changed

    def blank(self, fields: Fields) -> None:
        """Empty fields, including their quotes."""
        quoted = fields.are_quoted
        self.cut(fields.starts - quoted, fields.ends + quoted)

    def cut_items(self, lists: Fields, owners: Offsets, items: Fields, cuts: Flags) -> None:
        """Remove items from lists, each with one comma. A list without items is emptied."""
        left = np.zeros(len(lists), np.bool_)
        left[owners[~cuts]] = True
        emptied = np.zeros(len(lists), np.bool_)
        emptied[owners[cuts]] = True
        self.blank(lists.at(np.flatnonzero(emptied & ~left)))
        cuts = cuts & left[owners]
        which = np.flatnonzero(cuts)
        is_last = np.append(owners[1:] != owners[:-1], True)[which]
        before = which[~is_last]
        self.cut(items.starts[before], items.starts[before + 1])
        # All bytes after the last item that stays are removed, its comma included.
        kept = np.maximum.accumulate(np.where(cuts, 0, np.arange(len(cuts))))
        ending = which[is_last]
        self.cut(items.ends[kept[ending]], items.ends[ending])

    def lower(self, fields: Fields, length: int) -> None:
        """Lower the first letters of fields."""
        for offset in range(length):
            self._lowered.append(fields.starts + offset)

    def result(self) -> bytes:
        """Return the part's bytes, edited."""
        part = self.part
        if not (self._cuts or self._lowered or self.gone.any()):
            return part.data
        if self.gone.all():
            return b""
        buffer = part.buffer[: len(part.data)]
        if self._lowered:
            buffer = buffer.copy()
            for places in self._lowered:
                buffer[places] |= SMALL
        if self._cuts or self.gone.any():
            buffer = buffer[self._kept(len(buffer))]
        return buffer.tobytes()

    def _kept(self, size: int) -> Flags:
        kept = np.ones(size, np.bool_)
        if self.gone.any():
            kept = np.repeat(~self.gone, np.diff(self.part.bounds))
        if self._cuts:
            depth = np.zeros(size + 1, np.int16)
            for starts, ends in self._cuts:
                np.add.at(depth, starts, 1)
                np.add.at(depth, ends, -1)
            kept &= np.cumsum(depth[:-1], dtype=np.int16) == 0
        return kept

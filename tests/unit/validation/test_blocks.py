"""Members of a zip, read in blocks."""

from __future__ import annotations

import io
import threading

import pytest
from roster_upload.validation import blocks

# ---- blocks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 127, 128, 1000])
def test_a_stream_is_read_to_its_end_and_a_short_one_without_a_thread(
    monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 64)
    names: set[str] = set()

    class Stream(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            names.add(threading.current_thread().name)
            return super().read(size)

    content = bytes(range(256)) * 4
    assert b"".join(blocks.blocks(Stream(content[:length]))) == content[:length]
    assert (len(names) == 1) is (length < 64)

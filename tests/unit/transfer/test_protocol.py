"""SFTP requests over a channel with prepared answers."""

from __future__ import annotations

import struct

import pytest
from roster_upload.transfer import messages, writer
from support.sftp_server import (
    answer,
    over,
    packed,
)

HANDLE = answer(messages.HANDLE, 1, struct.pack(">I", 1) + b"h")


# All requests of the same length.
EVEN = writer.Pace(first_bytes=writer.Pace.chunk_bytes)


DIGEST = bytes(range(32))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (packed("check-file", "sha256") + DIGEST, DIGEST.hex()),
        (packed("sha256") + DIGEST, DIGEST.hex()),
        (packed("check-file", "md5") + DIGEST[:16], None),
        (packed("check-file", "sha512/256") + DIGEST, None),
        (packed("check-file", "sha256") + DIGEST + DIGEST, None),
        (packed("check-file", "sha256"), None),
    ],
)
def test_a_hash_is_only_taken_for_what_it_is(body: bytes, told: str | None) -> None:
    assert over(answer(messages.EXTENDED_REPLY, 1, body)).sha256("x") == told


@pytest.mark.parametrize(
    ("blocks", "free", "files", "free_files", "flags", "told"),
    [
        (100, 7, 10, 5, 0, (7 * 4096, False)),
        (100, 0, 10, 5, 0, (0, False)),
        (100, 7, 10, 0, 0, (0, False)),  # no space for another name
        (100, 7, 0, 0, 3, (7 * 4096, True)),  # a file system that does not count names
        (0, 0, 0, 0, 0, None),  # a server that knows nothing
    ],
)
def test_what_a_file_system_says_of_its_room(
    blocks: int, free: int, files: int, free_files: int, flags: int, told: object
) -> None:
    numbers = (512, 4096, blocks, free, free, files, free_files, free_files, 0, flags, 255)
    reply = answer(messages.EXTENDED_REPLY, 1, struct.pack(">11Q", *numbers))
    assert over(reply, extensions=("statvfs@openssh.com",)).space("x") == told
    assert over(reply).space("x") is None

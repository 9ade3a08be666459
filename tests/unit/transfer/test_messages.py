"""The values that are read from a server's answers."""

from __future__ import annotations

import struct

import pytest
from roster_upload.transfer import messages, session
from support.sftp_server import (
    answer,
    over,
    packed,
    status,
)


@pytest.mark.parametrize(
    "reply",
    [
        status(2),  # to another question
        answer(messages.HANDLE, 1, packed("h")),  # of another kind
        answer(messages.ATTRS, 1, struct.pack(">I", 0)),
    ],
)
def test_another_answer_is_garbled(reply: bytes) -> None:
    with pytest.raises(messages.ProtocolError):
        over(reply, status(1)).remove("x")


@pytest.mark.parametrize(
    ("reply", "size"),
    [
        (answer(messages.ATTRS, 1, struct.pack(">IQ", 1, 7)), 7),
        (answer(messages.ATTRS, 1, struct.pack(">IQ", 0x0D, 7)), 7),
        (answer(messages.ATTRS, 1, struct.pack(">IQ", 0x0C, 7)), None),
        (status(1, messages.PERMISSION_DENIED), None),
        (status(1, messages.FAILURE), None),
        (status(1, messages.NO_SUCH_FILE), "none"),
    ],
)
def test_what_a_server_tells_of_a_size(reply: bytes, size: object) -> None:
    assert over(reply).exists("x") is (size != "none")
    assert over(reply).size_of(b"h") == (None if size == "none" else size)
    if size == "none":
        with pytest.raises(messages.SftpStatusError):
            over(reply).size("x")
    else:
        assert over(reply).size("x") == size


def test_words_and_extensions_of_a_server_are_text() -> None:
    words = "\x1b]0;done\x07" * 1000
    connection = over(status(1, 4, words), extensions=(f"{words}0", *map(str, range(1000))))
    assert len(connection.extensions) == session.MOST_EXTENSIONS
    assert all(name.isprintable() and len(name) <= 300 for name in connection.extensions)
    with pytest.raises(messages.SftpStatusError) as refused:
        connection.remove("x")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400

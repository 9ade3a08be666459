"""A hostile SIS server: its texts control no terminal, and nothing of it is endless."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable

import paramiko
import pytest
from integration.test_hostile_server import (
    KEY,
    TITLE,
    Hostile,
    answers_amiss,
    asking,
    floods,
    greet,
    refuses_all,
    say,
    serving,
    text,
)
from paramiko.common import AUTH_FAILED
from roster_upload.exits import Exit
from roster_upload.transfer import messages
from support.district import FEED, District

SIZE = 100_000
NAME = f"a{TITLE}.zip".replace("/", "")


def attributes(size: int = SIZE) -> bytes:
    when = int(time.time()) - 20 * 3600
    return struct.pack(">IQIII", 0x0D, size, 0o100644, when, when)


def serves(piece: Callable[[int], bytes]) -> Callable[[paramiko.Channel], None]:
    """Return a server with one file, whose pieces a function makes of the number of bytes."""

    def serve(channel: paramiko.Channel) -> None:
        listed = False
        for kind, number, rest in greet(channel):
            if kind in (messages.OPENDIR, messages.OPEN):
                say(channel, messages.HANDLE, number + text("h"))
            elif kind == messages.READDIR and not listed:
                listed = True
                entry = text(NAME) + text(TITLE) + attributes()
                evil = b"".join(text(n) + text("") + attributes() for n in ("../x.zip", "/x.zip"))
                say(channel, messages.NAME, number + struct.pack(">I", 3) + entry + evil)
            elif kind == messages.STAT:
                say(channel, messages.ATTRS, number + attributes())
            elif kind == messages.READ:
                count = struct.unpack(">I", rest[-4:])[0]
                say(channel, messages.DATA, number + text(piece(count)))
            else:
                end = struct.pack(">I", messages.EOF) + text(TITLE) + text("")
                say(channel, messages.STATUS, number + end)

    return serve


@pytest.mark.parametrize(
    ("hostile", "code", "cause"),
    [
        (Hostile(before=TITLE.encode() + b"\r\n", login=AUTH_FAILED), Exit.SOURCE, "login"),
        (Hostile(kex=TITLE), Exit.SOURCE, "negotiation"),
        (asking("code"), Exit.SOURCE, "second_factor"),
        (Hostile(refuses_channel=True), Exit.SOURCE, "permission"),
        (Hostile(sftp=refuses_all), Exit.SOURCE, "transfer"),
        (Hostile(sftp=answers_amiss), Exit.SOURCE, "transfer"),
        (Hostile(sftp=floods), Exit.SOURCE, "transfer"),
        (Hostile(sftp=serves(lambda count: bytes(count + 1))), Exit.SOURCE, "transfer"),
        (Hostile(sftp=serves(lambda _: b"")), Exit.SOURCE, "transfer"),
        (Hostile(sftp=serves(bytes)), Exit.GROWING, None),  # it has no end
    ],
)
def test_a_hostile_source_is_a_missing_export(
    district: District, hostile: Hostile, code: Exit, cause: str | None
) -> None:
    (district.credential.parent / f"{FEED}_source_current").write_text("a secret of its own")
    with serving(hostile):
        district.configure(
            source=f"sftp://sis@127.0.0.1:{hostile.port}/exports/*.zip",
            source_host_keys=[f"{KEY.get_name()} {KEY.get_base64()}"],
        )
        found, told = district.send()
    assert (found, district.last["source"].get("cause")) == (code, cause), told
    views = [district.run(view, FEED)[1] for view in ("status", "history", "explain")]
    for line in [line for shown in (told, *views) for line in shown.split("\n")]:
        assert line.isprintable(), line
    assert len(told) < 8000
    assert not list((district.state / "fetched").glob("*"))

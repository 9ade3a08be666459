"""Text from outside cannot steer a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from roster_upload.exits import Exit, Failure
from roster_upload.terminal.printable import (
    LONGEST,
    LONGEST_MESSAGE,
    printable,
    printable_lines,
    printable_values,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SSH-2.0-OpenSSH_9.2p1 Debian-2", "SSH-2.0-OpenSSH_9.2p1 Debian-2"),
        ("Peña's file", "Peña's file"),
        ("\x1b]0;All delivered\x07", r"\x1b]0;All delivered\x07"),
        ("one\r\ntwo\x85three\u2028four", r"one\r\ntwo\x85three\u2028four"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\x9b31m", r"\x9b31m"),
        (b"caf\xe9.zip", r"caf\xe9.zip"),
        ("caf\udce9.zip", r"caf\udce9.zip"),
        (r"C:\new", r"C:\new"),
    ],
)
def test_controls_are_shown_as_escapes(text: str | bytes, shown: str) -> None:
    assert printable(text) == shown


@given(st.one_of(st.text(st.characters()), st.binary()))
def test_what_went_through_once_is_printable_and_stays(text: str | bytes) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown


def test_long_text_is_cut() -> None:
    assert printable("a" * LONGEST) == "a" * LONGEST
    assert printable("a" * (LONGEST + 1)) == "a" * (LONGEST - 1) + "…"
    assert len(printable("\x1b" * LONGEST)) == LONGEST


def test_lines_stay_lines() -> None:
    assert printable_lines("one\x1b\ntwo\r\n") == "one\\x1b\ntwo\\r\n"
    assert len(printable_lines("a" * 9999)) == LONGEST_MESSAGE


def test_all_texts_of_a_value_are_printable() -> None:
    value = {"a\x1b": ["\x9b", 1, None, ("\udce9",)], "b": {"c": True, "d": 0.5}}
    shown = {"a\\x1b": ["\\x9b", 1, None, ["\\udce9"]], "b": {"c": True, "d": 0.5}}
    assert printable_values(value) == shown


@given(st.text(st.characters()))
def test_a_failure_is_one_line(text: str) -> None:
    """This is so whatever it quotes, since another line could pass for one of the program's own."""
    failure = Failure(Exit.TRANSFER, text)
    assert failure.message.isprintable()
    assert str(failure) == failure.message
    assert Failure(Exit.TRANSFER, text, "x").message == f"{failure.message}\nx"

"""Hashes of passwords are those that crypt(5) makes."""

from __future__ import annotations

import subprocess

import pytest
from roster_fleet import sha512crypt

SALT = "saltstring./1234"


@pytest.mark.parametrize("rounds", [1000, 1021])
@pytest.mark.parametrize("password", ["x", "Hello world!", "a" * 64, "é" * 70])
def test_a_hash_is_that_of_another_program(password: str, rounds: int) -> None:
    salt = f"rounds={rounds}${SALT}"
    command = ["openssl", "passwd", "-6", "-stdin", "-salt", salt]
    done = subprocess.run(command, input=password, capture_output=True, text=True, check=True)
    assert sha512crypt.hashed(password, SALT, rounds) == done.stdout.strip()


def test_a_salt_stays_and_belongs_to_one_account() -> None:
    salt = sha512crypt.salt_of("roster-oak", "sis-oak")
    assert salt == sha512crypt.salt_of("roster-oak", "sis-oak")
    assert len(salt) == 16
    assert set(salt) <= set(sha512crypt.ALPHABET)
    others = [("roster-oak", "sis-elm"), ("roster-elm", "sis-oak"), ("roster-oaksis", "-oak")]
    assert len({salt, *(sha512crypt.salt_of(*names) for names in others)}) == 4

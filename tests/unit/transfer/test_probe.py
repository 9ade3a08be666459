"""The capabilities of a server that a probe finds."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from typing import Any
from unittest.mock import ANY

import pytest
from roster_upload import config
from roster_upload.transfer import directory, info, messages, protocol
from roster_upload.transfer.probe import Probe, learn
from roster_upload.transfer.profile import Profile
from support.sftp_server import (
    FINAL,
    FOLDER,
    HASHES,
    NO_REPLACING,
    PLAIN,
    YESTERDAY,
    Faults,
    Server,
    directory_of,
    leftover,
)
from unit.test_config import GOOD
from unit.transfer.test_listing import Endless


def probed(server: Server, version: str = "SSH-2.0-V") -> Profile:
    """Return the probe's findings of a server, which is left as it was."""
    place = directory_of(server)
    place.info = info.ConnectionInfo(server=version, method="password", extensions=("a",))
    learned = Probe(place).run()
    assert server.files == {FINAL: YESTERDAY}, "nothing is left, and the final name is untouched"
    return learned


PLAIN_ZIP = "[a-zA-Z0-9-]+[.]zip"


@pytest.mark.parametrize(
    ("faults", "learned"),
    [
        ({}, {}),
        (PLAIN, {"rename": "rename"}),
        (NO_REPLACING, {"rename": "move-aside"}),
        ({"refuse": {"posix-rename": 8}}, {"rename": "rename"}),
        ({"does_nothing": ("posix-rename",)}, {"rename": "rename"}),
        ({"does_nothing": ("posix-rename", "rename")}, {"rename": "in-place"}),
        ({"refuse": {"posix-rename": 8, "rename": 8}}, {"rename": "in-place"}),
        ({"hides": ("stat", "fstat")}, {"stat_after_close": False, "sizes": False}),
        ({"hides": ("stat",)}, {"stat_after_close": False}),
        ({"hides": ("fstat",)}, {}),
        ({"takes": "close"}, {"rename": "in-place", "takes_on_close": True,
                              "stat_after_close": False}),
        (HASHES, {"hash": True}),
        ({**HASHES, "refuse": {"check-file-name": 8}}, {}),
        ({**HASHES, "hash": bytes(32)}, {}),
        ({**HASHES, "takes": "close"}, {"rename": "in-place", "takes_on_close": True,
                                        "stat_after_close": False}),
        ({"refuse": {"opendir": 3}}, {"lists": False}),
        # A folder with hidden names: invisible names were not accepted.
        ({"refuse": {"opendir": 3, "stat": 2}}, {"stat_after_close": False, "lists": False}),
        ({"refuse": {"opendir": 3, "stat": 3}}, {"stat_after_close": False, "lists": False}),
        ({"allows": ".*[.]zip"}, {"temporary_name": ".*.zip"}),
        ({"allows": PLAIN_ZIP}, {"temporary_name": "*.zip"}),
        ({"allows": PLAIN_ZIP, "allows_at": "close"}, {"temporary_name": "*.zip"}),
        ({"refuse": {("open", 1): 4}}, {"temporary_name": ".*.zip"}),
    ],
)  # fmt: skip
def test_what_a_probe_learns(faults: Faults, learned: dict[str, Any]) -> None:
    server = Server(**faults)
    found = probed(server)
    usual = Profile("SSH-2.0-V", ("a",), "password", "posix-rename", True, False, True, False, "")
    assert found == dataclasses.replace(usual, **learned, learned=found.learned)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found.learned)


@pytest.mark.parametrize(("server", "asks"), [("SSH-2.0-V", False), ("SSH-2.0-mod_sftp", True)])
def test_a_hash_is_asked_for_where_the_server_is_known_for_it(server: str, asks: bool) -> None:
    """Servers hang up on an unknown request."""
    vendor = Server()
    assert probed(vendor, server).hash is asks
    assert ("check-file-name" in vendor.requests) is asks


def test_what_is_learned_outlives_a_server_that_hangs_up() -> None:
    server = Server(**HASHES, cut=("check-file-name", 1))
    place = directory_of(server)
    assert not Probe(place).run().hash
    server.cut, server._is_cut = ("", 0), False
    assert probed(server).hash, "and the next one removes what is left"


@pytest.mark.parametrize(
    "refuse",
    [{"open": 3}, {"write": 4}, {"close": 4}, {"opendir": 2, "open": 2, "stat": 2}, {"open": 14}],
)
def test_a_probe_that_fails_leaves_nothing(refuse: dict[Any, int]) -> None:
    server = Server(refuse=refuse)
    with pytest.raises(messages.SftpStatusError):
        probed(server)
    assert server.files == {FINAL: YESTERDAY}
    assert server.requests.count("open") == (1 if refuse == {"open": 14} else ANY)
    assert learn(directory_of(server)) is None


def test_where_nothing_may_be_removed_little_is_left() -> None:
    server = Server(refuse={"remove": 3, "rename": 3, "posix-rename": 3})
    assert Probe(directory_of(server)).run().rename == "in-place"
    assert len(server.files) == 3


def test_a_probe_removes_what_another_has_left() -> None:
    server = Server(refuse={("remove", 1): 3})
    kept = {leftover(server): b"x", f"{FOLDER}/probe-1.part": b"x"}
    server.files |= {**kept, leftover(server, "probe-1"): b"x"}
    server.files |= {leftover(server, "probe-2"): b"x"}
    with pytest.raises(AssertionError, match="nothing is left"):
        probed(server)
    assert server.files == {FINAL: YESTERDAY, leftover(server, "probe-1"): b"x", **kept}


@pytest.mark.parametrize("refuse", [{}, {"write": 4}])
def test_a_trial_by_writing_leaves_nothing(refuse: dict[str, int]) -> None:
    server = Server(refuse=refuse)
    channel: Any = server
    place = directory.RemoteDirectory(
        protocol.Sftp(channel), config.parse(GOOD), info.ConnectionInfo()
    )
    with pytest.raises(messages.SftpStatusError) if refuse else contextlib.nullcontext():
        Probe(place).write()
    assert ("write" in server.requests, server.files) == (True, {FINAL: YESTERDAY})


def test_a_folder_without_an_end_cannot_be_listed() -> None:
    learned = probed(Endless())
    assert (learned.lists, learned.rename) == (False, "posix-rename")

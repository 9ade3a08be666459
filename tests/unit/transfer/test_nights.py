"""Nights in any order, on a server that answers in any order, in pieces, with faults anywhere."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from roster_upload.exits import Failure
from roster_upload.transfer import upload, verify
from roster_upload.transfer.info import Holds
from roster_upload.transfer.profile import IN_PLACE
from roster_upload.transfer.writer import Pace
from support import share
from support.sftp_server import ALL, FINAL, Server, directory_of, leftover, profile

PACE = Pace(chunk_bytes=10, first_bytes=10, requests=4)  # a window of 40 bytes
KINDS = ["open", "write", "close", "fstat", "opendir", "readdir", "remove", "stat", "rename",
         "posix-rename", "statvfs", "closedir"]  # fmt: skip
CODES = st.sampled_from([2, 3, 4, 8, 14, 15])
REFUSALS = st.dictionaries(
    st.one_of(st.sampled_from(KINDS), st.tuples(st.sampled_from(KINDS), st.integers(1, 6))),
    CODES,
    max_size=3,
)
CUTS = st.one_of(st.just(("", 0)), st.tuples(st.sampled_from(KINDS), st.integers(1, 8)))
WAYS = st.sampled_from(["posix-rename", "rename", "move-aside", IN_PLACE])


class Nights(RuleBasedStateMachine):
    """One server, whose files stay from night to night."""

    @initialize(
        replaces=st.booleans(), offers=st.booleans(), on_close=st.booleans(), way=WAYS,
        has_old=st.booleans(),
    )  # fmt: skip
    def begin(self, replaces: bool, offers: bool, on_close: bool, way: str, has_old: bool) -> None:
        """A server with its own capabilities, and the first method to try there."""
        self.ways: dict[str, Any] = {
            "replaces": replaces, "shows_on_close": on_close,
            "extensions": ALL if offers else (),
        }  # fmt: skip
        self.way = way
        self.night = 0
        self.files = {FINAL: b"the first"} if has_old else {}
        self.good = self.files.get(FINAL)  # the vendor's whole file when a night started
        self.needs_restoring = False

    def deliver(self, size: int, seed: int, **faults: Any) -> tuple[Holds, bytes, bool]:
        """Run a night. Return the vendor's reported file, the sent one, and the success."""
        self.night += 1
        new = (f"{self.night} ".encode() * (size + 1))[:size] or b"x"
        noise = random.Random(seed)  # noqa: S311 - no secret
        server = Server(
            files=self.files, shuffles=noise, is_prompt=seed % 2 == 0, **self.ways, **faults
        )
        self.good = server.files.get(FINAL, self.good)
        place = directory_of(server)
        once = upload.AtomicUpload(
            place, profile=profile(self.way), pace=PACE, restores_first=self.needs_restoring
        )
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            patch.setattr(verify, "LOOK_AGAIN_SECONDS", (0,))
            source = Path(folder, "roster")
            source.write_bytes(new)
            message = ""
            try:
                once.run(source, len(new))
            except Failure as failure:
                message = failure.message
        assert not message or place.info.holds.words in message
        self.files = server.files
        self.needs_restoring = place.info.holds is Holds.NOTHING
        return place.info.holds, new, not message

    @rule(
        size=st.integers(1, 200), seed=st.integers(0, 999), refuse=REFUSALS, cut=CUTS,
        does=st.booleans(),
    )  # fmt: skip
    def broken(
        self, size: int, seed: int, refuse: dict[Any, int], cut: tuple[str, int], does: bool
    ) -> None:
        """Requests are refused, and the line may break, before or after a request's execution."""
        before = self.files.get(FINAL)
        holds, new, is_sent = self.deliver(size, seed, refuse=refuse, cut=cut, cut_does=does)
        held = self.files.get(FINAL)
        if is_sent:
            assert held == new, "never a false success"
        elif holds is Holds.OLD:
            assert held in (before, self.good), "said to be as it was"
        elif holds is Holds.NEW:
            assert held == new
        elif holds is Holds.UNKNOWN:
            assert held in (before, self.good, new)
        elif holds is Holds.NOTHING:
            assert held in (None, before, self.good, new)
        if self.way != IN_PLACE and holds is not Holds.NOTHING:
            assert held in (before, self.good, new), "whole, whatever has happened"

    @rule(size=st.integers(1, 200), seed=st.integers(0, 999))
    def good_night(self, size: int, seed: int) -> None:
        """Nothing goes wrong: the file arrives, and no remains of former nights stay."""
        _, new, is_sent = self.deliver(size, seed)
        assert is_sent
        assert self.files == {FINAL: new}

    @rule()
    def leave(self) -> None:
        """A broken run of another time has left a file."""
        self.files[leftover(Server())] = b"x"

    @invariant()
    def nothing_foreign(self) -> None:
        """The final file and the feed's own files exist."""
        for path in getattr(self, "files", {}):
            assert path == FINAL or "roster-upload-" in path


TestNights = Nights.TestCase
TestNights.settings = settings(max_examples=share.of(200), stateful_step_count=12)

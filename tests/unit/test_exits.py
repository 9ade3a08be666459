"""The exit codes: their numbers, their names, and which a run tries again."""

from __future__ import annotations

from roster_upload.exits import Exit
from roster_upload.spec import spec


def test_what_locks_an_account_is_never_tried_again() -> None:
    assert not {code for code in Exit if code.is_retried} & {
        Exit.LOGIN, Exit.SECOND_FACTOR, Exit.PASSWORD_EXPIRED, Exit.HOST_KEY, Exit.PERMISSION,
        Exit.VERIFY, Exit.HELD, Exit.STALE, Exit.REFUSED, Exit.PAUSED, Exit.STOPPED,
    }  # fmt: skip


def test_an_exit_code_keeps_its_number() -> None:
    """Monitoring of districts compares with them."""
    assert {str(int(code)): code.name for code in Exit} == {
        code: entry["name"] for code, entry in spec("exits").items()
    }
    assert [int(code) for code in (Exit.OK, Exit.HELD, Exit.MISSED, Exit.INTERNAL)] == [
        0, 17, 28, 70
    ]  # fmt: skip

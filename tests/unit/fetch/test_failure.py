"""Failures of a fetch name the source and the people behind its server."""

from __future__ import annotations

import struct

import pytest
from roster_upload.exits import Exit, Failure
from roster_upload.fetch.failure import ServerFailure, explained
from roster_upload.transfer.info import ConnectionInfo
from roster_upload.transfer.messages import ConnectionLost, SftpStatusError
from support.source_server import account

ERRORS = {
    SftpStatusError(2, "no such file"): (Exit.REMOTE_PATH, "the server finds no /exports"),
    SftpStatusError(3, "no"): (Exit.PERMISSION, "refused sis to read /exports"),
    ConnectionLost("x", Exit.SILENT): (Exit.SILENT, "stopped answering (x)"),
    struct.error(): (Exit.TRANSFER, "an answer was cut short"),
    Failure(Exit.HOST_KEY, "another key"): (Exit.HOST_KEY, "another key"),
    Failure(Exit.LOGIN, "refused"): (Exit.LOGIN, "refused"),
}


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_what_a_server_does_is_a_missing_export(error: Exception) -> None:
    reason, text = ERRORS[error]
    with pytest.raises(ServerFailure) as failed, explained(account(), ConnectionInfo()):
        raise error
    assert (failed.value.code, failed.value.reason) == (Exit.SOURCE, reason)
    assert failed.value.cause == reason.name.lower()
    assert text in failed.value.message
    assert failed.value.message.startswith("there is no export from sftp://sis@files.example")


@pytest.mark.parametrize("code", [Exit.STALE, Exit.LOCAL, Exit.CREDENTIAL, Exit.REFUSED])
def test_what_is_about_this_host_stays(code: Exit) -> None:
    with pytest.raises(Failure) as failed, explained(account(), ConnectionInfo()):
        raise Failure(code, "x")
    assert (failed.value.code, failed.value.message) == (code, "x")

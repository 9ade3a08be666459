"""Opens the feed's folder on its server: connection, login and SFTP session."""

from __future__ import annotations

import contextlib
import dataclasses
import struct
from collections.abc import Iterator

import paramiko

from roster_upload.config import Feed
from roster_upload.exits import Exit, Failure
from roster_upload.host import stop
from roster_upload.terminal.printable import printable
from roster_upload.transfer.account import Account
from roster_upload.transfer.directory import LOGIN_ACCEPTED, RemoteDirectory
from roster_upload.transfer.info import ConnectionInfo
from roster_upload.transfer.messages import ConnectionLost, SftpStatusError
from roster_upload.transfer.packets import bound
from roster_upload.transfer.profile import Profile
from roster_upload.transfer.protocol import Sftp
from roster_upload.transfer.ssh import in_time, logged_in
from roster_upload.transfer.watchdog import Times, Watchdog


def _open_session(
    transport: paramiko.Transport, account: Account, info: ConnectionInfo, watchdog: Watchdog
) -> Sftp:
    """Open the SFTP session after the login. Raise Failure."""
    with info.phase("open"):
        try:
            with stop.deferred():
                channel = transport.open_session(timeout=watchdog.left(watchdog.times.answer))
                bound(channel)
                watchdog.moved()
                channel.invoke_subsystem("sftp")
            sftp = Sftp(channel, watchdog)
        except Exception as error:  # noqa: BLE001 - malformed answers raise errors of any kind
            is_refused = isinstance(error, paramiko.ChannelException)
            is_timeout = "Timeout" in str(error) and not is_refused
            if watchdog.has_hung_up or is_timeout:
                code = Exit.SILENT
            elif isinstance(error, ConnectionLost):
                code = error.code
            elif not isinstance(error, (paramiko.SSHException, EOFError, OSError)):
                code = Exit.TRANSFER
            else:
                code = Exit.PERMISSION if transport.is_active() else Exit.VANISHED
            raise Failure(
                code,
                f"{account.remote_host} ({info.address}) opened no SFTP session for "
                f"{account.username}: {_reason(error)}. {LOGIN_ACCEPTED}. "
                f"{account.contact.new_session}",
            ) from None
    info.extensions = tuple(sorted(sftp.extensions))
    return sftp


def _reason(error: Exception) -> str:
    """Return why no session was opened, in the server's words if it gave a reason."""
    if isinstance(error, (ConnectionLost, paramiko.SSHException, EOFError, OSError)):
        return printable(str(error)) or "no reason given"
    return f"its answer is malformed ({type(error).__name__})"


@contextlib.contextmanager
def session(
    account: Account,
    secret: bytes,
    info: ConnectionInfo,
    *,
    login: str = "",
    limit: float | None = None,
    times: Times | None = None,
) -> Iterator[Sftp]:
    """Yield an SFTP session after the login. Disconnect after the block. Raise Failure.

    `login` is the method that the server accepted for a password before. The connection ends with
    `Exit.SILENT` after `limit` seconds and the time of a clean-up.
    """
    watchdog = Watchdog(limit, times)
    with in_time(watchdog, limit), logged_in(account, secret, info, watchdog, login) as transport:
        yield _open_session(transport, account, info, watchdog)


@contextlib.contextmanager
def remote_directory(
    feed: Feed,
    secret: bytes,
    info: ConnectionInfo,
    *,
    profile: Profile | None = None,
    limit: float | None = None,
    times: Times | None = None,
) -> Iterator[RemoteDirectory]:
    """Yield the feed's folder on its server. Disconnect after the block.

    The connection ends with `Exit.SILENT` after `limit` seconds and the time of a clean-up. A
    refused request or a lost connection in the block raises Failure.
    """
    # The profile may be older than a change from a key to a password.
    login = profile.login if profile and profile.login != "publickey" else ""
    with session(feed, secret, info, login=login, limit=limit, times=times) as sftp:
        if profile and profile.login != info.method:
            info.learned = dataclasses.replace(profile, login=info.method)
        learned = profile.temporary_name if profile else ""
        directory = RemoteDirectory(sftp, feed, info, learned)
        try:
            yield directory
        except SftpStatusError as refused:
            raise directory.failure(refused) from None
        except (ConnectionLost, struct.error) as error:
            raise directory.broken(error) from None

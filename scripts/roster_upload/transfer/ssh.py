"""An SSH connection to the right server: address, handshake, host key, login.

In some cases paramiko waits for ever or reports a misleading error. Comments beside the code
describe each of these cases.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import logging
import queue
import socket
import threading
from collections.abc import Iterator
from typing import Any

import paramiko

from roster_upload.exits import Exit, Failure
from roster_upload.host import stop
from roster_upload.terminal.printable import printable
from roster_upload.transfer.account import Account
from roster_upload.transfer.algorithms import CHACHA, HandshakeLog, make_transport
from roster_upload.transfer.info import ConnectionInfo
from roster_upload.transfer.login import OtherMethod, kind_of, log_in, log_in_last, refused_login
from roster_upload.transfer.watchdog import Watchdog, hang_up

KEEPALIVE_SECONDS = 15
LATER_SECONDS = 5


def fingerprint(blob: bytes) -> str:
    """Return a key's fingerprint in OpenSSH's format."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def open_socket(account: Account, info: ConnectionInfo, watchdog: Watchdog) -> socket.socket:
    """Connect to the first of the server's addresses that answers. Raise Failure."""
    where = f"{account.remote_host}, port {account.remote_port}"
    with info.phase("dns"):
        found = _resolve(account, watchdog.left(watchdog.times.connect))
    errors = []
    with info.phase("tcp"):
        for family, kind, protocol, _, address in found:
            try:
                connection = socket.socket(family, kind, protocol)
                return _connect(connection, address, info, watchdog.left(watchdog.times.connect))
            except OSError as error:
                errors.append(f"{address[0]}: {error.strerror or 'no answer'}")
    raise Failure(
        Exit.NETWORK,
        f"no connection to {where} ({', '.join(errors)}). Check this host's firewall and those on "
        "the way",
    )


def _resolve(account: Account, seconds: float) -> list[Any]:
    """Return the server's addresses. Raise Failure.

    A thread asks for them, since a resolver accepts no time limit.
    """
    answers: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            host, port = account.remote_host, account.remote_port
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        answer = TimeoutError(0, f"no answer within {seconds:g} s")
    if isinstance(answer, list):
        return answer
    why = getattr(answer, "strerror", None) or "it is not a host name"
    raise Failure(
        Exit.NETWORK,
        f"{account.remote_host} could not be resolved ({why}). Check {account.contact.host_key} "
        "and this host's name servers",
    )


def _connect(
    connection: socket.socket, address: Any, info: ConnectionInfo, seconds: float
) -> socket.socket:
    connection.settimeout(seconds)
    try:
        connection.connect(address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connection.close()
        raise
    info.address = str(address[0])
    return connection


def log_handshake(transport: paramiko.Transport) -> HandshakeLog:
    """Give a transport a log of its own. Return its handler."""
    handler = HandshakeLog()
    transport.logger = logging.Logger("handshake", logging.DEBUG)
    transport.logger.addHandler(handler)
    return handler


def negotiate(
    transport: paramiko.Transport, account: Account, info: ConnectionInfo, watchdog: Watchdog
) -> None:
    """Exchange keys with the server and compare its host key with the pins. Raise Failure."""
    where = f"{account.remote_host} ({info.address})"
    log = log_handshake(transport)
    # paramiko's own limits are longer than ours, since our messages are better.
    seconds = watchdog.left(watchdog.times.connect)
    transport.banner_timeout = transport.handshake_timeout = seconds + LATER_SECONDS
    with info.phase("kex"):
        try:
            transport.start_client(timeout=seconds)
        except Exception as error:  # noqa: BLE001 - malformed texts raise errors of any kind
            if missing := log.missing_kinds(transport):
                message = _no_common(where, account, missing, log.has_chacha_alone)
                raise Failure(Exit.NEGOTIATION, message) from None
            message = f"{where} {_broken_off(error)}{log.banner_hint}"
            raise Failure(Exit.NETWORK, message) from None
    transport.logger.setLevel(logging.CRITICAL)
    if not transport.initial_kex_done:  # paramiko returns without an error at its timeout
        why = f"did not finish the handshake within {seconds:g} s"
        raise Failure(Exit.NETWORK, f"{where} {why}{log.banner_hint}")
    info.server = printable(transport.remote_version)
    try:
        blob = transport.get_remote_server_key().asbytes()
    except paramiko.SSHException as error:  # it has hung up meanwhile
        raise Failure(Exit.VANISHED, f"{where} ended the connection at once ({error})") from None
    info.host_key = fingerprint(blob)
    if blob not in {pin.blob for pin in account.host_keys}:
        pins = ", ".join(fingerprint(pin.blob) for pin in account.host_keys)
        raise Failure(
            Exit.HOST_KEY,
            f"{where} has the host key {info.host_key}, but the pinned key is {pins}. Nothing was "
            f"sent, not even the password. Ask {account.contact.name} whether the key has changed "
            "before you pin it",
        )


def _broken_off(error: Exception) -> str:
    """Return the end of a broken handshake, worded for a message."""
    if isinstance(error, (EOFError, OSError)):
        return (
            f"ended the connection in the handshake ({printable(str(error)) or 'no reason given'})"
        )
    if isinstance(error, paramiko.SSHException):
        why = printable(str(error))
    else:
        why = f"its handshake is malformed ({type(error).__name__})"
    return f"answered, but not as an SSH server does: {why}"


def _no_common(where: str, account: Account, missing: str, has_chacha_alone: bool) -> str:
    """Return the message for a server without a common algorithm."""
    people = account.contact
    advice = f"Ask {people.name} for a newer server, or pin a host key of the server's other types"
    if has_chacha_alone:
        advice = (
            f"The server offers only {CHACHA}, which this program's SSH library (paramiko) does "
            f"not support. Ask {people.name} to offer aes256-gcm@openssh.com or aes256-ctr, too"
        )
    elif account.algorithms == "modern":
        advice += f". `{people.prefix}algorithms = legacy` adds the algorithms of old servers"
    return f"{where} and this program have no algorithm in common ({missing}). {advice}"


@contextlib.contextmanager
def _agreed(
    account: Account, info: ConnectionInfo, watchdog: Watchdog
) -> Iterator[paramiko.Transport]:
    """Yield a connection to the right server, before the login. Raise Failure."""
    with (
        contextlib.closing(open_socket(account, info, watchdog)) as connection,
        watchdog.over(connection),
        contextlib.closing(make_transport(connection, account)) as transport,
    ):
        with stop.deferred():
            negotiate(transport, account, info, watchdog)
        watchdog.moved()
        transport.auth_timeout = watchdog.left(watchdog.times.answer)
        try:
            yield transport
        finally:
            hang_up(connection)


def _banner(transport: paramiko.Transport) -> str:
    """Return the banner of a server as one line, "" without one (RFC 4252, 5.4)."""
    banner = transport.get_banner() or b""
    return printable(" ".join(banner.decode("utf-8", "backslashreplace").split()))


@contextlib.contextmanager
def logged_in(
    account: Account, secret: bytes, info: ConnectionInfo, watchdog: Watchdog, method: str = ""
) -> Iterator[paramiko.Transport]:
    """Yield a connection after the login. Raise Failure.

    `method` is the login method that the server accepted for a password before. A method that it
    does not accept costs two more connections, since some servers ignore a second method on the
    same one. It does not count as a login attempt.
    """
    first = "publickey" if kind_of(secret) == "key" else method or "password"
    with contextlib.ExitStack() as stack:
        transport = stack.enter_context(_agreed(account, info, watchdog))
        try:
            with stop.deferred():
                log_in(transport, account, secret, first, info)
        except OtherMethod as other:
            stack.close()
            with info.phase("auth"):
                _prove_turned_away(account, secret, info, watchdog, first)
            transport = stack.enter_context(_agreed(account, info, watchdog))
            with stop.deferred():
                log_in_last(transport, account, secret, other.method, info)
        watchdog.moved()
        info.banner = _banner(transport)
        transport.set_keepalive(KEEPALIVE_SECONDS)  # some servers hang up if it comes earlier
        yield transport


def _prove_turned_away(
    account: Account, secret: bytes, info: ConnectionInfo, watchdog: Watchdog, method: str
) -> None:
    """Raise Failure unless the server still does not offer a login method.

    Some servers no longer offer a method after they refused it. Another attempt by the next method
    could then lock the account.
    """
    with _agreed(account, info, watchdog) as transport:
        try:
            with stop.deferred():
                transport.auth_none(account.username)
        except paramiko.BadAuthenticationType as error:
            if method not in error.allowed_types:
                return
        except Exception:  # noqa: BLE001, S110 - as in a handshake
            pass  # the outcome is unknown, so the login counts as refused
        raise refused_login(account, secret, "was refused")


@contextlib.contextmanager
def in_time(watchdog: Watchdog, limit: float | None) -> Iterator[None]:
    """Raise Failure with `Exit.SILENT` if the block failed because the time was over."""
    try:
        yield
    except Failure as failure:
        if limit is None or not watchdog.is_over or not failure.code.is_retried:
            raise
        raise Failure(
            Exit.SILENT, f"this delivery's limit of {limit:g} s was reached: {failure.message}"
        ) from None

"""An SSH connection to the right server: address, handshake, host key, login.

paramiko waits without end in some places, and reports some failures as others. A comment beside
each of these places says what is done about it.
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

from roster_upload.config import Feed
from roster_upload.exits import Exit, Failure
from roster_upload.host import stop
from roster_upload.terminal.printable import printable
from roster_upload.transfer.algorithms import CHACHA, HandshakeLog, make_transport
from roster_upload.transfer.info import ConnectionInfo
from roster_upload.transfer.login import OtherMethod, kind_of, log_in, log_in_last, refused_login
from roster_upload.transfer.watchdog import Watchdog, hang_up

KEEPALIVE_SECONDS = 15
LATER_SECONDS = 5


def fingerprint(blob: bytes) -> str:
    """A key's fingerprint as OpenSSH prints it."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def open_socket(feed: Feed, info: ConnectionInfo, watchdog: Watchdog) -> socket.socket:
    """Connects to the first of the server's addresses that answers."""
    where = f"{feed.remote_host}, port {feed.remote_port}"
    with info.phase("dns"):
        found = _resolved(feed, watchdog.left(watchdog.times.connect))
    told = []
    with info.phase("tcp"):
        for family, kind, protocol, _, address in found:
            try:
                connection = socket.socket(family, kind, protocol)
                return _connected(connection, address, info, watchdog.left(watchdog.times.connect))
            except OSError as error:
                told.append(f"{address[0]}: {error.strerror or 'no answer'}")
    raise Failure(
        Exit.NETWORK,
        f"no connection to {where} ({'; '.join(told)}); check the firewalls between, this host's "
        "own included",
    )


def _resolved(feed: Feed, seconds: float) -> list[Any]:
    """The server's addresses, asked for in a thread: a resolver knows no limit of ours."""
    answers: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            host, port = feed.remote_host, feed.remote_port
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
    why = getattr(answer, "strerror", None) or "it is no host name"
    raise Failure(
        Exit.NETWORK,
        f"{feed.remote_host} could not be resolved ({why}); check remote_host and this host's name "
        "servers",
    )


def _connected(
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


def overhear(transport: paramiko.Transport) -> HandshakeLog:
    """Lets a transport log to a handler of its own, and to nothing else."""
    handler = HandshakeLog()
    transport.logger = logging.Logger("handshake", logging.DEBUG)
    transport.logger.addHandler(handler)
    return handler


def negotiate(
    transport: paramiko.Transport, feed: Feed, info: ConnectionInfo, watchdog: Watchdog
) -> None:
    """Agrees on keys with the server and compares its host key with the pinned ones."""
    where = f"{feed.remote_host} ({info.address})"
    overheard = overhear(transport)
    # paramiko's own limits come behind ours, which are told better.
    seconds = watchdog.left(watchdog.times.connect)
    transport.banner_timeout = transport.handshake_timeout = seconds + LATER_SECONDS
    with info.phase("kex"):
        try:
            transport.start_client(timeout=seconds)
        except Exception as error:  # noqa: BLE001 - paramiko's own, or what a malformed text raises
            if lacking := overheard.lacking(transport):
                message = _no_common(where, feed, lacking, overheard.has_chacha_alone)
                raise Failure(Exit.NEGOTIATION, message) from None
            raise Failure(Exit.NETWORK, f"{where} {_broken_off(error)}{overheard.said}") from None
    transport.logger.setLevel(logging.CRITICAL)
    if not transport.initial_kex_done:  # at its timeout paramiko returns as if all was well
        why = f"did not finish the handshake within {seconds:g} s"
        raise Failure(Exit.NETWORK, f"{where} {why}{overheard.said}")
    info.server = printable(transport.remote_version)
    try:
        blob = transport.get_remote_server_key().asbytes()
    except paramiko.SSHException as error:  # it has hung up meanwhile
        raise Failure(Exit.VANISHED, f"{where} ended the connection at once ({error})") from None
    info.host_key = fingerprint(blob)
    if blob not in {pin.blob for pin in feed.host_keys}:
        pins = ", ".join(fingerprint(pin.blob) for pin in feed.host_keys)
        raise Failure(
            Exit.HOST_KEY,
            f"{where} shows the host key {info.host_key}, pinned is {pins}; nothing was sent, not "
            "even the password. Ask the vendor whether the key has changed before pinning it",
        )


def _broken_off(error: Exception) -> str:
    """Return how a handshake has ended, by what paramiko's thread has made of it."""
    if isinstance(error, (EOFError, OSError)):
        return (
            f"ended the connection in the handshake ({printable(str(error)) or 'no reason given'})"
        )
    is_told = isinstance(error, paramiko.SSHException)
    why = (
        printable(str(error)) if is_told else f"its handshake is malformed ({type(error).__name__})"
    )
    return f"answered, but not as an SSH server does: {why}"


def _no_common(where: str, feed: Feed, lacking: str, has_chacha_alone: bool) -> str:
    advice = "ask the vendor for a newer server, or pin a host key of the server's other types"
    if has_chacha_alone:
        advice = (
            f"the server offers {CHACHA} alone, which this program's SSH library (paramiko) does "
            "not have; ask the vendor to offer aes256-gcm@openssh.com or aes256-ctr, too"
        )
    elif feed.algorithms == "modern":
        advice += "; algorithms = legacy offers what old servers need"
    return f"{where} and this program have no algorithm in common ({lacking}); {advice}"


@contextlib.contextmanager
def _agreed(feed: Feed, info: ConnectionInfo, watchdog: Watchdog) -> Iterator[paramiko.Transport]:
    """A connection to the right server, before the login."""
    with (
        contextlib.closing(open_socket(feed, info, watchdog)) as connection,
        watchdog.over(connection),
        contextlib.closing(make_transport(connection, feed)) as transport,
    ):
        with stop.deferred():
            negotiate(transport, feed, info, watchdog)
        watchdog.moved()
        transport.auth_timeout = watchdog.left(watchdog.times.answer)
        try:
            yield transport
        finally:
            hang_up(connection)


@contextlib.contextmanager
def logged_in(
    feed: Feed, secret: bytes, info: ConnectionInfo, watchdog: Watchdog, method: str = ""
) -> Iterator[paramiko.Transport]:
    """A connection that is logged in, for the time of the block.

    `method` is the one that the server was seen to take for a password. One that it does not take
    costs connections, since some servers do not listen to a second one; it is no login attempt.
    """
    first = "publickey" if kind_of(secret) == "key" else method or "password"
    with contextlib.ExitStack() as stack:
        transport = stack.enter_context(_agreed(feed, info, watchdog))
        try:
            with stop.deferred():
                log_in(transport, feed, secret, first, info)
        except OtherMethod as other:
            stack.close()
            with info.phase("auth"):
                _prove_turned_away(feed, secret, info, watchdog, first)
            transport = stack.enter_context(_agreed(feed, info, watchdog))
            with stop.deferred():
                log_in_last(transport, feed, secret, other.method, info)
        watchdog.moved()
        transport.set_keepalive(KEEPALIVE_SECONDS)  # not before: some servers hang up
        yield transport


def _prove_turned_away(
    feed: Feed, secret: bytes, info: ConnectionInfo, watchdog: Watchdog, method: str
) -> None:
    """Raises Failure where a server that seemed not to take a method takes it.

    Some servers offer a method no longer once it was refused; another login attempt by the next
    method could then be the one that locks the account.
    """
    with _agreed(feed, info, watchdog) as transport:
        try:
            with stop.deferred():
                transport.auth_none(feed.username)
        except paramiko.BadAuthenticationType as error:
            if method not in error.allowed_types:
                return
        except Exception:  # noqa: BLE001, S110 - as in a handshake
            pass  # not known, so the careful answer
        account = f"{feed.username} at {feed.remote_host}"
        raise refused_login(account, secret, "was refused")


@contextlib.contextmanager
def in_time(watchdog: Watchdog, limit: float | None) -> Iterator[None]:
    """Tells of a failure for want of time, whatever it looked like, as of a server too slow."""
    try:
        yield
    except Failure as failure:
        if limit is None or not watchdog.is_over or not failure.code.is_retried:
            raise
        raise Failure(
            Exit.SILENT, f"the {limit:g} s for this delivery were over: {failure.message}"
        ) from None

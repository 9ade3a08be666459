"""The way to a logged-in SSH connection: address, algorithms, host key, one login attempt.

paramiko waits without end in some places and reports some failures as others; what is done about
it stands beside each.
"""

from __future__ import annotations

import base64
import codecs
import contextlib
import hashlib
import io
import logging
import queue
import re
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import paramiko

from roster_upload.config import Feed, HostKey
from roster_upload.exits import RETRYABLE, Exit, Failure
from roster_upload.host import stop
from roster_upload.terminal.printable import printable
from roster_upload.transfer.info import ConnectionInfo
from roster_upload.transfer.packets import BoundedPacketizer
from roster_upload.transfer.watchdog import Watchdog, hang_up

KEEPALIVE_SECONDS = 15
LATER_SECONDS = 5

# What is offered, the best first; each paramiko takes of it what it has.
MODERN = {
    "kex": (
        "mlkem768x25519-sha256",
        "curve25519-sha256",
        "curve25519-sha256@libssh.org",
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
        "diffie-hellman-group16-sha512",
        "diffie-hellman-group-exchange-sha256",
        "diffie-hellman-group14-sha256",
    ),
    "ciphers": (
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
    ),
    "digests": (
        "hmac-sha2-256-etm@openssh.com",
        "hmac-sha2-512-etm@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-512",
    ),
}
# What a server of long ago needs besides: SHA-1 and CBC. paramiko 4 and later has less of it.
OLD = {
    "kex": ("diffie-hellman-group14-sha1", "diffie-hellman-group-exchange-sha1"),
    "ciphers": ("aes128-cbc", "aes192-cbc", "aes256-cbc"),
    "digests": ("hmac-sha1",),
}
CHACHA = "chacha20-poly1305@openssh.com"
ENCRYPT_THEN_MAC = "-etm@openssh.com"  # how the names of such digests end
LONGEST_OFFER = 600  # characters that are shown of a list of algorithms
LONGEST_PROMPT = 2_000  # characters that are looked at of what a server asks
RSA = {
    "modern": ("rsa-sha2-512", "rsa-sha2-256"),
    "legacy": ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"),
}
# The label in paramiko's log of what a server offers: the option that holds ours, and its name.
OFFERS = {
    "kex algos": ("kex", "kex"),
    "server key": ("key_types", "host key"),
    "client encrypt": ("ciphers", "cipher"),
    "client mac": ("digests", "mac"),
}

# In the words of a prompt: what a password that is kept on a host can never answer.
NEW_PASSWORD = re.compile(r"\b(new|retype|re-?enter|confirm|change)\b.*pass|pass.*\bexpired", re.I)
OLD_PASSWORD = re.compile(r"\b(old|current)\b.*pass", re.I)  # asked for before the new one
CODE = re.compile(
    r"\b(code|otp|token|passcode|pin|one-?time|verification|authenticator|2fa|mfa|factor)\b", re.I
)


# The other method that a password fits, by the one that a server did not take.
OTHER_METHODS = {
    "password": "keyboard-interactive",
    "keyboard-interactive": "password",
}


class OtherMethod(Exception):
    """The server takes another login method than the one that was offered: `method`."""

    def __init__(self, method: str) -> None:
        super().__init__(method)
        self.method = method


class HandshakeLog(logging.Handler):
    """What paramiko tells its log of the handshake, and nowhere else."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.offers: dict[str, list[str]] = {}  # by label
        self.banner: list[str] = []  # lines that came before the server's version

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps what is of use."""
        label, _, text = record.getMessage().partition(": ")
        if label in OFFERS:
            self.offers[label] = text.split(", ")
        elif label == "Banner":
            self.banner.append(text)

    @property
    def said(self) -> str:
        """What the server said before, or instead of, its version."""
        words = " ".join(" ".join(self.banner).split())
        return f"; it says: {printable(words, 200)}" if words else ""

    @property
    def has_chacha_alone(self) -> bool:
        """Whether the server offers no other cipher, as tinyssh does."""
        return self.offers.get("client encrypt") == [CHACHA]

    def lacking(self, transport: paramiko.Transport) -> str:
        """Of which kinds of algorithm server and program share none, with both lists."""
        options = transport.get_security_options()
        told = []
        for label, theirs in self.offers.items():
            option, kind = OFFERS[label]
            ours = getattr(options, option)
            if not set(ours) & set(theirs):
                shown = printable(", ".join(theirs), LONGEST_OFFER)
                told.append(f"{kind}: ours {', '.join(ours)}; the server's {shown}")
        return " | ".join(told)


def fingerprint(blob: bytes) -> str:
    """A key's fingerprint as OpenSSH prints it."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def offered_key_types(pins: tuple[HostKey, ...], algorithms: str = "modern") -> list[str]:
    """The host key algorithms to ask for, so that the server shows a key of a pinned type."""
    offered: list[str] = []
    for pin in pins:
        offered += RSA[algorithms] if pin.kind == "ssh-rsa" else [pin.kind]
    return list(dict.fromkeys(offered))


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


def make_transport(connection: socket.socket, feed: Feed) -> paramiko.Transport:
    """A transport that offers the feed's algorithms and the pinned key types only."""
    is_legacy = feed.algorithms == "legacy"
    off = {} if is_legacy else {"pubkeys": ["ssh-rsa"]}  # a signature with SHA-1
    transport = paramiko.Transport(connection, disabled_algorithms=off)
    transport.packetizer = BoundedPacketizer(connection)  # an argument only since paramiko 3
    options = transport.get_security_options()
    wanted: dict[str, list[str]] = {
        option: [*names, *(OLD[option] if is_legacy else ())] for option, names in MODERN.items()
    }
    if not hasattr(transport, "advertise_strict_kex"):
        # Without strict key exchange, packets can be removed under these unseen (CVE-2023-48795).
        wanted["digests"].sort(key=lambda name: name.endswith(ENCRYPT_THEN_MAC))
    wanted["key_types"] = offered_key_types(feed.host_keys, feed.algorithms)
    for option, names in wanted.items():
        available = getattr(options, option)
        chosen = tuple(name for name in names if name in available)
        if not chosen:
            raise Failure(
                Exit.NEGOTIATION,
                f"this host's SSH library knows none of: {', '.join(names)}; pin a host key of "
                "another type",
            )
        setattr(options, option, chosen)
    return transport


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


def log_in(
    transport: paramiko.Transport, feed: Feed, secret: bytes, method: str, info: ConnectionInfo
) -> None:
    """Logs in, once: a refused login is never repeated, since servers lock accounts.

    Raises OtherMethod where the server does not take the method but another one that a password
    fits. A login whose outcome is not known counts as refused, for the same reason.
    """
    account = f"{feed.username} at {feed.remote_host}"
    with info.phase("auth"):
        try:
            if method == "publickey":
                more = transport.auth_publickey(feed.username, private_key(secret))
            elif method == "password":
                more = transport.auth_password(feed.username, password(secret), fallback=False)
            else:
                answer = one_prompt(password(secret), account)
                more = transport.auth_interactive(feed.username, answer)
        except paramiko.BadAuthenticationType as error:
            taken = list(filter(None, error.allowed_types))
            # Perhaps not refused, but turned away before the secret was looked at.
            if (other := OTHER_METHODS.get(method)) in taken:
                raise OtherMethod(str(other)) from None
            if not taken:
                raise _refused(account, secret, "was refused") from None
            raise Failure(
                Exit.LOGIN,
                f"{account}: the server takes {_listed(taken)}, not {method}; compare the secret "
                "with what the vendor gave you",
            ) from None
        except Failure:
            raise
        except Exception as error:  # noqa: BLE001 - as in a handshake
            raise _not_let_in(transport, account, secret, error) from None
        if more:
            raise Failure(
                Exit.SECOND_FACTOR,
                f"{account}: after the {kind_of(secret)} the server asks for more "
                f"({_listed(more)}); ask the vendor for an account without it",
            )
    info.method = method


def _not_let_in(
    transport: paramiko.Transport, account: str, secret: bytes, error: Exception
) -> Failure:
    """Return what an error in a login means."""
    if "info request" in str(error):  # what paramiko makes of RFC 4252, section 8
        return _expired(account, "by SSH's own request")
    if "timeout" in str(error).lower():
        end = f"was not answered within {transport.auth_timeout:g} s"
    elif not isinstance(error, (paramiko.SSHException, OSError, EOFError)):
        end = f"was answered, but not as an SSH server does ({type(error).__name__})"
    elif transport.is_active():
        end = "was refused"
    else:
        end = "was ended by the server, which may have locked the account or this address"
    return _refused(account, secret, end)


def _log_in_last(
    transport: paramiko.Transport, feed: Feed, secret: bytes, method: str, info: ConnectionInfo
) -> None:
    """Logs in as by `log_in`, where no other method is left. Raises Failure."""
    try:
        log_in(transport, feed, secret, method, info)
    except OtherMethod:
        account = f"{feed.username} at {feed.remote_host}"
        raise _refused(account, secret, "was refused") from None


def _listed(names: list[str]) -> str:
    return printable(", ".join(names))


def _refused(account: str, secret: bytes, end: str) -> Failure:
    return Failure(
        Exit.LOGIN,
        f"the login {account} {end}. It is not tried again, since servers lock accounts: check the "
        f"{kind_of(secret)}; Imagine Learning asks for a reset by its mailed link before the first "
        "login",
    )


def _expired(account: str, how: str) -> Failure:
    return Failure(
        Exit.PASSWORD_EXPIRED,
        f"{account}: the server asks for a new password ({how}); set one by the vendor's reset "
        "link and bring it in with rotate_credentials.yml",
    )


def kind_of(secret: bytes) -> str:
    """What a secret is, `key` or `password`, by its own form.

    Not by the feed's `auth`: while a password gives way to a key, the one in use is what counts;
    and a private key must never be sent to a server as if it were a password.
    """
    return "key" if _trimmed(secret).startswith(b"-----BEGIN ") else "password"


def _trimmed(secret: bytes) -> bytes:
    """Return a secret without what an editor puts before its first character."""
    return secret.lstrip().removeprefix(codecs.BOM_UTF8).lstrip()


def password(secret: bytes) -> str:
    """The feed's secret as a password, its blanks included."""
    try:
        text = secret.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise Failure(
            Exit.CREDENTIAL,
            "the feed's secret is empty, or no text; run site.yml with the district's vault file",
        )
    return text


def one_prompt(secret: str, account: str) -> Callable[..., list[str]]:
    """An answer to a single hidden prompt; to a code, a new password or any more, a Failure."""
    asked: list[str] = []

    def answer(title: str, text: str, prompts: list[tuple[str, bool]]) -> list[str]:
        if not prompts:
            return []
        is_first = not asked
        asked.extend(prompt.strip() for prompt, _ in prompts)
        told = "; ".join(asked)[:LONGEST_PROMPT]
        # Beside the first prompt an instruction may talk of anything; what follows it is meant.
        words = told if is_first else f"{title} {text} {told}"[:LONGEST_PROMPT]
        if NEW_PASSWORD.search(words) or (not is_first and OLD_PASSWORD.search(words)):
            raise _expired(account, printable(told))
        if is_first and len(prompts) == 1 and not prompts[0][1] and not CODE.search(words):
            return [secret]
        raise Failure(
            Exit.SECOND_FACTOR,
            f"{account}: the server asks for more than the password ({printable(told)}); ask the "
            "vendor for an account without a second factor",
        )

    return answer


def private_key(secret: bytes) -> paramiko.PKey:
    """An OpenSSH private key without passphrase, from memory."""
    kinds: list[Any] = [paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey]
    for kind in kinds:
        with contextlib.suppress(paramiko.SSHException, ValueError, IndexError):
            text = _trimmed(secret).decode("utf-8")
            key: paramiko.PKey = kind.from_private_key(io.StringIO(text))
            return key
    raise Failure(
        Exit.CREDENTIAL,
        "the feed's secret is no OpenSSH private key (ed25519, ECDSA or RSA, without passphrase)",
    )


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
                _log_in_last(transport, feed, secret, other.method, info)
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
        raise _refused(account, secret, "was refused")


@contextlib.contextmanager
def in_time(watchdog: Watchdog, limit: float | None) -> Iterator[None]:
    """Tells of a failure for want of time, whatever it looked like, as of a server too slow."""
    try:
        yield
    except Failure as failure:
        if limit is None or not watchdog.is_over or failure.code not in RETRYABLE:
            raise
        raise Failure(
            Exit.SILENT, f"the {limit:g} s for this delivery were over: {failure.message}"
        ) from None

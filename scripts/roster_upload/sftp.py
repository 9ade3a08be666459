"""SFTP over paramiko's transport, with a writer that believes nothing it was not told.

paramiko's own `put` drops the answers to its last writes and closes a file that was cut off as if
it were whole (https://github.com/paramiko/paramiko/blob/main/paramiko/sftp_file.py). Here each
request's answer is read and checked. The protocol is version 3,
draft-ietf-secsh-filexfer-02, which is what servers speak.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko

from roster_upload.config import Feed, HostKey
from roster_upload.exits import Exit, Failure

CONNECT_SECONDS = 30
ANSWER_SECONDS = 60
TIDY_SECONDS = 10  # for an answer after a failure; the unit has 30 s to end
KEEPALIVE_SECONDS = 15
CHUNK_BYTES = 32 * 1024
CHUNKS_IN_FLIGHT = 64  # OpenSSH's window for a session: 64 requests of 32 KiB

# What is offered, the best first; each paramiko takes of it what it has.
ALGORITHMS = {
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

(INIT, VERSION, OPEN, CLOSE, WRITE, FSTAT) = (1, 2, 3, 4, 6, 8)
(OPENDIR, READDIR, REMOVE, STAT, RENAME) = (11, 12, 13, 17, 18)
(STATUS, HANDLE, NAME, ATTRS, EXTENDED) = (101, 102, 104, 105, 200)
(OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE) = (0, 1, 2, 3, 4)
NO_SPACE = {14: "the disk is full", 15: "the quota is used up"}
CREATE_FLAGS = 0x02 | 0x08 | 0x10  # write, create, truncate
SIZE_PRESENT = 0x01
POSIX_RENAME = "posix-rename@openssh.com"


class Refused(Exception):
    """A request that the server answered with an error: its status code and its own words."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{NO_SPACE.get(code, words or 'no reason given')} (SFTP status {code})")
        self.code = code


class OtherMethod(Exception):
    """The server takes another login method than the one that was offered."""


class Lost(Exception):
    """The connection ended, or an answer did not come in time."""


@dataclass
class Delivered:
    """What is known of a file that has arrived; its size in bytes where the server tells it."""

    bytes: int | None
    method: str


@dataclass
class Facts:
    """What was learned on the way, whether or not it led to the end."""

    address: str = ""
    server: str = ""
    host_key: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Adds what the block takes to a phase's seconds."""
        start = time.monotonic()
        try:
            yield
        finally:
            total = self.seconds.get(name, 0.0) + time.monotonic() - start
            self.seconds[name] = round(total, 4)


def fingerprint(blob: bytes) -> str:
    """A key's fingerprint as OpenSSH prints it."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def offered_key_types(pins: tuple[HostKey, ...]) -> list[str]:
    """The host key algorithms to ask for, so that the server shows a key of a pinned type."""
    offered: list[str] = []
    for pin in pins:
        offered += ["rsa-sha2-512", "rsa-sha2-256"] if pin.kind == "ssh-rsa" else [pin.kind]
    return list(dict.fromkeys(offered))


def open_socket(feed: Feed, facts: Facts) -> socket.socket:
    """Connects to the first of the server's addresses that answers."""
    where = f"{feed.remote_host}, port {feed.remote_port}"
    with facts.phase("dns"):
        try:
            found = socket.getaddrinfo(feed.remote_host, feed.remote_port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or "it is no host name"
            raise Failure(
                Exit.NETWORK,
                f"{feed.remote_host} could not be resolved ({why}); check remote_host and this "
                "host's name servers",
            ) from None
    told = []
    with facts.phase("tcp"):
        for family, kind, protocol, _, address in found:
            try:
                return _connected(socket.socket(family, kind, protocol), address, facts)
            except OSError as error:
                told.append(f"{address[0]}: {error.strerror or 'no answer'}")
    raise Failure(
        Exit.NETWORK,
        f"no connection to {where} ({'; '.join(told)}); check the firewalls between, this host's "
        "own included",
    )


def _connected(connection: socket.socket, address: Any, facts: Facts) -> socket.socket:
    connection.settimeout(CONNECT_SECONDS)
    try:
        connection.connect(address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connection.close()
        raise
    facts.address = str(address[0])
    return connection


def make_transport(connection: socket.socket, feed: Feed) -> paramiko.Transport:
    """A transport that offers modern algorithms and the pinned key types only."""
    transport = paramiko.Transport(connection)
    transport.banner_timeout = CONNECT_SECONDS
    transport.auth_timeout = ANSWER_SECONDS
    options = transport.get_security_options()
    wanted = {**ALGORITHMS, "key_types": offered_key_types(feed.host_keys)}
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


def negotiate(transport: paramiko.Transport, feed: Feed, facts: Facts) -> None:
    """Agrees on keys with the server and compares its host key with the pinned ones."""
    where = f"{feed.remote_host} ({facts.address})"
    with facts.phase("kex"):
        try:
            transport.start_client(timeout=CONNECT_SECONDS)
        except paramiko.SSHException as error:
            text = str(error)
            if "Incompatible" in text or "no acceptable" in text.lower():
                raise Failure(
                    Exit.NEGOTIATION,
                    f"{where} has no algorithm that is still held secure, or shows no host key of "
                    f"a pinned type ({', '.join(offered_key_types(feed.host_keys))}): {text}",
                ) from None
            raise Failure(
                Exit.NETWORK, f"{where} answered, but not as an SSH server does: {text}"
            ) from None
        except (OSError, EOFError) as error:
            raise Failure(
                Exit.NETWORK, f"{where} ended the connection at once ({error or 'no reason'})"
            ) from None
    if not transport.initial_kex_done:  # at its timeout paramiko returns as if all was well
        raise Failure(
            Exit.NETWORK, f"{where} did not finish the handshake within {CONNECT_SECONDS} s"
        )
    facts.server = transport.remote_version
    blob = transport.get_remote_server_key().asbytes()
    facts.host_key = fingerprint(blob)
    if blob not in {pin.blob for pin in feed.host_keys}:
        pins = ", ".join(fingerprint(pin.blob) for pin in feed.host_keys)
        raise Failure(
            Exit.HOST_KEY,
            f"{where} shows the host key {facts.host_key}, pinned is {pins}; nothing was sent, not "
            "even the password. Ask the vendor whether the key has changed before pinning it",
        )


def log_in(
    transport: paramiko.Transport, feed: Feed, secret: bytes, method: str, facts: Facts
) -> None:
    """Logs in, once: a refused login is never repeated, since servers lock accounts.

    Raises OtherMethod where the server does not take the method but one that a password fits.
    """
    account = f"{feed.username} at {feed.remote_host}"
    with facts.phase("auth"):
        try:
            if method == "publickey":
                more = transport.auth_publickey(feed.username, private_key(secret))
            elif method == "password":
                more = transport.auth_password(feed.username, password(secret), fallback=False)
            else:
                answer = one_prompt(password(secret), account)
                more = transport.auth_interactive(feed.username, answer)
            if more:
                raise Failure(
                    Exit.LOGIN,
                    f"{account}: after the {feed.auth} the server asks for more "
                    f"({', '.join(more)}); ask the vendor for an account without it",
                )
        except paramiko.BadAuthenticationType as error:
            # Not refused, but turned away before the secret was looked at.
            if method == "password" and "keyboard-interactive" in error.allowed_types:
                raise OtherMethod from None
            raise Failure(
                Exit.LOGIN,
                f"{account}: the server takes {', '.join(error.allowed_types)}, not {feed.auth}",
            ) from None
        except paramiko.AuthenticationException:
            end = "was refused"
            if not transport.is_active():
                end = "was ended by the server, which may have locked the account or this address"
            raise Failure(
                Exit.LOGIN,
                f"the login {account} {end}. It is not tried again, since servers lock accounts: "
                f"check the {feed.auth}; Imagine Learning asks for a reset by its mailed link "
                "before the first login",
            ) from None
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise Failure(
                Exit.TRANSFER, f"the connection broke while logging in as {account} ({error})"
            ) from None


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
    """An answer to a single hidden prompt; to anything more, such as a code, a Failure."""
    asked: list[str] = []

    def answer(_title: str, _text: str, prompts: list[tuple[str, bool]]) -> list[str]:
        if not prompts:
            return []
        asked.extend(prompt.strip() for prompt, _ in prompts)
        if len(asked) == 1 and not prompts[0][1]:
            return [secret]
        raise Failure(
            Exit.LOGIN,
            f"{account}: the server asks for more than the password ({'; '.join(asked)}); log in "
            "by hand once, or ask the vendor for an account without it",
        )

    return answer


def private_key(secret: bytes) -> paramiko.PKey:
    """An OpenSSH private key without passphrase, from memory."""
    kinds: list[Any] = [paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey]
    for kind in kinds:
        with contextlib.suppress(paramiko.SSHException, ValueError, IndexError):
            key: paramiko.PKey = kind.from_private_key(io.StringIO(secret.decode("utf-8")))
            return key
    raise Failure(
        Exit.CREDENTIAL,
        "the feed's secret is no OpenSSH private key (ed25519, ECDSA or RSA, without passphrase)",
    )


class Sftp:
    """The SFTP requests that a delivery needs, on one channel."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self.channel = channel
        self.channel.settimeout(ANSWER_SECONDS)
        self._number = 0
        self._buffer = bytearray()
        self._waiting: set[int] = set()  # numbers of the writes whose answers are still to come
        self._is_torn = False  # whether a request was sent in part
        self._send(INIT, struct.pack(">I", 3), numbered=False)
        kind, body = self._receive()
        if kind != VERSION:
            raise Lost("the server does not speak SFTP")
        self.extensions = dict(_strings_in_pairs(body[4:]))

    def _send(self, kind: int, body: bytes, *, numbered: bool = True) -> int:
        if numbered:
            self._number += 1
            body = struct.pack(">I", self._number) + body
        if self._is_torn:
            raise Lost("the last request was not sent whole")
        self._is_torn = True
        try:
            self.channel.sendall(struct.pack(">IB", len(body) + 1, kind) + body)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise Lost(str(error) or "the connection is gone") from None
        self._is_torn = False
        return self._number

    def _receive(self) -> tuple[int, bytes]:
        """The next answer: its kind and the rest. One that a signal interrupts can be had again."""
        self._fill(4)
        length = struct.unpack(">I", self._buffer[:4])[0]
        if not 5 <= length <= 1 << 20:
            raise Lost("the server sent something that is not SFTP")
        self._fill(4 + length)
        data = bytes(self._buffer[4 : 4 + length])
        del self._buffer[: 4 + length]
        return data[0], data[1:]

    def _fill(self, count: int) -> None:
        while len(self._buffer) < count:
            try:
                data = self.channel.recv(65536)
            except TimeoutError:
                raise Lost(f"no answer within {ANSWER_SECONDS} s") from None
            except (OSError, EOFError, paramiko.SSHException) as error:
                raise Lost(str(error) or "the connection is gone") from None
            if not data:
                raise Lost("the server closed the connection")
            self._buffer += data

    def _answer(self) -> tuple[int, int, bytes]:
        """The next answer: the number of its request, its kind and the rest."""
        kind, body = self._receive()
        return struct.unpack(">I", body[:4])[0], kind, body[4:]

    def _ask(self, kind: int, body: bytes, expected: int = STATUS) -> bytes:
        """Asks and returns the answer; raises Refused where it is an error."""
        number = self._send(kind, body)
        answered, answer_kind, answer = self._answer()
        while answered in self._waiting:  # of a transfer that was given up
            self._waiting.remove(answered)
            answered, answer_kind, answer = self._answer()
        if answered != number:
            raise Lost("the server answered another question")
        _check(answer_kind, answer, expected)
        return answer

    def write(self, path: str, source: Path) -> int | None:
        """Writes a whole file; returns the size that the server has for it, None if it is silent.

        A window of requests is kept in flight; each one's answer is checked, that of the closing
        too. Raises Refused or Lost; the remote handle is then not closed as if all was well.
        """
        handle = self._ask(
            OPEN, _packed(path) + struct.pack(">II", CREATE_FLAGS, 0), expected=HANDLE
        )
        offset = 0
        with source.open("rb") as data:
            while chunk := data.read(CHUNK_BYTES):
                body = handle + struct.pack(">QI", offset, len(chunk)) + chunk
                self._waiting.add(self._send(WRITE, body))
                offset += len(chunk)
                if len(self._waiting) >= CHUNKS_IN_FLIGHT:
                    self._acknowledge()
        while self._waiting:
            self._acknowledge()
        size = self._size(FSTAT, handle)
        self._ask(CLOSE, handle)
        return size

    def _acknowledge(self) -> None:
        number, kind, body = self._answer()
        if number not in self._waiting:
            raise Lost("the server answered another question")
        self._waiting.remove(number)
        _check(kind, body, STATUS)

    def size(self, path: str) -> int | None:
        """Size in bytes of a remote file, None where the server does not tell.

        Raises Refused where there is no such file.
        """
        return self._size(STAT, _packed(path))

    def _size(self, kind: int, body: bytes) -> int | None:
        try:
            attributes = self._ask(kind, body, expected=ATTRS)
        except Refused as refused:
            if refused.code == NO_SUCH_FILE:
                raise
            return None  # some servers do not let anyone look
        flags = struct.unpack(">I", attributes[:4])[0]
        return struct.unpack(">Q", attributes[4:12])[0] if flags & SIZE_PRESENT else None

    def hurry(self) -> None:
        """From now on waits for an answer no longer than a clean-up may take."""
        self.channel.settimeout(TIDY_SECONDS)

    def rename(self, old: str, new: str) -> None:
        """Renames by protocol version 3: most servers refuse where `new` exists."""
        self._ask(RENAME, _packed(old) + _packed(new))

    def posix_rename(self, old: str, new: str) -> None:
        """Renames in one step over a file that exists (OpenSSH PROTOCOL, section 4.3)."""
        self._ask(EXTENDED, _packed(POSIX_RENAME) + _packed(old) + _packed(new))

    def remove(self, path: str) -> None:
        """Deletes a remote file."""
        self._ask(REMOVE, _packed(path))

    def names(self, folder: str) -> list[str]:
        """The names in a remote folder."""
        handle = self._ask(OPENDIR, _packed(folder), expected=HANDLE)
        found = []
        try:
            while True:
                body = self._ask(READDIR, handle, expected=NAME)
                at = 4
                for _ in range(struct.unpack(">I", body[:4])[0]):
                    name, at = _string(body, at)
                    _, at = _string(body, at)
                    at = _after_attributes(body, at)
                    found.append(name.decode("utf-8", "replace"))
        except Refused as refused:
            if refused.code != EOF:
                raise
        self._ask(CLOSE, handle)
        return found


def _packed(text: str) -> bytes:
    data = text.encode("utf-8")
    return struct.pack(">I", len(data)) + data


def _string(body: bytes, at: int) -> tuple[bytes, int]:
    length = struct.unpack(">I", body[at : at + 4])[0]
    return body[at + 4 : at + 4 + length], at + 4 + length


def _strings_in_pairs(body: bytes) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(body):
        name, at = _string(body, at)
        value, at = _string(body, at)
        yield name.decode("utf-8", "replace"), value.decode("utf-8", "replace")


def _check(kind: int, body: bytes, expected: int) -> None:
    """Raises Refused where an answer is an error, Lost where it is none that was asked for."""
    if kind == STATUS:
        code = struct.unpack(">I", body[:4])[0]
        if code != OK:
            words = _string(body, 4)[0].decode("utf-8", "replace") if len(body) > 4 else ""
            raise Refused(code, words)
    if kind != expected:
        raise Lost("the server answered another question")


def _after_attributes(body: bytes, at: int) -> int:
    """Where a set of attributes ends (draft-ietf-secsh-filexfer-02, section 5)."""
    flags = struct.unpack(">I", body[at : at + 4])[0]
    at += 4
    for flag, length in ((0x01, 8), (0x02, 8), (0x04, 4), (0x08, 8)):
        at += length if flags & flag else 0
    if flags & 0x80000000:
        count = struct.unpack(">I", body[at : at + 4])[0]
        at += 4
        for _ in range(2 * count):
            _, at = _string(body, at)
    return at


class Delivery:
    """Brings one file to its place on the server, by way of a temporary name beside it."""

    def __init__(self, sftp: Sftp, feed: Feed, facts: Facts) -> None:
        self.sftp = sftp
        self.feed = feed
        self.facts = facts
        # Its own feed's leftovers only; another feed of the folder may be at work.
        own = hashlib.sha256(feed.feed.encode()).hexdigest()[:8]
        self.prefix = f".roster-upload-{own}-"
        self.folder = feed.remote_dir.rstrip("/")
        self.final = f"{self.folder}/{feed.remote_name}"
        self.temporary = f"{self.folder}/{self.prefix}{secrets.token_hex(4)}.part"
        self.aside = f"{self.folder}/{self.prefix}old.part"
        self.outcome = "the old file is still in its place"

    def run(self, source: Path, size: int) -> Delivered:
        """Sends, renames and verifies; the final name holds the old file or the new one, whole."""
        try:
            self._tidy()
            with self.facts.phase("write"):
                there = self.sftp.write(self.temporary, source)
            self._same(there, size, "the temporary file")
            self.outcome = "whether the new file has taken its place is not known; start it again"
            with self.facts.phase("rename"):
                method = self._rename()
            self.outcome = "the new file is in its place, but not verified; start it again"
            return Delivered(self._verified(size), method)
        except Refused as refused:
            self._drop_temporary()
            raise self._failure(refused) from None
        except (Lost, struct.error) as error:  # the next run tidies up
            raise broken(self.feed, self.facts, f"{error}; {self.outcome}") from None
        except BaseException:
            self._drop_temporary()
            raise

    def _tidy(self) -> None:
        """Proves that the folder is there, and removes what a broken delivery left in it."""
        with self.facts.phase("list"):
            names = self.sftp.names(self.folder)
            for path in (f"{self.folder}/{name}" for name in names if name.startswith(self.prefix)):
                if path == self.aside and self.feed.remote_name not in names:
                    self.sftp.rename(path, self.final)  # the only whole file that there is
                    continue
                with contextlib.suppress(Refused):
                    self.sftp.remove(path)

    def _rename(self) -> str:
        """Puts the temporary file in its place; returns by which way."""
        if POSIX_RENAME in self.sftp.extensions:
            with contextlib.suppress(Refused):  # some servers offer it and refuse it
                self.sftp.posix_rename(self.temporary, self.final)
                return "posix-rename"
        try:
            self.sftp.rename(self.temporary, self.final)
            return "rename"
        except Refused as refused:
            try:
                self.sftp.size(self.final)
            except Refused:
                raise refused from None  # nothing stands in the way, so this is no help
        self.sftp.rename(self.final, self.aside)
        try:
            self.sftp.rename(self.temporary, self.final)
        except BaseException:
            self.sftp.hurry()
            self.sftp.rename(self.aside, self.final)  # else the next run does it
            raise
        with contextlib.suppress(Refused):
            self.sftp.remove(self.aside)
        return "aside"

    def _verified(self, size: int) -> int | None:
        """The size of the file in its place, compared with what was sent."""
        with self.facts.phase("verify"):
            try:
                there = self.sftp.size(self.final)
            except Refused as refused:
                raise Failure(
                    Exit.VERIFY, f"{self.final} was sent and renamed, but is not there: {refused}"
                ) from None
        self._same(there, size, self.final)
        return there

    def _same(self, there: int | None, size: int, what: str) -> None:
        if there is None or there == size:
            return
        why = "is full, or cut it short" if there < size else "added to what was there"
        raise Failure(
            Exit.VERIFY,
            f"{what} has {there} bytes on the server, {size} were sent: the server {why}",
        )

    def _drop_temporary(self) -> None:
        """Removes the temporary file where the connection still lives; else the next run does."""
        with contextlib.suppress(Refused, Lost, struct.error):
            self.sftp.hurry()
            self.sftp.remove(self.temporary)

    def _failure(self, refused: Refused) -> Failure:
        where = f"{self.feed.remote_host}: {self.folder}"
        if refused.code == NO_SUCH_FILE:
            return Failure(
                Exit.REMOTE_PATH,
                f"{where} does not exist on the server; compare remote_dir with the upload path "
                "that the vendor gave you",
            )
        if refused.code == PERMISSION_DENIED:
            return Failure(
                Exit.REMOTE_PATH,
                f"{where} is closed to {self.feed.username}: {refused}. If the login is new, its "
                "password may still have to be reset by the vendor's mailed link",
            )
        hint = "; servers say so of a full disk, too" if refused.code == FAILURE else ""
        return Failure(Exit.TRANSFER, f"{where}: the server refused: {refused}{hint}")


@contextlib.contextmanager
def logged_in(feed: Feed, secret: bytes, facts: Facts) -> Iterator[paramiko.Transport]:
    """A connection that is logged in, for the time of the block.

    A method that the server does not take costs a connection, since some servers do not listen to
    a second one; it is no login attempt.
    """
    methods = ["publickey"] if feed.auth == "key" else ["password", "keyboard-interactive"]
    for method in methods:
        with contextlib.closing(open_socket(feed, facts)) as connection:
            transport = make_transport(connection, feed)
            try:
                negotiate(transport, feed, facts)
                log_in(transport, feed, secret, method, facts)
                transport.set_keepalive(KEEPALIVE_SECONDS)  # not before: some servers hang up
                yield transport
                return
            except OtherMethod:
                continue
            finally:
                transport.close()


def deliver(feed: Feed, secret: bytes, source: Path, size: int, facts: Facts) -> Delivered:
    """Delivers a file of `size` bytes to the feed's place on its server.

    `facts` is filled on the way. Raises Failure; the final name is then as it was, unless the
    failure is `Exit.VERIFY`.
    """
    with logged_in(feed, secret, facts) as transport:
        with facts.phase("open"):
            # paramiko waits for ever for an answer to the subsystem's request.
            limit = threading.Timer(ANSWER_SECONDS, transport.close)
            limit.daemon = True
            limit.start()
            try:
                channel = transport.open_session(timeout=ANSWER_SECONDS)
                channel.invoke_subsystem("sftp")
                sftp = Sftp(channel)
            except (Lost, struct.error, paramiko.SSHException, EOFError, OSError) as error:
                why = f"it opens no SFTP session for {feed.username}: {error or 'no reason given'}"
                raise broken(feed, facts, why) from None
            finally:
                limit.cancel()
        return Delivery(sftp, feed, facts).run(source, size)


def broken(feed: Feed, facts: Facts, why: str) -> Failure:
    """The failure of a transfer that lost its server."""
    return Failure(
        Exit.TRANSFER, f"{feed.remote_host} ({facts.address}): the connection broke: {why}"
    )

"""The SSH algorithms that are offered, and those that a server offers."""

from __future__ import annotations

import logging
import socket

import paramiko

from roster_upload.config import Feed
from roster_upload.exits import Exit, Failure
from roster_upload.spec.values import HostKey
from roster_upload.terminal.printable import printable
from roster_upload.transfer.packets import BoundedPacketizer

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


def offered_key_types(pins: tuple[HostKey, ...], algorithms: str = "modern") -> list[str]:
    """The host key algorithms to ask for, so that the server shows a key of a pinned type."""
    offered: list[str] = []
    for pin in pins:
        offered += RSA[algorithms] if pin.kind == "ssh-rsa" else [pin.kind]
    return list(dict.fromkeys(offered))


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

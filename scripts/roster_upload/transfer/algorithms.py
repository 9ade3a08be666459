"""SSH algorithms: this program's offer, and the server's."""

from __future__ import annotations

import logging
import socket

import paramiko

from roster_upload.exits import Exit, Failure
from roster_upload.spec.values import HostKey
from roster_upload.terminal.printable import printable
from roster_upload.transfer.account import Account
from roster_upload.transfer.packets import BoundedPacketizer

# The offer, the best first. Versions of paramiko that lack an algorithm skip it.
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
# Old servers need SHA-1 and CBC, too. paramiko 4 and later lacks some of these.
OLD = {
    "kex": ("diffie-hellman-group14-sha1", "diffie-hellman-group-exchange-sha1"),
    "ciphers": ("aes128-cbc", "aes192-cbc", "aes256-cbc"),
    "digests": ("hmac-sha1",),
}
CHACHA = "chacha20-poly1305@openssh.com"
ENCRYPT_THEN_MAC = "-etm@openssh.com"  # how the names of such digests end
LONGEST_OFFER = 600  # characters of a list of algorithms in a message
RSA = {
    "modern": ("rsa-sha2-512", "rsa-sha2-256"),
    "legacy": ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"),
}
# Label of a server's offer in paramiko's log: the option that holds our offer, and its name.
OFFERS = {
    "kex algos": ("kex", "kex"),
    "server key": ("key_types", "host key"),
    "client encrypt": ("ciphers", "cipher"),
    "client mac": ("digests", "mac"),
}


class HandshakeLog(logging.Handler):
    """Collects facts about the handshake that paramiko only logs."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.offers: dict[str, list[str]] = {}  # by label
        self.banner: list[str] = []  # lines that came before the server's version

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the server's offers and its banner."""
        label, _, text = record.getMessage().partition(": ")
        if label in OFFERS:
            self.offers[label] = text.split(", ")
        elif label == "Banner":
            self.banner.append(text)

    @property
    def banner_hint(self) -> str:
        """Return the server's lines before its version, worded for the end of a message."""
        words = " ".join(" ".join(self.banner).split())
        return f". The server says: {printable(words, 200)}" if words else ""

    @property
    def has_chacha_alone(self) -> bool:
        """Return whether the server offers no other cipher, as tinyssh does."""
        return self.offers.get("client encrypt") == [CHACHA]

    def missing_kinds(self, transport: paramiko.Transport) -> str:
        """Return the kinds of algorithm that server and program do not share, with both lists."""
        options = transport.get_security_options()
        missing = []
        for label, theirs in self.offers.items():
            option, kind = OFFERS[label]
            ours = getattr(options, option)
            if not set(ours) & set(theirs):
                shown = printable(", ".join(theirs), LONGEST_OFFER)
                missing.append(f"{kind}: ours {', '.join(ours)}, the server's {shown}")
        return " | ".join(missing)


def offered_key_types(pins: tuple[HostKey, ...], algorithms: str = "modern") -> list[str]:
    """Return the host key algorithms that make the server show a key of a pinned type."""
    offered: list[str] = []
    for pin in pins:
        offered += RSA[algorithms] if pin.kind == "ssh-rsa" else [pin.kind]
    return list(dict.fromkeys(offered))


def make_transport(connection: socket.socket, account: Account) -> paramiko.Transport:
    """Return a transport that offers only the feed's algorithms and the pinned key types."""
    is_legacy = account.algorithms == "legacy"
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
    wanted["key_types"] = offered_key_types(account.host_keys, account.algorithms)
    for option, names in wanted.items():
        available = getattr(options, option)
        chosen = tuple(name for name in names if name in available)
        if not chosen:
            raise Failure(
                Exit.NEGOTIATION,
                f"this host's SSH library supports none of these algorithms: {', '.join(names)}. "
                "Pin a host key of another type",
            )
        setattr(options, option, chosen)
    return transport

"""SHA-512 crypt, the hash of a password as crypt(5) describes it (`$6$`).

Python has no function for it since 3.13, and macOS has none in its C library.
"""

from __future__ import annotations

import hashlib

ROUNDS = 100_000
ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SALT_LENGTH = 16
DIGEST_LENGTH = 64


def salt_of(*names: str) -> str:
    """Return the salt that belongs to these names. It is always the same."""
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return "".join(ALPHABET[byte % 64] for byte in digest[:SALT_LENGTH])


def hashed(password: str, salt: str, rounds: int = ROUNDS) -> str:
    """Return the hash of a password for /etc/shadow."""
    key, seed = password.encode(), salt.encode()
    digest = _first(key, seed)
    p = _stretched(hashlib.sha512(key * len(key)).digest(), len(key))
    s = _stretched(hashlib.sha512(seed * (16 + digest[0])).digest(), len(seed))
    for number in range(rounds):
        odd = number % 2
        text = p if odd else digest
        text += s if number % 3 else b""
        text += p if number % 7 else b""
        digest = hashlib.sha512(text + (digest if odd else p)).digest()
    return f"$6$rounds={rounds}${salt}${_encoded(digest)}"


def _first(key: bytes, seed: bytes) -> bytes:
    """Return the digest with which the rounds begin."""
    other = hashlib.sha512(key + seed + key).digest()
    text = key + seed + _stretched(other, len(key))
    length = len(key)
    while length:
        text += other if length & 1 else key
        length >>= 1
    return hashlib.sha512(text).digest()


def _stretched(digest: bytes, length: int) -> bytes:
    """Return a digest, repeated and cut to a length."""
    return (digest * (length // DIGEST_LENGTH + 1))[:length]


def _encoded(digest: bytes) -> str:
    """Return a digest in the alphabet of crypt(5), which has an order of its own."""
    order = []
    a, b, c = 0, 21, 42
    for _ in range(21):
        order.append([a, b, c])
        a, b, c = b + 1, c + 1, a + 1
    groups = [(digest[i] << 16 | digest[j] << 8 | digest[k], 4) for i, j, k in order]
    groups.append((digest[63], 2))
    return "".join(
        ALPHABET[value >> 6 * place & 63] for value, count in groups for place in range(count)
    )

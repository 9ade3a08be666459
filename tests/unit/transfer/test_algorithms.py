"""The algorithms that are offered to a server."""

from __future__ import annotations

import contextlib
import socket

import paramiko
import pytest
from roster_upload import config
from roster_upload.spec.values import HostKey
from roster_upload.transfer import algorithms
from unit.test_config import GOOD


def pins(*kinds: str) -> tuple[HostKey, ...]:
    return tuple(HostKey(kind, b"") for kind in kinds)


@pytest.mark.parametrize(
    ("kinds", "offer", "offered"),
    [
        (["ssh-ed25519"], "modern", ["ssh-ed25519"]),
        (["ssh-rsa"], "modern", ["rsa-sha2-512", "rsa-sha2-256"]),
        (["ssh-rsa"], "legacy", ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"]),
        (["ssh-ed25519", "ssh-ed25519"], "legacy", ["ssh-ed25519"]),
    ],
)
def test_only_pinned_types_of_host_key_are_asked_for(
    kinds: list[str], offer: str, offered: list[str]
) -> None:
    assert algorithms.offered_key_types(pins(*kinds), offer) == offered


@pytest.mark.parametrize("offer", ["modern", "legacy"])
def test_old_algorithms_are_offered_where_the_feed_says_so(offer: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        made = algorithms.make_transport(ours, config.parse({**GOOD, "algorithms": offer}))
        options = made.get_security_options()
        names = [*options.kex, *options.ciphers, *options.digests]
        old = [name for name in names if "sha1" in name or "cbc" in name or "md5" in name]
        assert bool(old) is (offer == "legacy")
        assert list(options.key_types) == ["ssh-ed25519"]
        off = made.disabled_algorithms or {}
        assert ("ssh-rsa" in off.get("pubkeys", [])) is (not old)
        made.close()


class WithoutStrictKex(paramiko.Transport):
    """A transport as of Debian 12, without strict key exchange."""

    @property
    def advertise_strict_kex(self) -> bool:
        raise AttributeError

    @advertise_strict_kex.setter
    def advertise_strict_kex(self, value: bool) -> None:
        pass


@pytest.mark.parametrize("offer", ["modern", "legacy"])
def test_encrypt_then_mac_comes_last_without_strict_key_exchange(
    monkeypatch: pytest.MonkeyPatch, offer: str
) -> None:
    feed = config.parse({**GOOD, "algorithms": offer})

    def offered() -> list[bool]:
        ours, theirs = socket.socketpair()
        with ours, theirs, contextlib.closing(algorithms.make_transport(ours, feed)) as made:
            return [name.endswith(algorithms.ENCRYPT_THEN_MAC) for name in
                    made.get_security_options().digests]  # fmt: skip

    if hasattr(paramiko.Transport(socket.socket()), "advertise_strict_kex"):
        assert offered() == sorted(offered(), reverse=True)
    monkeypatch.setattr(paramiko, "Transport", WithoutStrictKex)
    assert offered() == sorted(offered())
    assert {True, False} == set(offered())

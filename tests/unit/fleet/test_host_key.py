"""The vendor's host key is pinned once it is confirmed, and never replaced."""

from __future__ import annotations

import pytest
import yaml
from roster_fleet.onboard import host_key

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHPnYyg29wp+52NcQKVv+8V0+4pa5RjDmFa8hpvjb9rX"


def test_a_pin_is_added_and_never_replaced() -> None:
    for before in ("", "---\n# why\na: 1\n", "---\nroster_upload_host_keys: []\n", "---\n# only\n"):
        after = host_key.with_pin(before, ED25519)
        assert yaml.safe_load(after)["roster_upload_host_keys"] == [ED25519]
        assert all(word in after for word in before.replace("[]", "").split())
        with pytest.raises(host_key.HostKeyError):
            host_key.with_pin(after, ED25519)


def test_only_the_fingerprint_of_the_key_confirms_it() -> None:
    shown = host_key.fingerprint(ED25519)
    assert shown.startswith("SHA256:")
    for answer in (shown, shown.removeprefix("SHA256:"), f" {shown}= ", "yes"):
        assert host_key.confirmed([ED25519], answer) == ED25519
    for answer in ("y", "", shown.lower(), shown[:-1], "SHA256:"):
        with pytest.raises(host_key.HostKeyError, match="Nothing was pinned"):
            host_key.confirmed([ED25519], answer)

"""The people behind a server are named in its messages."""

from __future__ import annotations

from roster_upload import config
from roster_upload.spec.contacts import SIS, VENDOR
from support.source_server import account
from unit.test_config import GOOD


def test_each_server_has_its_own_people() -> None:
    assert config.parse(GOOD).contact is VENDOR
    assert account().contact is SIS
    assert "Imagine Learning" in VENDOR.new_account
    assert "Imagine Learning" not in f"{SIS}"
    assert SIS.at_start == "The administrator of the SIS's server"


def test_the_named_keys_are_keys() -> None:
    for contact in (VENDOR, SIS):
        assert hasattr(config.parse(GOOD), f"{contact.prefix}algorithms")
        assert hasattr(config.parse(GOOD), contact.host_key)

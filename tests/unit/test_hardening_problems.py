"""Unusable values of the hardening's variables are found before any host is touched."""

from __future__ import annotations

from typing import Any

import pytest
from hardening_problems import hardening_problems

VALUES: dict[str, Any] = {
    "inbound_networks": ["10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0"],
    "inbox_networks": ["203.0.113.7/32"],
    "program_destinations": ["sftp.example.org:22"],
    "mount_destinations": ["files.example.org:445"],
    "outbound": ["2001:db8::1:443", "files_1.example.org:445"],
    "integrity_at": "09:15",
    "updates_at": "10:00",
    "reboot_at": "23:59",
    "ssh_permit_root_login": "no",
}


def test_usable_values_have_no_problem() -> None:
    assert hardening_problems(VALUES, "deploy") == []
    assert (
        hardening_problems({**VALUES, "ssh_permit_root_login": "prohibit-password"}, "root") == []
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("inbound_networks", ["10.0.0.0/8", "everywhere"], ["'everywhere'", "10.0.0.0/8"]),
        ("inbound_networks", ["10.0.0.1"], ["'10.0.0.1'"]),
        ("inbound_networks", ["10.0.0.300/8"], ["'10.0.0.300/8'"]),
        ("inbound_networks", [], ["empty"]),
        ("inbox_networks", ["203.0.113.0/40"], ["'203.0.113.0/40'"]),
        ("program_destinations", ["sftp.example.org"], ["'sftp.example.org'", "name:port"]),
        ("mount_destinations", ["//files/SIS"], ["'//files/SIS'", "name:port"]),
        ("outbound", ["https://example.org:443/"], ["name:port"]),
        ("integrity_at", "9:15", ["'9:15'", "10:00"]),
        ("updates_at", "24:00", ["'24:00'"]),
        ("reboot_at", "noon", ["'noon'"]),
    ],
)
def test_an_unusable_value_is_reported_with_its_variable(
    name: str, value: object, words: list[str]
) -> None:
    (problem,) = hardening_problems({**VALUES, name: value})
    assert problem.startswith(f"district_hardening_{name}: ")
    assert all(word in problem for word in words)


def test_root_is_not_locked_out() -> None:
    (problem,) = hardening_problems(VALUES, "root")
    assert "district_hardening_ssh_permit_root_login" in problem

"""Jinja2 filter that finds unusable values of the hardening's variables."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

PREFIX = "district_hardening_"
TIMES = ("integrity_at", "updates_at", "reboot_at")


def hardening_problems(values: Mapping[str, Any], user: str = "") -> list[str]:
    """Return a message for each unusable value of a host. It begins with the variable's name.

    `values` maps the variables, without the role's prefix, to their values. `user` is the account
    by which Ansible logs in.
    """
    return [
        *_network_problems(values),
        *_destination_problems(values),
        *_time_problems(values),
        *_login_problems(values, user),
    ]


def _network_problems(values: Mapping[str, Any]) -> Iterator[str]:
    for name in ("inbound_networks", "inbox_networks"):
        for network in values[name]:
            if not _is_network(network):
                yield f"{PREFIX}{name}: {network!r} is not a network such as 10.0.0.0/8"
    if not values["inbound_networks"]:
        yield (
            f"{PREFIX}inbound_networks: the list is empty, so nobody could reach the host. "
            "Name at least one network"
        )


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def _destination_problems(values: Mapping[str, Any]) -> Iterator[str]:
    for name in ("program_destinations", "mount_destinations", "outbound"):
        for destination in values[name]:
            if not re.fullmatch(r"[A-Za-z0-9_.:-]+:[0-9]+", destination):
                yield f"{PREFIX}{name}: {destination!r} is not written as name:port"


def _time_problems(values: Mapping[str, Any]) -> Iterator[str]:
    for name in TIMES:
        if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", values[name]):
            yield f"{PREFIX}{name}: {values[name]!r} is not a time of day such as 10:00"


def _login_problems(values: Mapping[str, Any], user: str) -> Iterator[str]:
    if user == "root" and values["ssh_permit_root_login"] == "no":
        yield (
            f'ansible_user: it is root, but {PREFIX}ssh_permit_root_login is "no", so the next run '
            "could not log in. Give the host an administrator with sudo, or set prohibit-password"
        )


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Return the filter by name."""
        return {"hardening_problems": hardening_problems}

"""New districts for tests: rows of a CSV, and what refuses them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from roster_fleet import vault
from roster_fleet.onboard.csv_file import from_csv
from roster_fleet.onboard.districts import (
    District,
    OnboardError,
)
from roster_fleet.onboard.plan import make_plan

ROOT = Path(__file__).resolve().parents[1]
KEY = b"this key opens the example only; replace it in your copy"
HEAD = "host,address,district,site_code,product,sis,region,feed,username,password"
OAK = (
    'oak,oak.example.org,"Oak ""North"" County",0012345,literacy,PowerSchool,North,,r@oak.example,'
)

COLUMN_VALUES = {
    "host": "x",
    "address": "x.example",
    "district": "X",
    "site_code": "1",
    "product": "p",
    "sis": "s",
    "region": "r",
    "feed": "f",
    "username": "x@x.example",
    "password": "pw",
    "next": "pw2",
    "inbox_user": "sis-x",
    "inbox_auth": "key",
    "inbox_key": "ssh-ed25519 AAAAC3Nz sis",
    "inbox_password": "Nine-Green-Kites-4",
    "inbox_networks": "203.0.113.0/28 198.51.100.7",
    "source_password": "pw3",
    "source_host_key": "SHA256:" + "A" * 43,
    "source": "/srv/sis-inbox/sis-x/incoming/x.zip",
    "remote_dir": "imagine/1-X/p",
}
LINE_ENDS = ["\n", "\x85", "\u2028", "\u2029"]


def rows(*lines: str, head: str = HEAD, sealed: bool = True) -> list[District]:
    return from_csv("\n".join([head, *lines]).encode(), "new.csv", sealed=sealed)


def refused(folder: Path, keys: vault.Vault, districts: Sequence[District]) -> str:
    """Return the problems of districts. Assert that nothing was written."""
    before = content(folder)
    with pytest.raises(OnboardError) as error:
        make_plan(folder, districts, keys)
    assert content(folder) == before
    return str(error.value)


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

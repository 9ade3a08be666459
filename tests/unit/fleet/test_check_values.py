"""Values that YAML reads otherwise are found by the variable that somebody wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_fleet.check import values
from support import written

KNOWN = written.names()
QUOTES = "Put it in quotes: "


def texts(folder: Path, text: str) -> list[str]:
    """Return the messages on a host's variables."""
    inventory = written.inventory(folder, {"host_vars/maple/main.yml": text})
    return [problem.text for problem in values.problems(KNOWN, inventory.variables())]


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        ("roster_upload_window_start: 16:00", 29,
         f"YAML reads 16:00 as the number 960. {QUOTES}roster_upload_window_start: '16:00'"),
        ("roster_upload_unchanged: no", 26,
         f"YAML reads no as false. {QUOTES}roster_upload_unchanged: 'no'"),
        ("roster_upload_district: Yes", 25, "YAML reads Yes as true"),
        ("district_site_code: 0012345", 21,
         f"YAML reads 0012345 as the number 5349. {QUOTES}district_site_code: '0012345'"),
        ("district_name: 1.10", 16, "YAML reads 1.10 as the number 1.1. Put"),
        ("district_name: 1.5e+3", 16, "YAML reads 1.5e+3 as the number 1500.0. Put"),
        ("district_name: on", 16, "YAML reads on as true"),
        ("district_name: 2026-08-31", 16, "YAML reads 2026-08-31 as the date 2026-08-31"),
        ("roster_upload_remote_name: 7", 28, "YAML reads 7 as the number 7. Put"),
        ("roster_upload_source:", 22, "has no value. Write one, or remove the line"),
        ("roster_upload_blackouts: ~", 26, "has no value."),
        ("roster_upload_blackouts: [2026-12-24]", 27, "YAML reads 2026-12-24 as the date"),
        ("district_hardening_updates_at: 10:30", 32, "YAML reads 10:30 as the number 630. Put"),
        ("roster_schedule_spread_minutes: 010", 33,
         "YAML reads 010 as the number 8. Write the number without 0 or : in it"),
        ("roster_upload_quiet_seconds: 1:30", 30, "YAML reads 1:30 as the number 90. Write"),
        ("roster_upload_district: Elm #2", 25,
         "YAML reads #2 as a comment. Put the whole value in quotes, or write a blank after the #"),
        ("roster_upload_scope: {grades: [01]}", 32, "YAML reads 01 as the number 1. Put"),
    ],
)  # fmt: skip
def test_a_misread_value(line: str, column: int, message: str, tmp_path: Path) -> None:
    (text,) = texts(tmp_path, f"---\n{line}\n")
    place, _, rest = text.partition(": host maple: ")
    assert place == f"{tmp_path}/host_vars/maple/main.yml:2:{column}"
    name, _, found = rest.partition(": ")
    assert name.removeprefix("grades of ") == line.partition(":")[0]
    assert found.startswith(message)


@pytest.mark.parametrize(
    "line",
    [
        "roster_upload_window_start: '16:00'",
        "roster_upload_window_start: 07:10",  # YAML 1.1 reads a text
        "district_site_code: 1234567",  # its digits are the text
        "district_hardening_journal_bytes: 500",
        "roster_upload_remote_port: 2222",
        "roster_upload_reset_date: 2027-07-16",  # with or without quotes
        "roster_upload_feeds: [{feed: a, reset_date: 2027-07-16}]",
        "roster_upload_make_remote_dir: yes",
        "roster_upload_remote_name: x.zip # the vendor's",
        "roster_upload_remote_name: 'x.zip' #the vendor's",
        "roster_upload_remote_port: 22 #ssh",
        "roster_upload_remote_dir: '{{ x }}'",
        "roster_upload_feeds: '{{ x }}'",
        "site_version: 1.10",
        "roster_credentials_secrets: !vault |\n  $ANSIBLE_VAULT",
        "roster_upload_username: !unsafe 5",
    ],
)
def test_a_value_that_is_read_as_it_is_written(line: str, tmp_path: Path) -> None:
    assert texts(tmp_path, f"{line}\n") == []


def test_a_feed_of_a_list_is_called_by_its_name(tmp_path: Path) -> None:
    feeds = "roster_upload_feeds:\n  - feed: elm\n    deadline: 18:30\n  - source:\n"
    first, second = texts(tmp_path, feeds)
    assert first.endswith(
        ":3:15: host maple: deadline of the feed elm (roster_upload_feeds): "
        "YAML reads 18:30 as the number 1110. Put it in quotes: deadline: '18:30'"
    )
    assert "source of a feed (roster_upload_feeds): has no value" in second


def test_no_secret_is_shown(tmp_path: Path) -> None:
    (text,) = texts(tmp_path, "roster_credentials_new_password: 123_456\n")
    assert "123" not in text.replace(str(tmp_path), "")
    assert "Put it in quotes" in text
    (text,) = texts(tmp_path, "roster_credentials_new_password: hush #hush\n")
    assert "hush" not in text

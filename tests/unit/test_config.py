"""The configuration of a feed: allowed values, refused ones, and the messages."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from roster_upload import config
from roster_upload.cli import parser as cli
from roster_upload.exits import Exit
from roster_upload.spec import schema
from roster_upload.spec.formats import TRADITIONAL_KINDS
from roster_upload.spec.values import (
    HostKey,
    Span,
)

ROOT = Path(__file__).resolve().parents[2]
BLOB = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00 " + bytes(range(32))


def key_line(blob: bytes) -> str:
    """Return a line of a public key."""
    return "ssh-ed25519 " + base64.b64encode(blob).decode()


KEY = key_line(BLOB)
GOOD: dict[str, Any] = {
    "feed": "maple-grove",
    "district": "Maple Grove's Größe",
    "format": "oneroster-1.1",
    "source": "/srv/roster-upload/maple-grove/OneRoster.zip",
    "remote_host": "sftp.example.org",
    "remote_dir": "imagine/0123456-Maple Grove/product",
    "username": "rosters@maple.example",
    "host_keys": [KEY],
}


def test_a_good_feed_is_parsed() -> None:
    feed = config.parse(GOOD)
    assert feed.remote_port == 22
    assert feed.remote_name == "OneRoster.zip"
    assert feed.host_keys == (HostKey("ssh-ed25519", BLOB),)
    assert (feed.window_start, feed.deadline) == (7 * 60 + 10, 9 * 60)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("feed", "Maple Grove", "lower-case"),
        ("feed", "", "lower-case"),
        ("feed", "x" * 49, "48 at most"),
        ("district", " ", "empty"),
        ("district", "a\nb", "control"),
        ("format", "oneroster-1.2", "oneroster-1.1"),
        ("source", "OneRoster.zip", "absolute"),
        ("source", "/srv/", "absolute"),
        ("remote_host", "sftp example", "host name"),
        ("remote_port", 0, "1 to 65,535"),
        ("remote_port", True, "whole number"),
        ("remote_port", "22", "whole number"),
        ("remote_dir", "imagine/maplegrove/product", "<site code>-<district name>"),
        ("remote_dir", "imagine/1-/product", "<site code>-<district name>"),
        ("remote_dir", "imagine/-maple/product", "<site code>-<district name>"),
        ("remote_dir", "upload/1-maple/product", "<site code>-<district name>"),
        ("remote_dir", '"imagine/1-maple grove/product"', "quotes"),
        ("remote_dir", "imagine/1-maple/..", "<site code>-<district name>"),
        ("remote_name", "a/b.zip", "without a path"),
        ("username", "", "empty"),
        ("auth", "agent", "password, key"),
        ("heartbeat_url", "ftp://alerts.example", "must be an address"),
        ("heartbeat_url", "http://[::1/x", "must be an address"),
        ("alert_urls", "ntfy://rosters", "must be a list"),
        ("alert_urls", ["rosters"], "entry 1: must be an Apprise URL such as slack://"),
        ("alert_urls", ["ntfy://x", "ntfy://"], "entry 2: must be an Apprise URL such as"),
        ("alert_urls", ["ntfy://hush hush"], "entry 1: ntfy:// must not hold spaces"),
        ("alert_urls", ["ntfy://hush\x1b"], "entry 1: ntfy:// must not hold spaces"),
        ("alert_urls", ["file:///etc/passwd"], "entry 1: file:// is not allowed"),
        ("alert_urls", ["SYSLOG://"], "entry 1: SYSLOG:// is not allowed"),
        ("alert_urls", ["jsons://a.b/?Template=/x"], "the parameter Template is not allowed"),
        ("alert_urls", ["jsons://a.b/?verify=no"], "verify=no is not allowed"),
        ("heartbeat_url", "https://alerts.example:x/", "must be an address"),
        ("blackouts", ["2027-08-09..2027-06-05"], "before it begins"),
        ("blackouts", ["summer"], "must be days"),
        ("expected_changes", ["2027-02-30"], "entry 1"),
        ("rules", {"value.enun": "warning"}, "Did you mean value.enum?"),
        ("rules", {"value.enum": "off"}, "error, warning, ignore"),
        ("guard_minimum", {"classes": -1}, "not a number of rows"),
        ("traditional_columns", {"pupils": {}}, "organizations"),
        ("traditional_columns", {"students": {"key": []}}, "a text"),
        ("source", "/srv/*/export.zip", "last part"),
        ("host_keys", [], "no host key is pinned"),
        ("host_keys", ["ssh-ed25519 AAAA"], "cut off or damaged"),
        ("host_keys", ["ssh-dss " + KEY.split()[1]], "not a key line"),
        ("host_keys", ["ssh-rsa " + KEY.split()[1]], "does not hold a key of type ssh-rsa"),
        ("host_keys", KEY, "a list"),
        ("window_start", "7:10", "time of day"),
        ("window_start", "09:30", "after the deadline 09:00"),
        ("deadline", "24:00", "time of day"),
        ("remote_dri", "x", "Did you mean remote_dir"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_allowed(key: str, value: object, told: str) -> None:
    found = config.problems({**GOOD, key: value})
    assert [problem.key for problem in found] == [key]
    assert told in found[0].message
    with pytest.raises(config.ConfigError, match=key):
        config.parse({**GOOD, key: value})


@pytest.mark.parametrize("key", GOOD)
def test_a_missing_value_is_told(key: str) -> None:
    found = config.problems({k: v for k, v in GOOD.items() if k != key})
    assert [(p.key, p.message) for p in found] == [(key, "is missing")]


def test_all_problems_come_at_once() -> None:
    found = config.problems({**GOOD, "auth": "x", "remote_port": 0, "feed": "X"})
    assert {problem.key for problem in found} == {"auth", "remote_port", "feed"}


def test_a_window_may_lie_across_midnight() -> None:
    assert not config.problems({**GOOD, "window_start": "23:00", "deadline": "03:00"})


def test_feeds_of_one_host_must_differ() -> None:
    other = {**GOOD, "feed": "other", "remote_dir": "/" + GOOD["remote_dir"] + "/"}
    assert "overwrite" in config.cross_problems([GOOD, other])[0].message
    assert not config.cross_problems([GOOD, {**other, "remote_name": "Other.zip"}])
    same = {**GOOD, "remote_dir": "imagine/2-b/product"}
    assert "two feeds are named" in config.cross_problems([GOOD, same])[0].message
    shouted = {**other, "remote_host": GOOD["remote_host"].upper()}
    assert "overwrite" in config.cross_problems([GOOD, shouted])[0].message


@pytest.mark.parametrize("key", ["feed", "remote_host", "remote_port", "remote_dir"])
def test_wrong_types_do_not_stop_the_comparison(key: str) -> None:
    assert config.cross_problems([{**GOOD, key: ["x"]}, {**GOOD, key: {}}]) == []


def write(path: Path, values: dict[str, Any]) -> Path:
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
    return path


def test_check_config_tells_all_of_all_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a.toml", {**GOOD, "auth": "agent"})
    write(tmp_path / "b.toml", {**GOOD, "feed": "b"})
    assert cli.main(["--config-dir", str(tmp_path), "check-config"]) == Exit.CONFIG
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0].rpartition("/")[2] for line in told] == ["a.toml"] * 2 + ["b.toml"]
    assert "auth" in told[0]
    assert "must be the file's name" in told[1]
    assert "overwrite" in told[2]


def test_a_file_on_its_way_may_have_any_name(tmp_path: Path) -> None:
    path = write(tmp_path / "tmpx8_1", GOOD)
    elsewhere = tmp_path / "etc"
    assert cli.main(["--config-dir", str(elsewhere), "check-config", str(path)]) == Exit.OK
    assert cli.main(["--config-dir", str(tmp_path), "check-config", str(path)]) == Exit.CONFIG


def test_the_status_of_a_feed_that_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [f"--config-dir={tmp_path}", f"--state-dir={tmp_path}", "status", "maple-grove"]
    assert cli.main(options) == Exit.CONFIG
    assert "has no feed maple-grove" in capsys.readouterr().err
    write(tmp_path / "maple-grove.toml", GOOD)
    assert cli.main(options) == Exit.OK
    assert "no delivery yet" in capsys.readouterr().out


def test_check_config_reads_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = {key: value for key, value in GOOD.items() if key != "district"}
    text = "".join(
        f"{key} = {str(value)!r}\n" for key, value in values.items() if key != "host_keys"
    )
    text += f'host_keys = ["{KEY}"]\ndistrict = "Maple Grove\'s"\n'
    path = tmp_path / "maple-grove.toml"
    path.write_text(text)
    options = ["--config-dir", str(tmp_path), "check-config"]
    assert cli.main(options) == 0
    path.rename(tmp_path / "other.toml")
    assert cli.main(options) == 3
    assert "must be the file's name" in capsys.readouterr().err
    (tmp_path / "other.toml").write_text("feed = ")
    assert cli.main(options) == 3
    assert "is not TOML" in capsys.readouterr().err


# ---- what is allowed, to its last value --------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "low", "high"),
    [
        ("remote_port", 1, 65535),
        ("minimum_bytes", 1, 2**40),
        ("maximum_bytes", 1, 2**40),
        ("quiet_seconds", 0, 3600),
        ("settle_minutes", 0, 720),
        ("maximum_age_hours", 1, 8760),
        ("guard_removed_percent", 0, 100),
        ("guard_removed_count", 0, 10**9),
        ("guard_added_percent", 0, 10**6),
        ("guard_changed_percent", 0, 100),
        ("guard_identity_percent", 0, 100),
        ("guard_concentration_percent", 0, 100),
        ("faulty_rows_percent", 0, 100),
        ("faulty_rows_count", 0, 10**9),
        ("unchanged_nights", 0, 400),
        ("wait_nights", 1, 60),
        ("guard_floor", 0, 10**6),
        ("expected_percent", 1, 10**6),
        ("attempts", 1, 100),
        ("retry_seconds", 0, 3600),
        ("parallel", 1, 64),
        ("keep_packages", 0, 100),
        ("keep_receipts_days", 1, 10_000),
    ],
)
def test_a_number_lies_within_its_limits(key: str, low: int, high: int) -> None:
    for value in (low, high):
        assert config.problems({**GOOD, key: value}) == []
    for value in (low - 1, high + 1):
        [problem] = config.problems({**GOOD, key: value})
        assert problem.key == key
        assert f"{value} must be {low:,} to {high:,}" in problem.message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("feed", "x" * 48),
        ("feed", "0-a"),
        ("source", "/srv/a/*.zip"),
        ("source", "/srv/a/export-?[0-9].zip"),
        ("remote_host", "a"),
        ("remote_host", "192.0.2.1"),
        ("remote_host", "2001:db8::1"),
        ("remote_dir", "/imagine/1-b/product"),
        ("remote_dir", "imagine/1-b/..product"),
        ("remote_name", "..."),
        ("rules", {"value.enum": "error"}),
        ("rules", {"value.enum": "warning", "value.order": "ignore"}),
        ("rules", {"value.enum:enrollments.role": "ignore", "value.enum": "error"}),
        ("faulty_rows_percent", 0.25),
        ("guard_limits", {"enrollments": {"removed": 100, "added": 10**6, "changed": 0}}),
        ("guard_limits", {"users.student": {"removed": 5}, "enrollments.teacher": {"added": 0}}),
        ("scope", {"schools": ["s-1"], "grades": ["03"], "roles": ["student", "teacher"]}),
        ("scope", {"courses": ["MAT"], "enrolled_only": True, "blank": ["users.email"]}),
        ("guard_minimum", {"classes": 0}),
        ("traditional_columns", {kind: {} for kind in TRADITIONAL_KINDS}),
        (
            "traditional_columns",
            {
                "users": {
                    "columns": ["a"], "required": ["a"], "unique": [], "key": "a", "school": "b"
                }
            },
        ),
        ("allow_delete_unlisted", True),
        ("make_remote_dir", True),
        ("verify_by_writing", True),
        ("temporary_name", ""),
        ("temporary_name", ".*.part"),
        ("temporary_name", "upload-*"),
        ("finish_seconds", 60),
        ("finish_seconds", 3600),
        ("blackouts", ["2027-06-05", "2027-06-05..2027-06-05 a day"]),
        ("heartbeat_url", "http://alerts.example:8080/{secret}"),
        ("heartbeat_url", "https://[2001:db8::1]/x"),
        ("alert_urls", ["ntfy://rosters", "jsons://a.example/?verify=yes"]),
    ],
)  # fmt: skip
def test_a_right_value_is_taken(key: str, value: object) -> None:
    assert config.problems({**GOOD, key: value}) == []


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("feed", "-a", "lower-case"),
        ("temporary_name", "*", "one asterisk"),
        ("temporary_name", "upload.part", "one asterisk"),
        ("temporary_name", "*.*", "one asterisk"),
        ("temporary_name", "tmp/*.part", "without a path"),
        ("temporary_name", "*.\n", "control characters"),
        ("finish_seconds", 59, "60 to 3,600"),
        ("finish_seconds", 3601, "60 to 3,600"),
        ("feed", "a\n", "lower-case"),
        ("district", "a\x7f", "control"),
        ("source", "/srv/a?/export.zip", "last part"),
        ("source", "/srv/[a]/export.zip", "last part"),
        ("source", "/srv/a\nb", "control"),
        ("remote_host", "-a", "host name"),
        ("remote_dir", "imagine/1-maple/product'", "quotes"),
        ("remote_dir", "", "<site code>-<district name>"),
        ("district", "a\u202eb", "control"),
        ("district", "a\u2028b", "control"),
        ("district", "a\x9bb", "control"),
        ("remote_dir", "imagine/1-maple/.", "<site code>-<district name>"),
        ("remote_dir", "imagine/1-a/x/y", "<site code>-<district name>"),
        ("remote_dir", "imagine/1-a/x\ny", "control"),
        ("remote_name", ".", "without a path"),
        ("remote_name", "..", "without a path"),
        ("remote_name", "", "empty"),
        ("username", "a\tb", "control"),
        ("heartbeat_url", "https:///x", "must be an address"),
        ("heartbeat_url", "https://a.example/\x01", "must be an address"),
        ("heartbeat_url", "https://a.example:0/", "must be an address"),
        ("blackouts", [5], "entry 1: must be a text"),
        ("blackouts", ["2027-01-01", "x"], "entry 2"),
        ("rules", {"value.enun:users.role": "error"}, "Did you mean value.enum?"),
        ("rules", {"value.enum:users.rolle": "error"}, "Did you mean role?"),
        ("rules", {"value.enum:user.role": "error"}, "Did you mean users?"),
        ("rules", {"value.enum:users": "error"}, "file.column"),
        ("rules", {"value.enum:": "error"}, "file.column"),
        ("rules", {"value.enum:users.role": "fault"}, "error, warning, ignore"),
        ("rules", {7: "error"}, "unknown rule '7'"),
        ("faulty_rows_percent", "1", "must be a number"),
        ("faulty_rows_percent", True, "must be a number"),
        ("faulty_rows_percent", float("nan"), "0 to 100"),
        ("faulty_rows_percent", 100.1, "0 to 100"),
        ("faulty_rows_count", 0.5, "a whole number"),
        ("guard_limits", {"enrolments": {"removed": 1}}, "Did you mean enrollments?"),
        ("guard_limits", {"users.pupil": {"removed": 1}}, "unknown kind of record"),
        ("guard_limits", {"classes.student": {"removed": 1}}, "unknown kind of record"),
        ("guard_limits", {"users": {"remove": 1}}, "Did you mean removed?"),
        ("guard_limits", {"users": 5}, "users must be a table of: removed, added, changed"),
        ("guard_limits", {"users": {}}, "users must be a table of: removed, added, changed"),
        ("guard_limits", {"users": {"removed": 0.5}}, "users.removed must be a whole number"),
        ("guard_limits", {"users": {"removed": True}}, "users.removed must be a whole number"),
        ("guard_limits", {"users": {"removed": 101}}, "users.removed: 101 must be 0 to 100"),
        ("guard_limits", {"users": {"changed": 101}}, "users.changed: 101 must be 0 to 100"),
        ("guard_limits", {"users": {"added": -1}}, "0 to 1,000,000"),
        ("guard_limits", {7: {"added": 1}}, "unknown kind of record 7"),
        ("scope", {"school": ["a"]}, "Did you mean schools?"),
        ("scope", {"schools": []}, "schools is an empty list"),
        ("scope", {"schools": "a"}, "schools: must be a list"),
        ("scope", {"schools": ["a", ""]}, "schools: entry 2: must not be empty"),
        ("scope", {"grades": [3]}, "grades: entry 1: must be a text"),
        ("scope", {"roles": ["students"]}, "Did you mean student?"),
        ("scope", {"enrolled_only": "yes"}, "enrolled_only: must be true or false"),
        ("scope", {"blank": ["users.e-mail"]}, "Did you mean email?"),
        ("scope", {"blank": ["user.email"]}, "Did you mean users?"),
        ("scope", {"blank": ["email"]}, "file.column"),
        ("scope", {"blank": ["users.username"]}, "users.username is a required column"),
        ("scope", {"blank": ["demographics.sourcedId"]}, "is a required column"),
        ("scope", {"blank": ["users.status"]}, "is a required column"),
        ("repairs", ["boolean"], "Did you mean booleans?"),
        ("repairs", ["spelling"], "Known are: booleans"),
        ("faulty_rows", "drop", "send, leave-out"),
        ("removals", "soft", "hold, wait"),
        ("rules", {"no.rule.at.all": "error"}, "unknown rule 'no.rule.at.all'. See spec"),
        ("guard_minimum", {"classes": True}, "not a number of rows"),
        ("guard_minimum", {"classes": "1"}, "not a number of rows"),
        ("traditional_columns", {"users": []}, "must be a table of: columns"),
        ("traditional_columns", {"users": {"names": []}}, "users.names is not one of"),
        ("traditional_columns", {"users": {"columns": "a"}}, "a list"),
        ("traditional_columns", {"users": {"required": ["a", 1]}}, "names of columns"),
        ("remote_host", "a b", "host name"),
        ("host_keys", [KEY, 5], "entry 2: must be a text"),
        ("host_keys", [KEY, "x"], "entry 2: is not a key line"),
        ("host_keys", ["ssh-ed25519"], "not a key line"),
        ("host_keys", ["x y"], "not a key line"),
        ("host_keys", ["x y z"], "not a key line"),
        ("host_keys", [KEY.replace(" ", " !")], "not base64"),
        ("host_keys", [key_line(b"\x00\x00\x00\x0bssh-ed25519" + bytes(20))], "cut off"),
        ("window_start", "12:60", "time of day"),
        ("window_start", "07:10\n", "time of day"),
        ("quiet_seconds", 1.5, "whole number"),
        ("make_remote_dir", 1, "true or false"),
        ("rules", [], "a table"),
        ("xyzzy", 1, "Known are: feed, district"),
    ],
)
def test_a_wrong_value_is_not_taken(key: str, value: object, told: str) -> None:
    [problem] = config.problems({**GOOD, key: value})
    assert problem.key == key
    assert told in problem.message


@pytest.mark.parametrize(
    ("start", "deadline", "is_right"),
    [
        ("09:00", "09:00", False),
        ("08:59", "09:00", True),
        ("21:00", "09:00", True),
        ("20:59", "09:00", False),
        ("00:00", "12:00", True),
        ("12:00", "00:00", True),
    ],
)
def test_a_window_is_some_minutes_and_no_more_than_half_a_day(
    start: str, deadline: str, is_right: bool
) -> None:
    found = config.problems({**GOOD, "window_start": start, "deadline": deadline})
    assert [problem.key for problem in found] == ([] if is_right else ["window_start"])


def test_a_feed_has_its_values_in_their_own_types() -> None:
    feed = config.parse(
        {
            **GOOD,
            "blackouts": ["2027-06-05"],
            "expected_changes": ["2027-06-06"],
            "alert_urls": ["ntfy://rosters"],
        }
    )
    assert (feed.source, feed.is_opaque) == (Path(GOOD["source"]), False)
    day = dt.date(2027, 6, 5)
    assert feed.blackouts == (Span(day, day, ""),)
    assert feed.expected_changes == (Span(dt.date(2027, 6, 6), dt.date(2027, 6, 6), ""),)
    assert feed.alert_urls == ("ntfy://rosters",)
    assert config.parse({**GOOD, "format": "other"}).is_opaque


@pytest.mark.parametrize(
    ("other", "keys"),
    [
        ({}, ["feed", "remote_dir"]),
        ({"feed": "b"}, ["remote_dir"]),
        ({"feed": "b", "remote_port": 23}, []),
        ({"feed": "b", "remote_host": "b.example"}, []),
        ({"feed": "b", "remote_name": "b.zip"}, []),
        ({"feed": "b", "remote_dir": "imagine/1-b/product"}, []),
        ({"remote_name": "b.zip"}, ["feed"]),
    ],
)
def test_what_two_feeds_may_share(other: dict[str, Any], keys: list[str]) -> None:
    found = config.cross_problems([GOOD, {**GOOD, **other}])
    assert [problem.key for problem in found] == keys
    if keys[-1:] == ["remote_dir"]:
        assert f"'maple-grove' and {other.get('feed', 'maple-grove')!r}" in found[-1].message


def test_the_first_of_three_is_named() -> None:
    feeds = [{**GOOD, "feed": name} for name in "abc"]
    told = [problem.message for problem in config.cross_problems(feeds)]
    assert [("'a'" in text, "'b'" in text) for text in told] == [(True, True), (True, False)]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: None, "there is no such file"),
        (lambda path: path.mkdir(), "cannot be read: Is a directory"),
        (lambda path: path.write_bytes(b"\xff"), "is not TOML"),
    ],
)
def test_a_file_that_is_none_is_told(
    tmp_path: Path, make: Callable[[Path], object], told: str
) -> None:
    path = tmp_path / "a.toml"
    make(path)
    with pytest.raises(config.ConfigError, match=told) as error:
        config.load(path)
    assert [problem.key for problem in error.value.problems] == ["file"]
    assert error.value.code is Exit.CONFIG


# ---- what depends on the format, and on one another --------------------------------------------


@pytest.mark.parametrize("form", ["traditional-literacy", "traditional-math", "other"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scope", {"schools": ["a"]}),
        ("repairs", ["booleans"]),
        ("faulty_rows", "leave-out"),
        ("removals", "wait"),
    ],
)
def test_what_is_sent_differs_from_a_oneroster_export_only(
    form: str, key: str, value: object
) -> None:
    [problem] = config.problems({**GOOD, "format": form, key: value})
    assert problem.key == key
    assert form in problem.message
    assert config.problems({**GOOD, key: value}) == []
    assert config.problems({**GOOD, "format": form, key: schema.default(key)}) == []


@pytest.mark.parametrize(
    ("form", "column", "is_right"),
    [
        ("traditional-math", "students.anything", True),
        ("traditional-math", "enrollments.role", False),
        ("oneroster-1.1", "students.role", False),
        ("other", "users.role", False),
    ],
)
def test_a_rule_of_one_column_needs_a_column_of_the_format(
    form: str, column: str, is_right: bool
) -> None:
    found = config.problems({**GOOD, "format": form, "rules": {f"value.enum:{column}": "ignore"}})
    assert [problem.key for problem in found] == ([] if is_right else ["rules"])


@pytest.mark.parametrize(
    ("form", "kind", "is_right"),
    [
        ("traditional-math", "students", True),
        ("traditional-math", "users.student", False),
        ("other", "bytes", True),
        ("oneroster-1.1", "bytes", False),
        ("oneroster-1.1", "demographics", True),
    ],
)
def test_a_limit_is_for_a_kind_of_the_format(form: str, kind: str, is_right: bool) -> None:
    found = config.problems({**GOOD, "format": form, "guard_limits": {kind: {"removed": 1}}})
    assert [problem.key for problem in found] == ([] if is_right else ["guard_limits"])


@pytest.mark.parametrize(
    ("day", "resume", "is_wrong"),
    [
        ("2027-06-01", "2027-12-18", False),
        ("2027-06-01", "2027-12-19", True),
        ("2026-07-16", "2027-07-26", True),
        ("2027-07-16", "2026-07-26", False),
        ("2027-07-16", "", False),
        ("", "2027-07-26", False),
    ],
)
def test_both_days_of_a_reset_are_of_one_year(day: str, resume: str, is_wrong: bool) -> None:
    """With the end alone changed, a feed would pause at once and stay green."""
    found = config.problems({**GOOD, "reset_date": day, "reset_resume_date": resume})
    assert [problem.key for problem in found] == ["reset_resume_date"] * is_wrong
    if found:
        assert f"{resume} is more than 200 days after the reset of {day}. " in str(found[0])
        assert config.problems({**GOOD, "reset_date": day, "reset_resume_date": "x"})


def test_removals_that_wait_need_the_last_package() -> None:
    waits = {**GOOD, "removals": "wait"}
    assert config.problems({**waits, "keep_packages": 1}) == []
    assert config.problems({**GOOD, "keep_packages": 0}) == []
    [problem] = config.problems({**waits, "keep_packages": 0})
    assert problem.key == "keep_packages"


def test_a_scope_has_its_parts_in_their_types() -> None:
    assert config.parse(GOOD).scope.is_everything
    assert config.parse({**GOOD, "scope": {"enrolled_only": False}}).scope.is_everything
    feed = config.parse(
        {
            **GOOD,
            "scope": {"schools": ["a"], "enrolled_only": True, "blank": ["users.sms"]},
            "repairs": ["booleans"],
            "faulty_rows_percent": 1,
        }
    )
    wanted = config.Scope(schools=("a",), enrolled_only=True, blank=("users.sms",))
    assert feed.scope == wanted
    assert feed.repairs == ("booleans",)
    assert isinstance(feed.faulty_rows_percent, float)


@pytest.mark.parametrize(
    "part", [{"schools": ("a",)}, {"grades": ("a",)}, {"roles": ("a",)}, {"courses": ("a",)},
             {"enrolled_only": True}, {"blank": ("a",)}],
)  # fmt: skip
def test_any_part_of_a_scope_leaves_something_out(part: dict[str, Any]) -> None:
    assert not config.Scope(**part).is_everything


def test_a_comparison_needs_limits_only() -> None:
    feed = config.for_comparison()
    assert {key: getattr(feed, key) for key in ("format", "remote_host", "guard_floor")} == {
        "format": "oneroster-1.1",
        "remote_host": "",
        "guard_floor": schema.default("guard_floor"),
    }
    assert config.for_comparison({"guard_floor": 3}).guard_floor == 3
    assert config.for_comparison(GOOD).remote_host == GOOD["remote_host"]
    with pytest.raises(config.ConfigError, match=r"a\.toml: guard_floor"):
        config.for_comparison({"guard_floor": -1}, "a.toml")
    with pytest.raises(config.ConfigError, match="remote_host"):
        config.for_comparison({"remote_host": "a b"})

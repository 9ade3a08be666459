"""The configuration of a feed: what is allowed, what is not, and what is said of it."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from roster_upload import cli, config
from roster_upload.exits import MEANINGS, Exit

BLOB = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00 " + bytes(range(32))
KEY = "ssh-ed25519 " + base64.b64encode(BLOB).decode()
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
    assert feed.host_keys == (config.HostKey("ssh-ed25519", BLOB),)
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
        ("remote_port", 0, "1 to 65535"),
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
        ("webhook_url", "ftp://alerts.example", "must be an address"),
        ("webhook_url", "http://[::1/x", "must be an address"),
        ("heartbeat_url", "https://alerts.example:x/", "must be an address"),
        ("blackouts", ["2027-08-09..2027-06-05"], "before it begins"),
        ("blackouts", ["summer"], "must be days"),
        ("expected_changes", ["2027-02-30"], "entry 1"),
        ("rules", {"value.enun": "warning"}, "did you mean value.enum?"),
        ("rules", {"value.enum": "off"}, "error, warning, ignore"),
        ("guard_minimum", {"classes": -1}, "no number of rows"),
        ("traditional_columns", {"pupils": {}}, "organizations"),
        ("traditional_columns", {"students": {"key": []}}, "a text"),
        ("mail_to", ["it at maple"], "no mail address"),
        ("source", "/srv/*/export.zip", "last part"),
        ("host_keys", [], "no host key is pinned"),
        ("host_keys", ["ssh-ed25519 AAAA"], "cut off or damaged"),
        ("host_keys", ["ssh-dss " + KEY.split()[1]], "no key line"),
        ("host_keys", ["ssh-rsa " + KEY.split()[1]], "does not hold a key of type ssh-rsa"),
        ("host_keys", KEY, "a list"),
        ("window_start", "7:10", "time of day"),
        ("window_start", "09:30", "after the deadline 09:00"),
        ("deadline", "24:00", "time of day"),
        ("remote_dri", "x", "did you mean remote_dir"),
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


@pytest.mark.parametrize("line", [KEY, KEY + " comment", f"sftp.example.org,192.0.2.1 {KEY}"])
def test_a_host_key_is_read_from_either_kind_of_line(line: str) -> None:
    assert config.parse_host_key(line).blob == BLOB


def test_a_window_may_lie_across_midnight() -> None:
    assert not config.problems({**GOOD, "window_start": "23:00", "deadline": "03:00"})
    assert config.in_window("01:00", "23:00", "03:00")
    assert not config.in_window("03:00", "23:00", "03:00")
    assert not config.in_window("22:59", "23:00", "03:00")


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
    assert "is no feed of this host" in capsys.readouterr().err
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


def test_the_readme_tells_every_exit_code() -> None:
    readme = (Path(config.__file__).parent / "README.md").read_text()
    rows = dict(re.findall(r"^\| (\d+) \| ([^|]+) \|", readme, re.MULTILINE))
    assert rows == {str(int(code)): MEANINGS[code] for code in Exit}


def test_a_mail_password_is_not_sent_in_the_clear() -> None:
    login = {**GOOD, "smtp_username": "it"}
    [problem] = config.problems(login)
    assert (problem.key, problem.message) == (
        "smtp_security",
        "must be tls or starttls for a login by password",
    )
    assert config.problems({**login, "smtp_security": "tls"}) == []

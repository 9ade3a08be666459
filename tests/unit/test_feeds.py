"""The inventory's filters for feeds: each unit's start, and the host's servers."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from roster_feeds import (
    export_folders,
    feed_account,
    feed_account_names,
    feed_accounts,
    feed_destinations,
    in_window,
    minutes,
    mount_destinations,
    planned_starts,
    resolve_feeds,
    schedule_problems,
    to_toml,
    upkeep_problems,
)
from roster_upload.config import Feed
from roster_upload.host.locks import transfer_slot
from roster_upload.spec import values
from upload_files import (
    account_files,
    feed_files,
    feed_problems,
    program_feeds,
    shared_locks,
    source_folders,
    unit_files,
)

FEED: dict[str, Any] = {
    "feed": "maple-grove",
    "window_start": "07:10",
    "deadline": "09:00",
    "remote_host": "sftp.example.org",
    "remote_port": 22,
}


def test_each_unit_has_its_starts() -> None:
    [starts] = planned_starts([FEED], "host", 30, ["07:55"], "20:30", 30).values()
    first = starts["roster-upload"][0]
    assert "07:10" <= first < "07:40"
    assert starts["roster-upload"][1:] == ["07:55"]
    assert starts["roster-watch"] == ["08:30"]
    # The same delay after its own time as the first start has after the window's opening.
    minutes = int(first[3:]) - 10
    assert starts["roster-rehearse"] == [f"{20 + (30 + minutes) // 60}:{(30 + minutes) % 60:02}"]
    assert planned_starts([FEED], "host", 30, []) == {"maple-grove": {"roster-upload": [first]}}


def test_a_watcher_of_a_deadline_after_midnight_starts_before_it() -> None:
    feed = {**FEED, "window_start": "23:00", "deadline": "00:10"}
    [starts] = planned_starts([feed], "host", 1, [], "", 30).values()
    assert starts == {"roster-upload": ["23:00"], "roster-watch": ["23:40"]}


def test_only_deliveries_have_to_lie_in_the_window() -> None:
    starts = planned_starts([FEED], "host", 1, ["09:30"], "20:30", 30)
    [problem] = schedule_problems([FEED], starts)
    assert "09:30" in problem


@pytest.mark.parametrize(
    ("time", "is_wrong"),
    [("05:39", False), ("05:45", True), ("07:10", True), ("08:59", True), ("09:00", False)],
)
def test_upgrades_and_restarts_keep_away_from_deliveries(time: str, is_wrong: bool) -> None:
    found = upkeep_problems([FEED], {"the_variable": time})
    assert [text.split()[:2] for text in found] == [["the_variable:", time]] * is_wrong


def test_whom_the_host_talks_to() -> None:
    beats = [{"heartbeat_url": url} for url in ("https://beat.example/{secret}", "", "http://b.c")]
    assert feed_destinations([{**FEED, **beat} for beat in beats]) == [
        "sftp.example.org:22",
        "beat.example:443",
        "b.c:80",
    ]


def test_the_program_and_the_kernel_reach_the_servers_of_sources() -> None:
    sources = ["/srv/a.zip", "sftp://a@SIS.example/x", "sftp://a@[2001:db8::1]:2022/x"]
    sources += ["smb://D;a@files.example/S/x", "smb://files.example:445/T/y", "smb://nas:1445/S/x"]
    feeds = [{**FEED, "source": source} for source in sources]
    assert feed_destinations(feeds) == [
        "sftp.example.org:22",
        "sis.example:22",
        "2001:db8::1:2022",
    ]
    assert mount_destinations(feeds) == ["files.example:445", "nas:1445"]


@pytest.mark.parametrize("user", ["u#x", "u?x", "u[1]", "a@b"])
def test_characters_of_a_user_do_not_change_the_server(user: str) -> None:
    sources = [{"source": f"{scheme}://{user}@h.example/s/a"} for scheme in ("sftp", "smb")]
    own = {"remote_host": "h.example", "remote_port": 22}
    assert feed_destinations([{**own, **sources[0]}]) == ["h.example:22"]
    assert mount_destinations(sources) == ["h.example:445"]


def test_a_share_reaches_the_program_as_a_path() -> None:
    feeds = [{**FEED, "source": "smb://files/S/x*.zip"}, {**FEED, "source": "/srv/a/x.zip"}]
    [share, path] = program_feeds(feeds)
    assert share["source"] == "/srv/roster-source/maple-grove/x*.zip"
    assert share["source_origin"] == "smb://files/S/x*.zip"
    assert path == feeds[1]
    assert source_folders(feeds) == ["/srv/roster-source/maple-grove", "/srv/a"]


def test_a_url_is_no_folder_of_the_host() -> None:
    feeds = [
        {**FEED, "source": f"{scheme}://a@b/srv/roster-upload/x/y.zip"}
        for scheme in ("sftp", "smb")
    ]
    assert export_folders(feeds, "all") == []
    assert [account["groups"] for account in feed_accounts(feeds, "all")] == [
        ["rf-maple-grove"]
    ] * 2


def test_an_unknown_scheme_is_refused_for_its_variable() -> None:
    resolved = [{**FEED, "source": "ftp://a:hunter2@b/x.zip"}]
    [told] = [p for p in feed_problems(resolved, [{}]) if "scheme" in p]
    assert told.startswith("roster_upload_source: ")
    assert "hunter2" not in told


def test_a_feed_that_the_list_forgets_is_told() -> None:
    resolved = [{**FEED, "feed": "fir"}]
    assert not [p for p in feed_problems(resolved, [{"feed": "fir"}]) if "does not name" in p]
    [told] = [p for p in feed_problems(resolved, [{"feed": "fir"}], "elm") if "does not name" in p]
    assert "roster_upload_feeds: does not name elm" in told
    assert not [p for p in feed_problems([], [], "elm") if "does not name" in p]


@pytest.mark.parametrize(
    "value",
    [
        0.5,
        1e-7,
        100,
        True,
        'a "quoted" \\ text\x7f',
        [],
        {},
        {"schools": ["s-1", "ü"], "enrolled_only": True, "blank": ["users.sms"]},
        {"enrollments": {"removed": 100}, "users.student": {"added": 5, "changed": 0}},
        {"value.enum:enrollments.role": "warning"},
    ],
)
def test_a_value_reaches_the_program_as_it_is(value: object) -> None:
    read = tomllib.loads(f"key = {to_toml(value)}\n")["key"]
    assert (read, type(read)) == (value, type(value))


def test_a_feed_of_the_list_has_a_scope_and_limits_of_its_own() -> None:
    flat = {"scope": {"schools": ["a"]}, "faulty_rows_percent": 0.5, "feed": "fir"}
    item = {"feed": "elm", "scope": {"grades": ["03"]}, "guard_limits": {"enrolments": {}}}
    [own, other] = resolve_feeds([item, {}], flat)
    assert (own["scope"], other["scope"]) == ({"grades": ["03"]}, {"schools": ["a"]})
    told = [text for text in feed_problems([own, other], [item, {}]) if "guard_limits" in text]
    assert told
    assert told[0].startswith("roster_upload_feeds[0].guard_limits: ")


def test_a_problem_has_the_name_that_the_operator_wrote() -> None:
    """A flat value is every feed's, and is reported once."""
    flat = {**FEED, "deadline": 600}
    items: list[dict[str, Any]] = [{"feed": "elm"}, {"feed": "fir", "attempts": 0}]
    texts = feed_problems(resolve_feeds(items, flat), items)
    assert [t for t in texts if "deadline" in t] == ["roster_upload_deadline: must be a text"]
    assert any(text.startswith("roster_upload_feeds[1].attempts: ") for text in texts)
    # It is missing in each feed.
    assert any(text.startswith("roster_upload_feeds[1].username: is missing") for text in texts)


@pytest.mark.parametrize("time", ["00:00", "07:10", "23:59", "24:00", "7:10", "07:60", "x"])
def test_times_are_those_of_the_program(time: str) -> None:
    def read(by: Callable[[str], int]) -> int | None:
        try:
            return by(time)
        except ValueError:
            return None

    assert read(minutes) == read(values.parse_time)
    if read(minutes) is not None:
        for start, deadline in (("07:10", "09:00"), ("23:00", "00:10"), ("07:10", "07:10")):
            assert in_window(time, start, deadline) == values.in_window(time, start, deadline)


# ---- the feeds' accounts -----------------------------------------------------------------------


def feed_at(name: str, source: str = "/srv/x.zip", **more: Any) -> dict[str, Any]:
    return {**FEED, "feed": name, "source": source, "username": "r", "parallel": 2, **more}


def test_a_feed_has_an_account_that_systemd_takes() -> None:
    assert feed_account("maple-grove") == "rf-maple-grove"
    longest = "m" * 28
    assert feed_account(longest) == f"rf-{longest}"
    names = [f"{'m' * 40}-{number}" for number in range(3)] + ["m" * 29]
    accounts = {feed_account(name) for name in names}
    assert len(accounts) == len(names)
    for account, name in zip(sorted(map(feed_account, names)), sorted(names), strict=False):
        assert len(account) == 31
        assert account != f"rf-{name}"


def test_a_feed_is_in_its_own_group_and_in_that_of_its_dropbox() -> None:
    own, boxed = feed_accounts(
        [feed_at("elm", "/srv/roster-upload/elm/x.zip"), feed_at("fir", "/srv/dropbox/sis/in/x")],
        "all",
    )
    assert own == {"name": "rf-elm", "group": "all", "groups": ["rf-elm"]}
    assert boxed == {"name": "rf-fir", "group": "all", "groups": ["rf-fir", "sis"]}


def test_an_export_is_open_to_those_who_read_it_and_nobody_else() -> None:
    root = "/srv/roster-upload"
    feeds = [
        feed_at("ash", f"{root}/ash/x.zip"),
        feed_at("elm", f"{root}/trees/x.zip"),
        feed_at("fir", f"{root}/trees/y.zip"),
        feed_at("oak", f"{root}/oak/x.zip"),
        feed_at("yew", f"{root}/oak/old/x.zip"),
        feed_at("box", f"{root}/oaks/x.zip"),
        feed_at("fig", "/srv/dropbox/sis/incoming/x.zip"),
        feed_at("bay", f"{root}/x.zip"),
    ]
    assert {folder["path"]: folder["group"] for folder in export_folders(feeds, "all")} == {
        f"{root}/ash": "rf-ash",
        f"{root}/trees": "all",
        f"{root}/oak": "all",  # the way to the one below
        f"{root}/oak/old": "rf-yew",
        f"{root}/oaks": "rf-box",
    }


def test_the_locks_are_those_that_the_program_takes(tmp_path: Path) -> None:
    feeds = [feed_at("elm", parallel=1), feed_at("fir", parallel=3), feed_at("oak", username="o")]
    names = shared_locks(feeds)
    assert len(names) == 3 + 2
    for name in names:
        (tmp_path / name).touch(0o440)
    tmp_path.chmod(0o550)
    for feed in feeds:
        with transfer_slot(tmp_path, cast("Feed", SimpleNamespace(**feed)), 0, print):
            pass
    tmp_path.chmod(0o750)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert shared_locks([]) == []


# ---- the files of the program ------------------------------------------------------------------


def test_a_unit_has_its_text() -> None:
    assert unit_files([{"name": "roster-upload"}, {"name": "roster-watch"}], ["a", "b"]) == [
        {"path": "/etc/systemd/system/roster-upload@.service", "content": "a"},
        {"path": "/etc/systemd/system/roster-watch@.service", "content": "b"},
    ]
    with pytest.raises(ValueError, match="zip"):
        unit_files([{"name": "roster-upload"}], [])


def test_a_configuration_is_open_to_its_feed_alone() -> None:
    accounts = feed_account_names([feed_at("elm"), feed_at("fir")])
    files = feed_files(accounts, ["of elm", "of fir"])
    written = {file["path"]: file for file in files}
    assert len(written) == len(files) == 8
    elm = written["/etc/roster-upload/elm.toml"]
    assert (elm["group"], elm["mode"], elm["content"]) == ("rf-elm", "0640", "of elm")
    assert elm["validate"].endswith("check-config %s")
    for slot in ("credentials", "pending", "previous"):
        folder = written[f"/etc/roster-upload/{slot}/fir"]
        assert (folder["state"], folder["mode"]) == ("directory", "0700")


def test_only_a_feed_of_a_long_name_has_drop_ins() -> None:
    long = "m" * 40
    accounts = feed_account_names([feed_at("elm"), feed_at(long)])
    folder, file = account_files(accounts, [{"name": "roster-upload"}], "# head")
    assert folder["path"] == f"/etc/systemd/system/roster-upload@{long}.service.d"
    assert file["path"] == f"{folder['path']}/account.conf"
    assert file["content"] == f"# head\n[Service]\nUser={feed_account(long)}\n"

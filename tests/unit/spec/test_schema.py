"""The keys of a feed as feed.toml describes them, and what is made from it."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import pytest
import yaml
from roster_upload import config
from roster_upload.spec import schema, spec
from roster_upload.spec.checks import CHECKS

ROOT = Path(__file__).resolve().parents[3]
ENTRIES = {
    name: entry
    for group in spec("feed").values()
    for name, entry in group.items()
    if name != "title"
}


def test_every_key_of_a_feed_has_a_field() -> None:
    fields = {field.name: field.type for field in dataclasses.fields(config.Feed)}
    assert list(fields) == list(schema.keys())
    plain = {name: key for name, key in schema.keys().items() if key.check not in VALUES}
    for name, key in plain.items():
        if key.type == "list":
            assert fields[name] == "tuple[str, ...]", name
        elif key.type == "dict":
            assert fields[name].startswith("Mapping[str, ") or name == "scope", name
        else:
            assert fields[name] == OF_TYPES.get(key.type, key.type), name
    scope = {field.name: field.type for field in dataclasses.fields(config.Scope)}
    parts = {"list": "tuple[str, ...]", "bool": "bool"}
    assert scope == {name: parts[part.type] for name, part in schema.keys()["scope"].parts.items()}


OF_TYPES = {"date": "dt.date | None"}  # fields of a type with another name
RAW = {"date": "raw"}  # types that Ansible does not have
VALUES = {"source", "host_key", "days", "time"}  # checks that return no text


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_of_the_schema_is_whole(name: str) -> None:
    entry = ENTRIES[name]
    known = {*schema.Key.__dataclass_fields__, "text", "example", "role_default"} - {"name"}
    assert set(entry) <= known
    assert entry["type"] in schema.TYPES
    assert entry.get("check", "words") in CHECKS
    assert ("minimum" in entry) == ("maximum" in entry) == (entry["type"] in ("int", "float"))
    assert "default" in entry or "role_default" in entry
    lines = entry["text"].splitlines()
    assert lines
    for line in lines:
        assert line[-1] in ".)", line
        assert ";" not in line, line
    key = schema.keys()[name]
    if "default" in entry:
        assert key.problem(entry["default"]) is None
    if "example" in entry:
        assert key.problem(entry["example"]) is None
    for choice in entry.get("choices", ()):
        assert key.problem([choice] if key.type == "list" else choice) is None


def test_the_program_and_the_role_have_the_same_defaults() -> None:
    role = yaml.safe_load((ROOT / "roles/roster_upload/defaults/main.yml").read_text())
    shared = {key: role[f"roster_upload_{key}"] for key in schema.defaults()}
    assert shared == dict(schema.defaults())
    specs = yaml.safe_load((ROOT / "roles/roster_upload/meta/argument_specs.yml").read_text())
    options = specs["argument_specs"]["main"]["options"]
    chosen = {name for name, entry in ENTRIES.items() if "choices" in entry}
    assert {"format", "auth", "unchanged", "algorithms", "repairs"} < chosen
    for name in ENTRIES:
        option = options[f"roster_upload_{name}"]
        assert option["type"] == RAW.get(schema.keys()[name].type, schema.keys()[name].type)
        assert tuple(option.get("choices", ())) == schema.keys()[name].choices


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        ("", None),
        ("2027-07-16", dt.date(2027, 7, 16)),
        (dt.date(2027, 7, 16), dt.date(2027, 7, 16)),
    ],
)
def test_a_date_is_a_text_or_that_of_yaml(value: object, parsed: dt.date | None) -> None:
    assert schema.keys()["reset_date"].parse(value) == parsed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("16.07.2027", "'16.07.2027' is not a date such as 2027-07-16"),
        ("20270716", "not a date"),
        ("2027-02-30", "not a date"),
        ("2027-7-16", "not a date"),
        ("0227-07-16", "not a date"),
        (dt.date(2270, 7, 16), "not a date"),
        (dt.datetime(2027, 7, 16, 3), "not a date"),
        (20270716, "must be a date such as 2027-07-16"),
        (True, "must be a date such as 2027-07-16"),
        (["2027-07-16"], "must be a date such as 2027-07-16"),
    ],
)
def test_another_value_is_no_date(value: object, text: str) -> None:
    assert text in str(schema.problem("reset_date", value))


def test_the_role_writes_every_key_of_a_feed() -> None:
    role = yaml.safe_load((ROOT / "roles/roster_upload/vars/main.yml").read_text())
    assert role["__roster_upload_keys"] == list(schema.keys())


def test_the_order_of_the_keys_is_that_of_earlier_releases() -> None:
    """Another order would change every configuration file on every host."""
    names = list(schema.keys())
    assert (names[0], names[-1]) == ("feed", "alert_urls")
    assert names.index("minimum_bytes") == names.index("allow_delete_unlisted") + 1
    assert names.index("blackouts") == names.index("unchanged_nights") + 1

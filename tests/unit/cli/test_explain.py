"""An explanation: cause, evidence, who must act, and a letter to them."""

from __future__ import annotations

import json
import re
import socket
import string
from typing import Any

import pytest
from roster_upload.cli import explain as explaining
from roster_upload.exits import Exit
from roster_upload.notify import message
from roster_upload.records.receipt import Receipt
from roster_upload.spec import spec
from support.stored import DIGEST, FINDING, HELD, KNOWN, SENT, WAITS, explain, feed, status

WHO = {
    "nobody",
    "the SIS administrator",
    "the district's IT administrator",
    "the network administrator",
    "Imagine Learning's Technical Systems Engineer",
}


def test_every_exit_code_is_explained() -> None:
    told = spec("exits")
    assert set(told) == {str(int(code)) for code in Exit}
    for code, entry in told.items():
        keys = set(entry) - {"retried", "section"}
        assert keys == {"name", "meaning", "cause", "who", "do", "letter"}, code
        assert entry["cause"].endswith(".")
        assert entry["who"] in WHO
        assert bool(entry["do"]) or entry["who"] == "nobody"
        outside = entry["who"] in WHO - {"the district's IT administrator", "nobody"}
        assert bool(entry["letter"]) or not outside, f"{code}: nothing to send to {entry['who']}"


def test_every_command_of_an_explanation_is_one_of_the_program() -> None:
    from roster_upload.cli.parser import COMMANDS  # noqa: PLC0415 - it imports the whole program

    named = set()
    for entry in spec("exits").values():
        named |= set(re.findall(r"roster-upload ([a-z][a-z-]+)", entry["do"]))
    assert named
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("code", Exit)
def test_a_letter_holds_the_receipts_values_and_no_others(
    code: Exit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: KNOWN["host"])
    receipt = {**HELD, "exit_code": int(code), "message": KNOWN["message"], "findings": []}
    letter = explain(code, receipt, feed())["letter"]
    template = spec("exits")[str(int(code))]["letter"]
    names = {name for _, name, _, _ in string.Formatter().parse(template) if name}
    assert names <= {*KNOWN, "exit_code"}
    assert letter == template.format(**KNOWN, exit_code=int(code))
    assert "unknown" not in letter
    for name in names - {"exit_code"}:
        assert KNOWN[name] in letter


@pytest.mark.parametrize("code", Exit)
def test_what_is_not_known_is_left_out(code: Exit) -> None:
    told = explain(code, None, None)
    assert (told["letter"], told["evidence"]) == ("", [])
    assert json.loads(json.dumps(told)) == told
    text = explaining.explain_text(told)
    assert not re.search(r"[{}]|unknown|A text to send|Evidence", text)
    assert all(re.search(r"\S$", line) for line in text.splitlines() if line), "a label alone"
    assert "" not in text.splitlines()[2:]


@pytest.mark.parametrize("code", Exit)
@pytest.mark.parametrize("lacks", ["address", "server", "host_key", "dir", "host"])
def test_a_letter_lacks_only_what_its_sentences_can_do_without(code: Exit, lacks: str) -> None:
    remote = {**HELD["remote"], lacks: ""}
    receipt = {**HELD, "exit_code": int(code), "remote": remote}
    for known in (feed(), None):
        letter = explain(code, receipt, known)["letter"]
        assert not re.search(r"[{}\0]|unknown|\(\)| \.| ,|\b(of|to|at|on)[.,:]", letter)


def test_a_letter_without_an_address_is_whole() -> None:
    receipt = {**HELD, "exit_code": int(Exit.NETWORK), "remote": {"host": "sftp.vendor.example"}}
    letter = explain(Exit.NETWORK, receipt, feed())["letter"]
    assert "cannot reach sftp.vendor.example by SSH: the guard holds" in letter


@pytest.mark.parametrize("width", [60, 80, 160])
def test_a_letter_is_broken_anew(width: int) -> None:
    told = explain(Exit.HELD, HELD, feed())
    lines = explaining.explain_text(told, width).split("A text to send\n", 1)[1].splitlines()
    assert min(width, 76) - 16 <= max(len(line) for line in lines if DIGEST not in line)
    assert max(map(len, lines)) <= max(min(width, 76), len(DIGEST) + 3)
    assert lines[0] == "  Hello,"
    assert "  - 2 schools would be empty" in lines
    assert " ".join(" ".join(lines).split()) == " ".join(told["letter"].split())


def test_a_letter_takes_braces_as_they_are() -> None:
    receipt = {**HELD, "exit_code": int(Exit.NETWORK), "message": "it {says} {0}"}
    assert "it {says} {0}" in explain(Exit.NETWORK, receipt, None)["letter"]


def test_an_explanation_has_evidence_and_a_command_to_copy(finding: dict[str, Any]) -> None:
    told = explain(Exit.HELD, {**HELD, "findings": [finding]}, feed())
    look, approve = "roster-upload diff maple-grove", "roster-upload approve maple-grove --digest "
    assert 0 < told["do"].index(look) < told["do"].index(f"{approve}3f1c9a7d3f1c9a7d --reason ")
    assert look in told["letter"]
    message, text, *held, slowest = told["evidence"]
    assert message == HELD["message"]
    assert text.startswith("error: users.csv, column sourcedId, rows 4, 9, 17: ")
    assert held == HELD["held"]
    assert slowest == "the longest phase was kex, 2.2 s"
    shown = explaining.explain_text(told)
    for line in (*told["evidence"], told["cause"], told["do"], f"exit code 17: {told['meaning']}"):
        assert line in shown, line
    assert f"  - {HELD['held'][1]}" in shown, "the letter names every reason"


def test_an_older_programs_rule_is_told_by_its_name() -> None:
    gone = {**FINDING, "rule": "oneroster.given-up", "new_key": 1}
    evidence = explain(Exit.REFUSED, {**HELD, "findings": [gone]}, None)["evidence"]
    assert "error: users.csv [oneroster.given-up]" in evidence


def test_an_explanation_without_a_feed_keeps_the_placeholder() -> None:
    assert "roster-upload approve FEED --digest SHA256" in explain(Exit.HELD, None, None)["do"]
    assert "roster-upload@maple-grove" in explain(Exit.STOPPED, HELD, None)["do"]


def test_a_letter_names_the_file_that_it_is_about() -> None:
    package = {**HELD, "package": {"sha256": "b" * 64}}
    assert DIGEST in explain(Exit.HELD, package, None)["letter"]
    assert DIGEST in explain(Exit.REFUSED, package, None)["letter"]
    assert "b" * 64 in explain(Exit.VERIFY, package, None)["letter"]


def test_what_is_ignored_is_told_to_nobody(finding: dict[str, Any]) -> None:
    ignored = {**HELD, "findings": [{**finding, "severity": "ignored"}]}
    told = explain(Exit.REFUSED, ignored, None)
    assert not any(finding["rule"] in text for text in [*told["evidence"], told["letter"]])


def test_mails_and_views_agree_on_what_to_do() -> None:
    news = message.of_event(feed(), "failure", Receipt.parse(HELD))
    assert news.values["action"] == explain(Exit.HELD, HELD, feed())["do"]


def test_removals_that_wait_ask_for_a_decision() -> None:
    """The roster is sent, but somebody has to look."""
    found = explain(Exit.OK, {**SENT, "waiting": WAITS}, feed())
    held = spec("exits")[str(int(Exit.HELD))]
    assert found["who"] == held["who"]
    assert "roster-upload diff maple-grove" in found["do"]
    assert found["letter"] == ""
    failed = {**SENT, "outcome": "failed", "exit_code": int(Exit.NETWORK), "waiting": WAITS}
    network = spec("exits")[str(int(Exit.NETWORK))]
    assert explain(Exit.NETWORK, failed, feed())["do"] == network["do"]
    assert status("maple-grove", [failed], None)["next_step"] == network["do"]


def test_a_reason_in_a_letter_is_indented() -> None:
    long = "users.student: 1,200 of 2,000 would be removed (60.0 %, the limit is 10 %) in all"
    text = explaining.explain_text(explain(Exit.HELD, {**HELD, "held": [long]}, feed()))
    letter = text.partition("A text to send")[2]
    first, _, rest = letter.partition("- users.student")
    assert first
    assert rest.splitlines()[1].startswith("    ")

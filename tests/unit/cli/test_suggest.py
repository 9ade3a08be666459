"""A mistyped command, option, value or feed is answered with the nearest one."""

from __future__ import annotations

from pathlib import Path

import pytest
from roster_upload.cli import parser as cli
from roster_upload.cli.suggest import did_you_mean
from roster_upload.exits import Exit
from roster_upload.terminal import output


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return the error of a command line that is not valid."""
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == Exit.USAGE
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("statsu",), "unknown command 'statsu'. Did you mean status?"),
        (("Verify",), "unknown command 'Verify'. Did you mean verify?"),
        (("rehearse-all",), "unknown command 'rehearse-all'. Did you mean rehearse?"),
        (("zzz",), "unknown command 'zzz'. Known are: check-config, check, "),
        (("history", "elm", "--night", "3", "--jsn"), "option --jsn. Did you mean --json?"),
        (("approve", "elm", "--digset", "ab"), "option --digset. Did you mean --digest?"),
        (("approve", "elm", "--digset=ab"), "option --digset. Did you mean --digest?"),
        (("--config-dri", "/etc", "status"), "option --config-dri. Did you mean --config-dir?"),
        (("status", "--frobnicate"), "--frobnicate. See roster-upload status --help"),
        (("login", "elm", "--slot", "curent"), "value 'curent'. Did you mean current?"),
        (("check", "--file", "x", "--format", "oneroster"), "Did you mean oneroster-1.1?"),
    ],
)
def test_what_is_mistyped_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], answer: str
) -> None:
    assert answer in refused(capsys, *words)


def test_what_is_right_is_parsed() -> None:
    given = cli.parser().parse_args(
        ["--config-dir", "/x", "approve", "elm", "--dig", "AB12", "--reason", "--was so"]
    )
    assert (given.command, given.digest, given.reason) == ("approve", "ab12", "--was so")
    given = cli.parser().parse_args(["check-config", "--", "--odd.toml"])
    assert given.paths == [Path("--odd.toml")]


@pytest.mark.parametrize("words", [("approve", "elm", "--why", "x"), ("status", "a", "b")])
def test_other_errors_stay(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    assert "Did you mean" not in refused(capsys, *words)


@pytest.mark.parametrize("width", [80, 100, 160])
def test_an_error_fits_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))  # of argparse's usage
    monkeypatch.setattr(output, "columns", lambda _out: width)
    with pytest.raises(SystemExit):
        cli.main(["zzz"])
    assert max(map(len, capsys.readouterr().err.splitlines())) <= width


@pytest.mark.parametrize(
    ("name", "answer"),
    [("elmm", "Did you mean elm?"), ("ELM", "Did you mean elm?"), ("ginkgo", "")],
)
def test_the_nearest_name(name: str, answer: str) -> None:
    assert did_you_mean(name, ["oak", "elm", "elm-math"]) == answer


@pytest.mark.parametrize("command", ["history", "check", "send", "explain", "forget", "status"])
def test_a_mistyped_feed_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    folders = [f"--config-dir={tmp_path}", f"--state-dir={tmp_path / 'state'}"]
    for feed in ("elm", "maple-grove"):
        (tmp_path / f"{feed}.toml").write_text("")
    assert cli.main([*folders, command, "maple-grov"]) == Exit.CONFIG
    told = capsys.readouterr().err
    assert "this host has no feed maple-grov: it has neither " in told
    assert told.endswith(". Did you mean maple-grove?\n")
    assert cli.main([*folders, command, "xxxxx"]) == Exit.CONFIG
    assert capsys.readouterr().err.endswith(". It has elm, maple-grove\n")
    assert cli.main([*folders, command, "Maple_Grove"]) == Exit.USAGE
    assert "is not the name of a feed. Did you mean maple-grove?" in capsys.readouterr().err

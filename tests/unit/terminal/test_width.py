"""Lines fit the terminal. What people copy stays whole."""

from __future__ import annotations

import io
import os
import pty
from pathlib import Path

import pytest
from rich.cells import cell_len
from roster_upload.terminal import output
from roster_upload.terminal.width import columns, fitted

DIGEST = "3f1c9a7d" * 8
PATH = "/srv/roster-upload/" + "maple-grove/" * 8 + "OneRoster.zip"
NAMES = {
    "long": "Llanfairpwllgwyngyllgogerychwyrndrobwll" * 3,
    "wide": "楓林統一校區" * 20,
    "combining": "Académie de Guérande " * 6,
    "words": "Consolidated School District of the Upper " * 4,
}
WIDTHS = (20, 40, 80, 100, 160)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_line_fits_with_any_name(width: int, name: str) -> None:
    line = f"{name}: held, the vendor has the roster of the night: it changes {name}"
    lines = fitted(line, width).split("\n")
    assert max(map(cell_len, lines)) <= width
    assert "".join("".join(lines).split()) == "".join(line.split())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("value", [DIGEST, PATH, "https://vendor.example/" + "a" * 90])
def test_what_people_copy_stays_whole(width: int, value: str) -> None:
    found = fitted(f"  sha256     {value} is the value that must be copied as it is", width)
    lines = found.split("\n")
    assert any(value in line for line in lines)
    assert all(cell_len(line) <= width or line.strip() == value for line in lines)
    if len(value) <= width:
        assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("before", ["", "If it is right, run ", "  next step  Run "])
@pytest.mark.parametrize(
    ("command", "after"),
    [
        ("roster-upload diff maple-grove", " to see who is affected."),
        (
            'roster-upload approve maple-grove --digest 3f1c9a7d3f1c9a7d --reason "snow days"',
            ". It",
        ),
        ("systemctl start roster-upload@maple-grove.service", ", and wait."),
        ("journalctl -u roster-upload@maple-grove.service", " shows it."),
        ("df -h /var/lib/roster-upload /var/tmp", ". If memory was short, …"),
    ],
)
def test_a_command_stays_on_one_line(width: int, before: str, command: str, after: str) -> None:
    line = f"{before}{command}{after} {before}{command}"
    lines = fitted(line, width).split("\n")
    assert "\n".join(lines).count(command) == 2
    for shown in lines:
        assert cell_len(shown) <= width or shown.strip().rstrip(".,") == command
    assert "".join("".join(lines).split()) == "".join(line.split())


def test_further_lines_start_below_the_text() -> None:
    line = "maple-grove  BAD  export         it was written too early, and it is too old"
    assert fitted(line, 70).split("\n") == [
        "maple-grove  BAD  export         it was written too early, and it is",
        " " * 33 + "too old",
    ]
    assert fitted("  next step  " + "word " * 20, 60).split("\n")[1].startswith(" " * 13 + "word")
    assert fitted("word " * 20, 60).split("\n")[1].startswith("  word")


def test_without_a_width_a_line_stays_as_it_is() -> None:
    assert fitted("word " * 99, None) == "word " * 99
    assert fitted("a  short   line", 80) == "a  short   line"


def test_the_width_is_that_of_the_output(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    main, other = pty.openpty()
    try:
        with os.fdopen(other, "w", closefd=False) as terminal:
            for set_to, width in ((100, 100), (7, 20), (0, 80)):
                size = set_to.to_bytes(2, "little")
                _set_size(other, b"\x18\0" + size + b"\0" * 4)
                assert columns(terminal) == width
            monkeypatch.setenv("COLUMNS", "90")
            assert columns(terminal) == 90
            monkeypatch.setenv("COLUMNS", "wide")
            _set_size(other, b"\x18\0\x50\0" + b"\0" * 4)
            assert columns(terminal) == 80
    finally:
        os.close(main)
        os.close(other)
    with (tmp_path / "log").open("w") as file:
        assert columns(file) is None
    assert columns(io.StringIO()) is None
    assert columns(None) is None


def _set_size(terminal: int, size: bytes) -> None:
    import fcntl  # noqa: PLC0415
    import termios  # noqa: PLC0415

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)


def test_only_a_terminal_breaks_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    output.show("word " * 30)
    output.say("word " * 30)
    assert [len(text.splitlines()) for text in capsys.readouterr()] == [1, 1]
    monkeypatch.setenv("COLUMNS", "60")  # of a program that reads the pipe
    output.show("word " * 30)
    assert len(capsys.readouterr().out.splitlines()) == 1
    monkeypatch.setattr(output, "columns", lambda _out: 60)
    output.show("word " * 30)
    output.say("word " * 30)
    assert [len(text.splitlines()) for text in capsys.readouterr()] == [3, 3]

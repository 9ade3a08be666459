"""The README's first district can be typed as it stands, and the reader of it is strict."""

from __future__ import annotations

import re

import pytest
from support import readme

ROOT = readme.README.parent
GOOD = """\
## Before

1. **Other.** Nothing.

## Your first district

1. **One.** Text:

       git clone REPOSITORY ~/here
       . bin/activate

   More text.

2. **Two:**

       run --tags x     # touches nothing

Then rest.

## After

       not this
"""


def test_the_commands_of_each_step() -> None:
    one, two = readme.steps(GOOD)
    assert (one.title, one.commands) == ("One", ("git clone REPOSITORY ~/here", ". bin/activate"))
    assert one.text.endswith("More text.")
    assert (two.title, two.commands) == ("Two", ("run --tags x",))


@pytest.mark.parametrize(
    ("before", "now", "reason"),
    [
        ("2. **Two", "3. **Two", "out of order"),
        ("       run", "    run", "indented by 7"),
        ("       run", "       ```\n       run", "plain command"),
        ("run --tags x", "run | tail", "plain command"),
        ("run --tags x", "run \\", "plain command"),
        ("run --tags x", "$ run", "plain command"),
        ("run --tags x", "run && walk", "plain command"),
        ("## After", "## Your first district", "2 sections"),
        ("1. **One.**", "       lost\n\n1. **One.**", "in no step"),
    ],
)
def test_a_line_that_nobody_can_type_is_refused(before: str, now: str, reason: str) -> None:
    assert before in GOOD
    with pytest.raises(readme.ReadmeError, match=reason):
        readme.steps(GOOD.replace(before, now))


def test_placeholders_have_values() -> None:
    values = {"REPOSITORY": "/srv/x", "HOST": "a"}
    assert readme.placed("git clone REPOSITORY ~/HOST", values) == "git clone /srv/x ~/a"
    assert (
        readme.placed('git commit --message "Add THE"', values) == 'git commit --message "Add THE"'
    )
    with pytest.raises(readme.ReadmeError, match="FEED"):
        readme.placed("send FEED", values)


def test_the_readmes_steps_are_readable() -> None:
    steps = readme.steps(readme.README.read_text())
    commands = [command for step in steps for command in step.commands]
    assert len(commands) > 12
    assert commands[0] == "git clone REPOSITORY ~/roster-delivery"
    assert all(" -i " not in command for command in commands)


def test_the_readme_fits_a_few_screens() -> None:
    assert len(readme.README.read_text().splitlines()) <= 130
    first = readme.README.read_text().splitlines()[:25]
    assert any("docs/way.svg" in line for line in first)
    assert any("make demo" in line for line in first)


def test_the_picture_of_the_way_is_text() -> None:
    text = (ROOT / "docs" / "way.svg").read_text()
    names = set(re.findall(r"<(\w+)", text))
    assert {"title", "desc", "text"} <= names
    assert names.isdisjoint({"script", "image", "foreignObject", "style"})

"""The check of the English: which texts it reads, and what it finds in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from prose import __main__ as command
from prose import blocks, rules, sources

RULES = rules.load()
LONG = "Word" + " word" * 30 + "."


def texts(path: Path, content: str) -> list[tuple[int, str]]:
    """Return the first line and the text of each block of a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    found = [(one.lines[0][0], " ".join(one.text.split())) for one in sources.read(path)]
    return sorted(found)


def broken(path: Path, content: str) -> list[tuple[int, str, str]]:
    """Return line, rule and text of each finding in a file."""
    path.write_text(content)
    found, _ = rules.findings(path, sources.read(path), RULES)
    return [(one.line, one.rule, one.text) for one in found]


def test_markdown_is_read_without_code(tmp_path: Path) -> None:
    content = """# A title

A paragraph with `code; more` in
two lines.

    code; not prose

* one item
* another item

```
not prose
```

| left cell | `told` |
| --- | --- |
| a cell<br>of two lines | told twice |

<!-- told -->
"""
    assert texts(tmp_path / "a.md", content) == [
        (1, "A title"),
        (3, "A paragraph with `code` in two lines."),
        (8, "one item"),
        (9, "another item"),
        (15, "left cell"),
        (17, "a cell of two lines"),
        (17, "told twice"),
    ]


def test_python_is_read_by_its_docstrings_comments_and_messages(tmp_path: Path) -> None:
    content = '''#!/usr/bin/python3
"""The module's docstring.

    told by code
"""
import a  # noqa: F401 - told
DOCUMENTATION = r"""
module: x
short_description: A short one
options:
  one:
    description: [The first text, the second text]
"""
VALUE = "# told in a string"
# A comment in
# two lines.

def one() -> None:
    """Return a thing.

    More of it.
    """
    x = 1  # because of this
    if x:
        raise ValueError(f"{x} is wrong; mend it")
    parser.add_argument("a", help="the first value")
    call("told", other="told nothing")
'''
    assert texts(tmp_path / "a.py", content) == [
        (2, "The module's docstring."),
        (9, "A short one"),
        (12, "The first text"),
        (12, "the second text"),
        (15, "A comment in two lines."),
        (19, "Return a thing."),
        (21, "More of it."),
        (23, "because of this"),
        (25, "`code` is wrong; mend it"),
        (26, "the first value"),
    ]


def test_yaml_is_read_by_its_comments_names_and_messages(tmp_path: Path) -> None:
    content = """---
# A comment here.
# role_variable: 1
- name: Install the packages # since it must
  shell: "echo told # told"
  fail_msg: >-
    {{ host }} is
    wrong.
- msg: |
    The first line.

    The second line.
  description:
    - An item of C(code; told).
"""
    assert texts(tmp_path / "a.yml", content) == [
        (2, "A comment here."),
        (4, "Install the packages"),
        (4, "since it must"),
        (6, "`code` is wrong."),
        (10, "The first line."),
        (12, "The second line."),
        (14, "An item of `code`."),
    ]


def test_the_specification_is_read_by_its_texts(tmp_path: Path) -> None:
    content = 'do = "Run it again"\nid = "told"\nletter = """\nDear {name},\n\nplease look.\n"""\n'
    assert texts(tmp_path / "spec" / "a.toml", content) == [
        (1, "Run it again"),
        (4, "Dear `code`,"),
        (6, "please look."),
    ]
    content = "# A comment here.\n" + content + "old = '''\n# told there\n'''\n"
    assert texts(tmp_path / "a.toml", content) == [(1, "A comment here.")]


@pytest.mark.parametrize("name", ["a.sh", "a", "a.conf", "a.service", "Makefile"])
def test_other_files_are_read_by_their_comments(tmp_path: Path, name: str) -> None:
    content = "#!/bin/sh\nset -e  # on errors\n\n# shellcheck disable=SC1\n# A comment here.\n"
    assert texts(tmp_path / name, content) == [(2, "on errors"), (5, "A comment here.")]


def test_a_page_s_code_is_read_by_its_comments(tmp_path: Path) -> None:
    content = "/* The first one. */\nlet a = 1; // the second one\nlet b = 2;\n"
    assert texts(tmp_path / "a.js", content) == [(1, "The first one."), (2, "the second one")]


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.yml", "$ANSIBLE_VAULT;1.1;AES256\n# told here\n"), ("a.png", "# told here\n")],
)
def test_what_is_no_text_is_not_read(tmp_path: Path, name: str, content: str) -> None:
    assert not texts(tmp_path / name, content)


def test_binary_data_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"# \xff\xfe told")
    assert not sources.read(path)


def test_sentences_know_their_lines() -> None:
    block = blocks.Block(
        ((4, "One is e.g. this. Two is"), (5, "St. Mary's! (Three.) It is 2.5 s."))
    )
    assert block.sentences() == [
        (4, "One is e.g. this."),
        (4, "Two is St. Mary's!"),
        (5, "(Three.)"),
        (5, "It is 2.5 s."),
    ]


def test_a_long_sentence_is_found(tmp_path: Path) -> None:
    content = f"A short one.\n{LONG}\n"
    assert [one[:2] for one in broken(tmp_path / "a.md", content)] == [(2, "sentence")]
    assert not broken(tmp_path / "a.md", content.replace("word word", "word", 1))


def test_one_semicolon_is_allowed_and_two_in_a_short_text_are_not(tmp_path: Path) -> None:
    assert not broken(tmp_path / "a.md", "This is one; it may be.\n")
    content = "This is one; it may be.\n\nThis is two; they may not.\n"
    assert [one[:2] for one in broken(tmp_path / "a.md", content)] == [
        (1, "semicolon"),
        (3, "semicolon"),
    ]
    assert not broken(
        tmp_path / "a.md", content + "Ten words make this sentence that is here and plain.\n" * 66
    )


@pytest.mark.parametrize(
    "text",
    [
        "The id stands twice.",
        "The key is none.",
        "It is sent in the clear.",
        "Hosts are left out.",
        "See what is left out.",
        "The operator is told.",
        "Capitals do not count.",
        "A dropbox for it.",
        "One thing – an aside – here.",
        "It stands\ntwice in two lines.",
    ],
)
def test_a_banned_phrase_is_found_with_its_line(tmp_path: Path, text: str) -> None:
    found = broken(tmp_path / "a.md", "The first line.\n\n" + text + "\n")
    assert [one[:2] for one in found] == [(3, "phrase")]


@pytest.mark.parametrize(
    "text", ["If there is none, stop.", "It is None.", "From 14–28 words.", "`told` is a name."]
)
def test_a_phrase_with_another_meaning_is_allowed(tmp_path: Path, text: str) -> None:
    assert not broken(tmp_path / "a.md", text + "\n")


def test_a_docstring_begins_with_a_verb(tmp_path: Path) -> None:
    content = '"""Return it.\n\nWhat follows is free.\n"""\n# What a comment says.\n'
    assert not broken(tmp_path / "a.py", content)
    assert broken(tmp_path / "a.py", '"""What it returns."""\n') == [(1, "phrase", "What")]


def test_each_phrase_has_advice() -> None:
    assert all(one.say for one in RULES.phrases)


def test_by_products_are_not_read(tmp_path: Path) -> None:
    for name in ("a.md", "build/b.md", ".venv/c.md", "d/e.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "link.md").symlink_to("a.md")
    found = [path.relative_to(tmp_path) for path in rules.files([tmp_path], RULES)]
    assert found == [Path("a.md"), Path("d/e.md")]


def test_the_command_names_each_place_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.md"
    path.write_text("It is told.\n")
    assert command.main([str(path)]) == 1
    assert capsys.readouterr().out == f"{path}:1: phrase: told -> {_advice('told')}\n"
    path.write_text("It is logged.\n")
    assert command.main([str(path)]) == 0
    assert not capsys.readouterr().out


def _advice(text: str) -> str:
    return next(one.say for one in RULES.phrases if one.pattern.search(text))


def test_the_command_counts_semicolons_of_all_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text("This is one; it may be.\n")
    assert command.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith("all: semicolon: 166.7 per 1,000 words")


def test_the_command_shows_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.md"
    path.write_text("This is one; it may be. A short one.\n")
    assert command.main(["--figures", str(path)]) == 0
    row = capsys.readouterr().out.splitlines()[0].split()
    assert row == ["9", "words", "111.1", ";", "6", "longest", str(path)]


@pytest.mark.heavy
def test_the_kept_part_of_the_tree_is_in_plain_english(capsys: pytest.CaptureFixture[str]) -> None:
    assert rules.kept(RULES)
    assert command.main([]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("pattern", RULES.kept)
def test_each_kept_path_exists(pattern: str) -> None:
    assert any(rules.ROOT.glob(pattern))

"""Find the prose of each kind of file: Markdown, Python, YAML, TOML, shell and the rest."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import yaml

from .blocks import Block, Line, block, markdown, paragraphs

PYTHON_TOKEN = re.compile(
    r"(?P<string>\"\"\".*?(?<!\\)(?:\\\\)*\"\"\"|'''.*?(?<!\\)(?:\\\\)*'''"
    r"|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')|(?P<comment>#[^\n]*)",
    re.DOTALL,
)
HASH = re.compile(r"^(?P<before>(?:[^\"'#]|\"[^\"\n]*\"|'[^'\n]*')*?)(?P<comment>(?<!\S)#.*)$")
DIRECTIVE = re.compile(
    r"#!|#\s*(?:noqa|type:|fmt:|pragma|ruff:|shellcheck|yamllint|mypy:|-\*-|\$)|#:?$|#[=#-]{3,}"
)
TOML_TEXT = re.compile(
    r'^(?P<key>\w+) = (?:"""\n?(?P<long>.*?)"""|"(?P<short>(?:\\.|[^"\\\n])*)")',
    re.MULTILINE | re.DOTALL,
)
TOML_LONG = re.compile(r"\"\"\".*?\"\"\"|'''.*?'''", re.DOTALL)
YAML_TEXTS = {"name", "msg", "fail_msg", "success_msg", "description", "short_description"}
MESSAGE_KEYWORDS = {"help", "description", "epilog", "msg"}
DOCUMENTATION = {"DOCUMENTATION", "RETURN"}
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Comment = tuple[int, int, str]  # line, column, text


def read(path: Path) -> list[Block]:
    """Return all prose of a file. A file of an unknown kind has none."""
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        return []
    reader = _reader(path, text)
    return reader(text) if reader else []


def _reader(path: Path, text: str) -> Callable[[str], list[Block]] | None:
    if text.startswith("$ANSIBLE_VAULT"):
        return None
    if path.suffix == ".toml" and path.parent.name == "spec":
        return spec
    known = {
        ".md": markdown,
        ".py": python,
        ".yml": yaml_file,
        ".yaml": yaml_file,
        ".toml": toml,
        ".js": script,
        ".css": script,
    }
    if path.suffix in known:
        return known[path.suffix]
    if path.suffix in {".txt", ".zip", ".csv", ".html", ".png"} or ".html" in path.suffixes:
        return None
    return python if re.match(r"#!.*python", text) else hashes


def python(text: str) -> list[Block]:
    """Return the docstrings, comments and messages of Python code, and a module's documentation."""
    module = ast.parse(text)
    found = paragraphs_of(_python_comments(text)) + _docstring(module)
    for node in _statements(module):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found += _docstring(node)
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            for argument in node.exc.args:
                found += _message(argument)
        elif isinstance(node, ast.Assign | ast.Expr):
            found += _documentation(node) + _keywords(node.value)
    return found


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Return all statements below a node."""
    for name in ("body", "orelse", "handlers", "finalbody", "cases"):
        for child in getattr(node, name, ()):
            if isinstance(child, ast.stmt):
                yield child
            yield from _statements(child)


def _keywords(node: ast.expr) -> list[Block]:
    """Return the messages among a call's named arguments, such as an option's help."""
    if not isinstance(node, ast.Call):
        return []
    named = [one.value for one in node.keywords if one.arg in MESSAGE_KEYWORDS]
    return [block for value in named for block in _message(value)]


def _python_comments(text: str) -> Iterator[Comment]:
    number, last = 1, 0
    for match in PYTHON_TOKEN.finditer(text):
        number += text.count("\n", last, match.start())
        last = match.start()
        if match["comment"]:
            yield number, match.start() - text.rfind("\n", 0, match.start()) - 1, match["comment"]


def _docstring(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> list[Block]:
    text = ast.get_docstring(node, clean=False)
    if not text:
        return []
    first = node.body[0]
    lines = text.replace("\n" + " " * first.col_offset, "\n").split("\n")
    return paragraphs(enumerate(lines, first.lineno), docstring=True)


def _documentation(node: ast.Assign | ast.Expr) -> list[Block]:
    """Return the texts of a module's DOCUMENTATION."""
    if not isinstance(node, ast.Assign):
        return []
    name, value = node.targets[0], node.value
    if not (isinstance(name, ast.Name) and name.id in DOCUMENTATION):
        return []
    if not (isinstance(value, ast.Constant) and isinstance(value.value, str)):
        return []
    return _yaml_texts(value.value, value.lineno - 1)


def _message(node: ast.expr) -> list[Block]:
    """Return the prose of a string or an f-string, its values replaced."""
    if isinstance(node, ast.BinOp):
        return _message(node.left) + _message(node.right)
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    text = "".join(
        part.value
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
        else "`x`"
        if isinstance(part, ast.FormattedValue)
        else ""
        for part in parts
    )
    made = block([(node.lineno, " ".join(text.split()))])
    return [made] if made else []


def yaml_file(text: str) -> list[Block]:
    """Return the comments, task names, messages and descriptions of a YAML file."""
    return paragraphs_of(_hash_comments(text)) + _yaml_texts(text, 0)


def _yaml_texts(text: str, before: int) -> list[Block]:
    found: list[Block] = []
    for document in yaml.compose_all(text, LOADER):
        _walk(document, before, found)
    return found


def _walk(node: yaml.Node, before: int, found: list[Block]) -> None:
    if isinstance(node, yaml.SequenceNode):
        for one in node.value:
            _walk(one, before, found)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value in YAML_TEXTS:
                items = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for one in items:
                    if isinstance(one, yaml.ScalarNode):
                        found += _scalar(one, before)
            _walk(value, before, found)


def _scalar(node: yaml.ScalarNode, before: int) -> list[Block]:
    number = before + node.start_mark.line + 1
    if node.style == "|":
        return paragraphs(enumerate(node.value.split("\n"), number + 1))
    made = block([(number, " ".join(node.value.split()))])
    return [made] if made else []


def toml(text: str) -> list[Block]:
    """Return the comments of a TOML file. Long strings have no comments."""
    blank = TOML_LONG.sub(lambda match: "\n" * match[0].count("\n"), text)
    return paragraphs_of(_hash_comments(blank))


def spec(text: str) -> list[Block]:
    """Return the comments and texts of a file of the program's specification."""
    found = toml(text)
    for match in TOML_TEXT.finditer(text):
        value = match["short"] if match["long"] is None else match["long"]
        start = match.start("short" if match["long"] is None else "long")
        number = text.count("\n", 0, start) + 1
        if " " in value:
            found += paragraphs(
                enumerate(value.replace("{", "`").replace("}", "`").split("\n"), number)
            )
    return found


def hashes(text: str) -> list[Block]:
    """Return the comments of a file whose comments begin with a hash."""
    return paragraphs_of(_hash_comments(text))


def script(text: str) -> list[Block]:
    """Return the comments of JavaScript or CSS."""
    found = []
    for match in re.finditer(r"/\*((?s:.*?))\*/|(?:^|\s)//([^\n]*)", text):
        number = text.count("\n", 0, match.start()) + 1
        body = match[1] if match[1] is not None else match[2]
        found += paragraphs(
            (n, line.strip(" *\t")) for n, line in enumerate(body.split("\n"), number)
        )
    return found


def _hash_comments(text: str) -> Iterator[Comment]:
    for number, line in enumerate(text.split("\n"), 1):
        if "#" in line and (match := HASH.match(line)):
            before = match["before"]
            # `make help` prints what follows two hashes.
            yield (
                number,
                0 if not before.strip() else len(before),
                match["comment"].replace("##", "#"),
            )


def paragraphs_of(comments: Iterator[Comment]) -> list[Block]:
    """Return the paragraphs of comments. Those on adjoining lines, in one column, are one text."""
    found: list[Block] = []
    kept = [one for one in comments if one[2] == "#" or not DIRECTIVE.match(one[2])]
    runs = groupby(enumerate(kept), lambda pair: (pair[1][0] - pair[0], pair[1][1]))
    for _, run in runs:
        lines: list[Line] = [
            (number, comment[1:].removeprefix(" ")) for _, (number, _, comment) in run
        ]
        found += paragraphs(lines)
    return found

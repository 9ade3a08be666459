"""Find the prose in the lines of a document, a docstring or a comment."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

Line = tuple[int, str]

CODE = "`code`"
INLINE_CODE = re.compile(r"``.+?``|`[^`\n]+`|\b[CVOIBMULPERFT]\([^()]*\)", re.DOTALL)
JINJA = re.compile(r"\{\{.*?\}\}", re.DOTALL)
JINJA_BLOCK = re.compile(r"\{[%#].*?[%#]\}", re.DOTALL)
ADDRESS = re.compile(r"https?://\S+")
ITEM = re.compile(r"(?:[-*+]|\d+\.)\s+")
COLUMNS = re.compile(r"\S {3,}\S")
SETTING = re.compile(r"[\w.\[\]-]+\s?(?:=|:$|: ?[\[{\"'/~\d]|: (?:true|false|yes|no)$)")
END = re.compile(r"[.!?][\"')\]*_]*(?=\s+[^a-z]|\s*$)")
ABBREVIATED = re.compile(r"(?:\b(?:St|Mr|Mrs|Dr|vs|etc|No|approx)|\be\.g|\bi\.e|\W[A-Z])\.$")
WORD = re.compile(r"\S*\w\S*")


@dataclass(frozen=True)
class Block:
    """One paragraph, list item, table cell, docstring paragraph, comment or message."""

    lines: tuple[Line, ...]
    docstring: bool = False

    @property
    def text(self) -> str:
        """Return the block's prose, one source line a line."""
        return "\n".join(text for _, text in self.lines)

    def line_at(self, offset: int) -> int:
        """Return the number of the source line that holds this offset of `text`."""
        return self.lines[self.text.count("\n", 0, offset)][0]

    def sentences(self) -> list[tuple[int, str]]:
        """Return all sentences, each with the line on which it begins."""
        text, found, start = self.text, [], 0
        for match in END.finditer(text):
            if ABBREVIATED.search(text, start, match.start() + 1) and match.end() < len(text):
                continue
            found.append((start, text[start : match.end()]))
            start = match.end()
        found.append((start, text[start:]))
        return [
            (self.line_at(start + len(one) - len(one.lstrip())), " ".join(one.split()))
            for start, one in found
            if one.strip()
        ]


def words(text: str) -> int:
    """Return how many words a text has. Inline code counts as one."""
    return len(WORD.findall(text))


def plain(text: str) -> str:
    """Return a text with its code, templates and addresses replaced."""
    for pattern, new in ((JINJA_BLOCK, ""), (JINJA, CODE), (INLINE_CODE, CODE), (ADDRESS, CODE)):
        text = pattern.sub(lambda match, new=new: new + "\n" * match[0].count("\n"), text)  # type: ignore[misc]
    return text


def block(lines: Iterable[Line], *, docstring: bool = False) -> Block | None:
    """Return the block of these lines, or None if they hold no sentence or phrase."""
    lines = list(lines)
    cleaned = plain("\n".join(text for _, text in lines)).split("\n")
    if words("\n".join(cleaned)) < 2:
        return None
    return Block(tuple((n, text) for (n, _), text in zip(lines, cleaned, strict=False)), docstring)


def paragraphs(lines: Iterable[Line], *, docstring: bool = False) -> list[Block]:
    """Return the paragraphs and list items of plain text. Indented code and tables are skipped."""
    found: list[list[Line]] = [[]]
    in_item = False
    for number, line in lines:
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        if not text:
            found.append([])
            in_item = False
        elif ITEM.match(text):
            found.append([(number, text)])
            in_item = True
        elif (indent >= 2 and not in_item) or COLUMNS.search(text) or SETTING.match(text):
            found.append([])
        else:
            found[-1].append((number, text))
    made = (block(one, docstring=docstring and n == 0) for n, one in enumerate(found) if one)
    return [one for one in made if one]


def markdown(text: str) -> list[Block]:
    """Return the paragraphs, headings, list items and table cells of a Markdown document."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    found = (
        block(_inline(token.children or [], token.map[0] + 1))
        for token in tokens
        if token.type == "inline" and token.map
    )
    return [one for one in found if one]


def _inline(children: list[Token], number: int) -> list[Line]:
    """Return the lines of an inline token, its code replaced."""
    lines = [""]
    for child in children:
        if child.type in {"softbreak", "hardbreak"}:
            lines.append("")
        elif child.type == "code_inline":
            lines[-1] += CODE
        elif child.type == "text":
            lines[-1] += child.content
        elif child.type == "html_inline":
            lines[-1] += " "
    return [(number + n, line) for n, line in enumerate(lines)]

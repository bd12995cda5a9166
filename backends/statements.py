"""Where one statement ends and the next begins, for the console: strings, quoted names, comments and dollar quotes are
passed over. This is for choosing what to run; what a statement *does* is judged by the bastion alone.

Lexical facts: PostgreSQL manual 4.1 (strings, dollar quotes, nested comments); MySQL manual 11.1.1, 11.7 (backslash
escapes, `#` and `-- ` comments, backticks).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_INTERESTING = re.compile(r"['\"`;\[#$]|--|/\*")
_DOLLAR_TAG = re.compile(r"\$(?:[^\W\d]\w*)?\$")
_BLOCK = re.compile(r"/\*|\*/")
_WORD = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class Span:
    """A statement: `text[start:end]`, without its semicolon and without white space around it."""

    start: int
    end: int
    stop: int
    """Where it is over, its semicolon included."""


def split(text: str, engine: str) -> list[Span]:
    """The statements of `text`, in order; pieces of white space and comments alone are left out."""
    spans: list[Span] = []
    begin = position = 0
    filled = False
    length = len(text)

    def add(end: int, stop: int) -> None:
        start = begin
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        if filled:
            spans.append(Span(start, end, stop))

    while position < length:
        match = _INTERESTING.search(text, position)
        if match is None:
            filled = filled or not text[position:].isspace()
            break
        found = match.start()
        filled = filled or (found > position and not text[position:found].isspace())
        mark = match.group()
        if mark == ";":
            add(found, found + 1)
            begin = position = found + 1
            filled = False
            continue
        after = _after_comment(text, found, mark, engine)
        if after is not None:
            position = after
            continue
        filled = True
        position = _after_quoted(text, found, mark, engine)
    add(length, length)
    return spans


def statement_at(text: str, offset: int, engine: str) -> Span | None:
    """The statement to run when the cursor is at `offset`.

    The one it is in; on the rest of a line after a semicolon the one that ended there; else the next; else the last.
    """
    spans = split(text, engine)
    before: Span | None = None
    for span in spans:
        if offset < span.start:
            if before is not None and "\n" not in text[before.stop : offset]:
                return before
            return span
        if offset < span.stop or (offset == span.stop and span.stop == span.end):
            return span
        before = span
    return before


def first_word(text: str, engine: str) -> str:
    """The first keyword in lower case, comments and brackets passed over; '' where there is none."""
    position = 0
    while position < len(text):
        if text[position].isspace() or text[position] == "(":
            position += 1
            continue
        mark = text[position : position + 2] if text[position : position + 2] in ("--", "/*") else text[position]
        after = _after_comment(text, position, mark, engine)
        if after is None:
            break
        position = after
    word = _WORD.match(text, position)
    return word.group().lower() if word else ""


def reads_only(text: str, engine: str) -> bool:
    """Whether giving a statement up half-way is surely harmless. A hint for the console's own manners, not a judgement:
    only the plainest reads count, and `select … into`, `for update` and calls of functions are not looked into."""
    return first_word(text, engine) in {"select", "table", "values", "show", "describe", "desc"}


def _after_comment(text: str, at: int, mark: str, engine: str) -> int | None:
    """The end of the comment that begins at `at`; None where none does."""
    mysql = engine == "mysql"
    if mark == "--":
        if mysql and at + 2 < len(text) and not text[at + 2].isspace():
            return None
        return _line_end(text, at)
    if mark == "#" and mysql:
        return _line_end(text, at)
    if mark == "/*":
        if mysql and text[at + 2 : at + 3] in ("!", "+", "M"):
            # A conditional comment is code for the server.
            return None
        if engine not in ("postgresql", "sqlserver"):
            end = text.find("*/", at + 2)
            return len(text) if end < 0 else end + 2
        depth = 0
        for match in _BLOCK.finditer(text, at):
            depth += 1 if match.group() == "/*" else -1
            if depth == 0:
                return match.end()
        return len(text)
    return None


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _after_quoted(text: str, at: int, mark: str, engine: str) -> int:
    """The end of the quoted piece that begins at `at`, or of the mark alone where it quotes nothing."""
    if mark in ("'", '"'):
        backslash = engine == "mysql" or (mark == "'" and engine == "postgresql" and _is_escape_string(text, at))
        return _closing(text, at, mark, backslash)
    if mark == "`" and engine == "mysql":
        return _closing(text, at, mark, backslash=False)
    if mark == "[" and engine == "sqlserver":
        return _closing(text, at, "]", backslash=False)
    if mark == "$" and engine == "postgresql" and not (at and (text[at - 1].isalnum() or text[at - 1] == "_")):
        tag = _DOLLAR_TAG.match(text, at)
        if tag is not None:
            end = text.find(tag.group(), tag.end())
            return len(text) if end < 0 else end + len(tag.group())
    return at + len(mark)


def _is_escape_string(text: str, at: int) -> bool:
    return at > 0 and text[at - 1] in "eE" and not (at > 1 and (text[at - 2].isalnum() or text[at - 2] == "_"))


def _closing(text: str, at: int, quote: str, backslash: bool) -> int:
    """After the closing quote. A doubled one needs no care: it ends one piece and begins another."""
    position = at + 1
    while True:
        end = text.find(quote, position)
        if end < 0:
            return len(text)
        if backslash:
            marks = 0
            while end - 1 - marks > at and text[end - 1 - marks] == "\\":
                marks += 1
            if marks % 2:
                position = end + 1
                continue
        return end + 1

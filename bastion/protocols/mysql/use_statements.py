"""Finds what a text opens as its current database: USE as a statement of its own, or behind another in the same text.

The text is read as the server's own scanner does it: strings, quoted names and comments hide what is in them, the code
in `/*! … */` and `/*M! … */` counts as if the marks were not there. MySQL manual: 11.1.1 String Literals, 11.7
Comments, 15.8.4 USE; MariaDB: EXECUTE IMMEDIATE, PREPARE.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from .codec import Malformed

MAYBE: Final = re.compile(r"use|execute|prepare", re.IGNORECASE).search
"""Whether a text can hold one at all. Few do, so most are read no further."""

UNREADABLE: Final = "\0"
"""In the place of a name: the statement is made at run time, out of what is not in the text."""

MAX_STATEMENTS = 10_000
"""Statements of one text that are told apart."""

AHEAD = 4096
"""Characters behind a statement's beginning that must be here, where more of the text is to come, before it is read."""

LONGEST_BEGINNING = 256 * 1024
"""Characters that a statement's beginning may take with all spaces and comments in it, where a text comes in parts."""


class Opened(NamedTuple):
    """`statement` counts the text's statements from 0; `calls`: one before it may give results of any number."""

    statement: int
    name: str
    calls: bool


_FLAGS = re.DOTALL | re.ASCII | re.IGNORECASE
_SPACE = r"(?:[\s\0]|--(?=[\x00-\x20])[^\n]*(?:\n|\Z)|#[^\n]*(?:\n|\Z)|/\*(?!!|M!).*?\*/|/\*M?!\d{0,6}|\*/)"
"""Space, comments, and the marks of comments that hold code."""
_END_OF_WORD = r"(?![\w$\x80-\U0010ffff])"

_LEADING = re.compile(rf"(?:{_SPACE}|;)*+", _FLAGS)
_NAME = r"(?:`(?P<quoted>(?:[^`]|``)*)`|\"(?P<ansi>(?:[^\"]|\"\")*)\"|(?P<plain>[^\s;`'\"*/#]+))"
_USE = re.compile(rf"use{_END_OF_WORD}{_SPACE}*+{_NAME}", _FLAGS)
_DYNAMIC = re.compile(
    rf"(?:execute{_SPACE}++immediate|prepare{_SPACE}++(?:`[^`]*`|[\w$]+){_SPACE}++from){_END_OF_WORD}{_SPACE}*+", _FLAGS
)
_SOUGHT = re.compile(rf"(?:use|execute|prepare){_END_OF_WORD}", _FLAGS)
_USING = re.compile(rf"using{_END_OF_WORD}", _FLAGS)
_CALL = re.compile(rf"(?:call|execute|begin){_END_OF_WORD}", _FLAGS)


class _Reading(NamedTuple):
    """How strings are read: with backslashes that take the next character in, or without.

    body     from within a statement to its end, or to what begins a string, a name or a comment without an end
    inside   what such an opening lets pass, up to its end
    literal  a string and what may stand before it
    """

    body: re.Pattern[str]
    inside: dict[str, re.Pattern[str]]
    literal: re.Pattern[str]


def _reading(*, backslash: bool) -> _Reading:
    def inner(quote: str) -> str:
        return rf"(?:[^{quote}\\]++|\\.)*+" if backslash else rf"[^{quote}]*+"

    def string(quote: str) -> str:
        return f"{quote}{inner(quote)}{quote}"

    body = (
        rf"(?:[^;'\"`#/\-]++|{string(chr(39))}|{string(chr(34))}|`[^`]*+`"
        r"|--(?=[\x00-\x20])[^\n]*+\n|#[^\n]*+\n|/\*(?!!|M!).*?\*/|/(?!\*|\Z)|/\*(?=!|M!)|-(?!-[\x00-\x20]|-?\Z))*+"
    )
    openings = {"'": inner("'"), '"': inner('"'), "`": "[^`]*+", "/*": r"(?:[^*]++|\*(?!/|\Z))*+", "#": r"[^\n]*+"}
    return _Reading(
        re.compile(body, _FLAGS),
        {opening: re.compile(pattern, _FLAGS) for opening, pattern in openings.items()},
        re.compile(rf"(?:_\w+\s*|n)?(?P<string>(?:{string(chr(39))})++|(?:{string(chr(34))})++)", _FLAGS),
    )


_READINGS: Final = {True: _reading(backslash=True), False: _reading(backslash=False)}
_CLOSINGS: Final = {"'": "'", '"': '"', "`": "`", "/*": "*/", "#": "\n"}


class TextReader:
    """Reads one text, in parts where it comes so. `dynamic`: prepared and immediate statements are looked into, too."""

    def __init__(self, *, backslash: bool = True, dynamic: bool = False) -> None:
        self._reading = _READINGS[backslash]
        self._backslash = backslash
        self._dynamic = dynamic
        self._carried = ""
        self._at_start = True
        self._open = ""
        self._number = 0
        self._calls = False

    def feed(self, text: str, *, last: bool = True) -> list[Opened]:
        """What the text opens as far as it is here, in order. Raises Malformed for what is absurdly put together."""
        text = self._carried + text if self._carried else text
        found: list[Opened] = []
        position, size = 0, len(text)
        while position < size:
            if self._open:
                position = _end(self._reading.inside[self._open], text, position)
                closing = _CLOSINGS[self._open]
                if not text.startswith(closing, position):
                    break  # at most one character is left over: what it means shows with the next one
                self._open = ""
                position += len(closing)
            elif self._at_start:
                start = _end(_LEADING, text, position)
                if not last and (size - start < AHEAD or _reaches_end(text, start)):
                    if size - position > LONGEST_BEGINNING:
                        raise Malformed("a statement whose beginning is longer than is looked through")
                    break
                self._begin(text, start, found)
                position = start
            else:
                position, waits = self._body(text, position, last=last)
                if waits:
                    break
        self._carried = text[position:]
        return found

    def _begin(self, text: str, start: int, found: list[Opened]) -> None:
        if self._number >= MAX_STATEMENTS:
            raise Malformed(f"more than {MAX_STATEMENTS} statements in one text")
        use = _USE.match(text, start)
        if use is not None:
            found.append(Opened(self._number, _name(use), self._calls))
        elif self._dynamic:
            inner = _DYNAMIC.match(text, start)
            name = None if inner is None else self._inside(text, inner.end())
            if name is not None:
                found.append(Opened(self._number, name, self._calls))
        self._calls = self._calls or _CALL.match(text, start) is not None
        self._at_start = False
        self._number += 1

    def _body(self, text: str, position: int, *, last: bool) -> tuple[int, bool]:
        """The end of what is passed of a statement, and whether more of the text is needed to go on."""
        position = _end(self._reading.body, text, position)
        if position == len(text):
            return position, False
        if text[position] == ";":
            self._at_start = True
            return position + 1, False
        if not last and len(text) - position < 4:
            return position, True
        if text[position] == "-":
            self._open = "#"
            return position + 2, False
        opening = "/*" if text[position] == "/" else text[position]
        self._open = opening
        return position + len(opening), False

    def _inside(self, text: str, position: int) -> str | None:
        """The name that a literal statement opens; None where it opens none."""
        literal = self._reading.literal.match(text, position)
        if literal is None:
            return UNREADABLE
        behind = _end(_LEADING, text, literal.end())
        joined = text[literal.end() : behind].count(";") == 0 and behind < len(text)
        if joined and _USING.match(text, behind) is None:
            return UNREADABLE  # put together of several parts
        quote = literal["string"][0]
        inner = literal["string"][1:-1].replace(quote * 2, quote)
        if self._backslash:
            inner = re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL)
        names = [each.name for each in opened(inner, backslash=self._backslash, dynamic=True)]
        return names[0] if names else None


def opened(text: str, *, backslash: bool = True, dynamic: bool = False) -> list[Opened]:
    """What a whole text opens. Raises Malformed as `TextReader.feed` does."""
    return TextReader(backslash=backslash, dynamic=dynamic).feed(text)


def _reaches_end(text: str, start: int) -> bool:
    """Whether what begins there, a comment or a statement that is looked for, may go on behind the text."""
    if text.startswith(("/*", "#", "--"), start):
        return True
    if _SOUGHT.match(text, start) is None:
        return False
    found = _USE.match(text, start) or _DYNAMIC.match(text, start)
    return found is None or len(text) - found.end() < AHEAD


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return position if match is None else match.end()


def _name(use: re.Match[str]) -> str:
    if use["quoted"] is not None:
        return use["quoted"].replace("``", "`")
    return use["ansi"].replace('""', '"') if use["ansi"] is not None else use["plain"]

"""Where one statement ends and the next begins, for the console: strings, quoted names, comments and dollar quotes are
passed over. This is for choosing what to run; what a statement *does* is judged by the bastion alone.

Lexical facts: PostgreSQL manual 4.1 (strings, dollar quotes, nested comments); MySQL manual 11.1.1, 11.7 (backslash
escapes, `#` and `-- ` comments, backticks).
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache

from .plsql_units import next_unit
from .tsql_batches import pieces

_DELIMITER_LINE = re.compile(r"\s*delimiter[ \t]+(\S+)[^\n]*(?:\n|\Z)", re.IGNORECASE)
_PLAIN = re.compile(r"""(?:[^;'"`\[\#$/\-]++|'[^'\\]*+'|"[^"\\]*+"|-(?!-)|/(?!\*))*+""")
"""What neither ends a statement nor begins something long, strings without a backslash included: skipped at once, so
that a statement of a megabyte is read in milliseconds."""
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
    open: bool = False
    """Nothing ends it: it goes on with what is typed behind it."""


def split(text: str, engine: str) -> list[Span]:
    """The statements of `text`, in order; pieces of white space and comments alone are left out."""
    return Boundaries(engine).all(text)


def statement_at(text: str, offset: int, engine: str) -> Span | None:
    """The statement to run when the cursor is at `offset`.

    The one it is in; on the rest of a line after a semicolon the one that ended there; else the next; else the last.
    """
    return Boundaries(engine).at(text, offset)


class Boundaries:
    """The statements of a text that is being edited: read only as far as somebody asks, and from the last edit on.

    `DELIMITER` (MySQL's clients know it, its server does not) ends statements with another text from its line on.
    """

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self._spans: list[Span] = []
        self._delimiters: list[str] = []
        """What ends a statement behind each span."""
        self._over = False

    def edited(self, offset: int) -> None:
        """The text was changed from `offset` on."""
        if self.engine == "sqlserver":
            offset = 0  # a word can join all of its batch
        # What was read looks one character ahead at most; the span that touches the edit is read anew.
        keep = bisect_left(self._spans, offset, key=lambda span: span.stop)
        del self._spans[keep:], self._delimiters[keep:]
        self._over = False

    def all(self, text: str) -> list[Span]:
        """Every statement."""
        while self._read_one(text):
            pass
        return list(self._spans)

    def at(self, text: str, offset: int) -> Span | None:
        """The statement to run when the cursor is at `offset`, as `statement_at` says."""
        spans = self._spans
        while (not spans or spans[-1].stop <= offset) and self._read_one(text):
            pass
        index = bisect_left(spans, offset, key=lambda span: span.stop)
        if index < len(spans) and spans[index].stop == offset != spans[index].end:
            index += 1
        before = spans[index - 1] if index else None
        if index == len(spans):
            return before
        span = spans[index]
        if offset < span.start and before is not None and "\n" not in text[before.stop : offset]:
            return before
        return span

    def start(self, text: str, offset: int) -> int:
        """Where the statement that `offset` is in begins, its leading white space and comments with it."""
        spans = self._spans
        while (not spans or spans[-1].stop <= offset) and self._read_one(text):
            pass
        index = bisect_right(spans, offset, key=lambda span: span.stop)
        if index and spans[index - 1].open:
            index -= 1
        return spans[index - 1].stop if index else 0

    def _read_one(self, text: str) -> bool:
        """Reads the next statement; False at the end of the text."""
        if self._over:
            return False
        position = self._spans[-1].stop if self._spans else 0
        delimiter = self._delimiters[-1] if self._delimiters else ";"
        span, delimiter = _next(text, position, self.engine, delimiter)
        if span is None:
            self._over = True
            return False
        self._spans.append(span)
        self._delimiters.append(delimiter)
        self._over = span.stop >= len(text)
        return True


@lru_cache(maxsize=16)
def _interesting(delimiter: str) -> re.Pattern[str]:
    return re.compile(re.escape(delimiter) + r"|['\"`\[#$]|--|/\*")


def _next(text: str, position: int, engine: str, delimiter: str) -> tuple[Span | None, str]:
    """The first statement from `position` on, and what ends the statements behind it."""
    if engine == "sqlserver":
        return _next_of_batch(text, position), delimiter
    if engine == "oracle":
        unit = next_unit(text, position)
        return (None if unit is None else _trimmed(text, unit.start, unit.end, unit.stop, open=unit.open)), delimiter
    begin, filled, length = position, False, len(text)
    while position < length:
        if engine == "mysql" and not filled and (line := _DELIMITER_LINE.match(text, position)) is not None:
            begin = position = line.end()
            delimiter = line.group(1)
            continue
        found, mark = _next_mark(text, position, delimiter)
        if not filled and found > position and not text[position:found].isspace():
            filled = True
        if not mark:
            break
        if mark == delimiter:
            if filled:
                return _trimmed(text, begin, found, found + len(mark)), delimiter
            begin = position = found + len(mark)
            continue
        after = after_comment(text, found, mark, engine)
        if after is not None:
            position = after
            continue
        filled = True
        position = after_quoted(text, found, mark, engine)
    return (_trimmed(text, begin, length, length, open=True) if filled else None), delimiter


def _next_of_batch(text: str, position: int) -> Span | None:
    all_pieces = pieces(text)
    for piece in all_pieces[bisect_right(all_pieces, position, key=lambda piece: piece.stop) :]:
        if _is_filled(text, piece.start, piece.end):
            return _trimmed(text, piece.start, piece.end, piece.stop, open=piece.open)
    return None


def _is_filled(text: str, start: int, end: int) -> bool:
    """Whether there is more than white space and comments."""
    while start < end:
        if text[start].isspace():
            start += 1
            continue
        after = after_comment(text, start, text[start : start + 2], "sqlserver")
        if after is None:
            return True
        start = after
    return False


def _next_mark(text: str, position: int, delimiter: str) -> tuple[int, str]:
    """The next place that has to be looked at, and what stands there; '' at the end."""
    if delimiter == ";":
        plain = _PLAIN.match(text, position)
        found = plain.end() if plain is not None else position
        pair = text[found : found + 2]
        return found, pair if pair in ("--", "/*") else pair[:1]
    match = _interesting(delimiter).search(text, position)
    return (len(text), "") if match is None else (match.start(), match.group())


def _trimmed(text: str, start: int, end: int, stop: int, *, open: bool = False) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Span(start, end, stop, open)


def first_word(text: str, engine: str) -> str:
    """The first keyword in lower case, comments and brackets passed over; '' where there is none."""
    position = 0
    while position < len(text):
        if text[position].isspace() or text[position] == "(":
            position += 1
            continue
        mark = text[position : position + 2] if text[position : position + 2] in ("--", "/*") else text[position]
        after = after_comment(text, position, mark, engine)
        if after is None:
            break
        position = after
    word = _WORD.match(text, position)
    return word.group().lower() if word else ""


def reads_only(text: str, engine: str) -> bool:
    """Whether giving a statement up half-way is surely harmless. A hint for the console's own manners, not a judgement:
    only the plainest reads count, and `select … into`, `for update` and calls of functions are not looked into."""
    return first_word(text, engine) in {"select", "table", "values", "show", "describe", "desc"}


def after_comment(text: str, at: int, mark: str, engine: str) -> int | None:
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


def after_quoted(text: str, at: int, mark: str, engine: str) -> int:
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

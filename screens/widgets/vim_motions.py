"""Where the motions and text objects of vim lead, as offsets in a text. No state, no widget."""

from __future__ import annotations

import re
from dataclasses import dataclass

from backends.sql_tokens import matching_bracket

QUOTES = "'\"`"


@dataclass(frozen=True)
class Reach:
    """What a motion covers from the cursor on. `linewise`: whole lines; `inclusive`: with the character at the end."""

    to: int
    linewise: bool = False
    inclusive: bool = False


def line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def first_filled(text: str, at: int) -> int:
    """The first character of the line that is no blank."""
    start, end = line_start(text, at), line_end(text, at)
    while start < end and text[start] in " \t":
        start += 1
    return start


def up_down(text: str, at: int, lines: int, column: int) -> int:
    """The place in `column` so many lines below (above where negative), the line's end where it is shorter."""
    start = line_start(text, at)
    for _ in range(abs(lines)):
        if lines > 0:
            end = line_end(text, start)
            if end >= len(text):
                break
            start = end + 1
        else:
            if start == 0:
                break
            start = line_start(text, start - 1)
    return min(start + column, line_end(text, start))


def _class(character: str, big: bool) -> int:
    if character.isspace():
        return 0
    return 1 if big or character.isalnum() or character == "_" else 2


def word_forward(text: str, at: int, *, big: bool) -> int:
    """`w`, `W`."""
    if at >= len(text):
        return at
    kind = _class(text[at], big)
    while at < len(text) and kind and _class(text[at], big) == kind:
        at += 1
    while at < len(text) and text[at].isspace():
        at += 1
        if at < len(text) and text[at] == "\n" == text[at - 1]:
            break  # an empty line is a word
    return at


def word_back(text: str, at: int, *, big: bool) -> int:
    """`b`, `B`."""
    at -= 1
    while at > 0 and text[at].isspace():
        at -= 1
    kind = _class(text[at], big) if 0 <= at < len(text) else 0
    while at > 0 and _class(text[at - 1], big) == kind:
        at -= 1
    return max(at, 0)


def word_end(text: str, at: int, *, big: bool) -> int:
    """`e`, `E`: on the last character of the word."""
    at += 1
    while at < len(text) and text[at].isspace():
        at += 1
    if at >= len(text):
        return max(len(text) - 1, 0)
    kind = _class(text[at], big)
    while at + 1 < len(text) and _class(text[at + 1], big) == kind:
        at += 1
    return at


def find_in_line(text: str, at: int, key: str, character: str, count: int) -> int | None:
    """`f`, `F`, `t`, `T`: the place, None where there is none."""
    place = at
    for _ in range(count):
        if key in "ft":
            place = text.find(character, place + 1 + (key == "t" and place == at), line_end(text, at))
        else:
            place = text.rfind(character, line_start(text, at), place - (key == "T" and place == at))
        if place < 0:
            return None
    return place - 1 if key == "t" else place + 1 if key == "T" else place


def search(text: str, at: int, what: str, count: int, *, forward: bool) -> int | None:
    """`n`, `N`: the text goes on at its other end. Small letters find capitals too."""
    pattern = re.compile(re.escape(what), 0 if what != what.lower() else re.IGNORECASE)
    places = [match.start() for match in pattern.finditer(text)] if what else []
    if not places:
        return None
    for _ in range(count):
        if forward:
            at = next((place for place in places if place > at), places[0])
        else:
            at = next((place for place in reversed(places) if place < at), places[-1])
    return at


def paragraph(text: str, at: int, forward: bool) -> int:
    """`}`, `{`: the next empty line."""
    if forward:
        while at < len(text) and text[at] == "\n":
            at += 1
        end = text.find("\n\n", at)
        return len(text) if end < 0 else end + 1
    while at > 0 and text[at - 1] == "\n":
        at -= 1
    start = text.rfind("\n\n", 0, at)
    return 0 if start < 0 else start + 1


def bracket(text: str, at: int) -> int | None:
    """`%`: from the first bracket at or behind the cursor in its line."""
    end = line_end(text, at)
    while at < end and text[at] not in "()[]{}":
        at += 1
    return matching_bracket(text, at, "") if at < end else None


def text_object(text: str, at: int, around: bool, what: str) -> tuple[int, int] | None:
    """`iw`, `a"`, `i(` and their like: from and to."""
    if what in "wW":
        return _word_object(text, at, around, big=what == "W")
    if what in QUOTES:
        return _quote_object(text, at, around, what)
    pairs = {"(": "()", ")": "()", "b": "()", "[": "[]", "]": "[]", "{": "{}", "}": "{}", "B": "{}"}
    if what in pairs:
        return _bracket_object(text, at, around, pairs[what])
    if what == "p":
        return _paragraph_object(text, at, around)
    return None


def _word_object(text: str, at: int, around: bool, *, big: bool) -> tuple[int, int] | None:
    if at >= len(text) or text[at] == "\n":
        return None
    kind, start, end = _class(text[at], big), at, at + 1
    while start > 0 and text[start - 1] != "\n" and _class(text[start - 1], big) == kind:
        start -= 1
    while end < len(text) and text[end] != "\n" and _class(text[end], big) == kind:
        end += 1
    if around:
        before = end
        while end < len(text) and text[end] in " \t":
            end += 1
        while end == before and start > 0 and text[start - 1] in " \t":
            start -= 1
    return start, end


def _quote_object(text: str, at: int, around: bool, quote: str) -> tuple[int, int] | None:
    start, end = line_start(text, at), line_end(text, at)
    places = [place for place in range(start, end) if text[place] == quote]
    for left, right in zip(places[::2], places[1::2], strict=False):
        if at <= right:
            return (left, right + 1) if around else (left + 1, right)
    return None


def _bracket_object(text: str, at: int, around: bool, pair: str) -> tuple[int, int] | None:
    opening, closing = pair[0], pair[1]
    depth, left = 0, at
    if text[at : at + 1] == closing:
        left -= 1
    while left >= 0:
        character = text[left]
        if character == closing and left != at:
            depth += 1
        elif character == opening:
            if depth == 0:
                break
            depth -= 1
        left -= 1
    if left < 0:
        return None
    depth, right = 0, left
    while right < len(text):
        depth += (text[right] == opening) - (text[right] == closing)
        if depth == 0:
            return (left, right + 1) if around else (left + 1, right)
        right += 1
    return None


def _paragraph_object(text: str, at: int, around: bool) -> tuple[int, int]:
    start = paragraph(text, at, forward=False)
    if text[start : start + 1] == "\n" and start < at:
        start += 1
    end = paragraph(text, at, forward=True)
    if around and end < len(text):
        end += 1
    return start, end

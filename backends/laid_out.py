"""A value laid out in lines to read: JSON and XML by their structure, bytes in hexadecimal, text as it is.

The words of the value are not touched: numbers, escapes and repeated keys stand as the server wrote them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .interface import Kind

Form = Literal["json", "xml", "hex", "text"]

STRUCTURED_CHARACTERS = 4 * 1024 * 1024
"""A longer value is not laid out by its structure."""
INDENT = 2

_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_XML_TOKEN = re.compile(r"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>|<![^>]*>|</[^>]*>|<[^>]*>|[^<]+", re.DOTALL)
_HEX = re.compile(r"(?:0x|\\x)((?:[0-9a-fA-F]{2})*)")


@dataclass(frozen=True)
class Line:
    """A line, `level` deep. What is deeper below it belongs to it and can be folded away."""

    text: str
    level: int = 0
    lead: int = 0
    """Characters at its start that name what follows."""


def bytes_of(value: str) -> bytes | None:
    """The bytes of a binary value, written as `0x…` or `\\x…`; None for anything else."""
    match = _HEX.fullmatch(value)
    return None if match is None else bytes.fromhex(match[1])


def forms_of(value: str, kind: Kind) -> list[Form]:
    """In which forms a value can be shown, the best one first."""
    forms: list[Form] = []
    if kind is Kind.BINARY and bytes_of(value) is not None:
        forms.append("hex")
    start = value[:200].lstrip()[:1]
    if len(value) <= STRUCTURED_CHARACTERS:
        if (kind is Kind.JSON or start in "{[") and start and _is_json(value):
            forms.append("json")
        elif start == "<" and _xml_lines(value) is not None:
            forms.append("xml")
    return [*forms, "text"] if kind is Kind.BINARY or forms else ["text", "hex"]


def lines_of(value: str, form: Form, kind: Kind, row: int = 16) -> list[Line]:
    """The lines of `value` in a form of `forms_of`; hexadecimal with `row` bytes a line."""
    if form == "json":
        return _json_lines(value)
    if form == "xml":
        return _xml_lines(value) or [Line(value)]
    if form == "hex":
        data = bytes_of(value) if kind is Kind.BINARY else None
        return hex_lines(value.encode("utf-8", "replace") if data is None else data, row)
    if kind is Kind.BINARY and (data := bytes_of(value)) is not None:
        value = data.decode("utf-8", "replace")
    return [Line(line) for line in re.split("\r\n|\n", value)]


def hex_lines(data: bytes, width: int = 16) -> list[Line]:
    """Offset, `width` bytes, and those of them that are printable ASCII."""
    lines = []
    for start in range(0, len(data), width):
        row = data[start : start + width]
        digits = "  ".join(f"{row[at : at + 8].hex(' '):<23}" for at in range(0, width, 8))
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        lines.append(Line(f"{start:08x}  {digits}  |{shown}|", lead=8))
    return lines


def fold_end(lines: Sequence[Line], at: int) -> int:
    """The first line behind those that belong to line `at`; `at + 1` where none do."""
    level = lines[at].level
    end = at + 1
    while end < len(lines) and lines[end].level > level:
        end += 1
    return end


def _is_json(value: str) -> bool:
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return False
    return True


def _json_lines(value: str) -> list[Line]:
    tokens = _JSON_TOKEN.findall(value)
    lines: list[Line] = []
    level, current, start = 0, "", 0

    def end_line(next_level: int) -> None:
        nonlocal current, start
        if current:
            lines.append(Line(current, start))
        current, start = "", next_level

    for index, token in enumerate(tokens):
        if token in "{[":
            current += token
            if index + 1 < len(tokens) and tokens[index + 1] in "}]":
                continue
            level += 1
            end_line(level)
        elif token in "}]":
            if index and tokens[index - 1] in "{[":
                current += token
                continue
            level -= 1
            end_line(level)
            current = token
        elif token == ",":
            current += ","
            end_line(level)
        elif token == ":":
            current += ": "
        else:
            current += token
    end_line(0)
    return lines


def _xml_lines(value: str) -> list[Line] | None:
    """None where the tags do not match: then it is shown as text. Entities are not looked at."""
    lines: list[Line] = []
    open_names: list[str] = []
    tokens = _XML_TOKEN.findall(value)
    if sum(map(len, tokens)) != len(value):
        return None  # a `<` that ends nowhere
    tokens = [token for token in tokens if token.strip()]
    index = 0
    while index < len(tokens):
        token = tokens[index]
        level = len(open_names)
        if token.startswith("</"):
            if not open_names or open_names.pop() != token[2:-1].strip():
                return None
            lines.append(Line(token, len(open_names)))
        elif token.startswith(("<!", "<?")) or token.endswith("/>"):
            lines.append(Line(" ".join(token.split()) if token.startswith("<") else token, level))
        elif token.startswith("<"):
            parts = token[1:-1].split(None, 1)
            if not parts or not token.endswith(">"):
                return None
            following = tokens[index + 1 : index + 3]
            closing = f"</{parts[0]}>"
            if following[:1] == [closing]:
                lines.append(Line(token + closing, level))
                index += 1
            elif len(following) == 2 and not following[0].startswith("<") and following[1] == closing:
                lines.append(Line(token + following[0].strip() + closing, level))
                index += 2
            else:
                lines.append(Line(token, level))
                open_names.append(parts[0])
        else:
            lines.extend(Line(part.strip(), level) for part in token.splitlines() if part.strip())
        index += 1
    return None if open_names or not lines else lines

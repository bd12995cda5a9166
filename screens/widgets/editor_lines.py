"""What is done to whole lines: comments, indents, doubling, moving. Lines in, lines out."""

from __future__ import annotations

from collections.abc import Sequence

COMMENT = "--"


def toggled_comment(lines: Sequence[str]) -> list[str]:
    """Takes the comment marks away where every line that is not empty has one, else puts them before each, in one
    column."""
    filled = [line for line in lines if line.strip()]
    if filled and all(line.lstrip().startswith(COMMENT) for line in filled):
        return [_without_comment(line) for line in lines]
    column = min((len(line) - len(line.lstrip()) for line in filled), default=0)
    # A blank behind the mark: MySQL takes it for a comment only then.
    return [f"{line[:column]}{COMMENT} {line[column:]}" if line.strip() or not filled else line for line in lines]


def _without_comment(line: str) -> str:
    place = line.find(COMMENT)
    if place < 0 or line[:place].strip():
        return line
    rest = line[place + len(COMMENT) :]
    return line[:place] + (rest[1:] if rest.startswith(" ") else rest)


def indented(lines: Sequence[str], width: int) -> list[str]:
    """Empty lines stay as they are."""
    return [" " * width + line if line else line for line in lines]


def outdented(lines: Sequence[str], width: int) -> list[str]:
    """Takes up to `width` blanks, or one tab, from the beginning of each line."""
    return [_outdented(line, width) for line in lines]


def _outdented(line: str, width: int) -> str:
    if line.startswith("\t"):
        return line[1:]
    blanks = len(line) - len(line.lstrip(" "))
    return line[min(blanks, width) :]

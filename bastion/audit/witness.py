"""What a journal says to those who keep its checkpoints: the hash of one record, found without reading all of them."""

from __future__ import annotations

import mmap
from pathlib import Path

from .segments import Line, segments_of


def hash_of(folder: Path, number: int) -> str:
    """The hash of a record in hexadecimal, as its line has it; '' where there is no such line. Raises OSError."""
    holding = [segment for segment in segments_of(folder) if segment.first <= number]
    if number < 1 or not holding:
        return ""
    with holding[-1].path.open("rb") as file:
        try:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # an empty file
            return ""
        with content:
            head = b"%d " % number
            start = 0 if holding[-1].first == number else content.find(b"\n" + head) + 1
            end = content.find(b"\n", start)
            if end < 0 or content[start : start + len(head)] != head:
                return ""
            line = Line.parse(content[start : end + 1])
    return line.hash.hex() if line is not None and line.number == number else ""


def first_number(folder: Path) -> int:
    """The number of the first record that is there; 1 where there is none. Raises OSError."""
    segments = segments_of(folder)
    return segments[0].first if segments else 1

"""What a key costs on the way to the terminal: bytes as they are written, and compressed as SSH's zlib would.

`python -m benchmarks.terminal_bytes`: the workstation with its bastion scripted, drawn to a terminal that only counts.
Each row with what is on the screen already left out, as it is sent, and without that.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot

from screens.widgets.editor import SqlEditor
from tests.unit.screens.conftest import settled
from tests.unit.screens.terminal import Terminal, terminal
from tests.unit.screens.test_screens_pictures import SCRIPT
from tests.unit.screens.world import world
from tui.app import CasemateApp

FRAME_SECONDS = 0.03
Row = tuple[int, int]

STEPS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    # what, the keys before, the keys that are counted
    ("a letter in the search of the databases", (), ("o", "r", "d")),
    ("down in the databases", ("escape",), ("down", "down", "down")),
    ("palette opened", (), ("f2",)),
    ("a letter in the palette", (), ("o", "p", "e")),
    ("palette closed", (), ("escape",)),
    ("a letter in the editor, 8 lines", ("up", "up", "up", "enter", "SCRIPT"), ("a", "b", "c")),
    ("a result of 60 rows", ("backspace", "backspace", "backspace"), ("f5",)),
    ("down in a result", ("f6",), ("down", "down", "down")),
    ("page down in a result", (), ("pagedown",)),
    ("another page", (), ("3",)),
)


async def _press(pilot: Pilot[Any], screen: Terminal, keys: Iterable[str]) -> list[bytes]:
    written: list[bytes] = []
    for key in keys:
        if key == "SCRIPT":
            pilot.app.screen.query_one(SqlEditor).load_text(SCRIPT)
        else:
            await pilot.press(key)
        for _turn in range(3):
            await settled(pilot)
            await asyncio.sleep(FRAME_SECONDS)
        written.append("".join(screen.written).encode())
        screen.written.clear()
    return written


async def measure(size: tuple[int, int]) -> dict[str, Row]:
    """Bytes a key, raw and compressed."""
    rows: dict[str, Row] = {}
    with pytest.MonkeyPatch.context() as patch, terminal(patch, *size) as screen:
        async with world(Path(tempfile.mkdtemp())).app.run_test(size=size) as pilot:
            stream = zlib.compressobj(6)

            def compressed(data: bytes) -> int:
                return len(stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))

            first = b"".join(await _press(pilot, screen, ["left", "left"]))
            rows["login to rest"] = (len(first), compressed(first))
            for what, before, keys in STEPS:
                for data in await _press(pilot, screen, before):
                    compressed(data)
                counted = [(len(data), compressed(data)) for data in await _press(pilot, screen, keys)]
                rows[what] = (
                    round(statistics.fmean(raw for raw, _small in counted)),
                    round(statistics.fmean(small for _raw, small in counted)),
                )
    return rows


def main() -> None:
    """Prints a table for docs/performance.md."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    drawn = CasemateApp._display
    tables: list[dict[str, Row]] = []
    started = time.perf_counter()
    for size in ((80, 24), (160, 48)):
        for display in (App._display, drawn):
            CasemateApp._display = display  # type: ignore[method-assign]
            tables.append(asyncio.run(measure(size)))
    print("| bytes (compressed) | 80x24, all of it | 80x24, what changed | 160x48, all of it | 160x48, what changed |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for what in tables[0]:
        cells = [f"{table[what][0]:,} ({table[what][1]:,})" for table in tables]
        print(f"| {what} | {' | '.join(cells)} |")
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()

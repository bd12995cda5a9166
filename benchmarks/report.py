"""What a benchmark prints: Markdown tables, row by row as they are measured, and JSON lines on request."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .processes import BenchmarkFailed

Cell = str | float | None


class Report:
    """Prints to standard output; `file` gets every row as an object a line."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = None if file is None else file.open("a", encoding="utf-8")
        self._title = ""
        self._columns: tuple[str, ...] = ()

    def say(self, text: str) -> None:
        """A paragraph."""
        print(f"\n{text}", flush=True)

    def table(self, title: str, columns: Sequence[str], texts: int = 1) -> None:
        """Begins a table; its first `texts` columns are words, the others figures."""
        self._title, self._columns = title, tuple(columns)
        print(f"\n### {title}\n", flush=True)
        print(f"| {' | '.join(columns)} |")
        rule = ["---" if index < texts else "---:" for index in range(len(columns))]
        print(f"| {' | '.join(rule)} |", flush=True)

    def row(self, *cells: Cell, **more: Any) -> None:
        """A row of the table. `more` goes into the JSON only."""
        print(f"| {' | '.join(_shown(cell) for cell in cells)} |", flush=True)
        if self._file is not None:
            values: dict[str, Any] = {"table": self._title, **dict(zip(self._columns, cells, strict=True)), **more}
            print(json.dumps(values, ensure_ascii=False), file=self._file, flush=True)


def _shown(cell: Cell) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell
    if abs(cell) >= 100:
        return f"{cell:,.0f}"
    return f"{cell:.1f}" if abs(cell) >= 10 else f"{cell:.2f}"


def in_turns(
    ways: Sequence[str], rounds: int, measure: Callable[[str], Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    """Measures each way once, then each again, … so that a busy moment of the machine hits all; medians by way."""
    runs: dict[str, list[Mapping[str, float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            try:
                runs[way].append(measure(way))
            except BenchmarkFailed as error:
                raise BenchmarkFailed(f"by way of {way}: {error}") from error
    return {way: medians(each) for way, each in runs.items()}


def medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def ratio(figures: Mapping[str, Mapping[str, float]], name: str, way: str, to: str = "sshd") -> float | None:
    """A figure of `way` over that of `to`; None where one was not measured, or is nothing."""
    if way not in figures or to not in figures or not figures[to][name]:
        return None
    return figures[way][name] / figures[to][name]


def machine(cipher: str) -> str:
    """A line that says on what the figures were taken."""
    version = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False).stderr.strip()
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")),
        platform.machine(),
    )  # fmt: skip
    return (
        f"{os.cpu_count()} processors ({model}), {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {version}, {cipher}, no compression, "
        f"load average before it {os.getloadavg()[0]:.2f}"
    )

"""Every benchmark, one after the other, over the same databases and peers.

    python -m benchmarks.all [--quick | --full] [--cipher NAME] [--json FILE]

`--quick` shows in a few minutes that all of it works; its figures are rough. `--full` takes less than half an hour
on a machine with nothing else to do. What each program is run with stands in it as QUICK and FULL.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import cast

from . import connections, durability, isolation, latency, memory, parts, search, tunnel, workstation
from .processes import ending_cleanly
from .program import Program, common_options
from .report import Report, machine
from .setting import Setting

PROGRAMS = cast(
    tuple[Program, ...],
    (parts, tunnel, latency, connections, durability, memory, isolation, search, workstation),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.all", description=(__doc__ or "").splitlines()[0])
    common_options(parser)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="rough figures in a few minutes (the default)")
    length.add_argument("--full", action="store_true", help="the figures of docs/performance.md")
    options = parser.parse_args()

    def body() -> None:
        began = time.monotonic()
        print(machine(options.cipher), flush=True)
        report = Report(options.json)
        with Setting(options.cipher, report) as setting:
            for program in PROGRAMS:
                words = program.FULL if options.full else program.QUICK
                own = argparse.ArgumentParser()
                program.add_options(own)
                started = time.monotonic()
                name = program.__name__.rpartition(".")[2]
                report.say(f"## {name} {' '.join(words)}")
                program.run(setting, own.parse_args(words))
                print(f"\n{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        print(f"all: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    return ending_cleanly(body)


if __name__ == "__main__":
    sys.exit(main())

"""What every benchmark program has in common: its options, its head line, and an end that leaves nothing behind."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from .processes import ending_cleanly
from .report import Report, machine
from .setting import Setting

CIPHER = "aes256-gcm@openssh.com"


class Program(Protocol):
    """A module. QUICK and FULL are the options with which `benchmarks.all` runs it."""

    __name__: str
    __doc__: str | None
    QUICK: Sequence[str]
    FULL: Sequence[str]

    def add_options(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, setting: Setting, options: argparse.Namespace) -> None: ...


def common_options(parser: argparse.ArgumentParser) -> None:
    """Those that concern the whole run."""
    parser.add_argument("--cipher", default=CIPHER, help="of all SSH connections (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also add each row to FILE as a JSON object a line")


def length_options(parser: argparse.ArgumentParser, seconds: int = 4, rounds: int = 3) -> None:
    """How long a case takes."""
    parser.add_argument(
        "--seconds", type=int, default=seconds, help="length of one run of a case (default %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=rounds, help="runs of each case on each way (default %(default)s)"
    )


def main(program: Program) -> int:
    """Runs one program by itself."""
    spec = getattr(program, "__spec__", None)
    name = program.__name__ if spec is None else spec.name
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=(program.__doc__ or "").splitlines()[0])
    common_options(parser)
    program.add_options(parser)
    options = parser.parse_args()

    def body() -> None:
        report = Report(options.json)
        print(f"$ python -m {name} {shlex.join(sys.argv[1:])}".rstrip())
        print(machine(options.cipher), flush=True)
        with Setting(options.cipher, report) as setting:
            program.run(setting, options)

    return ending_cleanly(body)


def main_of(name: str) -> int:
    """The same for the module that is run as `__main__`."""
    return main(sys.modules[name])

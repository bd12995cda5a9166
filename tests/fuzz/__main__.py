"""Runs one fuzz target with atheris, or replays all that is kept: `python -m tests.fuzz TARGET | --replay`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from pathlib import Path


def replay() -> int:
    """Plays every target's seeds and findings; how many there were."""
    from .targets import TARGETS, findings

    count = 0
    for name, target in TARGETS.items():
        inputs = [("a seed", data) for data in target.seeds()]
        inputs += [(path.name, path.read_bytes()) for path in findings(name)]
        for label, data in inputs:
            try:
                target.one_input(data)
            except BaseException:
                print(f"{name}: {label}: {data!r}", file=sys.stderr)
                raise
            count += 1
    return count


def fuzz(name: str, seconds: int, folder: Path | None) -> None:
    """Lets atheris make up inputs for so long; what fails is written to the current folder. Ends the process."""
    import atheris

    with atheris.instrument_imports(include=["bastion.protocols"]):
        from .targets import TARGETS, findings
    target = TARGETS[name]
    corpus = folder or Path(tempfile.mkdtemp(prefix="casemate-fuzz-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for index, data in enumerate(target.seeds()):
        (corpus / f"seed-{index:03}").write_bytes(data)
    for path in findings(name):
        (corpus / path.name).write_bytes(path.read_bytes())
    seen: dict[str, int] = {}

    def one_input(data: bytes) -> None:
        """Each way to fail is told once, and written down with the shortest input for it; the run goes on."""
        try:
            target.one_input(data)
        except Exception as error:  # noqa: BLE001 - whatever a reader raises is what is looked for
            place = traceback.extract_tb(error.__traceback__)[-1]
            way = f"{type(error).__name__} {Path(place.filename).name}:{place.lineno}"
            if len(data) < seen.get(way, 1 << 30):
                if way not in seen:
                    print(f"FOUND {way}: {error}"[:500], file=sys.stderr, flush=True)
                seen[way] = len(data)
                Path(f"found-{name}-{way.replace(' ', '-').replace(':', '-')}").write_bytes(data)

    options = ["-timeout=10", "-rss_limit_mb=1500", "-max_len=4096", "-use_value_profile=1"]
    atheris.Setup([sys.argv[0], str(corpus), f"-max_total_time={seconds}", *options], one_input)
    atheris.Fuzz()


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="?")
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--corpus", type=Path, help="a folder to keep the inputs in that reached something new")
    parser.add_argument("--replay", action="store_true", help="play the seeds and what was found, and end")
    arguments = parser.parse_args()
    if arguments.replay:
        print(f"{replay()} inputs hold")
    elif arguments.target:
        fuzz(arguments.target, arguments.seconds, arguments.corpus)
    else:
        parser.error("name a target, or --replay")


main()

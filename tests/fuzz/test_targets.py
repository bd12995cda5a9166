"""What the fuzzer has found, and the seeds that it begins with, hold; with the small limits of the fuzz targets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_seeds_and_findings_hold() -> None:
    """In a process of its own: the readers take their limits when they are imported."""
    replayed = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--replay"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert replayed.returncode == 0, replayed.stderr[-3000:]
    count = int(replayed.stdout.split()[0])
    kept = sum(path.is_file() for path in (ROOT / "tests/fuzz/corpus").rglob("*"))
    assert count > kept > 0

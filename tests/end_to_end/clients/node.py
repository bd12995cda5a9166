"""Small JavaScript programs under `programs/`, run by Node.js with the drivers that `make test` has fetched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.servers import excuses

from ..stock_clients import run_client

PROGRAMS = Path(__file__).with_name("programs")
_CACHE = Path(os.environ.get("CASEMATE_TEST_CACHE") or Path.home() / ".cache" / "casemate-tests")
DRIVERS = _CACHE / "node-drivers" / "node_modules"


def run_node(program: str, words: Sequence[str], environment: Mapping[str, str] | None = None,
             limit: float = 60) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Runs `programs/PROGRAM.js` to its end, with the Node.js of the test environment or else of the machine."""
    own = Path(sys.executable).with_name("node")
    node = str(own) if own.exists() else shutil.which("node")
    if node is None or not DRIVERS.is_dir():
        excuses.skip("no-node-drivers")
    return run_client(
        [node, str(PROGRAMS / f"{program}.js"), *words], {"NODE_PATH": str(DRIVERS), **(environment or {})}, limit=limit
    )

"""python-oracledb's own tests against the test server directly, and through `ssh -N -L` and the bastion.

`tests/drivers/prepare_python_oracledb` fetches them. Many of them ask for a database (PL/SQL, objects, queues) that
the test server is not: what is shown is that each one that passes directly passes through the bastion too.
"""

from __future__ import annotations

import os
import subprocess
import xml.etree.ElementTree as Tree
from contextlib import ExitStack
from pathlib import Path

import oracledb
import pytest

from tests.end_to_end.oracle_place import Oracles
from tests.servers import excuses
from tests.servers.bastion_process import BastionProcess
from tests.servers.oracle.conversation import Manners
from tests.servers.oracle.server import PASSWORDS, OracleServer

from . import oracle_schema

CACHE = Path(os.environ.get("CASEMATE_TEST_CACHE") or Path.home() / ".cache" / "casemate-tests")
PLACE = CACHE / f"python-oracledb-{oracledb.__version__}"
FILES = [
    "cursor/test_1000_execute.py", "cursor/test_1100_execute_async.py", "cursor/test_1200_executemany.py",
    "cursor/test_2200_dml_returning.py", "data_types/test_1100_date.py", "data_types/test_1800_number.py",
    "data_types/test_2000_char.py",
]  # fmt: skip
OTHERS = os.environ.get("PYTHON_ORACLEDB_TESTS", "").split()
"""Other files of theirs that somebody wants to see run."""
MANNERS = Manners(version=318, fields=12, fast_auth=False, end_of_response=False, release=0x13300000)
"""As a 19c does."""
LEAST = 150
"""So many pass directly; fewer mean that the test server has lost something."""


def outcomes(dsn: str, password: str, report: Path, only: list[str]) -> dict[str, str]:
    """By the names of the tests: passed, failed or skipped. `only`: names, or files."""
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(report.parent), "PYO_TEST_MAIN_USER": "app",
        "PYO_TEST_MAIN_PASSWORD": password, "PYO_TEST_CONNECT_STRING": dsn,
    }  # fmt: skip
    words = ["-q", "-c", "/dev/null", "--rootdir", ".", "-p", "no:cacheprovider", "--timeout", "20", "--tb", "short"]
    listed = report.with_suffix(".txt")
    listed.write_text("\n".join(only))
    done = subprocess.run(
        [str(PLACE / "environment" / "bin" / "python"), "-P", "-m", "pytest", *words, "--junitxml", str(report),
         f"@{listed}"],
        cwd=PLACE / "tests", env=environment, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert report.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    report.with_suffix(".log").write_text(done.stdout)
    found = {}
    for case in Tree.parse(report).getroot().iter("testcase"):
        name = f"{str(case.get('classname')).replace('.', '/')}.py::{case.get('name')}"
        failed = case.find("failure") is not None or case.find("error") is not None
        found[name] = "failed" if failed else "skipped" if case.find("skipped") is not None else "passed"
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_passes_directly_passes_through_the_bastion(stock_bastion: BastionProcess, tmp_path: Path) -> None:
    if not (PLACE / "ready").exists():
        excuses.skip("no-oracledb-suite")
    server = OracleServer(MANNERS)
    try:
        oracle_schema.build(server.database.path)
        dsn = f"{server.host}:{server.port}/FREEPDB1"
        direct = outcomes(dsn, PASSWORDS["APP"], tmp_path / "direct.xml", OTHERS or FILES)
    finally:
        server.stop()
    passed = [name for name, outcome in direct.items() if outcome == "passed"]
    assert len(passed) >= (1 if OTHERS else LEAST)
    with ExitStack() as stack:
        oracles = Oracles(stock_bastion, stack, {"suite": MANNERS})
        place = oracles.place("suite", "app")
        oracle_schema.build(oracles.servers["suite"].database.path)
        through = outcomes(place["dsn"], place["password"], tmp_path / "through.xml", passed)
    assert {name: through.get(name) for name in passed if through.get(name) != "passed"} == {}
    sessions = [each for each in stock_bastion.casemate("auditor", "sessions", "--json") if each["login"] == "app"]
    assert sessions
    assert [each for each in sessions if each["unattributed_bytes"]] == []
    print(f"{len(passed)} of {len(direct)} pass directly, and through the bastion")

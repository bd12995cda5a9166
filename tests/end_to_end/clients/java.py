"""Small Java programs under `programs/`, compiled once a test process and run against a JDBC driver of the machine."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.servers import excuses
from tests.servers.processes import server_folder

from ..stock_clients import client_environment, run_client

PROGRAMS = Path(__file__).with_name("programs")


@functools.cache
def _classes(program: str, driver: Path) -> Path:
    """The folder with the compiled `programs/PROGRAM.java`: by a JDK's compiler, else by Eclipse's."""
    if shutil.which("java") is None:
        excuses.skip("no-java")
    folder = server_folder("java")
    if shutil.which("javac") is not None:
        compiler = ["javac"]
    elif shutil.which("ecj") is not None:
        compiler = ["ecj", "-proc:none", "-source", "11", "-target", "11"]
    else:
        excuses.skip("no-java")
    command = [*compiler, "-cp", str(driver), "-d", str(folder), str(PROGRAMS / f"{program}.java")]
    done = subprocess.run(command, env=client_environment(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def run_java(program: str, jar: Path, words: Sequence[str], environment: Mapping[str, str] | None = None,
             limit: float = 90) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Runs `programs/PROGRAM.java` with that driver to its end."""
    classpath = f"{_classes(program, jar)}:{jar}"
    # One small heap and no optimising compiler: the program lives for a second.
    command = ["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", classpath, program, *words]
    return run_client(command, environment, limit=limit)

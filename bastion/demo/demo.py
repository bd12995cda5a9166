"""The demo from start to end: start what it needs, do the job or open the workstation, stop what was started."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol

from .check import Check, CheckFailed
from .children import ChildFailed
from .databases import DemoDatabase, Orders, Warehouse
from .declared import AUDITOR, OPERATOR
from .demo_bastion import HOST, DemoBastion
from .folder import DemoBusy, DemoFolder, default_folder


@dataclass(frozen=True)
class SignIn:
    """What the workstation needs to open signed in. `key` is a private key file without a passphrase."""

    user: str
    host: str
    port: int
    key: Path
    known_hosts: Path


class Workstation(Protocol):
    """Opens the workstation in this terminal; returns its exit code when the person quits."""

    def __call__(self, sign_in: SignIn) -> int: ...


def run(check: bool, workstation: Workstation | None = None, prepare: Callable[[], object] | None = None) -> int:
    """`casemate demo [--check]`; returns the exit code. Without `--check` a terminal and `workstation` are needed.

    `prepare` is called once the servers are on their way, so that what the workstation loads costs no time of its own.

    What is started here is stopped when this returns, when it is interrupted, and when this process is killed.
    """
    if not check and not (sys.stdin.isatty() and sys.stdout.isatty()):
        _tell("The demo opens a screen and needs a terminal. Without one, `casemate demo --check` does the main job.")
        return 2
    try:
        folder = DemoFolder(default_folder())
    except DemoBusy as busy:
        where = f": casemate connect {OPERATOR}@{busy.address}" if busy.address else ""
        _tell(f"The demo is running already. Quit that one first, or connect to its bastion{where}")
        return 1
    except OSError as error:
        _tell(f"The demo's folder cannot be used: {error}. Set CASEMATE_DEMO_DIR to another one.")
        return 1
    try:
        with ExitStack() as stack, _signals_end_it():
            stack.callback(folder.close)
            return _run(folder, stack, check, workstation, prepare)
    except (ChildFailed, CheckFailed) as error:
        _tell(f"The demo failed: {error}")
        return 1
    except KeyboardInterrupt:
        _tell("The demo was interrupted; what it had started is stopped.")
        return 130


def _run(
    folder: DemoFolder,
    stack: ExitStack,
    check: bool,
    workstation: Workstation | None,
    prepare: Callable[[], object] | None,
) -> int:
    begun = time.monotonic()
    if not folder.remembered("bastion_made"):
        _tell(f"Setting up the demo in {folder.path} (once; it takes some seconds) …")
    databases = _start_databases(folder, stack)
    bastion = DemoBastion(folder)
    stack.callback(bastion.stop)
    bastion.start(databases)
    if prepare is not None and not check:
        prepare()
    for database in databases:
        database.finish()
    bastion.finish()
    took = time.monotonic() - begun
    if check:
        print(f"{'started':<10} bastion on {HOST}:{bastion.port}, {_listing(databases)}, in {took:.1f} s", flush=True)
        Check(bastion, folder).run(databases)
        return 0
    _tell(
        f"The demo's bastion is {HOST}:{bastion.port}. Passwords of {OPERATOR} and {AUDITOR} are in "
        f"{folder.path / 'demo.json'}"
    )
    if workstation is None:
        raise ValueError("the workstation is needed to open it")
    return workstation(SignIn(OPERATOR, HOST, bastion.port, bastion.key, bastion.known_hosts))


def _start_databases(folder: DemoFolder, stack: ExitStack) -> list[DemoDatabase]:
    orders = Orders(folder)
    stack.callback(orders.stop)
    orders.start()
    databases: list[DemoDatabase] = [orders]
    server = Warehouse.installed()
    if server is not None:
        warehouse = Warehouse(folder, server)
        stack.callback(warehouse.stop)
        try:
            warehouse.start()
            if not folder.remembered("warehouse_server"):
                warehouse.finish()
        except ChildFailed as error:
            _tell(f"The demo goes on without the database {warehouse.name}: {error}")
        else:
            databases.append(warehouse)
    return databases


def _listing(databases: list[DemoDatabase]) -> str:
    return " and ".join(f"{database.name} ({database.engine})" for database in databases)


@contextmanager
def _signals_end_it() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind like Ctrl-C, so that what was started is stopped."""

    def unwind(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, unwind) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

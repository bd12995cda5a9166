"""The workstation served over SSH: first page, keys, memory, results, a large editor, a large catalog.

    python -m benchmarks.workstation [--sessions 1,10,50] [--harlequin ENVIRONMENT] [--json FILE]

The client is OpenSSH's on a pseudo-terminal of 120x40. Times count from the key (or the start of `ssh`) until the bytes
have come with which the screen shows it. While the keys are measured the other sessions are open and idle. Processor
time is that of the process of the one workstation. `driver` is psycopg straight at the database with the same
statement; Harlequin, where it is given, is straight at the database too, without SSH, with its limit of rows lifted.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .clients import percentile
from .counted_wire import CountedWire
from .databases import ACCOUNT, NAME, ROWS, PostgresDatabase
from .harlequin import Harlequin, replace_text
from .peers import PERSON
from .processes import BenchmarkFailed
from .program import main_of
from .served import CTRL_J, ENTER, F5, F6, Served, all_of, milliseconds_to_first_page, open_console, paste
from .setting import Setting
from .terminal import Key, Terminal

QUICK = ("--sessions", "1,3", "--keys", "8", "--logins", "2", "--rows", "20000", "--lines", "2000", "--tables", "300")
FULL = ("--sessions", "1,10,50", "--keys", "100", "--logins", "10")

KIB = 1024
WIDE = "bench_wide"
LETTERS = "qzxjkvwhq"
"""Of no name in the database, so that no completion is in the way."""
LINE = 60
"""Letters after which a new line is begun."""
FIRST_ROWS = "select aid, bid, abalance from pgbench_accounts where aid <= 100 order by aid"
LARGE_RESULT_SECONDS = 300.0
LINES_OF_BOTH = 2000
"""Lines of the editor in which Harlequin is measured too: at 30,000 it takes minutes to take the paste."""
KEYS_OF_HARLEQUIN = 20
PING_SECONDS = 3.0


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sessions", default="1,10,50", help="open at one time (default %(default)s)")
    parser.add_argument("--keys", type=int, default=100, help="that are typed in each case (default %(default)s)")
    parser.add_argument("--logins", type=int, default=10, help="one after the other (default %(default)s)")
    parser.add_argument("--rows", type=int, default=ROWS, help="of the large result (default %(default)s)")
    parser.add_argument("--lines", type=int, default=30_000, help="in the large editor (default %(default)s)")
    parser.add_argument("--tables", type=int, default=10_000, help="of the large catalog (default %(default)s)")
    parser.add_argument("--harlequin", type=Path, metavar="ENVIRONMENT", help="a virtual environment that has it")


def run(setting: Setting, options: argparse.Namespace) -> None:
    database = setting.postgres
    wide_catalog(database, options.tables)
    peer = None
    if options.harlequin is not None:
        peer = Harlequin(options.harlequin, setting.folder / "harlequin-home", database)
    served = Served(setting.folder / "workstation", database, [NAME, WIDE])
    try:
        _logins(setting, served, options)
        for part in (_sessions, _bytes_of_a_key, _catalog):
            part(setting, served, options)
        _work(setting, served, options, peer)
    finally:
        served.stop()


# --------------------------------------------------------------------------------------------------------- the way in


def _logins(setting: Setting, served: Served, options: argparse.Namespace) -> None:
    setting.report.table("First page after `ssh`", ["figure", "unit", "p50", "most"], texts=2)
    pages, stalls, idle = [], [], []
    with _pinged(served) as longest:
        for _ in range(options.logins):
            time.sleep(PING_SECONDS / 10)
            longest()
            time.sleep(PING_SECONDS / 10)
            idle.append(longest())
            with served.login() as terminal:
                pages.append(milliseconds_to_first_page(terminal))
                terminal.drain()
                stalls.append(longest())
    frames = _after_login(served, options.logins)
    setting.report.row("ssh begun to first page", "ms", statistics.median(pages), max(pages))
    setting.report.row(
        "terminal asked for, after the login, to first page", "ms", statistics.median(frames), max(frames)
    )
    setting.report.row("longest answer of a control channel, idle", "ms", statistics.median(idle), max(idle))
    setting.report.row("the same during a login", "ms", statistics.median(stalls), max(stalls))


def _after_login(served: Served, count: int) -> list[float]:
    """Milliseconds, with the start of the `ssh` that asks for the terminal on a connection which is there."""
    times = []
    for _ in range(count):
        with served.logged_in() as terminal_on_it:
            with terminal_on_it() as terminal:
                times.append(milliseconds_to_first_page(terminal))
            _until_gone(served)
    return times


@contextmanager
def _pinged(served: Served) -> Iterator[Callable[[], float]]:
    """A control channel with a ping every 5 ms; gives a function: the longest round trip since its last call, in ms."""
    host, port = served.process.address
    command = [
        sys.executable,
        "-m",
        "benchmarks.control_ping",
        host,
        str(port),
        PERSON,
        str(served.process.known_hosts),
    ]
    environment = {
        "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[1]), "HOME": "/nonexistent",
        "BENCH_PASSWORD": served.process.password_of(PERSON),
    }  # fmt: skip
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def longest() -> float:
        stdin.write("\n")
        stdin.flush()
        return answer()

    def answer() -> float:
        line = stdout.readline()
        if not line:
            raise BenchmarkFailed("the pings of the control channel have ended")
        return float(line)

    try:
        if stdout.readline().strip() != "ready":
            raise BenchmarkFailed("the control channel for the pings did not open")
        yield longest
    finally:
        process.kill()
        process.communicate()


# ----------------------------------------------------------------------------------------------------------- the keys


def _sessions(setting: Setting, served: Served, options: argparse.Namespace) -> None:
    setting.report.table(
        "Keys and memory by sessions",
        ["sessions", "key p50, ms", "key p95, ms", "private, MiB a session", "PSS, MiB a session", "with console, MiB"],
    )
    for count in [int(each) for each in options.sessions.split(",")]:
        with all_of(served, count - 1), served.login() as terminal:
            milliseconds_to_first_page(terminal)
            terminal.drain()
            ours = served.processes
            private = statistics.fmean(_mib(pid, "Private_Dirty") for pid in ours)
            proportional = statistics.fmean(_mib(pid, "Pss") for pid in ours)
            open_console(terminal, NAME)
            times = [key.milliseconds for key in _typed(terminal, options.keys)]
            times.sort()
            with_console = max(_mib(pid, "Private_Dirty") for pid in served.processes)
        _until_gone(served)
        setting.report.row(
            str(count), percentile(times, 0.5), percentile(times, 0.95), private, proportional, with_console
        )


def _bytes_of_a_key(setting: Setting, served: Served, options: argparse.Namespace) -> None:
    setting.report.table("Bytes of a letter in the editor", ["client", "on the screen", "on the wire"])
    for name, compressed in (("ssh", False), ("ssh -C", True)):
        with CountedWire(*served.process.address) as wire, served.console(NAME, wire.port, compressed) as terminal:
            terminal.press(ENTER)
            terminal.drain(0.5)
            before = wire.to_client
            keys = _typed(terminal, options.keys, new_line=False)
            setting.report.row(name, statistics.fmean(key.bytes for key in keys), (wire.to_client - before) / len(keys))
        _until_gone(served)


def _typed(terminal: Terminal, count: int, new_line: bool = True) -> list[Key]:
    keys: list[Key] = []
    while len(keys) < count:
        if new_line or keys:
            terminal.press(ENTER)
        letters = LETTERS * (LINE // len(LETTERS))
        keys += terminal.type(letters[: min(LINE, count - len(keys))])
    return keys


# ---------------------------------------------------------------------------------------------------- a large catalog


def wide_catalog(database: PostgresDatabase, tables: int) -> None:
    """A database with so many tables."""
    database.server.create_database(WIDE, ACCOUNT)
    with database.server.admin(WIDE) as connection:
        connection.execute(f"SET ROLE {ACCOUNT}")
        for first in range(1, tables + 1, 1000):  # each holds its locks to the end of its transaction
            connection.execute(
                f"DO $$ BEGIN FOR n IN {first}..{min(tables, first + 999)} LOOP EXECUTE format("
                "'CREATE TABLE t_%s (id int, of_order int, label text)', lpad(n::text, 5, '0')); END LOOP; END $$"
            )


def _catalog(setting: Setting, served: Served, options: argparse.Namespace) -> None:
    title = f"Catalog of {options.tables:,} tables"
    setting.report.table(title, ["figure", "unit", "value"], texts=2)
    with served.login() as terminal:
        milliseconds_to_first_page(terminal)
        entered = open_console(terminal, WIDE)
        shown = terminal.wait("t_00001")
        setting.report.row("console opened to tables in the tree", "ms", (shown - entered) * 1000)
        terminal.drain(1.0)
        for _ in range(4):
            if "Filter" in terminal.text.splitlines()[-1]:
                break
            terminal.press(F6)
            terminal.drain(0.3)
        last = f"{options.tables - 1:05d}"
        terminal.press(b"/")
        terminal.drain(0.3)
        terminal.press(b"t_" + last[:-1].encode())
        terminal.drain(0.5)
        pressed = terminal.press(last[-1:].encode())
        before = f"{options.tables - 2:05d}"
        found = terminal.wait(lambda text: f"t_{last}" in text and f"t_{before}" not in text)
        setting.report.row("a letter in the filter to its table", "ms", (found - pressed) * 1000)
    _until_gone(served)


# ------------------------------------------------------------------------------------------------- results and a script


def _work(setting: Setting, served: Served, options: argparse.Namespace, peer: Harlequin | None) -> None:
    columns = ["figure", "unit", "workstation", "driver", "Harlequin"]
    setting.report.table("Results and a large editor", columns, texts=2)
    large = f"select * from pgbench_accounts where aid <= {options.rows}"
    count = f"{options.rows:,}"
    with served.console(NAME) as terminal:
        (pid,) = served.processes
        first = statistics.median(_first_rows(terminal, count) for count in (100, 101, 102))
        whole = _run(terminal, large, F5, lambda text: f"{count} rows" in text and "so far" not in text)
        resident = _mib(pid, "Rss")
    _until_gone(served)
    spent = []
    for lines in (min(options.lines, LINES_OF_BOTH), options.lines):
        with served.console(NAME) as terminal:
            (pid,) = served.processes
            paste(terminal, lines)
            spent.append(_processor_of_a_key(terminal, pid, options.keys))
        _until_gone(served)
    theirs = _harlequin(peer, options, large, count)
    driver = _driver_milliseconds(setting.postgres, FIRST_ROWS), _driver_milliseconds(setting.postgres, large)
    setting.report.row("first rows of a SELECT of 100", "ms", first, driver[0], theirs[0])
    setting.report.row(f"{count} rows, all there", "ms", whole, driver[1], theirs[1])
    setting.report.row(f"{count} rows, RSS of the process", "MiB", resident, None, theirs[2])
    both = min(options.lines, LINES_OF_BOTH)
    setting.report.row(f"a key in {both:,} lines, processor", "ms", spent[0], None, theirs[3])
    setting.report.row(f"a key in {options.lines:,} lines, processor", "ms", spent[1], None, None)


def _first_rows(terminal: Terminal, count: int) -> float:
    """Milliseconds; `count` is another one each time, so that the former result is not taken for this one."""
    statement = f"select aid, bid, abalance from pgbench_accounts where aid <= {count} order by aid"
    return _run(terminal, statement, F5, lambda text: f"{count} rows, all" in text)


def _run(terminal: Terminal, statement: str, key: bytes, shown: Callable[[str], bool]) -> float:
    """Milliseconds from the key that runs it."""
    terminal.press(ENTER + b";" + ENTER + statement.encode())
    terminal.drain(0.5)
    pressed = terminal.press(key)
    return (terminal.wait(shown, LARGE_RESULT_SECONDS) - pressed) * 1000


def _driver_milliseconds(database: PostgresDatabase, statement: str) -> float:
    """Best of three; every row is fetched as the driver's own values."""
    best = float("inf")
    with database.connect(database.port) as connection:
        for _ in range(3):
            began = time.perf_counter()
            connection.execute(statement).fetchall()
            best = min(best, time.perf_counter() - began)
    return best * 1000


def _harlequin(
    peer: Harlequin | None, options: argparse.Namespace, large: str, count: str
) -> tuple[float | None, float | None, float | None, float | None]:
    """First rows, all rows, MiB, ms of a key."""
    if peer is None:
        return None, None, None, None
    with peer.opened() as terminal:
        replace_text(terminal, FIRST_ROWS.encode())
        pressed = terminal.press(CTRL_J)
        first = (terminal.wait("100 Records") - pressed) * 1000
        terminal.drain(1.0)  # it takes the focus to its rows when they are there
        terminal.press(b"\x1bOQ")  # F2: its editor
        terminal.drain(0.5)
        replace_text(terminal, large.encode())
        pressed = terminal.press(CTRL_J)
        whole = (terminal.wait(f"{count} Records", LARGE_RESULT_SECONDS) - pressed) * 1000
        resident = _mib(terminal.pid, "Rss")
    with peer.opened() as terminal:
        paste(terminal, min(options.lines, LINES_OF_BOTH))
        spent = _processor_of_a_key(terminal, terminal.pid, min(options.keys, KEYS_OF_HARLEQUIN))
    return first, whole, resident, spent


def _processor_of_a_key(terminal: Terminal, pid: int, count: int) -> float:
    """Milliseconds, with all that is drawn for it."""
    terminal.press(ENTER)
    terminal.drain(1.0)
    before = _processor_seconds(pid)
    keys = _typed(terminal, count, new_line=False)
    return (_processor_seconds(pid) - before) / len(keys) * 1000


def _processor_seconds(pid: int) -> float:
    """Of all threads of the process, in nanoseconds where /proc/PID/stat counts in hundredths of a second."""
    return sum(int(each.read_text().split()[0]) for each in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def _mib(pid: int, name: str) -> float:
    """A line of /proc/PID/smaps_rollup."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / KIB
    raise BenchmarkFailed(f"/proc/{pid}/smaps_rollup has no {name}")


def _until_gone(served: Served, limit: float = 20.0) -> None:
    """Until every workstation has ended."""
    end = time.monotonic() + limit
    while served.processes:
        if time.monotonic() > end:
            raise BenchmarkFailed(f"workstations were still there {limit:g} s after their clients had ended")
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main_of(__name__))

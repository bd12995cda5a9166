"""A program on a pseudo-terminal, and when it showed what: bytes are dated as they are read, before they are drawn."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

import pyte

from .processes import BenchmarkFailed

LIMIT = 60.0
QUIET = 0.08
"""Seconds without a byte after which a program is taken to have drawn all that it will."""
END_SECONDS = 5.0

_UNKNOWN = re.compile(rb"\x1b\[[<>=][0-9;:]*[A-Za-z]|\x1b\[\?[0-9;]*(?:\$p|u)|\x1bP[^\x1b]*\x1b\\")
"""Questions and settings that pyte would print or take for others: keyboard protocol, modes, DCS."""
_BEGUN = re.compile(rb"\x1b(?:\[[<>=?]?[0-9;:$]*|P[^\x1b]*\x1b?)?\Z")


class Reader:
    """What a person would see of the bytes."""

    def __init__(self, columns: int, lines: int) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Also in pieces that end inside a sequence."""
        data = self._rest + data
        begun = _BEGUN.search(data)
        self._rest = b"" if begun is None else data[begun.start() :]
        self._stream.feed(_UNKNOWN.sub(b"", data[: len(data) - len(self._rest)]))

    @property
    def text(self) -> str:
        """The lines of the screen."""
        return "\n".join(self._screen.display)


@dataclass(frozen=True)
class Key:
    """One key: milliseconds until the screen showed it, bytes that came to the terminal for it."""

    milliseconds: float
    bytes: int


class Terminal:
    """Use as a context manager: the program is ended with it."""

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], columns: int = 120, lines: int = 40
    ) -> None:
        self._reader = Reader(columns, lines)
        self.received = 0
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        os.set_blocking(self._master, False)
        self.began = time.perf_counter()
        try:
            self._process = subprocess.Popen(
                list(words), env=dict(environment), stdin=slave, stdout=slave, stderr=slave, start_new_session=True
            )
        finally:
            os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._master)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def text(self) -> str:
        return self._reader.text

    def _read(self, limit: float) -> float | None:
        """The moment at which something came, and it is drawn; None where nothing did within `limit`."""
        if not select.select([self._master], [], [], max(0.0, limit))[0]:
            return None
        try:
            data = os.read(self._master, 1 << 18)
        except BlockingIOError:
            return None
        except OSError:  # Linux: EIO once the other side is closed
            data = b""
        moment = time.perf_counter()
        if not data:
            raise BenchmarkFailed(f"the program on the terminal has ended; it showed:\n{self.text}")
        self.received += len(data)
        self._reader.feed(data)
        return moment

    def wait(self, shown: str | Callable[[str], bool], limit: float = LIMIT) -> float:
        """The moment (time.perf_counter) of the bytes with which it was shown."""
        moment = time.perf_counter()
        end = moment + limit
        while not (shown in self.text if isinstance(shown, str) else shown(self.text)):
            came = self._read(end - time.perf_counter())
            if came is None:
                if time.perf_counter() >= end:
                    raise BenchmarkFailed(f"{shown!r} was not shown within {limit:g} s, but:\n{self.text}")
                continue
            moment = came
        return moment

    def drain(self, quiet: float = QUIET) -> None:
        """Until nothing comes for that long; not longer than a few seconds, if something moves all the time."""
        end = time.perf_counter() + END_SECONDS
        while self._read(quiet) is not None and time.perf_counter() < end:
            pass

    def press(self, keys: bytes, limit: float = LIMIT) -> float:
        """The moment at which the last of it was given; what is shown meanwhile is read."""
        end = time.perf_counter() + limit
        while keys:
            if time.perf_counter() > end:
                raise BenchmarkFailed(f"the program took no keys for {limit:g} s")
            readable, writable, _ = select.select([self._master], [self._master], [], 1.0)
            if writable:
                moment = time.perf_counter()
                with contextlib.suppress(BlockingIOError):
                    keys = keys[os.write(self._master, keys[:4096]) :]
                if not keys:
                    return moment
            if readable:
                self._read(0)
        return time.perf_counter()

    def type(self, letters: str) -> list[Key]:
        """Each letter by itself, once what the one before it drew is there."""
        keys, typed = [], ""
        for letter in letters:
            self.drain()
            before, typed = self.received, typed + letter
            pressed = self.press(letter.encode())
            milliseconds = (self.wait(typed) - pressed) * 1000
            self.drain()
            keys.append(Key(milliseconds, self.received - before))
        return keys

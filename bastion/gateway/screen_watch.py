"""What the watchers of one served workstation are given: the end of its asciicast, in memory while somebody watches.

Watchers ask, each at their own pace, for what is behind the byte that they have. Nothing is kept for any one of them:
who asks too late for what is here is given a fresh picture of the whole screen, and the recording has the rest.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

import zstandard

from bastion.api.screens import LONGEST_WAIT, PIECE, ScreenPiece

KEPT = 2 * 1024 * 1024
"""Bytes of lines that are kept for watchers, at most; a watcher that is further behind begins with a new picture."""

FRESH = 64 * 1024
"""Bytes behind a picture up to which it serves whoever joins; else another one is asked for."""

PICTURE_SECONDS = 3.0
"""How long whoever joins waits for a picture. A process that is hung draws none."""

UNWATCHED_SECONDS = 60.0
"""A watch that nobody has asked for so long is over."""

AT_ONCE = 16 * 1024
"""Bytes that are compressed on the event loop; more go to a thread."""


class Source(Protocol):
    """The cast that is watched: `audit.screen_recording.ScreenRecording`."""

    listener: Callable[[bytes, int, float, bool], None] | None
    elapsed: float
    size: tuple[int, int]

    @property
    def position(self) -> int: ...
    @property
    def kept(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class _Line:
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Picture:
    """A whole picture in the lines: where, how many seconds from the beginning the event before it is, and its size."""

    offset: int
    at: float
    columns: int
    lines: int


class ScreenWatch:
    """One watched screen. `want_picture` asks its process for one."""

    def __init__(self, source: Source, want_picture: Callable[[], None]) -> None:
        self._source = source
        self._want_picture = want_picture
        self._lines: deque[_Line] = deque()
        self._bytes = 0
        self._first = source.position
        """The byte that the lines begin with."""
        self._picture: _Picture | None = None
        self._wanted = False
        self._live = True
        self._news = asyncio.Event()
        self.asked_at = monotonic()
        source.listener = self._heard

    # -- told by the screen

    def _heard(self, line: bytes, offset: int, at: float, picture: bool) -> None:
        if picture:
            self._picture = _Picture(offset, at, *self._source.size)
            self._wanted = False
        self._lines.append(_Line(offset, line))
        self._bytes += len(line)
        while self._bytes > KEPT:
            left = self._lines.popleft()
            self._bytes -= len(left.data)
            self._first = left.offset + len(left.data)
        if self._picture is not None and self._picture.offset < self._first:
            self._picture = None
        self._tell()

    def over(self) -> None:
        """No more comes."""
        self._live = False
        self._source.listener = None
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    @property
    def unwatched(self) -> bool:
        """Whether nobody has asked for a while."""
        return monotonic() - self.asked_at > UNWATCHED_SECONDS

    # -- asked by watchers

    async def piece(self, after: int | None, wait: float) -> ScreenPiece:
        """What is behind byte `after`, at once or when there is something; None: a whole picture and what followed."""
        self.asked_at = monotonic()
        if after is None or not self._first <= after <= self._source.position:
            return await self._joined()
        if after == self._source.position and self._live:
            await self._wait(min(max(wait, 0.0), LONGEST_WAIT))
            self.asked_at = monotonic()
            if not self._first <= after:
                return await self._joined()
        return await self._from(after)

    async def _joined(self) -> ScreenPiece:
        until = monotonic() + PICTURE_SECONDS
        while (left := until - monotonic()) > 0 and self._live:
            if self._picture is not None and self._source.position - self._picture.offset <= FRESH:
                break
            if not self._wanted:
                self._wanted = True
                self._want_picture()
            await self._wait(left)
        picture = self._picture
        if picture is None:
            # None was drawn in time: the next call asks again.
            self._wanted = False
            position = self._source.position
            return self._empty(position)
        piece = await self._from(picture.offset)
        piece.joined, piece.at, piece.columns, piece.lines = True, picture.at, picture.columns, picture.lines
        return piece

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return

    def _empty(self, position: int) -> ScreenPiece:
        return ScreenPiece(data=b"", offset=position, next=position, live=self._live, kept=self._source.kept)

    async def _from(self, offset: int) -> ScreenPiece:
        behind: list[_Line] = []
        for line in reversed(self._lines):
            if line.offset < offset:
                break
            behind.append(line)
        parts: list[bytes] = []
        size = 0
        following = offset
        more = False
        for line in reversed(behind):
            if parts and size + len(line.data) > PIECE:
                more = True
                break
            parts.append(line.data)
            size += len(line.data)
            following = line.offset + len(line.data)
        if not parts:
            return self._empty(offset)
        live, data = self._live, b"".join(parts)
        compressed = pack(data) if size <= AT_ONCE else await asyncio.to_thread(pack, data)
        return ScreenPiece(data=compressed, offset=offset, next=following, live=live, more=more, kept=self._source.kept)


def pack(data: bytes) -> bytes:
    """A piece's bytes, as they travel."""
    return zstandard.ZstdCompressor(level=1).compress(data)

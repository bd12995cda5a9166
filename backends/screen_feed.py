"""The screen of a served workstation as it comes from the bastion: from its recording, or as it is now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import zstandard

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.methods import Method
from bastion.api.screens import LONGEST_PIECE, ScreenFollowRequest, ScreenPiece, ScreenReadRequest

from .cast import Cast, CastBroken

WAIT = 10.0
"""Seconds that one call waits for something new."""


class Bastion(Protocol):
    """What calls are made with: `backends.link.Link`."""

    async def call(self, method: Method, params: m.Message) -> Any: ...


def unpack(packed: bytes) -> bytes:
    """The lines of a piece. Raises CastBroken."""
    if not packed:
        return b""
    try:
        return zstandard.ZstdDecompressor().decompress(packed, max_output_size=LONGEST_PIECE)
    except zstandard.ZstdError as error:
        raise CastBroken("a piece that does not decompress") from error


class ScreenFeed:
    """One screen, fetched into a cast. Every call raises Refused, LinkError, CastBroken.

    reason  why it is looked at, where that has to be said
    live    more may come
    kept    there is a recording of it
    """

    def __init__(self, bastion: Bastion, screen: str, reason: str = "") -> None:
        self._bastion = bastion
        self.screen = screen
        self.reason = reason
        self.cast = Cast()
        self.live = False
        self.kept = True
        self.whole = False
        """The cast has it from its beginning."""
        self._next: int | None = None
        self._joined_at = 0

    async def load(self, told: Callable[[], None] = lambda: None) -> None:
        """Fetches the recording, from its beginning to its end; `told` is called after each piece."""
        offset, viewing, more = 0, True, True
        while more:
            piece: ScreenPiece = await self._bastion.call(
                methods.SCREEN_READ,
                ScreenReadRequest(id=self.screen, offset=offset, viewing=viewing, reason=self.reason),
            )
            viewing = False
            if piece.offset > offset:
                self.cast.gap()
            self.cast.add_lines(unpack(piece.data))
            more = piece.more and piece.next > offset
            offset, self.live = piece.next, piece.live
            told()
        self.whole = True

    async def join(self) -> bool:
        """Begins to follow; False where the workstation has drawn no picture yet, and one has to ask again."""
        piece: ScreenPiece = await self._bastion.call(
            methods.SCREEN_FOLLOW, ScreenFollowRequest(id=self.screen, reason=self.reason)
        )
        self.live, self.kept = piece.live, piece.kept
        if not piece.joined:
            return False
        self.cast.begin_at(piece.at, piece.columns, piece.lines)
        self.cast.add_lines(unpack(piece.data))
        self._joined_at, self._next = piece.offset, piece.next
        return True

    async def follow(self) -> bool:
        """Takes what has come since; waits a while for it. Whether something has."""
        piece: ScreenPiece = await self._bastion.call(
            methods.SCREEN_FOLLOW, ScreenFollowRequest(id=self.screen, after=self._next, wait=WAIT, reason=self.reason)
        )
        self.live = piece.live
        if piece.joined:
            # Too much has come meanwhile: a picture of how it is now takes its place.
            self.cast.go_on_at(piece.at, piece.columns, piece.lines)
        lines = unpack(piece.data)
        self.cast.add_lines(lines)
        self._next = piece.next
        return bool(lines) or not piece.live

    async def earlier(self) -> bool:
        """Fetches what was before the watch began; the cast is another one then. False where nothing was kept."""
        if self.whole or not self.kept:
            return self.whole
        before = Cast()
        offset, viewing = 0, True
        while offset < self._joined_at:
            piece: ScreenPiece = await self._bastion.call(
                methods.SCREEN_READ,
                ScreenReadRequest(id=self.screen, offset=offset, viewing=viewing, reason=self.reason),
            )
            viewing = False
            if piece.next <= offset:
                break
            if piece.offset > offset:
                before.gap()
            before.add_lines(unpack(piece.data)[: max(self._joined_at - piece.offset, 0)])
            offset = piece.next
        if offset < self._joined_at:
            before.gap()
        before.absorb(self.cast)
        self.cast, self.whole = before, True
        return True

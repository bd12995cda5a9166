"""The data path's side of a recording: what passes is gathered and handed over, nothing more.

`take` is on the way of every piece: it appends to a list and adds two numbers. What the pieces hold (which statement
ends where, what is kept of it) is looked at in the recorder's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bastion.audit.recorder import Items, LeftOut, Recorder, SentIn, Track
from bastion.audit.records import Recording
from bastion.protocols.contract import Piece, ServerSide

HANDED_OVER = 128 * 1024
"""Bytes, each piece with PIECE_COST, that a session gathers before it hands them over."""

PIECE_COST = 400
"""What a piece and its notes take in memory beside their bytes, about."""


@dataclass(slots=True)
class _Upload:
    """What the client streams into a statement: what is not handed over yet, what is, and how much it was in all."""

    number: int
    parts: list[bytes] = field(default_factory=list)
    given: int = 0
    total: int = 0
    told: int = 0


class SessionRecording:
    """The recording of one live session. `take` is called with every piece of the server, in order."""

    __slots__ = ("_enough", "_held", "_items", "_recorder", "_run", "_side", "_skipped", "_track", "_upload", "take")

    take: Callable[[Piece], None]

    def __init__(self, recorder: Recorder, session: str, engine: str, side: ServerSide) -> None:
        self._recorder = recorder
        self._side = side
        self._track = Track(session, engine)
        # More than the limit: bytes between two statements are counted with the second one here.
        self._enough = recorder.limits.per_statement + HANDED_OVER
        self._items: Items = []
        self._held = 0
        self._run = 0
        self._skipped = 0
        self._upload: _Upload | None = None
        self.take = self._take

    def _take(self, piece: Piece) -> None:
        size = piece.size
        if piece.notes:
            self._run = 0
            if self._skipped:
                self._note_skipped("statement")
        else:
            if self._run > self._enough and self._skip(size):
                return
            self._run += size
        if not self._held:
            self._recorder.holding[self] = None
        self._items.append(piece)
        self._held = held = self._held + size + PIECE_COST
        if held > HANDED_OVER:
            self.flush()

    def sent_in(self, number: int, data: bytes, counted: int) -> None:
        """Data of the client for a statement, as far as they are kept, and how many more of them there were."""
        if self.take == _nothing:
            return
        upload = self._upload
        if upload is None or upload.number != number:
            self._gather_upload()
            self._upload = upload = _Upload(number)
        upload.total += counted
        self._recorder.holding[self] = None
        if data:
            upload.parts.append(data)
            self._held = held = self._held + len(data) + PIECE_COST
            if held > HANDED_OVER:
                self.flush()

    def _gather_upload(self) -> None:
        """What has come of an upload goes with the pieces."""
        upload = self._upload
        if upload is not None and (upload.parts or upload.told != upload.total):
            data = b"".join(upload.parts)
            self._items.append(SentIn(upload.number, upload.given, data, upload.total))
            upload.given += len(data)
            upload.told = upload.total
            upload.parts.clear()

    def _skip(self, size: int) -> bool:
        """Whether the piece is beyond the limit of its statement: then it is not even handed over."""
        if self._side.running is None:
            self._run = 0
            return False
        self._skipped += size
        return True

    def _note_skipped(self, why: str) -> None:
        self._items.append(LeftOut(self._skipped, why))
        self._skipped = 0

    def flush(self) -> None:
        """Hands over what there is."""
        self._recorder.holding.pop(self, None)
        self._gather_upload()
        items, self._items = self._items, []
        held, self._held = self._held, 0
        if not items:
            return
        if self._track.stopped:
            self.take = _nothing
            return
        idle = self._side.running is None
        if idle:
            self._run = 0
        if not self._recorder.hand_over(self._track, items, held, self._side.codec, idle=idle):
            # The disk does not follow. The next piece may find room again.
            lost = 0
            for item in items:
                if isinstance(item, SentIn):
                    self._items.append(item._replace(data=b"", cut="behind"))
                else:
                    lost += item.size
            if lost:
                self._items.append(LeftOut(lost, "behind"))

    async def settled(self) -> None:
        """Everything that has come so far is in the file. Raises TimeoutError."""
        self.flush()
        await self._recorder.settled(self._track)

    async def close(self, total: int) -> Recording | None:
        """Ends the recording; `total` are all bytes of the server. The record for the journal, if there is one."""
        self._stop()
        return await self._recorder.close(self._track, total)

    def forget(self, total: int) -> None:
        """Ends it without waiting; its record is written when it is due."""
        self._stop()
        self._recorder.forget(self._track, total)

    def _stop(self) -> None:
        if self._skipped:
            self._note_skipped("statement")
        self.flush()
        self._recorder.holding.pop(self, None)
        self.take = _nothing


def _nothing(piece: Piece) -> None:
    """Nothing more is kept of this session."""

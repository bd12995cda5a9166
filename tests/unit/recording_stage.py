"""A recorder with a folder of its own, and sessions that answer with bytes of the test's choosing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bastion.audit.recorder import Recorder, RecordingLimits
from bastion.audit.recordings import KeptAnswer, NotKept, kept_answer
from bastion.audit.records import Recording
from bastion.protocols.contract import Piece, Refusal, StatementEnds, Transaction
from bastion.sessions.recording import SessionRecording
from bastion.vault import Vault


class Side:
    """What a recording asks of a server side."""

    transaction = Transaction.NONE
    codec = "utf-8"
    rows = 0

    def __init__(self) -> None:
        self.running: int | None = None

    def feed(self, data: bytes) -> list[Piece]:
        raise NotImplementedError

    def due(self) -> bytes:
        return b""

    def farewell(self, refusal: Refusal) -> bytes:
        return b""

    def open_statements(self) -> list[int]:
        return []


class Session:
    """A session whose database answers. `answers` are the bytes of each statement, as they were sent."""

    def __init__(self, recorder: Recorder, name: str = "s1") -> None:
        self.side = Side()
        self.name = name
        self.recording = SessionRecording(recorder, name, "postgresql", self.side)
        self.position = 0
        self.answers: dict[int, bytes] = {}

    def piece(self, data: bytes, *ends: tuple[int, int, int], kind: str = "answers", **more: int | bytes) -> None:
        """A piece; `ends` are (number, how many bytes of the piece are behind its end, size)."""
        position = self.position + len(data)
        notes = tuple(
            StatementEnds(number, 1, None, "done", size, position - behind, **more)  # type: ignore[arg-type]
            for number, behind, size in ends
        )
        self.position = position
        self.side.running = None if ends else 1
        self.recording.take(Piece(data, len(data), kind, notes))

    def answer(self, number: int, data: bytes, read: int = 16_384) -> None:
        """A whole answer, in pieces of at most `read` bytes."""
        self.answers[number] = data
        for start in range(0, len(data) - read, read):
            self.piece(data[start : start + read])
        last = (len(data) - 1) // read * read
        self.piece(data[last:], (number, 0, len(data)))


class Stage:
    def __init__(self, folder: Path, limits: RecordingLimits | None = None) -> None:
        self.folder = folder / "recordings"
        self.vault = Vault.create(folder / "master.key")
        self.witnessed: list[Recording] = []
        self.recorder = Recorder(self.folder, self.vault, "n1", self.witnessed.append, limits)

    def session(self, name: str = "s1") -> Session:
        return Session(self.recorder, name)

    def kept(self, number: int, session: str = "s1", **how: bool) -> KeptAnswer | NotKept:
        return kept_answer(self.folder, self.vault, session, number, **how)

    def file(self, session: str = "s1") -> Path:
        return self.folder / f"{session}.recording"


@asynccontextmanager
async def stage_in(folder: Path, limits: RecordingLimits | None = None) -> AsyncIterator[Stage]:
    """A recorder that has begun and is stopped at the end."""
    stage = Stage(folder, limits)
    stage.recorder.start()
    try:
        yield stage
    finally:
        await stage.recorder.stop()
        await asyncio.sleep(0)

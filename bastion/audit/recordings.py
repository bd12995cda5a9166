"""Finding one statement's bytes in its session's recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bastion.vault import Vault

from .recording_file import Chunk, End, Frame, RecordingDamaged, RecordingReader, path_of

MOST_READ = 64 * 1024 * 1024
"""Bytes of one statement that are read back at most."""

LONGEST_DESCRIPTION = 1024 * 1024
"""Bytes that are read of a description of columns that came before the statement's own bytes."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The beginning of a statement's answer, as far as it was kept.

    total      bytes that it had; None: the end was not recorded (it runs, or the bastion died under it)
    why        what ended the recording before the answer's end (recording_file.Gap.why, or `missing`); '' if nothing
    described  the description of the columns, where it came with an earlier statement
    """

    data: bytes
    total: int | None
    why: str
    codec: str
    described: bytes
    formats: bytes


@dataclass(frozen=True, slots=True)
class NotKept:
    """Nothing of it is in the recording. `why` as above; '' where the statement had no answer of its own."""

    why: str


@dataclass(frozen=True, slots=True)
class KeptUpload:
    """The beginning of what the client streamed into a statement, of `total` bytes that are known of.

    why  `upload` or `session` (their limits), or `behind`; '' where it is whole
    """

    data: bytes
    total: int
    why: str
    codec: str


def kept_answer(
    folder: Path, vault: Vault, session: str, number: int, *, running: bool = False
) -> KeptAnswer | NotKept:
    """What was kept of a statement.

    `running`: it is the oldest statement without an outcome, so what comes behind the last outcome is its.
    Raises FileNotFoundError where the session has no recording, RecordingDamaged, OSError.
    """
    with RecordingReader(path_of(folder, session)) as reader:
        if reader.header.session != session:
            raise RecordingDamaged(f"it is the recording of session {reader.header.session}")
        reader.unlock(vault)
        return _Search(reader).answer(number, running=running)


def kept_upload(folder: Path, vault: Vault, session: str, number: int) -> KeptUpload | None:
    """What was kept of what the client streamed into a statement; None where it streamed nothing. Raises as above."""
    with RecordingReader(path_of(folder, session)) as reader:
        reader.unlock(vault)
        return _Search(reader).upload(number)


class _Search:
    def __init__(self, reader: RecordingReader) -> None:
        self._reader = reader
        self._frames = list(reader.frames())
        self._last: tuple[int, Chunk] | None = None

    def answer(self, number: int, *, running: bool) -> KeptAnswer | NotKept:
        end = self._end_of(number)
        if end is not None:
            start, upto, total = end.position - end.size, end.position, end.size
        elif running and self._frames:
            start, upto, total = self._last_end(), self._frames[-1].end, None
        else:
            return NotKept(self._why_at_the_end())
        data, why, codec = self._range(start, min(upto, start + MOST_READ))
        if total is not None and not why and total > MOST_READ:
            why = "statement"
        if not data and why:
            return NotKept(why)
        described = b""
        if end is not None and end.described:
            described, _, _ = self._range(end.described, end.described + LONGEST_DESCRIPTION)
        return KeptAnswer(data, total, why, codec, described, b"" if end is None else end.formats)

    def upload(self, number: int) -> KeptUpload | None:
        parts: list[bytes] = []
        kept = total = 0
        codec = cut = ""
        for frame in self._frames:
            if not frame.first <= number <= frame.last:
                continue
            chunk = self._chunk(frame)
            for sent in chunk.sent:
                if sent.number != number:
                    continue
                codec = codec or chunk.codec
                total = max(total, sent.total)
                if sent.offset == kept:
                    parts.append(sent.data)
                    kept += len(sent.data)
                cut = cut or sent.cut
        if not codec:
            return None
        return KeptUpload(b"".join(parts), max(total, kept), (cut or "upload") if kept < total else "", codec)

    def _end_of(self, number: int) -> End | None:
        for frame in self._frames:
            if frame.first <= number <= frame.last:
                for end in self._chunk(frame).ends:
                    if end.number == number:
                        return end
        return None

    def _last_end(self) -> int:
        """Behind the last statement that has an outcome."""
        for frame in reversed(self._frames):
            ends = self._chunk(frame).ends if frame.last else ()
            if ends:
                return max(end.position for end in ends)
        return self._frames[0].start

    def _why_at_the_end(self) -> str:
        """Why the recording has no more, as far as its last chunk knows."""
        gaps = self._chunk(self._frames[-1]).gaps if self._frames else []
        return next((gap.why for gap in reversed(gaps) if gap.why in ("session", "behind")), "missing")

    def _range(self, start: int, end: int) -> tuple[bytes, str, str]:
        """The bytes from `start` on that follow each other, up to `end`; why there are no more of them; their codec."""
        parts: list[bytes] = []
        codec = "utf-8"
        for frame in self._frames:
            if frame.end <= start:
                continue
            if frame.start >= end or start == end:
                break
            chunk = self._chunk(frame)
            if not parts:
                codec = chunk.codec
            offset = 0
            for position, length in chunk.runs:
                if position <= start < position + length:
                    upto = min(end, position + length)
                    parts.append(chunk.data[offset + start - position : offset + upto - position])
                    start = upto
                offset += length
            gap = next((gap for gap in chunk.gaps if gap.position <= start < gap.position + gap.size), None)
            if gap is not None and start < end:
                return b"".join(parts), gap.why, codec
        return b"".join(parts), "" if start == end else self._why_at_the_end(), codec

    def _chunk(self, frame: Frame) -> Chunk:
        if self._last is None or self._last[0] != frame.number:
            self._last = (frame.number, self._reader.chunk(frame))
        return self._last[1]

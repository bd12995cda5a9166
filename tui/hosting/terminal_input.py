"""What a terminal sends, made into events: whatever comes, nothing of it ends the workstation.

Textual's parser takes text, keeps a paste of any length until its end, and gives way to some malformed sequences.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections.abc import Iterator

from textual import events, messages
from textual._xterm_parser import XTermParser
from textual.message import Message

MOST_PASTED = 4 * 1024 * 1024
"""Characters of one paste that are taken; the rest is left out."""

_PASTE, _PASTED = "\x1b[200~", "\x1b[201~"
_PIECES = re.compile(r"(?=\x1b)")
_CONTROL = re.compile(r"\x1b\[(?!M)[0-?]*[ -/]*[@-~]")
"""A whole control sequence (ECMA-48, 5.4); the mouse's old form goes on behind its M."""

_ANSWERS = re.compile(r"\x1b\[[?>=][\d;:]*c|\x1b[P\]_^X][^\x07\x1b]*(?:\x07|\x1b\\)")
"""Answers to questions that were not asked (device attributes, strings with a terminator): Textual would type them."""

_LONGEST_KEY = 64


class TerminalInput:
    """Bytes in, events out. `waiting` says whether `tick` must be called in a while, for an Escape key by itself."""

    def __init__(self) -> None:
        self.pasted_too_long = False
        self._decode = getincrementaldecoder("utf-8")("replace").decode
        self._parser = XTermParser()
        self._pasted: int | None = None
        self._tail = ""
        self._begun = ""

    @property
    def waiting(self) -> bool:
        """Whether what came last may be the beginning of a sequence."""
        return self._parser._timeout_time is not None

    def feed(self, data: bytes) -> Iterator[Message]:
        """The events in `data`. Sizes that a terminal reports by itself are not believed: the client says them."""
        text = _ANSWERS.sub("", self._decode(data))
        for piece in _PIECES.split(text):
            if piece:
                yield from self._take(self._within_limit(piece))

    def tick(self) -> Iterator[Message]:
        """The events of what has waited long enough."""
        self._begun = ""
        for event in self._parser.tick():
            if _wanted(event):
                yield event

    def end(self) -> None:
        """Lets go of everything: the parser, and the keys that are kept by all parsers, would keep the application."""
        for _event in self._parser.feed(""):
            pass
        XTermParser._parse_extended_key.cache_clear()

    def _within_limit(self, piece: str) -> str:
        """Cuts a paste that is too long. Marks split over packets are found as well."""
        before = self._tail[-len(_PASTE) + 1 :]
        seen = before + piece
        self._tail = seen[-len(_PASTE) + 1 :]
        if self._pasted is None:
            if _PASTE in seen:
                self._pasted = 0
            return piece
        if _PASTED in seen:
            self._pasted = None
            return piece
        room = MOST_PASTED - self._pasted
        self._pasted += len(piece)
        if len(piece) <= room or piece[0] == "\x1b":
            return piece
        self.pasted_too_long = True
        # What may be the beginning of the end mark is kept.
        return piece[: max(room, 0)]

    def _take(self, piece: str) -> Iterator[Message]:
        """Gives the parser a piece. A sequence that is whole and means nothing to it is left out: it would wait for
        more, and take what is typed next for that."""
        begun = self._begun + piece
        found = _CONTROL.match(begun) if self._pasted is None else None
        if found is None or found.end() <= len(self._begun):
            yield from self._guarded(piece)
            self._begun = begun if begun.startswith("\x1b") and self.waiting else ""
            return
        end = found.end() - len(self._begun)
        yield from self._guarded(piece[:end])
        if self.waiting:
            self._parser = XTermParser()
        self._begun = ""
        if piece[end:]:
            yield from self._guarded(piece[end:])

    def _guarded(self, piece: str) -> Iterator[Message]:
        try:
            for event in self._parser.feed(piece):
                if _wanted(event):
                    yield event
        except Exception:  # noqa: BLE001 - whatever the parser stumbles over, the person goes on
            self._parser = XTermParser()
            self._pasted = None
            self._begun = ""


def _wanted(event: Message) -> bool:
    if isinstance(event, (events.Resize, messages.InBandWindowResize, events.CursorPosition)):
        return False
    return not (isinstance(event, events.Key) and len(event.key) > _LONGEST_KEY)

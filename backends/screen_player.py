"""A screen recording that is gone about in: what the screen showed at any moment, found in well under a second.

A moment is reached by emulating from the last whole picture before it. The bastion puts one into every 256 KB of
output; where a recording has none (an older one), `ScreenIndex` makes its own while it reads through.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from .cast import Cast, Event, Place, size_of
from .emulator import Emulator, Picture, Row, Snapshot

KEYFRAME = 256 * 1024
"""Characters of output after which the index keeps a snapshot, where the recording has no whole picture."""
MOST_KEYFRAMES = 400
"""Then every other one is forgotten, and they are made half as often."""

SETTLED = 0.1
"""Seconds without output after which what is on the screen can be read by somebody; text is looked at then."""
AT_LEAST_EVERY = 0.5
"""And as often as this while there is output."""
SAME_LINE = 10.0
"""Seconds within which a line that grows is one line of the text."""
MOST_TEXT = 200_000
"""Lines of text that are kept."""

IDLE = 1.5
"""Seconds without an event that are skipped, where idle time is; as much as `LEFT_OF_IDLE` is left of them."""
LEFT_OF_IDLE = 0.4


@dataclass(frozen=True, slots=True)
class Keyframe:
    """A snapshot behind all events before `place`."""

    at: float
    place: Place
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line that stood on the screen, since when."""

    at: float
    row: int
    text: str


class Stage:
    """An emulator with a cast's events going in."""

    def __init__(self, cast: Cast) -> None:
        self.emulator = Emulator(cast.columns, cast.lines)
        self.over = False

    def take(self, event: Event) -> None:
        """Shows one event."""
        if event.kind == "o":
            self.emulator.feed(event.data)
        elif event.kind == "r" and (size := size_of(event.data)) is not None:
            self.emulator.resize(*size)


class ScreenIndex:
    """What is found out by reading a recording through once, on a thread: snapshots, and the text of the screen.

    It can be read from while it is made: `reached` says how far it is. For a screen that is still being made, `read_on`
    goes on from there.
    """

    def __init__(self, cast: Cast) -> None:
        self._cast = cast
        self._stage = Stage(cast)
        self._place = Place(0, 0)
        self._busy = threading.Lock()
        self.keyframes: list[Keyframe] = []
        self.text: list[TextLine] = []
        self.text_cut = False
        self.reached = cast.first
        self._every = KEYFRAME
        self._since = 0
        self._rows: tuple[Row, ...] = ()
        self._texts: list[str] = []
        self._last_of_row: dict[int, int] = {}
        self._looked_at = cast.first

    def read_on(self, wanted: Callable[[], bool] = lambda: True) -> bool:
        """Reads up to the end that there is now, after whoever is at it; False where it is no longer wanted."""
        with self._busy:
            before: Event | None = None
            for place, event in self._cast.placed(self._place):
                if before is not None or self._place != Place(0, 0):
                    quiet = event.at - self.reached
                    if quiet >= SETTLED or event.at - self._looked_at >= AT_LEAST_EVERY:
                        self._look(self.reached)
                        if not wanted():
                            return False
                self._stage.take(event)
                before = event
                self._place = Place(place.block, place.event + 1)
                self.reached = event.at
                if event.kind == "o":
                    self._since += len(event.data)
                    if self._since >= self._every:
                        self._keep()
            self._look(self.reached)
            return True

    def _keep(self) -> None:
        self._since = 0
        picture = self._cast.picture_before(self.reached)
        if picture is not None and picture.at > (self.keyframes[-1].at if self.keyframes else self._cast.first - 1):
            return  # whole pictures come as often
        self.keyframes.append(Keyframe(self.reached, self._place, self._stage.emulator.snapshot()))
        if len(self.keyframes) > MOST_KEYFRAMES:
            self.keyframes = self.keyframes[::2]
            self._every *= 2

    def _look(self, at: float) -> None:
        """Takes down what is on the screen and was not before."""
        self._looked_at = at
        rows = self._stage.emulator.picture().rows
        if len(self.text) >= MOST_TEXT:
            self.text_cut = True
            return
        before = set(self._texts)
        if len(rows) != len(self._rows):
            self._rows, self._last_of_row = (), {}
            self._texts = [*self._texts[: len(rows)], *([""] * (len(rows) - len(self._texts)))]
        for y, row in enumerate(rows):
            if self._rows and row is self._rows[y]:
                continue
            text = "".join(piece for piece, _look in row).rstrip()
            known, self._texts[y] = self._texts[y], text
            if text == known or not text.strip() or text in before:
                continue
            index = self._last_of_row.get(y)
            if index is not None and (last := self.text[index]).at >= at - SAME_LINE and _grown(last.text, text):
                # It was being typed: what came of it stands where it was done.
                del self.text[index]
                for row_before, place in self._last_of_row.items():
                    if place > index:
                        self._last_of_row[row_before] = place - 1
            self._last_of_row[y] = len(self.text)
            self.text.append(TextLine(at, y, text))
        self._rows = rows

    def find(self, words: str) -> list[TextLine]:
        """The lines with all of these words in them, in either case, in the order of time."""
        needles = words.casefold().split()
        return [line for line in list(self.text) if all(each in line.text.casefold() for each in needles)]

    def keyframe_before(self, at: float) -> Keyframe | None:
        """The last snapshot up to a time."""
        frames = self.keyframes
        index = bisect_right(frames, at, key=lambda frame: frame.at) - 1
        return frames[index] if index >= 0 else None


def _grown(before: str, now: str) -> bool:
    """Whether a line is another with something put in at one place."""
    if len(now) < len(before):
        return False
    start = 0
    while start < len(before) and before[start] == now[start]:
        start += 1
    rest = before[start:].strip()
    return not rest or (start > 0 and now.rstrip().endswith(rest))


class ScreenPlayer:
    """Where somebody is in a recording.

    at      seconds from the screen's beginning
    """

    def __init__(self, cast: Cast, index: ScreenIndex | None = None) -> None:
        self.cast = cast
        self.index = index
        self.at = cast.first
        self._stage = Stage(cast)
        self._place = Place(0, 0)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines that the screen has here."""
        return self._stage.emulator.size

    def picture(self) -> Picture:
        """What the screen shows here."""
        return self._stage.emulator.picture()

    def forward(self, to: float, most: int | None = None) -> bool:
        """Goes on to a time, by the events up to it; with `most`, after so many characters of output it stops and
        answers False."""
        count = 0
        for place, event in self.cast.placed(self._place):
            if event.at > to:
                break
            self._stage.take(event)
            self._place = Place(place.block, place.event + 1)
            self.at = max(self.at, event.at)
            count += len(event.data)
            if most is not None and count > most:
                return False
        self.at = max(self.at, min(to, self.cast.last))
        return True

    def seek(self, to: float) -> None:
        """Goes to a time, before or behind."""
        to = min(max(to, self.cast.first), self.cast.last)
        picture = self.cast.picture_before(to)
        keyframe = self.index.keyframe_before(to) if self.index is not None else None
        best = max(picture.at if picture is not None else -1.0, keyframe.at if keyframe is not None else -1.0)
        if not (self.at <= to and self.at >= best):
            self._stage = Stage(self.cast)
            if picture is not None and picture.at == best:
                self._stage.emulator = Emulator(picture.columns, picture.lines)
                self._place = picture.place
            elif keyframe is not None:
                self._stage.emulator = Emulator.restored(keyframe.snapshot)
                self._place = keyframe.place
            else:
                self._place = Place(0, 0)
            self.at = max(best, self.cast.first)
        self.forward(to)
        self.at = to

    def next_event(self) -> float | None:
        """When something happens next; None where there is nothing more."""
        return next((event.at for _place, event in self.cast.placed(self._place)), None)

    def next_change(self) -> float | None:
        """When the screen changes next."""
        for event in self.cast.events(self._place):
            if event.kind in ("o", "r") and event.at > self.at:
                return event.at
        return None


def behind(times: list[float], at: float, step: int) -> float | None:
    """Of sorted times the next one after (`step` 1) or before (-1) a moment; within 50 ms it is the same."""
    if step > 0:
        index = bisect_right(times, at + 0.05)
        return times[index] if index < len(times) else None
    index = bisect_left(times, at - 0.05) - 1
    return times[index] if index >= 0 else None

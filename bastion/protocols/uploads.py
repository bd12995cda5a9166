"""The beginning of what a client streams into a statement (COPY, a local file), on its way to the recording."""

from __future__ import annotations

from collections.abc import Sequence

from .contract import ClientData


class UploadSample:
    """Counts what of each upload may still be handed out. Shared by all that read one client."""

    __slots__ = ("_left", "_number", "limit")

    def __init__(self) -> None:
        self.limit = 0
        """Bytes of one upload; 0 where nobody keeps them. The contract's `sampled`."""
        self._number = 0
        self._left = 0

    def room(self, number: int) -> int:
        """How many more bytes of the data of statement `number` are wanted."""
        if number != self._number:
            self._number, self._left = number, self.limit
        return self._left

    def note(self, number: int, parts: Sequence[bytes]) -> ClientData:
        """The note that hands out `parts`, which follow what was handed out before; no more than the room."""
        data = b"".join(parts)[: self.room(number)]
        self._left -= len(data)
        return ClientData(number, data)

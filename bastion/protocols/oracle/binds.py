"""The values of one execution, as they are recorded: each cut at BIND_LIMIT, all of them at BINDS_LIMIT."""

from __future__ import annotations

import hashlib

from bastion.protocols.contract import BIND_LIMIT, BINDS_LIMIT, Bind

from .codec import Malformed, Reader
from .columns import Described
from .constants import ROW_DATA
from .values import read_bind


class BindRows:
    """Rows of binds that follow a call: `left` so many, of these kinds. Raises what reading raises."""

    def __init__(self, kinds: tuple[Described, ...], left: int) -> None:
        self._kinds = kinds
        self.left = left
        self._room = BINDS_LIMIT
        self._unkept = 0
        self._digest = hashlib.sha256()

    def read(self, reader: Reader) -> tuple[Bind, ...]:
        """The values of the next row that are recorded; where there is no more room, () and a digest at the end."""
        begin = reader.position
        if reader.ub1() != ROW_DATA:
            raise Malformed("something else where a row of binds should be")
        values = tuple(_bounded(read_bind(reader, kind)) for kind in self._kinds)
        self.left -= 1
        size = sum(4 if value is None else len(value) for value in values)
        if size <= self._room:
            self._room -= size
            kept = values
        else:
            self._room = 0
            self._unkept += 1
            self._digest.update(reader.data[begin : reader.position])
            kept = ()
        if not self.left and self._unkept:
            kept += (f"… ({self._unkept} more rows, sha256 {self._digest.hexdigest()})",)
        return kept


def _bounded(value: Bind) -> Bind:
    if value is None or len(value) <= BIND_LIMIT:
        return value
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{value[:BIND_LIMIT]}… ({len(value)} characters, sha256 {digest})"

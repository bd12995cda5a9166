"""What the person keeps at the bastion: open editors, history, saved queries, favourites.

The workstation works without it: where it cannot be reached nothing is found and nothing is kept, and `trouble` is
told once. Values are any msgspec type, as JSON. Everything here is called on the screens' loop.

Kinds in use: `history` (a struct with `text`, the statement, and `engine`; credentials in the text are taken out by
the bastion), and whatever a screen names. Keys are not sealed: nothing of a statement belongs into one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.methods import Method
from bastion.api.refusals import Refused

from .link import LinkError

T = TypeVar("T")


class Calls(Protocol):
    """The control API, as `Link` gives it."""

    async def call(self, method: Method, params: m.Message) -> Any: ...


@dataclass(frozen=True)
class Kept(Generic[T]):
    """One item. `updated_at` is RFC 3339 in UTC."""

    key: str
    value: T
    updated_at: str


class Personal:
    """One for the whole workstation; `use` gives it the bastion once somebody is logged in.

    trouble: is told why something is not kept or found, each reason once for a link.
    """

    def __init__(self, trouble: Callable[[Exception], None] | None = None) -> None:
        self.trouble = trouble
        self._calls: Calls | None = None
        self._told: set[str] = set()
        self._waiting: dict[tuple[str, str], bytes | None] = {}
        self._writing: asyncio.Task[None] | None = None

    def use(self, calls: Calls | None) -> None:
        """From here on with this link; None: with none."""
        self._calls = calls
        self._told.clear()

    async def get(self, kind: str, key: str, type: type[T]) -> T | None:
        """The value under that key; None where there is none, or it is of another form."""
        if (kind, key) in self._waiting:
            waiting = self._waiting[kind, key]
            return None if waiting is None else _read(waiting, type)
        page = await self._call(methods.PERSONAL_LIST, methods.PersonalList(kind=kind, key=key, limit=1))
        if page is None or not page.items:
            return None
        return _read(page.items[0].value, type)

    async def items(self, kind: str, type: type[T], *, prefix: str = "", limit: int = 0) -> list[Kept[T]]:
        """Items of a kind, the last changed first; `limit` 0: all of them. Those of another form are left out."""
        await self.flush()
        found: list[Kept[T]] = []
        after: str | None = None
        while True:
            rest = limit - len(found) if limit else 0
            page = await self._call(
                methods.PERSONAL_LIST, methods.PersonalList(kind=kind, prefix=prefix, limit=rest, after=after)
            )
            if page is None:
                return found
            for item in page.items:
                value = _read(item.value, type)
                if value is not None:
                    found.append(Kept(item.key, value, item.updated_at))
            after = page.next
            if after is None or (limit and len(found) >= limit):
                return found

    async def put(self, kind: str, key: str, value: object) -> bool:
        """Keeps a value. False where it could not be kept; the reason has been told."""
        self._waiting.pop((kind, key), None)
        return await self._put(kind, key, msgspec.json.encode(value))

    async def remove(self, kind: str, key: str | None = None) -> bool:
        """Removes one item, or all of a kind. False where it could not be done."""
        for place in [each for each in self._waiting if each[0] == kind and key in (None, each[1])]:
            del self._waiting[place]
        return await self._call(methods.PERSONAL_REMOVE, methods.PersonalRemove(kind=kind, key=key)) is not None

    def put_soon(self, kind: str, key: str, value: object) -> None:
        """Keeps a value in the background; of several for one key that wait, only the last is sent."""
        self._waiting[kind, key] = msgspec.json.encode(value)
        self._start()

    def remove_soon(self, kind: str, key: str) -> None:
        """Removes one item in the background."""
        self._waiting[kind, key] = None
        self._start()

    async def flush(self) -> None:
        """Waits until what was put in the background is kept, or could not be."""
        if self._writing is not None:
            await asyncio.wait([self._writing])

    def _start(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while self._waiting:
            (kind, key), value = next(iter(self._waiting.items()))
            if value is None:
                await self._call(methods.PERSONAL_REMOVE, methods.PersonalRemove(kind=kind, key=key))
            else:
                await self._put(kind, key, value)
            if self._waiting.get((kind, key), b"") is value:  # nothing newer has come meanwhile
                del self._waiting[kind, key]

    async def _put(self, kind: str, key: str, value: bytes) -> bool:
        request = methods.PersonalPut(kind=kind, key=key, value=value.decode())
        return await self._call(methods.PERSONAL_PUT, request) is not None

    async def _call(self, method: Method, params: m.Message) -> Any:
        """The answer, None where there is none."""
        if self._calls is None:
            return None
        try:
            answer = await self._calls.call(method, params)
        except (Refused, LinkError) as error:
            reason = error.code if isinstance(error, Refused) else "link"
            if reason not in self._told and self.trouble is not None:
                self._told.add(reason)
                self.trouble(error)
            return None
        return answer


def _read(value: str | bytes, type: type[T]) -> T | None:
    try:
        return msgspec.json.decode(value, type=type)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None

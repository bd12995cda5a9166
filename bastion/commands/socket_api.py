"""The control API over the running bastion's Unix socket, for commands on the same machine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from bastion.api import rpc
from bastion.api.methods import Method
from bastion.api.refusals import RefusalData, Refused

from .words import UNREACHABLE, CommandFailed

CALL_SECONDS = 600.0
CONNECT_SECONDS = 5.0


class SocketApi:
    """One connection; one call at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._lines = rpc.Lines()
        self._number = 0

    @classmethod
    async def connect(cls, path: Path) -> SocketApi | None:
        """None where no bastion answers there. Raises CommandFailed where this user may not ask."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_unix_connection(str(path), limit=rpc.MAX_LINE)
        except PermissionError as error:
            raise CommandFailed(
                f"{path}: only the bastion's own user and root may use it. Use another user, or --bastion."
            ) from error
        except (OSError, TimeoutError):
            return None
        return cls(reader, writer)

    async def call(self, method: Method, params: Any) -> Any:
        """One call. Raises Refused; CommandFailed where the bastion goes away or does not answer."""
        self._number += 1
        self._writer.write(rpc.request(self._number, method.name, params))
        try:
            async with asyncio.timeout(CALL_SECONDS):
                while True:
                    data = await self._reader.read(256 * 1024)
                    if not data:
                        raise CommandFailed("The bastion closed the connection. See its log.", UNREACHABLE)
                    for incoming in self._lines.feed(data):
                        if incoming.id == self._number:
                            return _result(method, incoming)
        except TimeoutError as error:
            raise CommandFailed(
                f"The bastion did not answer within {CALL_SECONDS:.0f} seconds.", UNREACHABLE
            ) from error
        except (OSError, rpc.BadLine, rpc.LineTooLong) as error:
            raise CommandFailed(f"The bastion's answer was not understood: {error}.", UNREACHABLE) from error

    async def close(self) -> None:
        """Ends the connection."""
        self._writer.close()


def _result(method: Method, incoming: rpc.Incoming) -> Any:
    if incoming.error is None:
        return msgspec.convert(incoming.result, method.result)
    if incoming.error.data is not None:
        refusal = msgspec.convert(incoming.error.data, RefusalData)
        raise Refused(refusal.code, **refusal.params)
    raise CommandFailed(incoming.error.message)

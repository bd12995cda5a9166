"""A relay of TCP connections that counts what goes to the client: the bytes of a session on the wire."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import ExitStack
from types import TracebackType

_PIECE = 65_536
_STEP = 0.2


class CountedWire:
    """Listens on a port of its own while it is used as a context manager, for one connection."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self.to_client = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._relay, name="counted-wire", daemon=True)

    def __enter__(self) -> CountedWire:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._listener.close()

    def _relay(self) -> None:
        with ExitStack() as stack:
            while not select.select([self._listener], [], [], _STEP)[0]:
                if self._over.is_set():
                    return
            client = stack.enter_context(self._listener.accept()[0])
            server = stack.enter_context(socket.create_connection(self._target))
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while not self._over.is_set():
                for ready in select.select([client, server], [], [], _STEP)[0]:
                    data = ready.recv(_PIECE)
                    if not data:
                        return
                    if ready is server:
                        self.to_client += len(data)
                    (client if ready is server else server).sendall(data)

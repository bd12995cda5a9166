"""Takes connections on a port of 127.0.0.1, each in a thread."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from pathlib import Path

from .conversation import Conversation, Manners
from .sql import Database
from .wire import Gone, Wire

PASSWORDS = {"APP": "a Secret of 1", "REPORT": "another Secret 2"}


class OracleServer:
    """Listens from when it is made until `stop`. `database.log` has what it was asked to run."""

    def __init__(self, manners: Manners | None = None, passwords: dict[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="oracle-double-")
        self.database = Database(str(Path(self._folder.name) / "database.sqlite3"))
        self.passwords = dict(passwords or PASSWORDS)
        self.manners = manners or Manners()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.host, self.port = "127.0.0.1", self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self.failures: list[BaseException] = []
        self._accepting = threading.Thread(target=self._accept, name="oracle-double", daemon=True)
        self._accepting.start()

    @property
    def log(self) -> list[str]:
        """The statements that were run, in order."""
        return [text for _, text in self.database.log if not text.startswith("-- login")]

    @property
    def logins(self) -> list[tuple[str, str]]:
        """User and program of each login."""
        return [(user, text[10:]) for user, text in self.database.log if text.startswith("-- login")]

    @property
    def running(self) -> str:
        """The statements that are being run, one a line."""
        return "\n".join(self.database.running)

    @property
    def connections(self) -> int:
        return len(self._open)

    def stop(self) -> None:
        # Closing alone does not wake a thread that waits in accept: the port would stay open, and the thread might
        # end up with the connections of whoever gets the descriptor next.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(60)
        self._listener.close()
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._folder.cleanup()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            Conversation(Wire(connection, self.manners.unit), self.database, self.passwords, self.manners).run()
        except (Gone, OSError):
            pass
        except Exception as error:  # noqa: BLE001 - for the test that looks
            self.failures.append(error)
        finally:
            self._open.discard(connection)
            connection.close()

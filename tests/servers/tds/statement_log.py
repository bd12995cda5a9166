"""What the server was asked to run, one JSON object a line, written before it runs."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any


class StatementLog:
    """session, user, database, kind (login, batch, rpc, transaction, bulk, attention), text; of an rpc its
    parameters."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1, encoding="utf-8", errors="backslashreplace")
        self._lock = threading.Lock()

    def write(self, **entry: Any) -> None:
        line = json.dumps(entry, ensure_ascii=False, default=repr)
        with self._lock:
            self._file.write(line + "\n")

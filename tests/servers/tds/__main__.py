"""`python -m tests.servers.tds FOLDER`: runs the server until it is ended; what it needs stands in FOLDER/server.json.

`{"certificate", "key", "logins": {name: password}, "listeners": {name: {port, …}}}`. It writes FOLDER/ports.json when
it listens, the statements it ran to FOLDER/statements.log.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from .databases import Databases
from .server import Certificate, Listener, Manners
from .state import Shared
from .statement_log import StatementLog


def main(folder: Path) -> None:
    """Never returns."""
    wanted = json.loads((folder / "server.json").read_text())
    data = folder / "data"
    data.mkdir(exist_ok=True)
    databases = Databases(data)
    databases.logins.update({name.lower(): password for name, password in wanted["logins"].items()})
    shared = Shared(databases, StatementLog(folder / "statements.log"))
    certificate = Certificate(Path(wanted["certificate"]), Path(wanted["key"]))
    ports: dict[str, int] = {}
    for name, settings in wanted["listeners"].items():
        port = settings.pop("port", 0)
        if settings.get("route") in ports:
            settings["route"] = f"127.0.0.1:{ports[settings['route']]}"
        listener = Listener(shared, certificate, Manners(**settings), port)
        ports[name] = listener.port
        threading.Thread(target=listener.run, daemon=True).start()
    unfinished = folder / "ports.json.new"
    unfinished.write_text(json.dumps(ports))
    os.replace(unfinished, folder / "ports.json")
    threading.Event().wait()


main(Path(sys.argv[1]))

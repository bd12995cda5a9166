"""The server's own procedures that clients ask for a catalog, and some that only tests call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .response import Response

if TYPE_CHECKING:
    from .procedures import Arguments, Procedures


def procedures(owner: Procedures) -> dict[str, Callable[[Arguments, Response], int]]:
    """Those of one session, by name."""
    return {
        "sp_reset_connection": lambda _arguments, _out: 0,
        "sp_who": lambda _arguments, out: _query(owner, "select spid, status, loginame, hostname, dbname, cmd from "
                                                 "sys.sysprocesses", out),
    }  # fmt: skip


def _query(owner: Procedures, text: str, out: Response) -> int:
    return owner.interpreter.run_batch(text, out, {})

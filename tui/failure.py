"""When the workstation itself fails: a sentence for the person, the traceback for whoever mends it."""

from __future__ import annotations

import logging
import os
import traceback
from logging.handlers import RotatingFileHandler
from pathlib import Path

from platformdirs import user_log_path

from bastion.api.language import translate as _


def write_failure(error: BaseException) -> Path | None:
    """Writes where it happened, without values of variables; None where nothing can be written."""
    try:
        folder = user_log_path("casemate", ensure_exists=True)
        file = folder / "workstation.log"
        handler = RotatingFileHandler(file, maxBytes=1_000_000, backupCount=2, encoding="utf-8")
        os.chmod(file, 0o600)
        lines = traceback.format_tb(error.__traceback__)
        # Not the message: it may quote what a statement or a database said.
        handler.emit(logging.makeLogRecord({"msg": f"{type(error).__name__}\n{''.join(lines)}"}))
        handler.close()
    except OSError:
        return None
    return file


def failure_sentence(where: Path | None) -> str:
    """What the person is told."""
    if where is None:
        return _("The workstation failed and had to stop. Sessions that it had open are ended by the bastion.")
    return _(
        "The workstation failed and had to stop; {file} says where. Sessions that it had open are ended by the bastion."
    ).format(file=where)

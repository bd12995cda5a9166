"""The program's own standard streams and secrets: what a word prints to, reads from and asks for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .words import WRONG_USAGE, CommandFailed

MAX_FILE = 64 * 1024 * 1024
MAX_PASSWORD_FILE = 4096


class StandardOutput:
    """Standard output and error."""

    @property
    def terminal(self) -> bool:
        return sys.stdout.isatty()

    def out(self, text: str) -> None:
        sys.stdout.write(text)

    def data(self, data: bytes) -> None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)

    def err(self, text: str) -> None:
        sys.stdout.flush()
        sys.stderr.write(text)
        sys.stderr.flush()

    async def drain(self) -> None:
        sys.stdout.flush()


async def read_input() -> bytes:
    """All of standard input."""
    return sys.stdin.buffer.read()


def read_file(name: str) -> str:
    """The text of a file. Raises CommandFailed."""
    path = Path(name)
    try:
        if path.stat().st_size > MAX_FILE:
            raise CommandFailed(f"{name} is longer than {MAX_FILE} bytes.", WRONG_USAGE)
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"{name} cannot be read: {error.strerror}.", WRONG_USAGE) from error
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{name} is not UTF-8 text.", WRONG_USAGE) from error


def given_password(file: str | None) -> str | None:
    """The password of `--password-file`, else of CASEMATE_PASSWORD, else None. Raises CommandFailed."""
    if file is not None:
        path = Path(file)
        try:
            if path.is_file() and path.stat().st_size > MAX_PASSWORD_FILE:
                raise CommandFailed(f"{file} is too long for a password file.", WRONG_USAGE)
            with path.open(encoding="utf-8") as lines:
                return lines.readline(MAX_PASSWORD_FILE).rstrip("\r\n")
        except OSError as error:
            raise CommandFailed(f"{file} cannot be read: {error.strerror}.", WRONG_USAGE) from error
        except UnicodeDecodeError as error:
            raise CommandFailed(f"{file} is not UTF-8 text.", WRONG_USAGE) from error
    return os.environ.get("CASEMATE_PASSWORD")


def given_reason(file: str | None) -> str:
    """The reason of `--reason-file` (its first line; `-`: asked for, or of standard input), else of CASEMATE_REASON,
    else ''. For those who do not want it in the list of processes. Raises CommandFailed."""
    if file is None:
        return os.environ.get("CASEMATE_REASON", "").strip()
    if file == "-":
        if sys.stdin.isatty():
            sys.stderr.write("Reason: ")
            sys.stderr.flush()
        return sys.stdin.readline(MAX_PASSWORD_FILE).strip()
    return (read_file(file).splitlines() or [""])[0].strip()


def can_ask() -> bool:
    """Whether there is a person at a terminal to ask."""
    try:
        with open("/dev/tty", "rb"):
            return True
    except OSError:
        return False


def ask_password(prompt: str) -> str:
    """Asks at the terminal, without showing what is typed. Raises CommandFailed where nobody answers."""
    import getpass

    try:
        return getpass.getpass(prompt)
    except (EOFError, OSError) as error:
        raise CommandFailed(
            "There is nobody to ask for the password. Give --password-file or CASEMATE_PASSWORD."
        ) from error

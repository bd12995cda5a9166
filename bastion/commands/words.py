"""The words of the command line: one table for the `casemate` program, for `exec` over SSH and for local mode.

A word knows its arguments, which calls of the control API it makes, and how its answers are printed. Where the calls
go (an SSH connection, the same process, a Unix socket) is its context's business.
"""

from __future__ import annotations

import argparse
import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import IO, Any, NoReturn, Protocol

from bastion.api.messages import Message
from bastion.api.methods import Method

DONE, NOT_SO, WRONG_USAGE, UNREACHABLE, LOGIN_REFUSED = 0, 1, 2, 3, 4
"""Exit codes: done; the thing asked for is not so; wrong usage; no bastion or no trust in its key; login refused."""


class Place(enum.Enum):
    """Where a word can be used: in the program over SSH, in `exec` over plain SSH, on the bastion's own machine."""

    PROGRAM = "program"
    EXEC = "exec"
    LOCAL = "local"


ANYWHERE = frozenset(Place)
REMOTE = frozenset({Place.PROGRAM, Place.EXEC})


class Api(Protocol):
    """The control API, however it is reached. Raises `bastion.api.refusals.Refused` for a no."""

    async def call(self, method: Method, params: Message) -> Any:
        """The answer to one call, as the method's result type."""
        ...


class Output(Protocol):
    """Where a word prints: data on `out`, narration on `err`. `drain` waits while the reader is slow.

    data: bytes as they are, beside `out`. terminal: what is printed goes to one, as far as that is known.
    """

    @property
    def terminal(self) -> bool: ...
    def out(self, text: str) -> None: ...
    def data(self, data: bytes) -> None: ...
    def err(self, text: str) -> None: ...
    async def drain(self) -> None: ...


class CommandFailed(Exception):
    """A word cannot do what was asked. The message is shown as it is; `exit_code` is one of the codes above."""

    def __init__(self, message: str, exit_code: int = NOT_SO) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class UsageShown(Exception):
    """The arguments are wrong (`exit_code` 2, `text` for standard error) or help was asked for (0, standard output)."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.text = text
        self.exit_code = exit_code


@dataclass(slots=True)
class Context:
    """What a word works with. `read_file` is None where a file's name would be one of the bastion's own disk."""

    api: Api
    output: Output
    place: Place
    person: str = ""
    read_file: Callable[[str], str] | None = None
    read_input: Callable[[], Awaitable[bytes]] | None = None

    async def text_of(self, name: str) -> str:
        """The text of a file that an argument names; `-` is standard input. Raises CommandFailed."""
        if name == "-":
            if self.read_input is None:
                raise CommandFailed("There is no standard input here.", WRONG_USAGE)
            data = await self.read_input()
            try:
                return data.decode("utf-8")
            except UnicodeDecodeError as error:
                raise CommandFailed(f"Standard input is not UTF-8 text: {error.reason}.", WRONG_USAGE) from error
        if self.read_file is None:
            raise CommandFailed(
                "Files cannot be named over plain SSH. Use - and give the text on standard input.", WRONG_USAGE
            )
        return self.read_file(name)


Run = Callable[[Context, argparse.Namespace], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Word:
    """One command. `run` is None where the program itself does it (it opens connections or screens)."""

    name: str
    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Run | None
    places: frozenset[Place]


class Parser(argparse.ArgumentParser):
    """argparse that raises UsageShown where it would print and leave the process: the gateway uses it too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"formatter_class": _HelpFormatter, "allow_abbrev": False, **kwargs})

    def print_help(self, file: IO[str] | None = None) -> None:  # type: ignore[override]  # argparse's own type is private
        raise UsageShown(self.format_help(), DONE)

    def error(self, message: str) -> NoReturn:
        raise UsageShown(f"{self.format_usage()}{self.prog}: {message}\n", WRONG_USAGE)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise UsageShown(message or "", status)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """The same width everywhere: the gateway does not know the reader's terminal."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=100)


def build_parser(
    words: tuple[Word, ...],
    place: Place,
    prog: str,
    common: Callable[[argparse.ArgumentParser, Word], None] | None = None,
) -> Parser:
    """The parser of all words that can be used in `place`; `common` adds to each what all of them take there."""
    parser = Parser(prog=prog, description="Databases through the bastion, from the terminal.")
    commands = parser.add_subparsers(dest="word", metavar="COMMAND", title="commands")
    for word in words:
        if place in word.places:
            sub = commands.add_parser(word.name, help=word.help, description=word.help)
            word.arguments(sub)
            if common is not None:
                common(sub, word)
            sub.set_defaults(chosen=word)
    return parser

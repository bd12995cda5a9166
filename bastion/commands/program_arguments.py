"""The arguments of the `casemate` program: every word of the table, and how the bastion is reached."""

from __future__ import annotations

import argparse

from bastion import __version__

from .table import WORDS
from .words import DONE, WRONG_USAGE, Parser, Place, UsageShown, Word, build_parser

EPILOG = """\
exit codes: 0 done; 1 the thing asked for is not so; 2 wrong usage; 3 the bastion cannot be reached or its key is not
trusted; 4 login refused. Passwords come from a prompt, --password-file or CASEMATE_PASSWORD, never from an argument.
The same commands work over plain SSH: ssh -p 60022 USER@HOST databases --json
"""

_MOVABLE = {"--config", "--bastion", "--identity", "--password-file", "--journal", "--recordings", "--public-key",
            "--bundle"}  # fmt: skip


WITH_REASON = frozenset({"sql", "tunnel", "token", "tokens", "end", "message", "hold", "release", "lock", "unlock",
                         "watch"})  # fmt: skip
"""Commands whose reason can also come from a file or the environment."""


def _common(parser: argparse.ArgumentParser, word: Word) -> None:
    if word.name in ("init", "serve", "demo", "keys"):
        return
    if Place.LOCAL in word.places:
        own = Place.PROGRAM not in word.places
        parser.add_argument(
            "--config", metavar="FILE", required=own,
            help="work on this bastion's own machine, as its administrator: DIR/casemate.toml",
        )  # fmt: skip
        if own:
            return
    group = parser.add_argument_group("the bastion")
    if word.name != "connect":
        group.add_argument(
            "--bastion", metavar="USER@HOST[:PORT]", help="else CASEMATE_BASTION, else the last one used"
        )
    group.add_argument(
        "--identity", metavar="FILE", help="a private key to log in with; keys of the SSH agent are tried too"
    )
    group.add_argument("--password-file", metavar="FILE", help="its first line is the password")
    group.add_argument(
        "--trust-new", action="store_true", help="trust a host key that is not known yet, and remember it"
    )
    if word.name in WITH_REASON:
        parser.add_argument(
            "--reason-file", metavar="FILE",
            help="the reason is its first line; - asks for it, or reads standard input. Else CASEMATE_REASON",
        )  # fmt: skip
    if word.name == "sql":
        group.add_argument("--inherited", help=argparse.SUPPRESS)
    if word.name == "audit":
        parser.add_argument_group("a journal's copy").add_argument(
            "--journal", metavar="DIR", help="verify: these files, with the public key alone"
        )
        parser.add_argument("--recordings", metavar="DIR", help="verify: these recordings too, beside --journal")
        parser.add_argument("--bundle", metavar="FILE", help="verify: a bundle of evidence, with the public key alone")
        parser.add_argument("--public-key", metavar="FILE", help="verify: the node's public key, node.pub")


def _parser() -> Parser:
    both = tuple(_for_program(word) for word in WORDS)
    parser = build_parser(both, Place.PROGRAM, "casemate", _common)
    parser.epilog = EPILOG
    parser.add_argument("--version", action="store_true", help="show the version")
    return parser


def _for_program(word: Word) -> Word:
    """Words of the bastion's own machine are typed into the same program."""
    if Place.PROGRAM in word.places:
        return word
    return Word(word.name, word.help, word.arguments, word.run, word.places | {Place.PROGRAM})


def parse(words: list[str]) -> argparse.Namespace:
    """What was typed. Raises UsageShown for what is no command, and for a help that was asked for."""
    if not words or (not words[0].startswith("-") and "@" in words[0]):
        words = ["connect", *words]
    if words == ["--version"]:
        raise UsageShown(f"casemate {__version__}\n", DONE)
    # The options of a group of commands may stand before or after its action: `audit --config F verify`.
    parsed = _parser().parse_args(_options_first(words))
    if getattr(parsed, "chosen", None) is None:
        raise UsageShown(_parser().format_help(), WRONG_USAGE)
    return parsed


def _options_first(words: list[str]) -> list[str]:
    """For `audit`, whose actions are parsers of their own: what all of them take is moved before the action."""
    if words[:1] != ["audit"]:
        return words
    moved: list[str] = []
    rest: list[str] = []
    position = 1
    while position < len(words):
        word = words[position]
        if word == "--":
            rest += words[position:]
            break
        if word in _MOVABLE and position + 1 < len(words):
            moved += [word, words[position + 1]]
            position += 1
        elif word.partition("=")[0] in _MOVABLE or word == "--trust-new":
            moved.append(word)
        else:
            rest.append(word)
        position += 1
    return ["audit", *moved, *rest]

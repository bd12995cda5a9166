"""message, hold, release, lock, unlock, locks: what auditors do to sessions and people."""

from __future__ import annotations

import argparse

from bastion.api import live, methods
from bastion.api.language import translate as _

from .printing import clean, json_line, table
from .values import period, shown_moment
from .words import ANYWHERE, DONE, Context, Word


def _reason(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reason", default="", metavar="TEXT", help="why; it must be said, and is on record with your name"
    )


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the answer as a JSON object")


def _message_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", metavar="SESSION", help="the session's id")
    parser.add_argument("text", metavar="TEXT", help="what its user is told")
    _reason(parser)
    _json(parser)


async def _message(context: Context, arguments: argparse.Namespace) -> int:
    request = live.MessageRequest(id=arguments.session, text=arguments.text, reason=arguments.reason)
    told: live.Delivered = await context.api.call(methods.MESSAGE, request)
    if arguments.json:
        context.output.out(json_line(told))
    else:
        context.output.err(delivered_words(told) + "\n")
    return DONE


def delivered_words(told: live.Delivered) -> str:
    """Where a message went, honestly."""
    ways = []
    if told.workstations:
        ways.append(_("workstations of theirs: {count}").format(count=told.workstations))
    if told.protocol:
        ways.append(_("their client, as a notice of its protocol"))
    if told.ssh:
        ways.append(_("their SSH connection (ssh shows it with -v only)"))
    if not ways:
        return _("The message is on record, but there is no way to show it: no workstation of theirs is open, and the "
                 "protocol of their client has no notices.")  # fmt: skip
    return _("Sent to {ways}.").format(ways="; ".join(ways))


def _hold_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", metavar="SESSION", help="the session's id")
    _reason(parser)
    parser.add_argument(
        "--for", dest="period", type=period, default=live.HELD_FOR, metavar="TIME",
        help="how long at most, like 60s or 5m; then the statement is refused (60s)",
    )  # fmt: skip
    _json(parser)


async def _hold(context: Context, arguments: argparse.Namespace) -> int:
    request = live.HoldRequest(id=arguments.session, reason=arguments.reason, seconds=arguments.period)
    held: live.Hold = await context.api.call(methods.HOLD, request)
    if arguments.json:
        context.output.out(json_line(held))
    else:
        words = _("The next statement of {id} waits; `casemate release {id}` lets it go.")
        context.output.err(words.format(id=clean(arguments.session)) + "\n")
    return DONE


def _release_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", metavar="SESSION", help="the session's id")
    _reason(parser)
    parser.add_argument("--refuse", action="store_true", help="the statement is not run; its client gets an error")
    parser.add_argument("--again", action="store_true", help="hold the statement behind it too")
    _json(parser)


async def _release(context: Context, arguments: argparse.Namespace) -> int:
    request = live.ReleaseRequest(
        id=arguments.session, reason=arguments.reason, refuse=arguments.refuse, again=arguments.again
    )
    was: live.Hold = await context.api.call(methods.RELEASE, request)
    if arguments.json:
        context.output.out(json_line(was))
    elif was.seq is None:
        context.output.err(_("No statement had come; none is held now.") + "\n")
    elif arguments.refuse:
        context.output.err(_("Statement {seq} is refused.").format(seq=was.seq) + "\n")
    else:
        context.output.err(_("Statement {seq} goes on.").format(seq=was.seq) + "\n")
    return DONE


def _lock_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("user", metavar="USER", help="who")
    parser.add_argument("--for", dest="period", type=period, required=True, metavar="TIME", help="like 30m, 8h or 2d")
    _reason(parser)
    _json(parser)


async def _lock(context: Context, arguments: argparse.Namespace) -> int:
    request = live.LockRequest(user=arguments.user, seconds=arguments.period, reason=arguments.reason)
    lock: live.Lock = await context.api.call(methods.USER_LOCK, request)
    if arguments.json:
        context.output.out(json_line(lock))
    else:
        words = _("{user} is locked until {until}; sessions ended: {count}.")
        context.output.err(
            words.format(user=clean(lock.user), until=shown_moment(lock.until), count=lock.sessions) + "\n"
        )
    return DONE


def _unlock_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("user", metavar="USER", help="who")
    _reason(parser)


async def _unlock(context: Context, arguments: argparse.Namespace) -> int:
    await context.api.call(methods.USER_UNLOCK, live.UnlockRequest(user=arguments.user, reason=arguments.reason))
    context.output.err(_("{user} can log in again.").format(user=clean(arguments.user)) + "\n")
    return DONE


def _locks_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object a line on standard output")


async def _locks(context: Context, arguments: argparse.Namespace) -> int:
    found: list[live.Lock] = await context.api.call(methods.USER_LOCKS, methods.Nothing())
    if arguments.json:
        for lock in found:
            context.output.out(json_line(lock))
    elif found:
        table(
            context.output,
            (_("USER"), _("UNTIL"), _("BY"), _("REASON")),
            ((lock.user, shown_moment(lock.until), lock.by, lock.reason) for lock in found),
        )
    else:
        context.output.err(_("Nobody is locked by an auditor.") + "\n")
    return DONE


WORDS = (
    Word("message", "tell the user of a live session something", _message_arguments, _message, ANYWHERE),
    Word("hold", "hold the next statement of a live session before it reaches the database", _hold_arguments, _hold,
         ANYWHERE),
    Word("release", "let a held statement go, or refuse it", _release_arguments, _release, ANYWHERE),
    Word("lock", "lock a person for a time: sessions end, logins are refused", _lock_arguments, _lock, ANYWHERE),
    Word("unlock", "let a locked person log in again", _unlock_arguments, _unlock, ANYWHERE),
    Word("locks", "people who are locked by an auditor now", _locks_arguments, _locks, ANYWHERE),
)  # fmt: skip

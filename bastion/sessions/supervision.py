"""What an auditor may do to a live session beside ending it. Whoever calls has judged the role, and wants a reason."""

from __future__ import annotations

from collections.abc import Callable

from bastion.api import live
from bastion.api.refusals import Refused

from .ending import spoken
from .hold import Hold
from .live import LiveSession


def hold(
    session: LiveSession, by: str, source: str, reason: str, seconds: int, changed: Callable[[], None]
) -> live.Hold:
    """Holds the session's next statement. Raises Refused (`session-not-live`, `already-held`)."""
    relay = session.relay
    if relay is None or session.ending.done():
        raise Refused("session-not-live", session=session.id)
    if relay.hold is not None:
        raise Refused("already-held", by=relay.hold.by)
    order = Hold(relay, session.visit.user, by, source, reason, seconds, changed)
    order.place()
    return order.shown()


def release(
    session: LiveSession, by: str, source: str, reason: str, changed: Callable[[], None], *, refuse: bool, again: bool
) -> live.Hold:
    """Lets the held statement go, or refuses it; `again` holds the next one too. The hold as it was.

    Raises Refused (`nothing-held`) and JournalFailed.
    """
    relay = session.relay
    order = None if relay is None else relay.hold
    if relay is None or order is None or order.over:
        raise Refused("nothing-held", session=session.id)
    shown = order.shown()
    if refuse and order.number is not None:
        order.refuse(by, source, reason, spoken(Refused("statement-refused", by=by, reason=reason)))
    else:
        order.let_go(by, source, reason)
    if again and shown.seq is not None and not session.ending.done():
        # The relay goes on in the next turn of the event loop: this is in time.
        order.following(by, source, reason, changed).place(behind=shown.seq)
    return shown


def say(session: LiveSession, by: str, text: str) -> tuple[bool, bool]:
    """Tells the client: whether its protocol has words for that, and whether its SSH connection was told."""
    words = str(Refused("said-by-auditor", by=by, text=text))
    relay = session.relay
    by_protocol = relay is not None and not session.replication and relay.say(words)
    by_ssh = session.visit.purpose == "client" and session.tell_by_ssh is not None and session.tell_by_ssh(words)
    return by_protocol, by_ssh

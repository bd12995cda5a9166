"""What an auditor does about the entry at the cursor: end it, cancel in it, ask what else its token or table saw."""

from __future__ import annotations

from backends.link import LinkError
from backends.visible_text import visible_line
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.language import translate as _
from bastion.api.refusals import Refused

from .choice import ChoiceDialog
from .live_acts import ActDialog
from .words import sentence
from .workstation import Workstation


async def token_of(workstation: Workstation, session: m.Session | None, statement: m.Statement | None) -> str | None:
    """The token of a session, or of a statement's session; None, and said, where there is none."""
    if session is None and statement is not None:
        try:
            found: list[m.Session] = await workstation.bastion.call(
                methods.SESSIONS, m.SessionFilter(id=statement.session, limit=1)
            )
        except (Refused, LinkError) as error:
            workstation.told(sentence(error), bad=True)
            return None
        session = found[0] if found else None
    if session is None or not session.token:
        workstation.told(_("No token is known for it."))
        return None
    return session.token


async def table_of(workstation: Workstation, statement: m.Statement | None) -> str | None:
    """A table that the statement names; asks which where there are several. None where there is none, which is said."""
    if statement is None:
        return None
    try:
        found: m.AuditNames = await workstation.bastion.call(
            methods.STATEMENT_TABLES, methods.ShowRequest(session=statement.session, seq=statement.seq)
        )
    except (Refused, LinkError) as error:
        workstation.told(sentence(error), bad=True)
        return None
    if not found.tables:
        workstation.told(_("The statement names no table."))
        return None
    if len(found.tables) == 1:
        return found.tables[0]
    return await workstation.push_screen_wait(ChoiceDialog(_("Which table?"), found.tables))


async def cancel_statement(workstation: Workstation, session: m.Session) -> None:
    """Cancels what runs in one's own session."""
    try:
        taken = await workstation.bastion.call(methods.SESSION_CANCEL, methods.ById(id=session.id))
    except (Refused, LinkError) as error:
        workstation.told(sentence(error), bad=True)
        return
    workstation.told(_("The database took the order.") if taken else _("Nothing was running."))


async def end_session(workstation: Workstation, session: m.Session) -> bool:
    """Ends a session, for a reason; whether it was ended."""
    text = _(
        "{user} on {database} as {account}, from {source}. What runs is cancelled on the database; "
        "an open transaction is rolled back. This is recorded with your name."
    ).format(
        user=visible_line(session.user),
        database=visible_line(session.database),
        account=visible_line(session.account),
        source=visible_line(session.source),
    )
    typed = await workstation.push_screen_wait(ActDialog(_("End this session"), text, danger=True))
    if typed is None:
        return False
    try:
        await workstation.bastion.call(methods.SESSION_END, methods.ById(id=session.id, reason=typed["reason"]))
    except (Refused, LinkError) as error:
        workstation.told(sentence(error), bad=True)
        return False
    workstation.told(_("The session is ended."))
    return True

"""`access.explain`: why a database can or cannot be worked with, judged and (where it is granted) tried."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from bastion.access.explain import Judged
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.refusals import Refused
from bastion.audit.journal import now
from bastion.audit.records import Act
from bastion.sessions.reach import reach

from .parts import Parts

if TYPE_CHECKING:
    from .caller import Caller

STAGE_SECONDS = 8
"""For name, TCP and TLS each: the answer comes before the caller gives it up."""

NAMED = 3
"""People who are named as those who use up a limit."""


async def why(parts: Parts, caller: Caller, params: methods.ExplainRequest) -> m.Explanation:
    """The checks in their order. Raises Refused (`role-missing`) for whoever asks about somebody else without right."""
    name = caller.person.name if params.user is None else _asked(params.user)
    database = _asked(params.database)
    if name != caller.person.name and not caller.sees_all:
        raise Refused("role-missing", role="administrator or auditor", user=caller.person.name)
    judged = await parts.access.explain(name, database, params.account)
    checks = judged.checks
    if judged.place is not None:
        checks.append(limit_check(*parts.sessions.room()))
        if params.dial:
            # A connection to a database is on record, also one that nobody logs in on.
            detail: dict[str, str | int | None] = {"user": name, "account": judged.account}
            await parts.record(
                Act(
                    at=now(), user=caller.person.name, source=caller.source, act="database-tried",
                    subject=database, detail=detail,
                )
            )  # fmt: skip
            checks += await reach(judged.place, min(parts.configuration.limits.dial_timeout, STAGE_SECONDS))
    if judged.known:
        checks += await _last(parts, name, database, judged)
    return m.Explanation(
        user=name,
        database=database,
        account=judged.account,
        open=all(check.state != "no" for check in checks),
        checks=checks,
    )


def _asked(name: str) -> str:
    """A name as it was asked for: no store takes a NUL, and none that is longer is anybody's."""
    return name[:128].replace("\0", "?")


def limit_check(used: int, limit: int, people: list[str]) -> m.Check:
    """Whether there is room for one more session; where there is none, who has most of them."""
    if used < limit:
        return m.Check(stage="limit", state="ok", code="limit-free", params={"used": used, "limit": limit})
    by = ", ".join(f"{name} ({count})" for name, count in Counter(people).most_common(NAMED))
    return m.Check(stage="limit", state="no", code="limit-full", params={"used": used, "limit": limit, "by": by})


async def _last(parts: Parts, user: str, database: str, judged: Judged) -> list[m.Check]:
    """How the person's last session there went; of one that was refused, in whose words."""
    await parts.audit.settle()
    wanted = m.SessionFilter(user=user, database=database, newest=True, limit=5)
    for session in await parts.audit.sessions(wanted):
        if judged.account is not None and session.account != judged.account:
            continue
        if session.state == "refused":
            params = {"at": session.started_at, "reason": session.end_reason or "", "session": session.id}
            return [m.Check(stage="last", state="note", code="last-refused", params=params)]
        if session.state in ("live", "closed"):
            return [m.Check(stage="last", state="ok", code="last-worked", params={"at": session.started_at})]
    return []

"""The access rules behind one face. Every method raises `bastion.api.refusals.Refused` for a no.

Work on the store runs in worker threads. After a change is in the store, and before its caller hears of it, listeners
are called and the record is made, on the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bastion.api import messages as m
from bastion.api.methods import DatabaseList, TokenRequest
from bastion.api.refusals import Refused
from bastion.audit.records import Act, AnyRecord
from bastion.store import moments, schema
from bastion.store.moments import to_text, without_fraction
from bastion.store.store import Store
from bastion.vault import Vault

from . import admission, declared, explain, grants
from .admission import Admission
from .identity import Identity, Person, find_user, refuse_unfit
from .personal import PersonalState
from .settings import Settings, generation, read_settings
from .tokens import LiveToken, Outcome, Tokens, looks_like_token, state_of

__all__ = ["Access", "Admission", "LiveToken", "Person", "looks_like_token"]

TokenListener = Callable[[str, m.TokenState, str], None]
"""Is told kind (`issued`, `renewed`, `revoked`), the token and its user, on the event loop."""


class Access:
    """Who may do what.

    `record` puts an act into the journal, and answers with what to wait for until it is there, or None when it is;
    what it raises goes on to the caller, who then gets nothing.
    `advertise` is where people reach the bastion unless the settings declare another address; `ca` is PEM.
    """

    def __init__(
        self,
        store: Store,
        vault: Vault,
        record: Callable[[AnyRecord], Awaitable[None] | None],
        *,
        advertise: m.Address,
        ca: str = "",
        clock: Callable[[], datetime] = moments.now,
    ) -> None:
        self._store = store
        self._vault = vault
        self._record = record
        self._clock = clock
        self._identity = Identity(store, clock)
        self._tokens = Tokens(vault, clock, advertise, ca)
        self.personal = PersonalState(store, vault, clock)
        """What people keep for themselves."""
        self._generation: int | None = None
        self.on_token_change: list[TokenListener] = []
        self.changed: list[Callable[[], None]] = []
        """Called on the event loop when the declared state has changed: live sessions are to be admitted anew."""

    # -------------------------------------------------------------------------------------------------------- logins

    async def password_login(self, name: str, password: str, source: str) -> Person:
        """The person, when the password is theirs. Counted and slowed; see `Identity.password_login`."""
        return await self._identity.password_login(name, password, source)

    async def key_login(self, name: str, public_key: str, source: str) -> Person | None:
        """The person, when the public key (`ssh-ed25519 AAAA…`) is one of theirs; not counted, since not proved yet.

        Raises Refused (`user-locked-until`, `user-not-valid`), for nobody's ears before it is proved.
        """
        return await self._identity.key_login(name, public_key)

    @staticmethod
    def looks_like_token(text: str) -> bool:
        """Whether a password has the form of an O&M token."""
        return looks_like_token(text)

    async def token_login(self, name: str, text: str, source: str) -> LiveToken:
        """The token behind the text, when it is that user's and live.

        Raises Refused: `token-unknown` (counted for the source and slowed), `token-expired`, `token-revoked`,
        `database-not-authorized`, `too-many-tries`. Whether it may be used now is for `admit` to say.
        """
        await self._identity.refuse_source(source)
        try:
            return await self._store.read(lambda connection: self._tokens.find(connection, text, name))
        except Refused as refused:
            if refused.code == "token-unknown":
                await asyncio.sleep(await self._identity.count_source(source))
            raise

    async def person(self, name: str) -> Person:
        """The person as they are now. Raises Refused (`user-locked`, `user-not-valid`)."""
        return await self._identity.person(name)

    async def lock(self, name: str, until: datetime | None, by: Person, source: str, reason: str = "") -> bool:
        """Locks a user for a time; None unlocks and forgets failed logins. Live sessions hear of it.

        False where there was nothing to unlock. Raises Refused (`user-unknown`).
        """
        done = await self._identity.lock_until(name, until, by.name, reason)
        self._tell_changed()
        act = "user-unlocked" if until is None else "user-locked"
        detail: dict[str, str | int | None] = {"until": None if until is None else to_text(until), "reason": reason}
        await self._act(by.name, source, act, name, detail)
        return done

    async def locks(self) -> list[sa.Row[Any]]:
        """Who is locked by an auditor now: rows of `user_locks`."""
        return await self._identity.locks()

    # ----------------------------------------------------------------------------------------------------- databases

    async def databases(self, person: Person, wanted: DatabaseList | None = None) -> list[m.Database]:
        """The databases granted now, by name, with the accounts granted there and the person's live tokens."""
        page = wanted if wanted is not None else DatabaseList()
        if "\0" in page.after + (page.name or ""):  # in nobody's name, and PostgreSQL takes none
            return []

        def work(connection: sa.Connection) -> list[m.Database]:
            user = refuse_unfit(find_user(connection, person.name), person.name, self._clock())
            return self._reachable(connection, user.id, page)

        return await self._store.read(work)

    def _reachable(self, connection: sa.Connection, user_id: int, wanted: DatabaseList) -> list[m.Database]:
        at = self._clock()
        given: dict[int, list[grants.Reach]] = {}
        for reach in grants.reaches(connection, user_id, wanted.name):
            if reach.holds(at):
                given.setdefault(reach.database_id, []).append(reach)
        states: dict[str, list[m.TokenState]] = {}
        for state in self._tokens.live(connection, user_id):
            states.setdefault(state.database, []).append(state)
        d, n, a = schema.databases, schema.network_domains, schema.accounts
        accounts: dict[int, list[sa.Row[Any]]] = {}
        every = sa.select(a).order_by(a.c.any_login, a.c.name)
        if wanted.name is not None:
            every = every.where(a.c.database_id.in_(given))
        for account in connection.execute(every):
            accounts.setdefault(account.database_id, []).append(account)
        query = sa.select(d, n.c.name.label("domain")).outerjoin(n).order_by(d.c.name)
        if wanted.after:
            query = query.where(d.c.name > wanted.after)
        if wanted.name is not None:
            query = query.where(d.c.name == wanted.name)
        groups = _groups(connection)
        found: list[m.Database] = []
        for row in connection.execute(query):
            reaches = given.get(row.id)
            if not reaches:
                continue
            if wanted.limit and len(found) == wanted.limit:
                break
            until = grants.latest_end(reaches)
            found.append(
                m.Database(
                    name=row.name,
                    engine=row.engine,
                    platform=row.platform,
                    host=row.host,
                    port=row.port,
                    domain=row.domain or "",
                    databases=list(row.allowed_names or ()),
                    accounts=[
                        m.Account(name=account.name, hosted=grants.is_hosted(account))
                        for account in accounts.get(row.id, [])
                        if any(reach.gives(account.name) for reach in reaches)
                    ],
                    tokens=states.get(row.name, []),
                    until=None if until is None else without_fraction(to_text(until)),
                    groups=groups.get(row.id, []),
                    comment=row.comment,
                    production=bool(row.production),
                )
            )
        return found

    async def administrators(self) -> str:
        """Names of those who may grant, for whoever needs to ask one of them; '' where there are none."""
        return await self._store.read(explain.administrators)

    async def explain(self, user: str, database: str, account: str | None) -> explain.Judged:
        """Why that person can or cannot work with the database, as far as the store knows."""
        return await self._store.read(
            lambda connection: explain.judge(connection, self._vault, self._clock(), user, database, account)
        )

    async def settings(self) -> Settings:
        """The settings in force."""
        return await self._store.read(read_settings)

    # -------------------------------------------------------------------------------------------------------- tokens

    async def request_token(self, person: Person, request: TokenRequest, source: str) -> m.Token:
        """The live token for that database and account, or a new one; its text being shown is on record."""
        self._demand(person, "operator")

        def work(connection: sa.Connection) -> tuple[Outcome, m.Token]:
            outcome = self._tokens.request(connection, person, request)
            return outcome, self._tokens.show(connection, outcome.row)

        try:
            outcome, token = await self._store.run(work)
        except sa.exc.IntegrityError:
            # Two requests at the same moment: the other one has made the token, which is then shown.
            outcome, token = await self._store.run(work)
        if outcome.replaced is not None:
            self._tell_token("revoked", outcome.replaced)
            await self._on_record(outcome.replaced, "token-revoked", person.name, source)
        await self._on_record(outcome.row, f"token-{outcome.act}", person.name, source)
        if outcome.act == "issued":
            self._tell_token("issued", outcome.row)
        return token

    async def show_token(self, person: Person, token_id: str, source: str) -> m.Token:
        """One's own live token with its text; on record."""

        def work(connection: sa.Connection) -> tuple[sa.Row[Any], m.Token]:
            refuse_unfit(find_user(connection, person.name), person.name, self._clock())
            row = self._tokens.own(connection, person.name, token_id)
            return row, self._tokens.show(connection, row)

        row, token = await self._store.read(work)
        await self._on_record(row, "token-shown", person.name, source)
        return token

    async def tokens(self, person: Person) -> list[m.TokenState]:
        """One's own live tokens, oldest first."""

        def work(connection: sa.Connection) -> list[m.TokenState]:
            user = refuse_unfit(find_user(connection, person.name), person.name, self._clock())
            return self._tokens.live(connection, user.id)

        return await self._store.read(work)

    async def renew_token(self, person: Person, token_id: str, source: str) -> m.Token:
        """One's own live token for one more renewal's period; on record, as its text is shown."""
        self._demand(person, "operator")

        def work(connection: sa.Connection) -> tuple[Outcome, m.Token]:
            outcome = self._tokens.renew(connection, person, token_id)
            return outcome, self._tokens.show(connection, outcome.row)

        outcome, token = await self._store.run(work)
        await self._on_record(outcome.row, "token-renewed", person.name, source)
        self._tell_token("renewed", outcome.row)
        return token

    async def revoke_token(self, person: Person, token_id: str, reason: str, source: str) -> m.TokenState:
        """Ends a token: one's own, or as auditor or administrator anybody's. Its sessions hear of it."""
        outcome = await self._store.run(lambda connection: self._tokens.revoke(connection, person, token_id, reason))
        self._tell_token("revoked", outcome.row)  # before the record: its sessions end even if that cannot be written
        await self._on_record(outcome.row, "token-revoked", person.name, source)
        return state_of(outcome.row)

    async def admit(self, user: str, token_id: str) -> Admission:
        """All that a session needs, when user, token, grant and account allow it now; else Refused with the reason."""
        return await self._store.read(
            lambda connection: admission.admit(connection, self._tokens, self._vault, self._clock, user, token_id)
        )

    # ------------------------------------------------------------------------------------------------ declared state

    async def apply(
        self,
        documents: list[dict[str, Any]],
        *,
        base: Path,
        environment: Mapping[str, str],
        by: str,
        source: str,
        prune: bool = False,
        dry: bool = False,
    ) -> declared.Plan:
        """Brings the declared state about in one transaction, puts every change on record and tells `changed`.

        With `dry` nothing is changed. Raises declared.NotApplicable where a document is not in order.
        """

        def make_plan(connection: sa.Connection) -> declared.Plan:
            return declared.plan(
                connection, documents, base=base, environment=environment, prune=prune, vault=self._vault
            )

        def carry_out(connection: sa.Connection) -> None:
            declared.apply(connection, plan, self._vault, by=by, at=self._clock())

        # The plan hashes passwords, which is too long to keep other writers waiting: two transactions.
        plan = await self._store.read(make_plan)
        if not dry:
            try:
                await self._store.run(carry_out)
            except declared.StateMoved:
                plan = await self._store.read(make_plan)
                await self._store.run(carry_out)
        if not dry and plan.changes:
            await self.notice_changes()
            for change in plan.changes:
                detail: dict[str, str | int | None] = {"detail": change.detail} if change.detail else {}
                await self._act(by, source, f"{change.kind}-{change.action}", change.name, detail)
        return plan

    async def export(self) -> dict[str, Any]:
        """The declared state as a document, without secrets."""
        return await self._store.read(declared.export)

    async def notice_changes(self) -> bool:
        """Tells `changed` when the declared state is not what it was at the last look, whoever changed it.

        To be called now and then: another node, or a command that works on the store, may have changed it.
        """
        number = await self._store.read(generation)
        known, self._generation = self._generation, number
        if known == number:
            return False
        self._tell_changed()
        return True

    def close(self) -> None:
        """Ends the threads that check passwords. The store is its opener's to close."""
        self._identity.close()

    # ------------------------------------------------------------------------------------------------------- records

    def _demand(self, person: Person, role: str) -> None:
        if role not in person.roles:
            raise Refused("role-missing", role=role, user=person.name)

    async def _on_record(self, row: sa.Row[Any], act: str, by: str, source: str) -> None:
        detail: dict[str, str | int | None] = {
            "user": row.user,
            "database": row.database,
            "account": row.account,
            "expires_at": row.expires_at,
            "renewals": row.renewals_used,
        }
        reason = row.revoked_why if act == "token-revoked" else row.reason
        if reason:
            detail["reason"] = reason
        if row.login:
            detail["login"] = row.login
        await self._act(by, source, act, row.id, detail)

    async def _act(self, user: str, source: str, act: str, subject: str, detail: dict[str, str | int | None]) -> None:
        at = to_text(self._clock())
        durable = self._record(Act(at=at, user=user, source=source, act=act, subject=subject, detail=detail))
        if durable is not None:
            await durable

    def _tell_token(self, kind: str, row: sa.Row[Any]) -> None:
        state = state_of(row)
        for listener in list(self.on_token_change):
            listener(kind, state, row.user)

    def _tell_changed(self) -> None:
        for listener in list(self.changed):
            listener()


def _groups(connection: sa.Connection) -> dict[int, list[str]]:
    """The groups of every database that is in one, by name."""
    g, members = schema.database_groups, schema.database_group_members
    query = sa.select(members.c.database_id, g.c.name).join(g, members.c.group_id == g.c.id).order_by(g.c.name)
    found: dict[int, list[str]] = {}
    for row in connection.execute(query):
        found.setdefault(row.database_id, []).append(row.name)
    return found

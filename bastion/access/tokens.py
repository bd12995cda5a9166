"""O&M tokens: issued for one person, database and account; found by a keyed digest; shown to their owner only.

Everything here is work on a connection, in the caller's transaction; `door` runs it and puts it on record.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bastion.api import messages as m
from bastion.api.methods import TokenRequest
from bastion.api.refusals import Refused
from bastion.store import schema
from bastion.store.moments import from_text, maybe_from_text, to_text, without_fraction
from bastion.vault import Vault

from . import grants, sealing
from .identity import Person, find_user, refuse_unfit
from .lines import Target, lines_for, local_port
from .periods import write_period
from .policies import rules_for
from .settings import Settings, read_settings

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"  # RFC 4648 section 6, in lower case
_FORM = re.compile(r"cmt_[a-z2-7]{32}")

SHORTEST = 60
"""Seconds that a token lives at least."""

LONGEST_REASON, LONGEST_LOGIN, LONGEST_PASSWORD = 500, 128, 1024
"""Characters of what comes with a request."""


def looks_like_token(text: str) -> bool:
    """Whether a password has the form of a token: `cmt_` and 32 characters of lower-case base32 (160 bits)."""
    return _FORM.fullmatch(text) is not None


@dataclass(frozen=True)
class LiveToken:
    """A token that came through the SSH door: it opens `host`:`port` and nothing else."""

    id: str
    user: str
    database: str
    host: str
    port: int
    engine: str
    account: str


@dataclass(frozen=True)
class Outcome:
    """What was done with a token. act: `issued`, `shown`, `renewed`, `revoked`; `replaced` is one that ended for it."""

    act: str
    row: sa.Row[Any]
    replaced: sa.Row[Any] | None = None


class Tokens:
    """The rules of tokens."""

    def __init__(self, vault: Vault, clock: Callable[[], datetime], advertise: m.Address, ca: str) -> None:
        self._vault = vault
        self._clock = clock
        self._advertise = advertise
        self._ca = ca

    # ------------------------------------------------------------------------------------------------------ finding

    def find(self, connection: sa.Connection, text: str, user: str) -> LiveToken:
        """The token behind the text, when it is that user's and live.

        Raises Refused: `token-unknown` alike for one that never was and one of somebody else; `token-revoked`,
        `token-expired`; `database-not-authorized` where its database is gone.
        """
        table = schema.tokens
        digest = self._vault.digest(sealing.TOKEN_DIGEST, text)
        row = connection.execute(sa.select(table).where(table.c.digest == digest)).one_or_none()
        if row is None or row.user != user or row.user_id is None:
            raise Refused("token-unknown")
        self._refuse_ended(row)
        place = schema.databases
        database = connection.execute(sa.select(place).where(place.c.id == row.database_id)).one_or_none()
        if database is None:
            raise Refused("database-not-authorized", database=row.database)
        return LiveToken(row.id, row.user, row.database, database.host, database.port, database.engine, row.account)

    def own(self, connection: sa.Connection, user: str, token_id: str, *, lock: bool = False) -> sa.Row[Any]:
        """The user's own live token; with `lock`, until the transaction ends nobody else changes it.

        Raises Refused: `token-unknown`, `token-revoked`, `token-expired`.
        """
        row = self._by_id(connection, token_id, lock=lock)
        if row is None or row.user != user or row.user_id is None:
            raise Refused("token-unknown")
        self._refuse_ended(row)
        return row

    def live(self, connection: sa.Connection, user_id: int, database: str | None = None) -> list[m.TokenState]:
        """The user's live tokens, oldest first."""
        table = schema.tokens
        query = (
            sa.select(table)
            .where(table.c.user_id == user_id, table.c.current, table.c.revoked_at.is_(None))
            .where(table.c.expires_at > to_text(self._clock()))
            .where(table.c.account_id.is_not(None))
            .order_by(table.c.issued_at, table.c.id)
        )
        if database is not None:
            query = query.where(table.c.database == database)
        return [state_of(row) for row in connection.execute(query)]

    def _by_id(self, connection: sa.Connection, token_id: str, *, lock: bool) -> sa.Row[Any] | None:
        if len(token_id) > 64 or "\0" in token_id:
            return None
        query = sa.select(schema.tokens).where(schema.tokens.c.id == token_id)
        return connection.execute(query.with_for_update() if lock else query).one_or_none()

    def _refuse_ended(self, row: sa.Row[Any]) -> None:
        if row.revoked_at is not None:
            raise Refused(
                "token-revoked", at=without_fraction(row.revoked_at), by=row.revoked_by, database=row.database
            )
        if from_text(row.expires_at) <= self._clock():
            raise Refused("token-expired", at=without_fraction(row.expires_at), database=row.database)

    # ------------------------------------------------------------------------------------------------------- issuing

    def request(self, connection: sa.Connection, person: Person, request: TokenRequest) -> Outcome:
        """The live token for that database and account, or a new one.

        Raises Refused: the user's, the grants' and the accounts' reasons, `period-too-long`, `period-too-short`,
        `invalid-params` for a login that does not fit the account.
        """
        at = self._clock()
        _check_texts(request)
        user = refuse_unfit(find_user(connection, person.name), person.name, at)
        settings = read_settings(connection)
        period = _period(request.period, settings)
        found = grants.reaches(connection, user.id, request.database)
        account, given = grants.choose_account(connection, found, request.database, request.account, at)
        login = _login(request, account)
        current = self._current(connection, user.id, account.id)
        replaced: sa.Row[Any] | None = None
        if current is not None:
            if from_text(current.expires_at) > at and current.revoked_at is None:
                if not request.new:
                    return Outcome("shown", self._give_login(connection, current, login, request.password))
                replaced = self._revoke(connection, current, person.name, "replaced by a new one", at)
            table = schema.tokens
            connection.execute(table.update().where(table.c.id == current.id).values(current=False))
        expires = _earliest(at + timedelta(seconds=period), user, given)
        row = self._insert(connection, user, account, request, login, at, expires, settings)
        return Outcome("issued", row, replaced)

    def _current(self, connection: sa.Connection, user_id: int, account_id: int) -> sa.Row[Any] | None:
        table = schema.tokens
        query = sa.select(table).where(table.c.user_id == user_id, table.c.account_id == account_id, table.c.current)
        return connection.execute(query.with_for_update()).one_or_none()

    def _insert(
        self,
        connection: sa.Connection,
        user: sa.Row[Any],
        account: sa.Row[Any],
        request: TokenRequest,
        login: str,
        at: datetime,
        expires: datetime,
        settings: Settings,
    ) -> sa.Row[Any]:
        token_id = secrets.token_hex(8)
        text = "cmt_" + "".join(secrets.choice(_ALPHABET) for _ in range(32))
        connection.execute(
            schema.tokens.insert().values(
                id=token_id,
                digest=self._vault.digest(sealing.TOKEN_DIGEST, text),
                sealed=self._vault.seal(text, sealing.token_text_context(token_id)),
                user_id=user.id,
                database_id=account.database_id,
                account_id=account.id,
                user=user.name,
                database=request.database,
                account=account.name,
                login=login,
                secret=self._sealed_password(token_id, request.password),
                reason=request.reason,
                issued_at=to_text(at),
                expires_at=to_text(expires),
                renewals_allowed=settings.token.renewals,
                current=True,
            )
        )
        return self._known(connection, token_id)

    def _give_login(self, connection: sa.Connection, row: sa.Row[Any], login: str, password: str | None) -> sa.Row[Any]:
        """A login given with a repeated request takes the place of the one that the token has."""
        if not login and password is None:
            return row
        values = {"login": login, "secret": self._sealed_password(row.id, password)}
        connection.execute(schema.tokens.update().where(schema.tokens.c.id == row.id).values(values))
        return self._known(connection, row.id)

    def _sealed_password(self, token_id: str, password: str | None) -> str | None:
        return None if password is None else self._vault.seal(password, sealing.token_secret_context(token_id))

    def _known(self, connection: sa.Connection, token_id: str) -> sa.Row[Any]:
        return connection.execute(sa.select(schema.tokens).where(schema.tokens.c.id == token_id)).one()

    # ---------------------------------------------------------------------------------------------- renewing, ending

    def renew(self, connection: sa.Connection, person: Person, token_id: str) -> Outcome:
        """Adds one renewal's period. The settings of now hold for the token from here on.

        Raises Refused as `own` and `request`, `renewals-used-up`, `period-too-long` where the token has reached the
        longest life, `renewal-not-possible` where the grant or the user ends first.
        """
        at = self._clock()
        user = refuse_unfit(find_user(connection, person.name), person.name, at)
        table = schema.tokens
        row = self.own(connection, person.name, token_id, lock=True)
        if row.renewals_used >= row.renewals_allowed:
            raise Refused("renewals-used-up", renewals=row.renewals_allowed)
        found = grants.reaches(connection, user.id, row.database)
        _account, given = grants.choose_account(connection, found, row.database, row.account, at)
        settings = read_settings(connection).token
        old, issued = from_text(row.expires_at), from_text(row.issued_at)
        longest = issued + timedelta(seconds=settings.longest)
        wanted = min(old + timedelta(seconds=settings.renewal), longest)
        if wanted <= old:
            asked = round((old - issued).total_seconds()) + settings.renewal
            raise Refused("period-too-long", longest=write_period(settings.longest), asked=write_period(asked))
        expires = _earliest(wanted, user, given)
        if expires <= old:
            raise Refused("renewal-not-possible", at=without_fraction(to_text(expires)))
        connection.execute(
            table.update()
            .where(table.c.id == row.id)
            .values(
                expires_at=to_text(expires),
                renewals_used=row.renewals_used + 1,
                renewals_allowed=settings.renewals,
            )
        )
        return Outcome("renewed", self._known(connection, row.id))

    def revoke(self, connection: sa.Connection, person: Person, token_id: str, reason: str) -> Outcome:
        """Ends a token: one's own; auditors and administrators end anybody's.

        Raises Refused: `token-unknown`, `token-revoked`, `token-expired`.
        """
        row = self._by_id(connection, token_id, lock=True)
        if row is None or (row.user != person.name and not person.roles & {"auditor", "administrator"}):
            raise Refused("token-unknown")
        self._refuse_ended(row)
        reason = reason[:LONGEST_REASON].replace("\0", "")
        return Outcome("revoked", self._revoke(connection, row, person.name, reason, self._clock()))

    def _revoke(self, connection: sa.Connection, row: sa.Row[Any], by: str, reason: str, at: datetime) -> sa.Row[Any]:
        values = {"revoked_at": to_text(at), "revoked_by": by, "revoked_why": reason, "current": False}
        connection.execute(schema.tokens.update().where(schema.tokens.c.id == row.id).values(values))
        return self._known(connection, row.id)

    # ------------------------------------------------------------------------------------------------------- showing

    def show(self, connection: sa.Connection, row: sa.Row[Any]) -> m.Token:
        """The token as its owner sees it: with its text."""
        d, a = schema.databases, schema.accounts
        database = connection.execute(sa.select(d).where(d.c.id == row.database_id)).one_or_none()
        account = connection.execute(sa.select(a).where(a.c.id == row.account_id)).one_or_none()
        if database is None:
            raise Refused("database-not-authorized", database=row.database)
        if account is None:
            raise Refused("account-not-authorized", account=row.account, database=row.database, accounts="-")
        hosted = grants.is_hosted(account) or row.secret is not None
        rules = rules_for(connection, row.user_id, row.user, database.id, database.name)
        advertise = read_settings(connection).advertise
        bastion = self._advertise if advertise is None else m.Address(host=advertise.host, port=advertise.port)
        target = Target(
            engine=database.engine,
            host=database.host,
            port=database.port,
            user=row.user,
            login=row.login or (row.user if account.any_login else row.account),
            catalog=(database.allowed_names or [""])[0],
            service=database.service,
            sid=database.sid,
            # Oracle's login needs a password that both sides know.
            asks_password=not hosted or rules.client_password == "token" or database.engine == "oracle",
        )
        return m.Token(
            id=row.id,
            token=self._vault.open(row.sealed, sealing.token_text_context(row.id)),
            user=row.user,
            host=database.host,
            port=database.port,
            bastion=bastion,
            database=row.database,
            account=row.account,
            expires_at=without_fraction(row.expires_at),
            renewals_left=max(0, row.renewals_allowed - row.renewals_used),
            ca=self._ca,
            lines=lines_for(target, bastion),
            engine=database.engine,
            hosted=hosted,
            issued_at=without_fraction(row.issued_at),
            production=bool(database.production),
            login=target.login,
            catalog=target.catalog,
            service=target.service,
            sid=target.sid,
            local_port=local_port(target.port),
            asks_password=target.asks_password,
        )


def state_of(row: sa.Row[Any]) -> m.TokenState:
    """A token without its text."""
    return m.TokenState(
        id=row.id,
        database=row.database,
        account=row.account,
        issued_at=without_fraction(row.issued_at),
        expires_at=without_fraction(row.expires_at),
        renewals_left=max(0, row.renewals_allowed - row.renewals_used),
    )


def _check_texts(request: TokenRequest) -> None:
    for name, text, limit in (
        ("reason", request.reason, LONGEST_REASON),
        ("login", request.login, LONGEST_LOGIN),
        ("password", request.password, LONGEST_PASSWORD),
        ("database", request.database, 128),
        ("account", request.account, 128),
    ):
        if text is not None and len(text) > limit:
            raise _invalid(f"the {name} has more than {limit} characters")
        if text is not None and "\0" in text:
            raise _invalid(f"the {name} has a NUL character")


def _invalid(detail: str) -> Refused:
    return Refused("invalid-params", method="token.request", detail=detail)


def _period(asked: int | None, settings: Settings) -> int:
    """The shorter of what was asked and the validity."""
    if asked is None:
        return settings.token.validity
    if asked < SHORTEST:
        raise Refused("period-too-short")
    if asked > settings.token.longest:
        raise Refused("period-too-long", longest=write_period(settings.token.longest), asked=write_period(asked))
    return min(asked, settings.token.validity)


def _login(request: TokenRequest, account: sa.Row[Any]) -> str:
    """The login that is kept with the token: '' where the account says it all or the client is asked."""
    if request.login is None and request.password is None:
        return ""
    if account.secret is not None:
        raise _invalid(f"the bastion has the password of {account.name}; leave login and password out")
    if account.any_login:
        if not request.login:
            raise _invalid("a password needs its login")
        return request.login
    if request.login not in (None, "", account.name):
        raise _invalid(f"the login of this account is {account.name}")
    return str(account.name)


def _earliest(wanted: datetime, user: sa.Row[Any], given: list[grants.Reach]) -> datetime:
    """No token outlives its user's validity or the grants that give it."""
    ends = (wanted, maybe_from_text(user.valid_until), grants.latest_end(given))
    return min(end for end in ends if end is not None)

"""The calls of the control API: name, what goes in, what comes out, and who may call it.

Params and results are structs of this package; every call and every answer is one of them, or None.
"""

from __future__ import annotations

from typing import Any

import msgspec

from . import live, reports, screens, witness
from . import messages as m


class Method(msgspec.Struct, frozen=True):
    """`roles` empty: every person who is logged in. `patience`: seconds that an answer may take, where it is long."""

    name: str
    params: type[m.Message]
    result: Any
    roles: frozenset[str] = frozenset()
    patience: float = 0.0


class Nothing(m.Message):
    """No params."""


class DatabaseList(m.Message):
    """Databases by name; `limit` 0: all. `after` continues a listing: the last name of the page before.

    name: that database alone. An answer is one line of at most `rpc.MAX_LINE` bytes: with many thousands of databases
    ask for pages.
    """

    after: str = ""
    limit: int = 0
    name: str | None = None


class ExplainRequest(m.Message):
    """Why a database can or cannot be worked with. `dial`: the bastion also tries to reach it, without a login.

    user: somebody else, for administrators and auditors.
    """

    database: str
    account: str | None = None
    dial: bool = False
    user: str | None = None


class RetentionRequest(m.Message):
    """dry: only say what would go. Else `reason` is needed."""

    dry: bool = True
    reason: str = ""


class TokenRequest(m.Message):
    """Ask for a token. `account` may be left out where only one is granted. `period` in seconds; None: the default.

    `new` replaces a live one. An account that is not hosted may come with `login` and `password` (sealed with the
    token); without them the client is asked.
    """

    database: str
    account: str | None = None
    period: int | None = None
    reason: str = ""
    new: bool = False
    login: str | None = None
    password: str | None = None


class ById(m.Message):
    id: str
    reason: str = ""


class TunnelRequest(m.Message):
    """`token` is a token's id (never its text). `purpose`: `console`, `client`, or `catalog` (a side connection)."""

    token: str
    purpose: str = "console"


class Subscription(m.Message):
    """Topics of `messages.Event`. `statements` may be narrowed to one session: `statements:ID`."""

    topics: list[str]


class SqlRequest(m.Message):
    database: str
    text: str


class ScreenFilter(m.Message):
    """Whose workstations; the newest `limit`."""

    user: str | None = None
    limit: int = 100


class ScreenRequest(m.Message):
    """The recording of a workstation's screen, from its beginning or behind a chunk (`ScreenPart.next`).

    reason: as in screens.ScreenReadRequest.
    """

    id: str
    after: int = 0
    reason: str = ""


class ShowRequest(m.Message):
    """A statement by its session and number. `after` continues (`StatementResult.next`); `limit` 0: a page's own.

    unmask: the values themselves where results are masked; takes a `reason`, which is on record.
    """

    session: str
    seq: int
    after: int = 0
    limit: int = 0
    unmask: bool = False
    reason: str = ""


class SaveFilter(m.Message):
    """Keeps a filter under a name of one's own, in the place of what was there. See `messages.SavedFilter`."""

    name: str
    text: str
    what: str = "statements"
    shared: bool = False


class ByName(m.Message):
    name: str


class AuditExportBegin(m.Message):
    """What a filter finds, as a file. `what`: `statements` (by `statements`) or `sessions` (by `sessions`).

    format: csv, jsonl, parquet. keep: it is kept on the bastion like an exported result, under `name`; else whoever
    asked reads it piece by piece.
    """

    what: str
    format: str
    statements: m.StatementFilter | None = None
    sessions: m.SessionFilter | None = None
    keep: bool = False
    name: str = ""


class AuditExportRead(m.Message):
    """The next bytes of an export that is not kept, in order; waits until there are some."""

    id: str


class VerifyRequest(m.Message):
    """`anchor`: the text of a checkpoint that was kept elsewhere."""

    anchor: str | None = None


class ApplyRequest(m.Message):
    """Declared state, on the bastion's own machine only. `base` is the folder that files are named from; `environment`
    holds the variables that the documents name. `dry` shows the plan and changes nothing."""

    documents: list[dict[str, Any]]
    base: str
    environment: dict[str, str] = {}
    prune: bool = False
    dry: bool = False


class PersonalList(m.Message):
    """Items of one kind, the last changed first: the one with that `key`, or those whose key begins with `prefix`.

    At most `limit` (0: as many as there may be), and no more than a page holds; `after` continues one.
    """

    kind: str
    prefix: str = ""
    key: str | None = None
    limit: int = 0
    after: str | None = None


class PersonalPut(m.Message):
    """Keeps a value under a key, in the place of what was there.

    `kind` and `key` are not secret; `value` is sealed. A value of the kind `history` is a JSON object whose `text` is
    the statement and `engine` its engine: credentials are taken out of the text.
    """

    kind: str
    key: str
    value: str


class PersonalRemove(m.Message):
    """`key` None: everything of the kind."""

    kind: str
    key: str | None = None


class ExportBegin(m.Message):
    """A result of `session`, one's own, that `statement` gave, as a file. `name` is for people.

    format: csv, tsv, json, jsonl, insert, parquet.
    """

    session: str
    statement: str
    format: str
    name: str


class ExportPart(m.Message):
    """The next bytes, 1 MiB at most; parts are counted from 0."""

    id: str
    number: int
    data: bytes


class ExportFinish(m.Message):
    """The export is whole. digest: SHA-256 of all of it, hexadecimal."""

    id: str
    rows: int
    digest: str


class ExportRead(m.Message):
    """`after`: 0, then `ExportPiece.next`."""

    id: str
    after: int = 0


class BundleRequest(m.Message):
    """A bundle of evidence of one session. results, screens: with what the database returned, with the screens."""

    session: str
    reason: str
    results: bool = True
    screens: bool = True


OPERATOR = frozenset({"operator"})
ADMINISTRATOR = frozenset({"administrator"})
AUDITOR = frozenset({"auditor", "administrator"})
"""Auditors and administrators read the audit; operators see their own sessions and statements in the same calls."""
EXPORTING = OPERATOR | AUDITOR
"""Operators export results, auditors the record; each fetches their own."""
AUDITOR_ALONE = frozenset({"auditor"})
"""Data out of the databases are for auditors, not for those who run the bastion."""

HELLO = Method("hello", Nothing, m.Hello)
DATABASES = Method("databases.list", DatabaseList, list[m.Database])
TOKEN_REQUEST = Method("token.request", TokenRequest, m.Token, OPERATOR)
TOKEN_SHOW = Method("token.show", ById, m.Token, OPERATOR)
EXPLAIN = Method("access.explain", ExplainRequest, m.Explanation)
TOKENS = Method("token.list", Nothing, list[m.TokenState])
TOKEN_RENEW = Method("token.renew", ById, m.Token, OPERATOR)
TOKEN_REVOKE = Method("token.revoke", ById, m.TokenState)
TUNNEL_OPEN = Method("tunnel.open", TunnelRequest, m.Tunnel, OPERATOR)
SESSION_CANCEL = Method("session.cancel", ById, bool)
"""Cancels the running statement of one's own session on the database; True when the database took the order."""
SESSION_END = Method("session.end", ById, m.Session)
SESSIONS = Method("sessions.list", m.SessionFilter, list[m.Session])
LIVE = Method("sessions.live", live.LiveRequest, live.LiveChanges)
"""What runs now; operators see their own sessions. Each answer has what is new since the one before on this channel."""
WATCH = Method("session.watch", live.WatchRequest, live.Watched, AUDITOR_ALONE)
"""The statements of one session as they happen. On record once a watch; a closed channel ends it."""
UNWATCH = Method("session.unwatch", live.WatchRequest, type(None), AUDITOR_ALONE)
MESSAGE = Method("session.message", live.MessageRequest, live.Delivered, AUDITOR_ALONE)
HOLD = Method("session.hold", live.HoldRequest, live.Hold, AUDITOR_ALONE)
RELEASE = Method("session.release", live.ReleaseRequest, live.Hold, AUDITOR_ALONE)
USER_LOCK = Method("user.lock", live.LockRequest, live.Lock, AUDITOR_ALONE)
USER_UNLOCK = Method("user.unlock", live.UnlockRequest, type(None), AUDITOR)
USER_LOCKS = Method("user.locks", Nothing, list[live.Lock], AUDITOR)
STATEMENTS = Method("audit.search", m.StatementFilter, m.StatementPage)
STATEMENTS_COUNT = Method("audit.count", m.StatementFilter, m.Count)
SESSIONS_COUNT = Method("sessions.count", m.SessionFilter, m.Count)
"""How many a filter finds: exactly up to some ten thousand, or at least so many."""
AUDIT_NAMES = Method("audit.names", Nothing, m.AuditNames)
STATEMENT_TABLES = Method("audit.tables", ShowRequest, m.AuditNames)
"""The tables that one statement names, as the filter `table` knows them."""
FILTERS = Method("audit.filters.list", Nothing, list[m.SavedFilter], AUDITOR)
FILTER_SAVE = Method("audit.filters.save", SaveFilter, m.SavedFilter, AUDITOR)
FILTER_REMOVE = Method("audit.filters.remove", ByName, type(None), AUDITOR)
"""Saved filters: one's own, and those that others share. Changes are on record."""
AUDIT_EXPORT_BEGIN = Method("audit.export.begin", AuditExportBegin, m.AuditExport, AUDITOR)
AUDIT_EXPORT_READ = Method("audit.export.read", AuditExportRead, m.AuditExportPiece, AUDITOR)
AUDIT_EXPORT_STATE = Method("audit.export.state", ById, m.AuditExport, AUDITOR)
AUDIT_EXPORT_CANCEL = Method("audit.export.cancel", ById, m.AuditExport, AUDITOR)
"""What a filter finds as a file: on record when it begins and when it ends, with the filter and how many rows."""
VERIFY = Method("audit.verify", VerifyRequest, m.Proof, AUDITOR)
RESULT = Method("audit.show", ShowRequest, m.StatementResult, AUDITOR_ALONE)
"""What was kept of a statement's answer. Every look is on record."""
ANCHOR = Method("audit.anchor", Nothing, m.Anchor, AUDITOR)
CHECKPOINT = Method("audit.checkpoint", witness.CheckpointRequest, witness.Checkpointed)
"""For anybody's workstation, which keeps it: see `witness`."""
SUBSCRIBE = Method("subscribe", Subscription, type(None))
PERSONAL_LIST = Method("personal.list", PersonalList, m.PersonalPage)
PERSONAL_PUT = Method("personal.put", PersonalPut, m.PersonalKept)
PERSONAL_REMOVE = Method("personal.remove", PersonalRemove, int)
"""What one keeps for oneself: open editors, history, saved queries, favourites. `remove` answers with how many went."""
EXPORT_BEGIN = Method("export.begin", ExportBegin, m.ExportFile, OPERATOR)
EXPORT_PART = Method("export.part", ExportPart, type(None), OPERATOR)
EXPORT_FINISH = Method("export.finish", ExportFinish, m.ExportFile, OPERATOR)
EXPORT_ABANDON = Method("export.abandon", ById, type(None), EXPORTING)
EXPORT_LIST = Method("export.list", Nothing, list[m.ExportFile], EXPORTING)
EXPORT_READ = Method("export.read", ExportRead, m.ExportPiece, EXPORTING)
"""Results that a served workstation exports: they wait on the bastion, sealed. Each, and each look, is on record."""
SCREENS = Method("screen.list", ScreenFilter, list[m.Screen], AUDITOR)
SCREEN = Method("screen.show", ScreenRequest, m.ScreenPart, AUDITOR_ALONE)
SCREEN_OF = Method("screen.of", screens.ScreenOfRequest, screens.ScreenSessions | None, AUDITOR)
"""The workstation that a session was opened in, and its other sessions; None where it was not in a served one."""
SCREEN_READ = Method("screen.read", screens.ScreenReadRequest, screens.ScreenPiece, AUDITOR_ALONE)
SCREEN_FOLLOW = Method("screen.follow", screens.ScreenFollowRequest, screens.ScreenPiece, AUDITOR_ALONE)
"""The screen as it is now: on record once a watch. Who asks slowly gets fewer and fuller answers, or a new picture."""
BUNDLE = Method("audit.bundle", BundleRequest, m.ExportFile, AUDITOR_ALONE, patience=600.0)
BUNDLE_READ = Method("audit.bundle.read", ExportRead, m.ExportPiece, AUDITOR_ALONE)
BUNDLE_REMOVE = Method("audit.bundle.remove", ById, type(None), AUDITOR_ALONE)
"""A session as a ZIP that proves itself. It waits on the bastion, sealed, like an export; each is on record."""
LEGAL_HOLDS = Method("legal-hold.list", Nothing, list[m.LegalHold], AUDITOR)
LEGAL_HOLD_ADD = Method("legal-hold.add", ById, m.LegalHold, AUDITOR)
LEGAL_HOLD_REMOVE = Method("legal-hold.remove", ById, m.LegalHold, AUDITOR)
"""Sessions that retention leaves alone. Each hold and each release is on record with its reason."""
REPORT = Method("audit.report", reports.ReportRequest, reports.Report, AUDITOR, patience=600.0)
"""Figures over the record, with what proves it. On record."""
RETENTION = Method("audit.retention", Nothing, m.RetentionState, AUDITOR)
RETENTION_RUN = Method("audit.retention.run", RetentionRequest, m.RetentionRun, AUDITOR, patience=600.0)
"""The declared rules, applied now instead of with the next turn. A run that deletes is on record with its reason."""
CA = Method("ca.show", Nothing, m.Certificate)
APPLY = Method("state.apply", ApplyRequest, m.Applied, ADMINISTRATOR)
EXPORT = Method("state.export", Nothing, dict[str, Any], ADMINISTRATOR)
"""The last two are answered on the bastion's own machine only."""

ALL: tuple[Method, ...] = (
    HELLO, DATABASES, TOKEN_REQUEST, TOKEN_SHOW, TOKENS, TOKEN_RENEW, TOKEN_REVOKE, TUNNEL_OPEN, SESSION_CANCEL,
    SESSION_END, SESSIONS, STATEMENTS, RESULT, VERIFY, ANCHOR, SUBSCRIBE, SCREENS, SCREEN, CA, APPLY, EXPORT,
    CHECKPOINT,
    EXPORT_BEGIN, EXPORT_PART, EXPORT_FINISH, EXPORT_ABANDON, EXPORT_LIST, EXPORT_READ,
    BUNDLE, BUNDLE_READ, BUNDLE_REMOVE, REPORT, LEGAL_HOLDS, LEGAL_HOLD_ADD, LEGAL_HOLD_REMOVE,
    RETENTION, RETENTION_RUN,
    EXPLAIN, PERSONAL_LIST, PERSONAL_PUT, PERSONAL_REMOVE,
    SCREEN_OF, SCREEN_READ, SCREEN_FOLLOW,
    STATEMENTS_COUNT, SESSIONS_COUNT, AUDIT_NAMES, STATEMENT_TABLES, FILTERS, FILTER_SAVE, FILTER_REMOVE,
    AUDIT_EXPORT_BEGIN, AUDIT_EXPORT_READ, AUDIT_EXPORT_STATE, AUDIT_EXPORT_CANCEL,
    LIVE, WATCH, UNWATCH, MESSAGE, HOLD, RELEASE, USER_LOCK, USER_UNLOCK, USER_LOCKS,
)  # fmt: skip
BY_NAME = {method.name: method for method in ALL}
EVENT = "event"
"""The notification method; its params are `messages.Event`."""

"""The shapes of the control API. Times are RFC 3339 in UTC with a `Z`; periods are seconds; sizes are bytes.

Scripts rely on the field names and their order (`--json` prints these structs as they are), so fields are only added.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Message(msgspec.Struct, kw_only=True, forbid_unknown_fields=False):
    """Base of all shapes: fields by name; a reader ignores fields that it does not know."""


class Address(Message):
    host: str
    port: int


class StorageState(Message):
    """A disk of the record that is nearly full. Bytes."""

    folder: str
    used: int
    total: int
    percent: int


class Hello(Message):
    """The first answer on a control channel. `roles` of operator, approver, auditor, administrator."""

    user: str
    roles: list[str]
    version: str
    bastion: Address
    node: str
    ask: str = ""
    """Names of administrators, for whoever needs a grant; three at most."""
    token_validity: int = 0
    """Seconds that a token lives where nothing else is asked for; `token_longest`: at most. 0: not told."""
    token_longest: int = 0
    alarms: list[StorageState] = []
    """Disks of the record that are nearly full; for administrators and auditors."""


class LegalHold(Message):
    """A session that retention leaves alone, with the `screen` that it was opened in."""

    session: str
    screen: str
    reason: str
    by: str
    at: str
    user: str = ""
    database: str = ""
    started_at: str | None = None


class RetentionState(Message):
    """The rules (0: for ever, as much as there is; see the configuration), what was deleted last, what is held.

    deleted_at, rule  of the newest tombstone on record; None, '' where nothing was deleted
    """

    records: int
    recordings: int
    screens: int
    recordings_bytes: int
    alarm: int
    holds: int
    deleted_at: str | None = None
    rule: str = ""
    disks: list[StorageState] = []


class RetentionRun(Message):
    """What a run of retention has deleted, or would delete now (`dry`).

    records, sessions  of the journal and the store. recordings: results and screens; `bytes` of them
    """

    dry: bool
    records: int = 0
    sessions: int = 0
    recordings: int = 0
    bytes: int = 0


class Account(Message):
    """`name` '*' stands for `any`: the operator types a login of their own. `hosted`: the bastion has its password."""

    name: str
    hosted: bool


class Database(Message):
    """A database that the person may reach, with the accounts granted there."""

    name: str
    engine: str
    platform: str
    host: str
    port: int
    domain: str
    databases: list[str]
    accounts: list[Account]
    tokens: list[TokenState]
    until: str | None
    """When the last grant that gives it ends; None: open-ended."""
    production: bool = False
    """A mistake there is felt by many: the workstation wears a band and guards writes."""
    groups: list[str] = []
    """The database groups that it is in."""
    comment: str = ""


class TokenState(Message):
    """A live token of the person, without its text."""

    id: str
    database: str
    account: str
    issued_at: str
    expires_at: str
    renewals_left: int


class Lines(Message):
    """Ready-made commands: `ssh` opens the tunnel, `client` uses it."""

    ssh: str
    client: str


class Token(Message):
    """An O&M token as its owner is shown it."""

    id: str
    token: str
    user: str
    host: str
    port: int
    bastion: Address
    database: str
    account: str
    expires_at: str
    renewals_left: int
    ca: str
    lines: Lines
    engine: str
    hosted: bool
    issued_at: str
    production: bool = False
    """Of the database: see `Database.production`."""
    login: str = ""
    """The database user to type; `catalog`: what to open, '' for the default; `service`, `sid`: Oracle's."""
    catalog: str = ""
    service: str = ""
    sid: str = ""
    local_port: int = 0
    """The near end's port in the ready-made lines."""
    asks_password: bool = False
    """The client has to give a password: the account's own, or the token where the policy wants that."""


class Tunnel(Message):
    """A way opened for one connection: dial `host`:`port` by direct-tcpip on the same SSH connection within 30 s."""

    session: str
    host: str
    port: int
    engine: str
    database: str
    account: str
    hosted: bool


class Session(Message):
    """A database connection through the bastion. `account` is the token's, `login` the user name that the client typed.

    state: `opening`, `live`, `closed`, `refused`, `lost` (the bastion went away under it).
    """

    id: str
    user: str
    source: str
    client: str
    token: str
    database: str
    account: str
    login: str
    engine: str
    node: str
    state: str
    started_at: str
    ended_at: str | None
    end_reason: str | None
    statements: int
    bytes_up: int
    bytes_down: int
    unattributed_bytes: int
    catalog: str = ""
    server_version: str = ""
    database_tls: str = ""
    running: str | None = None
    """Live sessions only: the first 200 characters of the statement at work."""
    backend: str = ""
    """How the database's end was left: `idle`, `gone`, `busy` (it may be at work still); '' where nobody looked."""
    messages: dict[str, dict[str, int]] | None = None
    """How many messages of each type passed, of the `client` and of the `server`; None where they were not counted."""


class Statement(Message):
    """One operation log entry.

    state: `sent` (no outcome: the answer never came), `done`, `failed`, `cancelled`, `refused`, `skipped`.
    verdict: `allowed` or the code of the refusal. tool: what start-up chatter it was recognised as, '' if none.
    binds: as text, None for NULL; the field is None where there were none.
    """

    session: str
    seq: int
    at: str
    user: str
    database: str
    account: str
    schema: str
    kind: str
    text: str
    binds: list[str | None] | None
    verdict: str
    tool: str
    state: str
    rows: int | None
    error: str | None
    duration_ms: float | None
    bytes_down: int
    digest: str = ""
    """The same for all statements of an engine that differ only in their values; '' where it is not known (yet)."""


class StatementFilter(Message):
    """What `audit.search` looks for; every field that is set narrows it. Oldest first, or `newest`; `limit` 0 is none.

    words: each is in the text or in a bound value (case-insensitive) and begins where a word or a part of it begins;
    with a `*` before it, anywhere. digest: those of this shape. like: those of the same shape as the statement
    `SESSION/SEQ`, or of this digest. table: named after FROM, JOIN, INTO, UPDATE and the like, without its schema.
    client: in the client program's own words. `after` continues a listing: the `cursor` of the page before.

    since, until: RFC 3339, or a period before now (`30m`, `2h`, `3d`, `1w`).
    any_of, none_of: the same fields (user, database, account, session, token, source, kind, verdict, state;
    any_of table too, none_of words too) with several values, or none of them.
    tools: False leaves out what was recognised as a program's start-up chatter. seq: one statement of a session.
    order: '' the record's own, or `rows`, `duration`: largest first as far as they reach 100 (rows, milliseconds), then
    the others, newest first; `after_value` is then the page's `cursor_value`.
    stream: a search of the same stream on the same connection takes the place of one that is still at work.
    """

    words: list[str] = []
    user: str | None = None
    database: str | None = None
    account: str | None = None
    session: str | None = None
    kind: str | None = None
    since: str | None = None
    until: str | None = None
    error: bool | None = None
    limit: int = 0
    after: int = 0
    digest: str | None = None
    like: str | None = None
    table: str | None = None
    verdict: str | None = None
    source: str | None = None
    client: str | None = None
    least_rows: int | None = None
    least_ms: float | None = None
    newest: bool = False
    most_rows: int | None = None
    most_ms: float | None = None
    state: str | None = None
    token: str | None = None
    seq: int | None = None
    tools: bool | None = None
    any_of: dict[str, list[str]] = {}
    none_of: dict[str, list[str]] = {}
    order: str = ""
    after_value: float | None = None
    stream: str = ""


class StatementPage(Message):
    """At most 1,000 statements; `cursor` (and with an `order` `cursor_value`) continues, None at the end."""

    statements: list[Statement]
    cursor: int | None
    cursor_value: float | None = None


class Count(Message):
    """How many there are: `count` exactly, or at least so many."""

    count: int
    exact: bool


class SessionFilter(Message):
    """Newest first when `newest` is set, else oldest first. At most `limit` (1,000) sessions.

    after: the id of the last session of the page before. words: each in the client's or the server's words, the login,
    the end's reason, the source, the person's or the database's name. unattributed: with bytes not understood.
    order: '' or `statements`, `bytes` (largest first). The other fields as in StatementFilter.
    """

    live: bool = False
    user: str | None = None
    database: str | None = None
    id: str | None = None
    newest: bool = False
    limit: int = 1000
    account: str | None = None
    source: str | None = None
    client: str | None = None
    token: str | None = None
    state: str | None = None
    since: str | None = None
    until: str | None = None
    words: list[str] = []
    unattributed: bool | None = None
    any_of: dict[str, list[str]] = {}
    none_of: dict[str, list[str]] = {}
    order: str = ""
    after: str | None = None
    stream: str = ""


class AuditNames(Message):
    """Names that occur in the record, for completion; the most recent ones, a bounded number of each."""

    users: list[str] = []
    databases: list[str] = []
    accounts: list[str] = []
    sources: list[str] = []
    clients: list[str] = []
    tables: list[str] = []
    kinds: list[str] = []


class SavedFilter(Message):
    """A filter that is kept under a name: `text` is the line as it is typed (bastion.api.audit_filter).

    what: `statements` or `sessions`. shared: other auditors see and use it; only its owner changes it.
    """

    name: str
    owner: str
    text: str
    what: str = "statements"
    shared: bool = False
    changed_at: str = ""


class AuditExport(Message):
    """An export of the record, and how far it is.

    state: `running`, `whole`, `cancelled`, `failed` (`reason` says why). file: what is kept of it, once it is whole.
    """

    id: str
    what: str
    format: str
    state: str
    rows: int = 0
    bytes: int = 0
    reason: str = ""
    digest: str = ""
    file: ExportFile | None = None


class AuditExportPiece(Message):
    """Bytes of an export, and the rows so far; `done` with the last of them."""

    data: bytes
    rows: int
    done: bool = False
    digest: str = ""


class Finding(Message):
    """One result of `doctor` or of a check: `level` is ok, warning or error; `next` says what to do."""

    level: str
    subject: str
    message: str
    next: str = ""


class Proof(Message):
    """What `audit verify` found.

    intact        no record was changed, removed, inserted or moved, in the journal and (where compared) in the store
    proved_to     number of the last record that a good checkpoint covers, and `proved_at` its time
    unwitnessed   records after it
    broken_at     number of the first record that does not hold, with `reason` and the `file` it is in
    """

    intact: bool
    records: int
    proved_to: int
    proved_at: str | None
    unwitnessed: int
    broken_at: int | None = None
    file: str | None = None
    reason: str | None = None
    key_from: str = ""
    """Where the key came from: `given`, `anchor`, or `folder` (the journal's own, which proves less)."""
    anchored_to: int | None = None
    """The last record that an anchor witnessed and that holds; None without an anchor."""
    store: str | None = None
    """Where the store was compared with the journal: '' when it says the same, else the first difference."""
    recordings: int | None = None
    """Recordings that are as the journal witnessed them; None where there was no folder to look at."""
    recording: str | None = None
    """Where recordings were looked at: '' when they are as witnessed, else the first that is not, and how."""
    recordings_unwitnessed: int = 0
    deleted: int = 0
    """Records that were deleted by rule: a signed tombstone in the chain says so. The last of them is `deleted_to`."""
    deleted_to: int = 0
    recordings_deleted: int = 0
    tombstone: int | None = None
    """The number of the newest tombstone's record, `deleted_at` its time and `deleted_by` its rule, if there is one."""
    deleted_at: str | None = None
    deleted_by: str | None = None
    """Recordings with an end that the journal has not witnessed (yet)."""


class ResultColumn(Message):
    """A column of a kept result. `type` is the engine's own name of it, '' where the answer did not say."""

    name: str
    type: str


class ResultSet(Message):
    """One result of a statement, or the part of it that is on this page. Values are text, None is NULL.

    number     of the result within the statement, from 1
    first_row  number of the first row here, from 1; 0 where there is none
    tag        the server's own words at its end; `count` the rows that it says it returned or changed
    ended      its end was kept
    """

    number: int
    columns: list[ResultColumn]
    rows: list[list[str | None]]
    first_row: int = 0
    tag: str = ""
    count: int | None = None
    ended: bool = False


class Said(Message):
    """A notice of the database."""

    severity: str
    code: str
    message: str


class SentData(Message):
    """What was kept of what a client streamed into a statement (COPY FROM STDIN, LOAD DATA LOCAL): its beginning.

    why   `upload`, `session` (the limits) or `behind` (the disk did not follow); '' where it is whole
    form  of `data`: `text`, or `hex` where it is none
    """

    bytes_kept: int
    bytes_total: int
    why: str
    form: str
    data: str


class StatementResult(Message):
    """A statement with what was kept of its answer.

    kept        `whole`, `part` (its beginning) or `none`
    why         what is missing is missing because of: `statement`, `session` (the limits), `behind` (the disk did not
                follow), `failed: …`, `died` (the bastion, before it was written), `running`, `not-yet`, `not-recorded`,
                `deleted` (by retention), `other-node`, `not-run`, `no-answer`, `damaged`, `missing`; '' for a whole one
    detail      what is wrong with the recording, for people
    next        continues on the next page (`after`); None at the end
    sent        of the first page: what the client streamed in; None where it streamed nothing, or nothing was kept
    masked      the values are not here, only their types and lengths (`<text:12>`): ask again with `unmask`
    """

    statement: Statement
    operation: str
    kept: str
    why: str
    bytes_kept: int
    bytes_total: int | None = None
    results: list[ResultSet] = []
    said: list[Said] = []
    errors: list[str] = []
    detail: str = ""
    next: int | None = None
    sent: SentData | None = None
    masked: bool = False


class Anchor(Message):
    """A fresh signed checkpoint to keep elsewhere, one line of JSON: `audit verify --anchor` compares with it."""

    text: str


class Certificate(Message):
    """The bastion's certificate authority, PEM."""

    pem: str


class Change(Message):
    """One change that `apply` makes or would make. action: create, update, delete; `detail` holds no secret."""

    action: str
    kind: str
    name: str
    detail: str = ""


class Applied(Message):
    """What `apply` did, or would do (`dry`)."""

    changes: list[Change]
    dry: bool
    warnings: list[str] = []


class Check(Message):
    """One thing that has to be so before a database can be worked with.

    stage   `person`, `grant`, `account`, `token`, `limit`, `name`, `tcp`, `tls`, `last` (the last session), in order
    state   `ok`, `no`, or `note` (nothing is in the way, but it is worth knowing)
    code    a refusal's, or one of `bastion.api.explanations`, with its params
    """

    stage: str
    state: str
    code: str
    params: dict[str, Any] = {}


class Explanation(Message):
    """Whether and why a person can or cannot connect. `open`: nothing that was looked at is in the way.

    account: the one that was judged; None where none could be chosen.
    """

    user: str
    database: str
    account: str | None
    open: bool
    checks: list[Check]


class PersonalItem(Message):
    """Something that a person keeps: an open editor, a statement of the history, a saved query, a favourite."""

    kind: str
    key: str
    value: str
    updated_at: str


class PersonalPage(Message):
    """Items, the last changed first; `next` continues (`PersonalList.after`), None at the end."""

    items: list[PersonalItem]
    next: str | None = None


class PersonalKept(Message):
    """What became of an item. `value`: as it is kept, where that differs from what was sent (credentials taken out)."""

    updated_at: str
    value: str | None = None


class ExportFile(Message):
    """A result that waits on the bastion to be fetched, until `until`. digest: SHA-256, hexadecimal; '' before its end.

    seq: the statement's number in its session, where it was found there.
    """

    id: str
    session: str
    seq: int | None
    database: str
    format: str
    name: str
    rows: int
    bytes: int
    digest: str
    begun_at: str
    until: str


class BundleProof(Message):
    """What `audit verify --bundle` found: that it holds and what it covers, or the first `file` in it that does not.

    first, last  numbers of the journal's records; `shown` are the session's own, `withheld` those of others
    key_from     `given`, or `bundle` (its own, which proves less)
    """

    intact: bool
    file: str = ""
    reason: str = ""
    node: str = ""
    session: str = ""
    first: int = 0
    last: int = 0
    shown: int = 0
    withheld: int = 0
    statements: int = 0
    proved_at: str = ""
    key: str = ""
    key_from: str = ""
    anchored_to: int | None = None
    recordings: int = 0


class ExportPiece(Message):
    """Bytes of an exported result; `next` continues (`ExportRead.after`), None at the end."""

    data: bytes
    next: int | None = None


class Event(Message):
    """A server notification on a subscribed topic.

    topic: `sessions` (kinds `opened`, `changed`, `closed`; data: Session), `statements` (kinds `sent`, `done`;
    data: Statement), `tokens` (kinds `issued`, `renewed`, `revoked`, `expiring`; data: TokenState), `notices` (kind
    `message`: an auditor's words to this person; data: live.Notice), `missed` (the reader was too slow; data:
    `{"count": …}` of the events that were dropped).
    """

    topic: str
    kind: str
    data: dict[str, Any]


class Screen(Message):
    """A workstation that was served over SSH. `recorded`: its screen was kept; a cut recording says so itself."""

    id: str
    user: str
    source: str
    terminal: str
    recorded: bool
    began_at: str
    ended_at: str | None = None


class ScreenPart(Message):
    """Lines of an asciicast, and behind which chunk the next are; None at the end."""

    data: bytes
    next: int | None

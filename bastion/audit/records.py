"""The records of the journal: what is chained, signed and shipped. One struct a kind; `kind` is its tag.

The canonical bytes of a record are its JSON with the fields in the order given here, so a record read back and
encoded again gives the same bytes. Fields are only ever added at the end, with a default. Times are RFC 3339 in UTC
with microseconds and a `Z`.
"""

from __future__ import annotations

import msgspec


class Record(msgspec.Struct, tag_field="kind", frozen=True, kw_only=True, omit_defaults=False):
    """`at` is when it happened, by the node's clock."""

    at: str


class NodeStarted(Record, tag="node-started", frozen=True):
    node: str
    version: str
    public_key: str
    """Ed25519 public key that signs this node's checkpoints, base64."""


class NodeStopped(Record, tag="node-stopped", frozen=True):
    node: str
    reason: str


class JournalRepaired(Record, tag="journal-repaired", frozen=True):
    """A crash had left a torn record at the end of a segment; its bytes were cut off and kept in a file beside it."""

    segment: str
    bytes_cut: int


class LoggedIn(Record, tag="login", frozen=True):
    """A person (or a token) came through the SSH door. `method`: password, publickey, token."""

    user: str
    method: str
    source: str


class LoginRefused(Record, tag="login-refused", frozen=True):
    """`user` is what was typed, at most 128 characters; `code` is the refusal's."""

    user: str
    method: str
    source: str
    code: str


class Act(Record, tag="act", frozen=True):
    """A person changed something or looked at something secret.

    Token issued, shown, renewed, revoked; settings applied; … `detail` holds no secret.
    """

    user: str
    source: str
    act: str
    subject: str
    detail: dict[str, str | int | None] = {}


class SessionOpened(Record, tag="session-opened", frozen=True):
    """Written before the database is dialled."""

    session: str
    user: str
    source: str
    token: str
    database: str
    account: str
    engine: str
    node: str
    purpose: str


class SessionLoggedIn(Record, tag="session-logged-in", frozen=True):
    """Both legs are through; `login` is what the client typed."""

    session: str
    login: str
    client: str
    catalog: str
    schema: str
    server_version: str
    database_tls: str


class ClientNamed(Record, tag="client-named", frozen=True):
    """The client's program calls itself otherwise than at its login; the person's name is not in it any more."""

    session: str
    client: str


class SessionRefused(Record, tag="session-refused", frozen=True):
    """No session came of it. `by` as in the protocol contract: bastion, database, client."""

    session: str
    by: str
    code: str
    error: str
    login: str = ""
    client: str = ""


class StatementSent(Record, tag="statement-sent", frozen=True):
    """In the journal before the statement's first byte goes to the database."""

    session: str
    seq: int
    operation: str
    statement_kind: str
    schema: str
    text: str
    complete: bool
    binds: list[str | None] | None
    verdict: str
    tool: str
    redacted: list[str] = []
    """Keyed digests of the credentials that were taken out of the text, in order."""


class StatementExtended(Record, tag="statement-extended", frozen=True):
    """More of it, before its bytes go: text, binds, that it is run now, client data."""

    session: str
    seq: int
    text: str = ""
    complete: bool = True
    binds: list[str | None] | None = None
    statement_kind: str = ""
    data_bytes: int = 0
    detail: str = ""
    redacted: list[str] = []
    """Keyed digests of the credentials that were taken out of this part, in order."""


class StatementDone(Record, tag="statement-done", frozen=True):
    """The outcome. state: done, failed, cancelled, refused, skipped."""

    session: str
    seq: int
    state: str
    rows: int | None
    error: str | None
    duration_ms: float
    bytes_down: int


class StatementRefused(Record, tag="statement-refused", frozen=True):
    """A statement that was not sent."""

    session: str
    seq: int
    statement_kind: str
    schema: str
    text: str
    binds: list[str | None] | None
    code: str
    error: str


class RawBytes(Record, tag="raw-bytes", frozen=True):
    """What could not be read (base64, at most 4 KiB), with what was made of it: `refused` or `passed`."""

    session: str
    leg: str
    reason: str
    data: str
    made: str


class CancelSent(Record, tag="cancel", frozen=True):
    """The bastion told the database to stop the running statement; `confirmed`: the database took the order."""

    session: str
    seq: int | None
    by: str
    reason: str
    confirmed: bool


class SessionClosed(Record, tag="session-closed", frozen=True):
    """The end of a session that both legs had logged in to.

    backend: how the database's end was left: `idle` (it had answered everything it was sent; then it was hung up on),
    `gone` (it had hung up itself), `busy` (it did not answer a cancelled statement in time, and may be at work on it
    still); '' where nobody looked (a lost session, a cancel request).
    messages: how many of each type passed, of the `client` and of the `server`, by the protocol's names; what a reader
    passes on as a run counts as one, under the name of the first. Empty for a lost session.
    """

    session: str
    reason: str
    statements: int
    bytes_up: int
    bytes_down: int
    unattributed_bytes: int
    state: str = "closed"
    backend: str = ""
    messages: dict[str, dict[str, int]] = {}


class Checkpoint(Record, tag="checkpoint", frozen=True):
    """Signs everything before it: `signature` is Ed25519 over `node`, `number`, `hash` and `at` (see chain.py)."""

    node: str
    number: int
    hash: str
    public_key: str
    signature: str


class Recording(Record, tag="recording", frozen=True):
    """How far the recording of a session's results has come: from time to time, and before the session's last record.

    chunks, bytes   of the file; `hash` is the chain behind the last chunk (recording_file)
    kept, left_out  bytes of the server that are in it, and that are not: beyond the limits, or lost
    state           `open` or `closed`
    cut             why something was lost: `behind` (the disk did not follow), or what failed; '' if nothing was
    """

    session: str
    chunks: int
    bytes: int
    hash: str
    kept: int
    left_out: int
    state: str
    cut: str = ""


class Tombstone(Record, tag="tombstone", frozen=True):
    """Something was deleted by rule. `statement` is JSON (tombstones.Deletion), and `signature` is over it."""

    node: str
    statement: str
    public_key: str
    signature: str


class StorageAlarm(Record, tag="storage-alarm", frozen=True):
    """A disk that the record needs is filling, or has room again. `state`: raised, cleared. Bytes."""

    node: str
    folder: str
    state: str
    used: int
    total: int
    percent: int


AnyRecord = (
    NodeStarted | NodeStopped | JournalRepaired | LoggedIn | LoginRefused | Act | SessionOpened | SessionLoggedIn
    | SessionRefused | StatementSent | StatementExtended | StatementDone | StatementRefused | RawBytes | CancelSent
    | SessionClosed | Checkpoint | Recording | ClientNamed | Tombstone | StorageAlarm
)  # fmt: skip

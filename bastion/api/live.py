"""The shapes of what runs now: the live list, the watch of one session, and what an auditor does about them.

Both are asked for again and again, and each answer brings what is new since the one before on the same channel: so a
slow link gets fewer and fuller answers, and nothing queues up for it. See `methods.LIVE` and `methods.WATCH`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .messages import Message, Statement

LONGEST_WAIT = 20.0
"""Seconds that a call waits for something new, at most."""

SESSIONS_AT_ONCE = 250
"""Whole sessions of one answer, at most; `LiveChanges.more` says that there are others."""

HELD_FOR = 60
"""Seconds that a statement is held where nothing else is asked for; then it is refused."""

HELD_AT_MOST = 600
"""Seconds that a statement can be held, and that a hold waits for one."""

LONGEST_WORDS = 500
"""Characters of a message or a reason that are kept."""

STATES = ("opening", "idle", "running", "streaming", "transaction", "held", "ending")
"""What a live session is at; `transaction` is idle inside an open one, `streaming` has rows on their way."""


class Reason(Message):
    """Why a session is risky: a code of `bastion.api.risks`, its params, and how much it adds to the figure."""

    code: str
    params: dict[str, Any] = {}
    weight: int = 0


class Hold(Message):
    """An order to hold a session's next statement.

    seq     the statement that waits; None: none has come yet
    until   when it is refused by itself, or the order lapses where none has come
    """

    by: str
    reason: str
    at: str
    until: str
    seq: int | None = None


class Figures(Message, omit_defaults=True):
    """What changes of a live session. What has its default is left out on the wire.

    state               one of STATES
    statements, errors  so far; `errors` are the failed ones
    seq                 the number of the statement at work, 0 where none is
    running             its beginning (200 characters); in `LiveChanges.changed` None where `seq` is as it was before
    kind                what it is: select, update, …
    running_since       when it was sent
    rows                that it has brought so far
    rows_per_second, bytes_per_second    from the database to the client, since the answer before
    transaction         empty, `open` or `failed`, and since when
    risk                0 to 100; `reasons` say why, the heaviest first
    """

    state: str = "idle"
    statements: int = 0
    errors: int = 0
    seq: int = 0
    running: str | None = None
    kind: str = ""
    running_since: str | None = None
    rows: int = 0
    rows_per_second: int = 0
    bytes_per_second: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    transaction: str = ""
    transaction_since: str | None = None
    unattributed_bytes: int = 0
    risk: int = 0
    reasons: list[Reason] = []
    hold: Hold | None = None


class LiveSession(Message):
    """A session that is open now; fields as in `messages.Session`. `purpose` is client, console or catalog."""

    id: str
    user: str
    source: str
    client: str
    database: str
    account: str
    login: str
    engine: str
    node: str
    purpose: str
    production: bool
    started_at: str
    figures: Figures
    catalog: str = ""
    server_version: str = ""
    database_tls: str = ""


class ClosedSession(Message):
    """A session that is not live any more."""

    id: str
    reason: str


class LiveRequest(Message):
    """`view`: '' for a new list; then `LiveChanges.view`. `wait`: seconds to wait for a change (20 at most)."""

    view: str = ""
    wait: float = 0.0


class LiveChanges(Message):
    """What is new of the live list since the answer before.

    at        the bastion's clock: times in the figures are by it
    whole     forget what you have: the list begins anew
    sessions  new ones, and those of which more than figures changed
    changed   figures of the others, by id
    more      call again at once: there are others
    """

    view: str
    at: str
    whole: bool = False
    sessions: list[LiveSession] = []
    changed: dict[str, Figures] = {}
    closed: list[ClosedSession] = []
    more: bool = False


class WatchRequest(Message):
    """`watch`: '' to begin, which is on record; then `Watched.watch`. `wait`: seconds to wait for an event (20 at
    most)."""

    session: str
    watch: str = ""
    wait: float = 0.0


class WatchEvent(Message):
    """Something about a statement of a watched session.

    kind   `sent` (with `statement`), `extended` (more text, binds, or that it is run), `done` (with its outcome),
           `held`, `released` (with by and reason; a refused one is `done` with the state `refused`)
    cut    the text is longer than what is here; it is whole in the record
    """

    kind: str
    seq: int
    at: str
    statement: Statement | None = None
    text: str = ""
    cut: bool = False
    binds: list[str | None] | None = None
    data_bytes: int = 0
    state: str = ""
    rows: int | None = None
    error: str | None = None
    duration_ms: float | None = None
    bytes_down: int = 0
    by: str = ""
    reason: str = ""


class Skipped(Message):
    """Events that a slow watcher was not given, of the statements `first` to `last`: the record has them."""

    events: int
    first: int
    last: int


class Watched(Message):
    """What has happened in a session since the answer before, oldest first.

    before   of the first answer: statements up to this number were sent before the watch began; they are on record
             (`audit.search`), and those among them that still run end here with a `done` of their number
    skipped  what was left out before `events`
    session  its figures now; None once it is over
    ended    it is over, and why; no more events come
    """

    watch: str
    at: str
    events: list[WatchEvent] = []
    before: int = 0
    skipped: Skipped | None = None
    session: LiveSession | None = None
    ended: bool = False
    end_reason: str = ""


class MessageRequest(Message):
    """`text` is shown to the person whose session it is; `reason` is for the record alone."""

    id: str
    text: str
    reason: str


class Delivered(Message):
    """Where a message went: `workstations` of the person that were open, the client by its `protocol`, its `ssh`.

    ssh: sent as a debug message of SSH (RFC 4253, section 11.3), which `ssh` shows with -v only.
    """

    workstations: int
    protocol: bool
    ssh: bool


class HoldRequest(Message):
    """Hold the next statement of a session. `seconds`: how long at most; then it is refused."""

    id: str
    reason: str
    seconds: int = HELD_FOR


class ReleaseRequest(Message):
    """Let the held statement go, or `refuse` it. `again`: hold the one behind it too."""

    id: str
    reason: str
    refuse: bool = False
    again: bool = False


class LockRequest(Message):
    """Lock a person for so many seconds: their sessions end, and they cannot log in until then."""

    user: str
    seconds: int
    reason: str


class UnlockRequest(Message):
    user: str
    reason: str


class Lock(Message):
    """A person who is locked for a time. `sessions`: how many of theirs ended, where this call locked them."""

    user: str
    until: str
    by: str
    reason: str
    at: str | None = None
    sessions: int = 0


class Notice(Message):
    """What a person is told in their workstation: the data of an event of the topic `notices`.

    The kind is `message`: an auditor's words about a session of theirs.
    """

    at: str
    by: str
    session: str
    database: str
    text: str


def seconds_between(earlier: str, later: str) -> float:
    """Seconds from one time of a message to another, not below 0."""
    return max(0.0, (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds())


class LiveList:
    """The live list as a reader keeps it: `apply` takes each answer in."""

    def __init__(self) -> None:
        self.view = ""
        self.at = ""
        self.sessions: dict[str, LiveSession] = {}

    def apply(self, changes: LiveChanges) -> set[str]:
        """Takes an answer in; the ids of the sessions that are new, changed or gone."""
        self.view, self.at = changes.view, changes.at
        touched: set[str] = set()
        if changes.whole:
            touched.update(self.sessions)
            self.sessions.clear()
        for session in changes.sessions:
            self.sessions[session.id] = session
            touched.add(session.id)
        for id, figures in changes.changed.items():
            known = self.sessions.get(id)
            if known is None:
                continue
            if figures.running is None and figures.seq and figures.seq == known.figures.seq:
                figures.running = known.figures.running
            known.figures = figures
            touched.add(id)
        for closed in changes.closed:
            if self.sessions.pop(closed.id, None) is not None:
                touched.add(closed.id)
        return touched

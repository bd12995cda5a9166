"""Whatever changes something, or looks at what people did, is in the same chain as the statements.

Every call of the control API is either in the walk below, with the record that it must leave, or in the list of those
that leave none, with the reason. A call that is in neither fails the test: whoever adds one decides.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
import yaml

from backends.host_keys import HostKeys
from backends.link import Credentials, Link, Target
from bastion.api import live, methods, reports
from bastion.api import messages as m
from bastion.api.methods import Method
from tests.servers.bastion_process import ADMINISTRATOR, AUDITOR, BastionProcess
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_for

from .stock_clients import SshTunnel, ssh_tunnel

DATABASE = "walked"

LEAVE_NONE = {
    "hello": "the login before it is recorded",
    "databases.list": "one's own grants",
    "token.list": "one's own tokens, without the tokens",
    "tunnel.open": "the session that comes of it is recorded",
    "sessions.live": "who is there now; opening one of them is recorded",
    "session.unwatch": "the end of a look that is recorded",
    "user.locks": "who is locked; each lock is recorded",
    "audit.count": "numbers beside a search that is recorded",
    "sessions.count": "numbers beside a search that is recorded",
    "audit.names": "names to choose filters from",
    "audit.tables": "names to choose filters from",
    "audit.filters.list": "filters, no statements",
    "audit.export.read": "the export that it belongs to is recorded",
    "audit.export.cancel": "the export that it belongs to is recorded, and how it ended",
    "audit.export.state": "the export that it belongs to is recorded",
    "audit.verify": "it reads everything and shows nothing",
    "audit.anchor": "a checkpoint is a record",
    "audit.checkpoint": "nothing of what is on record is in it",
    "audit.retention": "sizes and periods",
    "legal-hold.list": "each hold is recorded",
    "subscribe": "notices of one's own, or of what is watched",
    "personal.list": "what one keeps for oneself",
    "personal.put": "what one keeps for oneself",
    "personal.remove": "what one keeps for oneself",
    "export.part": "the export that it belongs to is recorded",
    "export.abandon": "nothing was exported",
    "export.list": "one's own exports",
    "screen.list": "whose screens there are; each look at one is recorded",
    "screen.of": "which screen belongs to a session",
    "ca.show": "a public certificate",
    "state.apply": "the walk of what is declared, below",
    "state.export": "on the bastion's own machine, without secrets",
}  # fmt: skip

ELSEWHERE = {"screen.show", "screen.read", "screen.follow"}
"""They need a served workstation: test_recordings and test_served_workstation see their records."""


def test_every_call_is_decided() -> None:
    walked = {step.method.name for step in STEPS}
    named = {method.name for method in methods.ALL}
    assert not walked & LEAVE_NONE.keys()
    assert walked | LEAVE_NONE.keys() | ELSEWHERE == named


@dataclass
class Stage:
    """A bastion with a live session of alice's, and the workstations of both."""

    bastion: BastionProcess
    alice: Link
    auditor: Link
    token: m.Token
    session: str = ""
    connection: psycopg.Connection[Any] | None = None
    threads: list[threading.Thread] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    export: m.ExportFile | None = None
    bundle: m.ExportFile | None = None

    def statement(self, text: str) -> None:
        """Runs at the same time as what follows."""
        connection = self.connection
        assert connection is not None

        def run() -> None:
            try:
                connection.execute(text.encode())
            except psycopg.Error as error:
                self.told.append(str(error))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.threads.append(thread)

    def running(self, text: str) -> None:
        wait_for("the statement", lambda: any(each.get("text") == text for each in self.bastion.journal()), 60)


@dataclass(frozen=True)
class Step:
    """One call. `leaves`: acts of that person, or kinds of records, that must be there after it and were not before."""

    method: Method
    who: str
    params: Callable[[Stage], m.Message]
    leaves: tuple[str, ...]
    before: Callable[[Stage], None] = lambda stage: None
    after: Callable[[Stage, Any], None] = lambda stage, answer: None


def _session(stage: Stage, reason: str = "") -> methods.ById:
    return methods.ById(id=stage.session, reason=reason)


def _keep_export(stage: Stage, answer: Any) -> None:
    stage.export = answer


def _keep_bundle(stage: Stage, answer: Any) -> None:
    stage.bundle = answer


def _export(stage: Stage) -> m.ExportFile:
    assert stage.export is not None
    return stage.export


def _bundle(stage: Stage) -> m.ExportFile:
    assert stage.bundle is not None
    return stage.bundle


def _sleeping(stage: Stage) -> None:
    stage.statement("SELECT pg_sleep(300)")
    stage.running("SELECT pg_sleep(300)")


def _part_of_export(stage: Stage, answer: Any) -> None:
    stage.export = answer
    stage.alice.call_now(methods.EXPORT_PART, methods.ExportPart(id=answer.id, number=0, data=b"1\n"))


def _until_it_is_all_read(stage: Stage, answer: Any) -> None:
    while True:
        piece = stage.auditor.call_now(methods.AUDIT_EXPORT_READ, methods.AuditExportRead(id=answer.id))
        if piece.done:
            return


WHY = "it is being tried"
STEPS = [
    Step(methods.TOKEN_SHOW, "alice", lambda s: methods.ById(id=s.token.id), ("token-shown",)),
    Step(methods.TOKEN_RENEW, "alice", lambda s: methods.ById(id=s.token.id), ("token-renewed",)),
    Step(methods.EXPLAIN, "alice", lambda s: methods.ExplainRequest(database="orders", dial=True), ("database-tried",)),
    Step(methods.SESSIONS, "auditor", lambda s: m.SessionFilter(user="alice"), ("audit-searched",)),
    Step(methods.STATEMENTS, "auditor", lambda s: m.StatementFilter(user="alice"), ("audit-searched",)),
    Step(methods.RESULT, "auditor", lambda s: methods.ShowRequest(session=s.session, seq=1), ("result-shown",)),
    Step(methods.FILTER_SAVE, "auditor", lambda s: methods.SaveFilter(name="hers", text="user:alice"),
         ("filter-saved",)),
    Step(methods.FILTER_REMOVE, "auditor", lambda s: methods.ByName(name="hers"), ("filter-removed",)),
    Step(methods.AUDIT_EXPORT_BEGIN, "auditor",
         lambda s: methods.AuditExportBegin(what="statements", format="jsonl", statements=m.StatementFilter()),
         ("audit-export-begun", "audit-exported"), after=_until_it_is_all_read),
    Step(methods.BUNDLE, "auditor", lambda s: methods.BundleRequest(session=s.session, reason=WHY),
         ("evidence-bundled",), after=_keep_bundle),
    Step(methods.BUNDLE_READ, "auditor", lambda s: methods.ExportRead(id=_bundle(s).id), ("export-fetched",)),
    Step(methods.BUNDLE_REMOVE, "auditor", lambda s: methods.ById(id=_bundle(s).id), ()),
    Step(methods.REPORT, "auditor",
         lambda s: reports.ReportRequest(since="2026-01-01T00:00:00Z", until="2036-01-01T00:00:00Z"), ("report-made",)),
    Step(methods.LEGAL_HOLD_ADD, "auditor", lambda s: _session(s, WHY), ("legal-hold-added",)),
    Step(methods.LEGAL_HOLD_REMOVE, "auditor", lambda s: _session(s, WHY), ("legal-hold-removed",)),
    Step(methods.RETENTION_RUN, "auditor", lambda s: methods.RetentionRequest(dry=False, reason=WHY),
         ("retention-ordered",)),
    Step(methods.EXPORT_BEGIN, "alice",
         lambda s: methods.ExportBegin(session=s.session, statement="SELECT 1", format="csv", name="one"), (),
         after=_part_of_export),
    Step(methods.EXPORT_FINISH, "alice",
         lambda s: methods.ExportFinish(id=_export(s).id, rows=1, digest=hashlib.sha256(b"1\n").hexdigest()),
         ("result-exported",)),
    Step(methods.EXPORT_READ, "alice", lambda s: methods.ExportRead(id=_export(s).id), ("export-fetched",)),
    Step(methods.WATCH, "auditor", lambda s: live.WatchRequest(session=s.session), ("session-watched",)),
    Step(methods.MESSAGE, "auditor", lambda s: live.MessageRequest(id=s.session, text="hello", reason=WHY),
         ("message-sent",)),
    Step(methods.SESSION_CANCEL, "alice", _session, ("cancel",), before=_sleeping),
    Step(methods.HOLD, "auditor", lambda s: live.HoldRequest(id=s.session, reason=WHY), ("hold-ordered",)),
    Step(methods.RELEASE, "auditor", lambda s: live.ReleaseRequest(id=s.session, reason=WHY), ("hold-withdrawn",)),
    Step(methods.SESSION_END, "auditor", lambda s: _session(s, WHY), ("session-end-ordered", "session-closed")),
    Step(methods.USER_LOCK, "auditor", lambda s: live.LockRequest(user="bob", seconds=600, reason=WHY),
         ("user-locked",)),
    Step(methods.USER_UNLOCK, "auditor", lambda s: live.UnlockRequest(user="bob", reason=WHY), ("user-unlocked",)),
    Step(methods.TOKEN_REQUEST, "alice",
         lambda s: methods.TokenRequest(database="orders", account="walked_app", new=True), ("token-issued",),
         after=lambda s, answer: setattr(s, "token", answer)),
    Step(methods.TOKEN_REVOKE, "alice", lambda s: methods.ById(id=s.token.id), ("token-revoked",)),
]  # fmt: skip


@pytest.fixture
def stage(own_bastion: BastionProcess, postgres_server: PostgresServer) -> Iterator[Stage]:
    postgres_server.create_user("walked_app", "hosted-secret")
    postgres_server.create_database(DATABASE, "walked_app")
    own_bastion.declare_database("orders", postgres_server, account="walked_app", password="hosted-secret", to="alice")
    links = {}
    for person in ("alice", AUDITOR):
        target = Target(person, *own_bastion.address)
        credentials = Credentials(password=own_bastion.password_of(person), agent=False)
        links[person] = Link.connect_now(target, credentials, HostKeys([own_bastion.known_hosts]))
    token = links["alice"].call_now(methods.TOKEN_REQUEST, methods.TokenRequest(database="orders"))
    with ssh_tunnel(user="alice", token=token.token, bastion=own_bastion.address, known_hosts=own_bastion.known_hosts,
                    to=(token.host, token.port)) as tunnel:  # fmt: skip
        made = Stage(own_bastion, links["alice"], links[AUDITOR], token)
        made.connection = connect(tunnel)
        made.connection.execute("SELECT 1")
        [session] = own_bastion.wait_for_sessions("the session", lambda found: found if len(found) == 1 else None)
        made.session = session["id"]
        yield made
        made.connection.close()
        for thread in made.threads:
            thread.join(60)
    for link in links.values():
        link.close()


def connect(tunnel: SshTunnel) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=tunnel.host, port=tunnel.port, dbname=DATABASE, user="x", sslmode="disable", autocommit=True,
        connect_timeout=60,
    )  # fmt: skip


def test_every_call_that_does_something_is_recorded(stage: Stage) -> None:
    for step in STEPS:
        step.before(stage)
        begin = len(stage.bastion.journal())
        link = stage.alice if step.who == "alice" else stage.auditor
        answer = link.call_now(step.method, step.params(stage))
        step.after(stage, answer)
        missing = set(step.leaves)

        def all_there(begin: int = begin, missing: set[str] = missing, step: Step = step) -> bool:
            for record in stage.bastion.journal()[begin:]:
                what = record.get("act", record["kind"])
                if record["kind"] == "act":
                    assert record["user"] == step.who, record
                    assert record["source"] == "127.0.0.1", record
                missing.discard(what)
            return not missing

        wait_for(f"{step.leaves} of {step.method.name}", all_there, 60)
    _holds(stage.bastion)


PROXY = {"type": "socks5", "host": "10.20.0.1", "port": 1080}
CREATED: dict[str, list[dict[str, Any]]] = {
    "users": [{"name": "carol", "roles": ["operator"]}],
    "groups": [{"name": "dba", "members": ["carol"]}],
    "domains": [{"name": "north", "proxies": [PROXY]}],
    "databases": [{"name": "ledger", "engine": "postgresql", "platform": "self-managed", "host": "127.0.0.1",
                   "port": 5999, "accounts": [{"name": "app"}]}],
    "database_groups": [{"name": "money", "members": ["ledger"]}],
    "grants": [{"name": "dba-ledger", "to": ["group:dba"], "on": ["ledger"], "accounts": ["*"]}],
}  # fmt: skip
CHANGED: dict[str, Any] = {
    "users": [{"name": "carol", "roles": ["operator", "auditor"]}],
    "groups": [{"name": "dba", "members": ["carol", "alice"]}],
    "domains": [{"name": "north", "comment": "another", "proxies": [PROXY]}],
    "databases": [{**CREATED["databases"][0], "port": 5998}],
    "database_groups": [{"name": "money", "members": ["ledger"], "comment": "another"}],
    "grants": [{**CREATED["grants"][0], "until": "2027-11-01"}],
    "settings": {"token": {"validity": "4h"}},
}


def test_every_declared_thing_is_recorded_when_it_comes_changes_and_goes(own_bastion: BastionProcess) -> None:
    own_bastion.apply({})
    begin = len(own_bastion.journal())
    own_bastion.apply(CREATED)
    created = _acts(own_bastion, begin)
    kinds = ("user", "group", "domain", "database", "database-group", "grant")
    assert {act for act, _ in created} == {f"{kind}-create" for kind in kinds}
    begin = len(own_bastion.journal())
    own_bastion.apply(CHANGED)
    changed = _acts(own_bastion, begin)
    assert {act for act, _ in changed} == {f"{kind}-update" for kind in kinds} | {"setting-create"}
    begin = len(own_bastion.journal())
    own_bastion.apply({"settings": {"token": {"validity": "2h"}}})
    assert {act for act, _ in _acts(own_bastion, begin)} == {"setting-update"}
    begin = len(own_bastion.journal())
    kept = own_bastion.folder / "kept.yaml"
    people = {"alice": "operator", "bob": "operator", AUDITOR: "auditor", ADMINISTRATOR: "administrator"}
    nothing: dict[str, Any] = {section: [] for section in CREATED}
    nothing["users"] = [{"name": name, "roles": [role]} for name, role in people.items()]
    kept.write_text(yaml.safe_dump(nothing))
    own_bastion.run("apply", str(kept), "--prune", "--config", str(own_bastion.configuration))
    assert {act for act, _ in _acts(own_bastion, begin)} >= {f"{kind}-delete" for kind in kinds}
    _holds(own_bastion)


def _acts(bastion: BastionProcess, begin: int) -> list[tuple[str, str]]:
    found = [record for record in bastion.journal()[begin:] if record["kind"] == "act"]
    assert all(record["user"].startswith("os:") and record["source"] == "local" for record in found), found
    return [(record["act"], record["subject"]) for record in found]


def _holds(bastion: BastionProcess) -> None:
    proof = json.loads(bastion.run("audit", "verify", "--json", "--config", str(bastion.configuration)))
    assert (proof["intact"], proof["store"]) == (True, "")

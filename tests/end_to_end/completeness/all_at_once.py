"""Runs all cases of an engine through one tunnel and asks for their record once: a command for each would cost most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.servers.bastion_process import AUDITOR, BastionProcess

from .case import Case, Place, Ran, run

Found = tuple[Ran, dict[str, Any], list[dict[str, Any]]]


@dataclass(frozen=True)
class Record:
    """What was run, the sessions by their client's name, and their statements by the session's id."""

    ran: dict[str, Ran | Exception]
    sessions: dict[str, dict[str, Any]]
    statements: dict[str, list[dict[str, Any]]]
    journal: list[dict[str, Any]]

    def of(self, case: Case) -> Found:
        """The case as it ran, its session and its statements. Raises what the case has raised."""
        ran = self.ran[case.name]
        if isinstance(ran, Exception):
            raise ran
        session = self.sessions[ran.client]
        return ran, session, self.statements.get(session["id"], [])

    def named(self, name: str) -> Found:
        ran = self.ran[name]
        if isinstance(ran, Exception):
            raise ran
        return self.of(ran.case)

    def everything(self) -> Iterator[Found]:
        for name in self.ran:
            yield self.named(name)


def work(bastion: BastionProcess, database: str, cases: Sequence[Case], place: Place) -> Record:
    """Runs the cases one after the other; a case that fails is told by `Record.of`."""
    ran: dict[str, Ran | Exception] = {}
    clients = []
    for case in cases:
        client = f"case-{case.name}"
        clients.append(client)
        try:
            ran[case.name] = run(case, replace(place, client=client))
        except Exception as error:  # noqa: BLE001 - told where the case's own test asks for it
            ran[case.name] = error

    def all_closed(sessions: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
        ours = [each for each in sessions if each["database"] == database]
        return ours if ours and all(each["state"] not in ("opening", "live") for each in ours) else None

    sessions = bastion.wait_for_sessions(f"the end of the sessions on {database}", all_closed)
    statements: dict[str, list[dict[str, Any]]] = {}
    for statement in bastion.casemate(AUDITOR, "audit", "search", "--database", database, "--json"):
        statements.setdefault(statement["session"], []).append(statement)
    by_client: dict[str, dict[str, Any]] = {}
    for session in sessions:
        name = session["client"].partition(" ")[0]  # MySQL's drivers add their version
        if name in clients:
            assert name not in by_client, f"two sessions of {name}"
            by_client[name] = session
    return Record(ran, by_client, statements, bastion.journal())

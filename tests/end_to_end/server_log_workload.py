"""A seeded workload for the comparison with a database's own log, and the comparison of two accounts of it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

CLOCK = timedelta(milliseconds=2)
"""How far a database's log, which counts in milliseconds, may round a time down."""


@dataclass(frozen=True)
class Told:
    """One statement as one side tells of it. `error` None: none was told."""

    text: str
    binds: tuple[str | None, ...] = ()
    error: str | None = None
    at: datetime | None = None
    outcome: bool = True
    """False: the record has no outcome, so the database may never have seen it."""

    def __str__(self) -> str:
        binds = f" {self.binds}" if self.binds else ""
        return f"{self.text[:150]!r}{binds}{'' if self.error is None else ' -> ' + self.error}"


def differences(record: Sequence[Told], log: Sequence[Told], *, ended_early: bool) -> list[str]:
    """What one side has and the other has not, in order; empty when both tell the same.

    A session that `ended_early` may have a tail that the bastion recorded, as it must, before the database saw it.
    """
    found: list[str] = []
    for number, (ours, theirs) in enumerate(zip(record, log, strict=False), 1):
        if (ours.text, ours.binds, ours.error) != (theirs.text, theirs.binds, theirs.error):
            if not ours.outcome and ours.text == theirs.text and ended_early:
                continue
            found.append(f"{number}: the record says {ours}, the database {theirs}")
            break
        if ours.at is not None and theirs.at is not None and ours.at > theirs.at + CLOCK:
            found.append(f"{number}: recorded at {ours.at}, but the database had it at {theirs.at}: {ours}")
    if not found:
        found += [f"only the database has: {extra}" for extra in log[len(record) :]]
        found += [
            f"only the record has: {extra}" for extra in record[len(log) :] if not (ended_early and not extra.outcome)
        ]
    return found


def numbers(seed: int, count: int, sessions: int) -> list[list[random.Random]]:
    """For each session a list of generators, one a statement: what is run does not depend on the threads' turns."""
    return [[random.Random(f"{seed}-{one}-{number}") for number in range(count // sessions)] for one in range(sessions)]


def at_once(workers: Sequence[Callable[[], None]]) -> None:
    """Runs all in threads; raises the first error of any."""
    failed: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def of_sessions(journal: Sequence[Mapping[str, Any]], wanted: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """The journal's records by session, those of a statement folded into one with its outcome.

    Of the wanted sessions only: the bastion's other tests may have left statements of megabytes.
    """
    sessions: dict[str, dict[int, dict[str, Any]]] = {}
    for record in journal:
        if record.get("session") not in wanted:
            continue
        if record["kind"] == "statement-sent":
            sessions.setdefault(record["session"], {})[record["seq"]] = {**record, "state": "sent", "error": None}
        elif record["kind"] == "statement-extended":
            statement = sessions[record["session"]][record["seq"]]
            statement["text"] += record["text"]
            statement["binds"] = record["binds"] if record["binds"] is not None else statement["binds"]
            if record["statement_kind"]:
                statement["statement_kind"] = record["statement_kind"]
                statement["runs_at"] = record["at"]
        elif record["kind"] == "statement-done":
            statement = sessions[record["session"]][record["seq"]]
            statement["state"], statement["error"] = record["state"], record["error"]
    return {session: [by_seq[seq] for seq in sorted(by_seq)] for session, by_seq in sessions.items()}

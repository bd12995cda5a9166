"""Whoever calls whatever: nobody's call and nobody's command changes or removes what is on record of a session.

Every method of the control API and every command over SSH is tried, as far as it takes arguments with those of a
session on record, by somebody of every role. What retention deletes leaves a signed tombstone, and goes by the declared
rules alone, whoever has them applied now.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sqlite3
from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import asyncssh
import msgspec
import psycopg
import pytest

from bastion.api import methods
from bastion.commands.table import parser_for
from bastion.commands.words import Place
from tests.servers.bastion_process import AUDITOR, BastionProcess
from tests.servers.postgres import PostgresServer

from .stock_clients import open_tunnel, session_of
from .test_gateway_control import control

PEOPLE = ("alice", AUDITOR, "admin", "lead")
"""An operator, an auditor, an administrator, an approver."""
VALUES = {
    "user": "nobody-here", "database": "kept", "table": "orders", "format": "csv", "what": "statements", "name": "n",
    "kind": "saved", "key": "k", "reason": "a reason to try", "text": "x", "order": "", "since": None, "until": None,
    "wait": 0.0, "stream": "", "seq": 1, "limit": 10, "after": 0, "number": 1,
}  # fmt: skip
AT_ONCE = 8
WATCHED = 5.0
"""Seconds after which a command is taken for one that watches for ever."""

UNANSWERED = ("sessions.live", "session.watch", "screen.follow")
"""Calls that wait for something new: they are tried with a wait of 0."""


@pytest.fixture(scope="module")
def session(bastion: BastionProcess, postgres_server: PostgresServer) -> str:
    postgres_server.create_user("kept_app", "kept app's own password")
    postgres_server.create_database("kept", "kept_app")
    bastion.declare_database(
        "kept", postgres_server, account="kept_app", password="kept app's own password", to="alice", tls="disable"
    )
    bastion.apply(
        {"users": [{"name": "lead", "roles": ["approver"], "password": {"env": "LEAD"}}]}, {"LEAD": "Lead-er-2026-x"}
    )
    bastion._passwords["lead"] = "Lead-er-2026-x"
    with (
        open_tunnel(bastion, "alice", "kept") as tunnel,
        psycopg.connect(
            host=tunnel.host, port=tunnel.port, dbname="kept", user="x", sslmode="disable", autocommit=True
        ) as connection,
    ):
        connection.execute("SELECT 'first'")
        connection.execute("SELECT 'second' WHERE 1 = %s", (1,))
    return str(session_of(bastion, tunnel)["id"])


def rows(bastion: BastionProcess, session: str) -> list[tuple[Any, ...]]:
    """Everything that the store has of the session and its statements."""
    with sqlite3.connect(bastion.home / "state" / "casemate.sqlite3", timeout=30) as store:
        found = [
            row
            for table in ("sessions", "statements")
            for row in store.execute(f"SELECT * FROM {table} WHERE session = ? ORDER BY id", (session,))
        ]
        found += store.execute("SELECT * FROM texts").fetchall()
    store.close()
    return found


def value(kind: Any, name: str, session: str, *, filled: bool) -> Any:
    """Something of the kind that a field has."""
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        inner = [each for each in get_args(kind) if each is not type(None)]
        return value(inner[0], name, session, filled=filled)
    if origin is Literal:
        return get_args(kind)[0]
    if origin is list:
        return [value(get_args(kind)[0], name, session, filled=filled)]
    if origin is dict:
        return {}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return params(kind, session, filled=filled)
    if name in VALUES:
        return VALUES[name]
    return {str: session, int: 1, float: 1.0, bool: True, bytes: "eA=="}.get(kind, session)


def params(kind: type[msgspec.Struct], session: str, *, filled: bool) -> dict[str, Any]:
    """Params for a call: what must be given, or everything."""
    hints = get_type_hints(kind)
    wanted = {}
    for field in msgspec.structs.fields(kind):
        needed = field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT
        if needed or filled:
            wanted[field.name] = value(hints[field.name], field.name, session, filled=filled)
    return wanted


def commands(session: str) -> Iterator[list[str]]:
    """Every command over SSH, with what it must be given, and once more with each switch that it knows."""

    def walk(parser: argparse.ArgumentParser, words: list[str]) -> Iterator[list[str]]:
        subs = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
        for sub in subs:
            for name, inner in sub.choices.items():
                yield from walk(inner, [*words, name])
        if any(sub.required for sub in subs):
            return
        given: list[str] = []
        switches: list[str] = []
        for action in parser._actions:
            if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
                continue
            word = str(action.choices[0]) if isinstance(action.choices, list | tuple) else session
            word = {"line": f"session:{session}", "seq": "1", "for": "30m", "period": "30m", "text": "x"}.get(
                action.dest, word
            )
            if not action.option_strings:
                given += [word] if action.nargs not in ("*", "?") else []
            elif action.required:
                given += [action.option_strings[0], word]
            elif action.nargs == 0:
                switches.append(action.option_strings[0])
        yield [*words, *given]
        for switch in switches:
            yield [*words, *given, switch]

    parser = parser_for(Place.EXEC)
    [top] = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    for name, inner in top.choices.items():
        yield from walk(inner, [name])


async def test_no_call_of_any_role_alters_a_record(bastion: BastionProcess, session: str) -> None:
    before = rows(bastion, session)
    assert len(before) >= 3
    answered: set[str] = set()
    for person in PEOPLE:
        async with control(bastion, person) as channel:
            for method in methods.ALL:
                for filled in (False, True):
                    asked = params(method.params, session, filled=filled)
                    if method.name in UNANSWERED:
                        asked["wait"] = 0
                    async with asyncio.timeout(60):
                        answer = await channel.call(method.name, **asked)
                    if "result" in answer:
                        answered.add(method.name)
    # Some are refused to everybody with such arguments; most are not, or nothing would be shown.
    assert {"audit.search", "audit.show", "audit.export.begin", "audit.filters.save", "sessions.list"} <= answered
    assert rows(bastion, session) == before


async def _run(connection: asyncssh.SSHClientConnection, words: list[str]) -> None:
    process = await connection.create_process(shlex.join(words), encoding=None)
    process.stdin.write_eof()
    try:
        async with asyncio.timeout(WATCHED):
            await process.communicate()
    except TimeoutError:  # one that watches until it is given up
        process.close()


async def test_no_command_of_any_role_alters_a_record(bastion: BastionProcess, session: str) -> None:
    before = rows(bastion, session)
    tried = list(commands(session))
    assert ["audit", "search"] in tried
    assert any(words[:2] == ["audit", "filters"] for words in tried)
    for person in (AUDITOR, "admin"):
        async with asyncssh.connect(
            *bastion.address, username=person, password=bastion.password_of(person),
            known_hosts=str(bastion.known_hosts), client_keys=None, agent_path=None, config=None,
        ) as connection:  # fmt: skip
            for start in range(0, len(tried), AT_ONCE):
                await asyncio.gather(*(_run(connection, words) for words in tried[start : start + AT_ONCE]))
    assert rows(bastion, session) == before
    [proof] = bastion.casemate(AUDITOR, "audit", "verify", "--json")
    assert (proof["intact"], proof["store"]) == (True, "")

"""Every completeness case for PostgreSQL, through OpenSSH's `ssh -N -L`, statement by statement."""

from __future__ import annotations

from typing import Any

import pytest

from tests.end_to_end.stock_clients import open_tunnel
from tests.servers.bastion_process import BastionProcess
from tests.servers.postgres import PostgresServer

from . import all_at_once
from .case import Case, Place, differences
from .postgresql import cases

DATABASE = "complete-pg"
CATALOG = "completepg"


@pytest.fixture(scope="module")
def record(stock_bastion: BastionProcess, postgres_server: PostgresServer) -> all_at_once.Record:
    postgres_server.create_user("complete_app", "hosted-secret")
    postgres_server.create_database(CATALOG, "complete_app")
    stock_bastion.declare_database(
        DATABASE, postgres_server, account="complete_app", password="hosted-secret", to="alice"
    )
    with open_tunnel(stock_bastion, "alice", DATABASE) as tunnel:
        place = Place(tunnel.host, tunnel.port, CATALOG)
        return all_at_once.work(stock_bastion, DATABASE, cases.all, place)


@pytest.mark.parametrize("case", cases.all, ids=lambda case: case.name)
def test_everything_is_on_record(record: all_at_once.Record, case: Case) -> None:
    ran, session, statements = record.of(case)
    found = differences(ran, session, statements)
    assert not found, "\n".join(found)


def of_kind(journal: list[dict[str, Any]], kind: str, session: str) -> list[dict[str, Any]]:
    return [each for each in journal if each["kind"] == kind and each["session"] == session]


def test_the_journal_counts_the_bytes_that_copy_moved(record: all_at_once.Record) -> None:
    _, session, statements = record.named("copy_both_ways")
    extended = of_kind(record.journal, "statement-extended", session["id"])
    sent = {seq: sum(each["data_bytes"] for each in extended if each["seq"] == seq) for seq in (2, 3)}
    rows = sum(len(f"{n}\tline\n") for n in range(500))
    assert sent == {2: rows, 3: len("7\tnever\n")}
    # 500 CopyData messages with five bytes of header each, and what stands around them.
    assert rows + 500 * 5 <= statements[3]["bytes_down"] <= rows + 500 * 5 + 100


def test_each_statement_is_in_the_journal_once_and_has_one_outcome(record: all_at_once.Record) -> None:
    for ran, session, _ in record.everything():
        sent = [each["seq"] for each in of_kind(record.journal, "statement-sent", session["id"])]
        done = [each["seq"] for each in of_kind(record.journal, "statement-done", session["id"])]
        assert sent == list(range(1, len(ran.expected) + 1)), ran.case.name
        assert sorted(done) == sent, ran.case.name


def test_the_client_that_died_has_its_cancel_on_record(record: all_at_once.Record) -> None:
    _, session, _ = record.named("a_client_that_dies_in_mid_statement")
    [cancel] = of_kind(record.journal, "cancel", session["id"])
    assert (cancel["seq"], cancel["confirmed"], cancel["by"], cancel["reason"]) == (2, True, "bastion", "client")

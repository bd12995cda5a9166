"""Every completeness case for MySQL and MariaDB, through OpenSSH's `ssh -N -L`, statement by statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.end_to_end.stock_clients import open_tunnel
from tests.servers.bastion_process import BastionProcess
from tests.servers.mysql_family import MysqlFamilyServer

from . import all_at_once
from .case import Case, Place, differences
from .mysql import cases

CATALOG = "complete"


@dataclass(frozen=True)
class On:
    server: str
    record: all_at_once.Record


def _record(bastion: BastionProcess, server: MysqlFamilyServer, kind: str) -> On:
    server.create_user("complete_app", "hosted-secret")
    server.create_database(CATALOG)
    name = f"complete-{kind}"
    bastion.declare_database(name, server, account="complete_app", password="hosted-secret", to="alice")
    with open_tunnel(bastion, "alice", name) as tunnel:
        place = Place(tunnel.host, tunnel.port, CATALOG)
        ours = [case for case in cases.all if case.only in ("", kind)]
        return On(kind, all_at_once.work(bastion, name, ours, place))


@pytest.fixture(scope="module")
def on_mariadb(stock_bastion: BastionProcess, request: pytest.FixtureRequest) -> On:
    return _record(stock_bastion, request.getfixturevalue("mariadb_server"), "mariadb")


@pytest.fixture(scope="module")
def on_mysql(stock_bastion: BastionProcess, request: pytest.FixtureRequest) -> On:
    return _record(stock_bastion, request.getfixturevalue("mysql_server"), "mysql")


WHERE = [(kind, case) for kind in ("mariadb", "mysql") for case in cases.all if case.only in ("", kind)]


@pytest.mark.parametrize(("kind", "case"), WHERE, ids=lambda value: value.name if isinstance(value, Case) else value)
def test_everything_is_on_record(request: pytest.FixtureRequest, kind: str, case: Case) -> None:
    on: On = request.getfixturevalue(f"on_{kind}")
    ran, session, statements = on.record.of(case)
    found = differences(ran, session, statements)
    assert not found, "\n".join(found)


@pytest.fixture(params=["mariadb", "mysql"])
def on(request: pytest.FixtureRequest) -> On:
    found: On = request.getfixturevalue(f"on_{request.param}")
    return found


def of_kind(journal: list[dict[str, Any]], kind: str, session: str) -> list[dict[str, Any]]:
    return [each for each in journal if each["kind"] == kind and each["session"] == session]


def test_the_journal_names_the_file_and_counts_its_bytes(on: On) -> None:
    ran, session, _ = on.record.named("load_data_local")
    extended = of_kind(on.record.journal, "statement-extended", session["id"])
    asked = [(each["seq"], each["detail"]) for each in extended if each["detail"]]
    files = [ran.expected[seq - 1].text.split("'")[1] for seq in (3, 4)]
    assert asked == [
        (3, f"LOCAL INFILE {files[0]!r}"), (3, "end of file"), (4, f"LOCAL INFILE {files[1]!r}"), (4, "end of file"),
    ]  # fmt: skip
    uploaded = sum(each["data_bytes"] for each in extended if each["seq"] == 3)
    assert uploaded == sum(len(f"{n}\tline {n}\n") for n in range(1000))
    assert sum(each["data_bytes"] for each in extended if each["seq"] == 4) == 0


def test_each_statement_is_in_the_journal_once_and_has_one_outcome(on: On) -> None:
    for ran, session, _ in on.record.everything():
        sent = [each["seq"] for each in of_kind(on.record.journal, "statement-sent", session["id"])]
        done = [each["seq"] for each in of_kind(on.record.journal, "statement-done", session["id"])]
        assert sent == list(range(1, len(ran.expected) + 1)), ran.case.name
        assert sorted(done) == sent, ran.case.name


def test_the_client_that_died_has_its_cancel_on_record(on: On) -> None:
    _, session, _ = on.record.named("a_client_that_dies_in_mid_statement")
    [cancel] = of_kind(on.record.journal, "cancel", session["id"])
    assert (cancel["seq"], cancel["confirmed"], cancel["by"], cancel["reason"]) == (3, True, "bastion", "client")

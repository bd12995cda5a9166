"""An auditor finds, keeps, exports and looks, each on record, once; results stay masked without a reason."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest

from bastion.audit.export_formats import SESSION_COLUMNS, STATEMENT_COLUMNS
from tests.servers.bastion_process import AUDITOR, BastionProcess, CommandFailed
from tests.servers.postgres import PostgresServer

from .stock_clients import open_tunnel, session_of
from .test_gateway_commands import over_ssh

TEXTS = ("SELECT 'secret value' AS what, 7 AS number, NULL AS nothing", "SELECT 1 / 0", "SELECT '=1+1' AS formula")


@pytest.fixture(scope="module")
def session(bastion: BastionProcess, postgres_server: PostgresServer) -> str:
    """A session of alice's with the statements above."""
    postgres_server.create_user("audit_app", "audit app's own password")
    postgres_server.create_database("audit_desk", "audit_app")
    bastion.declare_database(
        "desk", postgres_server, account="audit_app", password="audit app's own password", to="alice", tls="disable"
    )
    with (
        open_tunnel(bastion, "alice", "desk") as tunnel,
        psycopg.connect(
            host=tunnel.host, port=tunnel.port, dbname="audit_desk", user="x", sslmode="disable", autocommit=True
        ) as connection,
    ):
        for text in TEXTS:
            try:
                connection.execute(text)
            except psycopg.errors.DivisionByZero:
                continue
    return str(session_of(bastion, tunnel)["id"])


def acts(bastion: BastionProcess, *names: str) -> list[dict[str, Any]]:
    return [record for record in bastion.journal() if record.get("act") in names]


def texts(found: list[dict[str, Any]]) -> list[str]:
    return [each["text"] for each in found]


def test_a_filter_line_and_saved_filters_from_the_command_line(bastion: BastionProcess, session: str) -> None:
    line = f"session:{session} error: -kind:insert"
    assert texts(bastion.casemate(AUDITOR, "audit", "search", "--where", line, "--json")) == [TEXTS[1]]
    bastion.casemate(AUDITOR, "audit", "filters", "save", "failures", line, "--share")
    [kept] = bastion.casemate("admin", "audit", "filters", "--json")
    assert (kept["name"], kept["owner"], kept["text"], kept["shared"]) == ("failures", AUDITOR, line, True)
    for person, name in ((AUDITOR, "failures"), ("admin", f"{AUDITOR}/failures")):
        assert texts(bastion.casemate(person, "audit", "search", "--filter", name, "--json")) == [TEXTS[1]]
    with pytest.raises(CommandFailed, match="no filter failures of yours"):
        bastion.casemate("admin", "audit", "filters", "remove", "failures")
    with pytest.raises(CommandFailed, match="Is user: meant") as failed:
        bastion.casemate(AUDITOR, "audit", "search", "--where", "usr:alice")
    assert failed.value.exit_code == 2
    with pytest.raises(CommandFailed, match="The filter cannot be read"):
        bastion.casemate(AUDITOR, "audit", "filters", "save", "broken", "rows>many")
    with pytest.raises(CommandFailed, match="role"):
        bastion.casemate("alice", "audit", "filters")
    bastion.casemate(AUDITOR, "audit", "filters", "remove", "failures")
    assert bastion.casemate(AUDITOR, "audit", "filters", "--json") == []
    saved, removed = acts(bastion, "filter-saved", "filter-removed")
    assert (saved["subject"], saved["detail"]["text"], saved["detail"]["shared"]) == ("failures", line, "yes")
    assert (removed["user"], removed["subject"]) == (AUDITOR, "failures")


def test_a_search_is_on_record_once_and_operators_searches_of_their_own_are_not(
    bastion: BastionProcess, session: str
) -> None:
    before = len(acts(bastion, "audit-searched"))
    for _ in range(3):
        bastion.casemate(AUDITOR, "audit", "search", "formula", "--since", "2d", "--json")
    bastion.casemate(AUDITOR, "audit", "search", "formula", "--since", "3d", "--json")
    bastion.casemate("alice", "audit", "search", "formula", "--json")
    first, second = acts(bastion, "audit-searched")[before:]
    assert (first["user"], first["subject"]) == (AUDITOR, "statements")
    assert json.loads(first["detail"]["filter"]) == {"since": "2d", "words": ["formula"]}
    assert json.loads(second["detail"]["filter"]) == {"since": "3d", "words": ["formula"]}
    assert session


def test_every_format_has_the_same_rows(bastion: BastionProcess, session: str, tmp_path: Path) -> None:
    expected = bastion.statements(session)
    where = ["audit", "export", "--session", session, "-o"]
    for name in ("s.csv", "s.jsonl", "s.parquet"):
        bastion.casemate(AUDITOR, *where, str(tmp_path / name))
    lines = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert [tuple(line) for line in lines] == [STATEMENT_COLUMNS] * len(expected)
    assert [{name: line[name] for name in expected[0]} for line in lines] == expected
    assert {(line["client"], line["login"], line["engine"]) for line in lines} == {
        (lines[0]["client"], "x", "postgresql")
    }
    content = (tmp_path / "s.csv").read_bytes().decode()
    assert content.endswith("\r\n")
    rows = list(csv.DictReader(io.StringIO(content, newline="")))
    assert tuple(rows[0]) == STATEMENT_COLUMNS
    assert texts(rows) == texts(expected)
    assert [row["rows"] for row in rows] == ["" if one["rows"] is None else str(one["rows"]) for one in expected]
    table = pq.read_table(tmp_path / "s.parquet")
    assert tuple(table.column_names) == STATEMENT_COLUMNS
    assert table.column("text").to_pylist() == texts(expected)
    assert [at.isoformat() for at in table.column("at").to_pylist()] == [
        one["at"].replace("Z", "+00:00") for one in expected
    ]
    assert (tmp_path / "s.csv").stat().st_mode & 0o777 == 0o600
    with pytest.raises(CommandFailed, match="exists already; nothing was written"):
        bastion.casemate(AUDITOR, *where, str(tmp_path / "s.csv"))
    begun, done = acts(bastion, "audit-export-begun", "audit-exported")[:2]
    assert (begun["act"], begun["user"], begun["subject"]) == ("audit-export-begun", AUDITOR, done["subject"])
    assert json.loads(done["detail"]["filter"]) == {"session": session}
    assert (done["detail"]["state"], done["detail"]["rows"], done["detail"]["format"]) == (
        "whole",
        len(expected),
        "csv",
    )
    assert done["detail"]["bytes"] == len(content.encode())


def test_over_plain_ssh_it_goes_to_standard_output(bastion: BastionProcess, session: str, tmp_path: Path) -> None:
    done = over_ssh(bastion, tmp_path, AUDITOR, f"audit export --where 'session:{session} formula' --format csv")
    assert done.returncode == 0, done.stderr
    [row] = list(csv.DictReader(io.StringIO(done.stdout, newline="")))
    assert row["text"] == TEXTS[2]
    assert row["session"] == session
    assert "1 rows" in done.stderr
    done = over_ssh(bastion, tmp_path, AUDITOR, "audit export --sessions --database desk --format jsonl")
    assert tuple(json.loads(done.stdout.splitlines()[0])) == SESSION_COLUMNS
    done = over_ssh(bastion, tmp_path, AUDITOR, "audit export --format csv -o x.csv")
    assert (done.returncode, "over plain SSH" in done.stderr) == (2, True)
    done = over_ssh(bastion, tmp_path, "alice", "audit export --format csv")
    assert (done.returncode, "role" in done.stderr) == (1, True)


def test_an_export_that_is_given_up_is_on_record_as_that(bastion: BastionProcess, session: str) -> None:
    import asyncio

    from .test_gateway_control import control

    async def give_up() -> dict[str, Any]:
        async with control(bastion, AUDITOR) as channel:
            begun = await channel.result("audit.export.begin", what="statements", format="jsonl")
            ended = await channel.result("audit.export.cancel", id=begun["id"])
            assert ended["state"] == "cancelled"
            return dict(begun)

    begun = asyncio.run(give_up())
    [record] = [each for each in acts(bastion, "audit-exported") if each["subject"] == begun["id"]]
    assert record["detail"]["state"] == "cancelled"
    assert session


def test_results_are_masked_until_a_reason_is_given(bastion: BastionProcess, session: str) -> None:
    bastion.apply({"settings": {"audit": {"mask_results": True}}})
    try:
        masked = bastion.casemate(AUDITOR, "audit", "show", session, "1", "--json")
        assert masked[0]["masked"] is True
        assert [line["row"] for line in masked if "row" in line] == [["<text:12>", "<integer:1>", None]]
        assert "secret value" not in json.dumps(masked[1:])
        with pytest.raises(CommandFailed, match="takes a reason"):
            bastion.casemate(AUDITOR, "audit", "show", session, "1", "--unmask")
        shown = bastion.casemate(
            AUDITOR, "audit", "show", session, "1", "--unmask", "--reason", "ticket INC-9", "--json"
        )
        assert [line["row"] for line in shown if "row" in line] == [["secret value", "7", None]]
        [record] = acts(bastion, "result-unmasked")
        assert (record["user"], record["subject"]) == (AUDITOR, session)
        assert record["detail"] == {"seq": 1, "reason": "ticket INC-9"}
    finally:
        bastion.apply({"settings": {"audit": {"mask_results": False}}})
    assert bastion.casemate(AUDITOR, "audit", "show", session, "1", "--json")[0]["masked"] is False


def test_a_session_says_how_many_messages_of_each_type_passed(bastion: BastionProcess, session: str) -> None:
    [found] = [each for each in bastion.sessions() if each["id"] == session]
    assert found["unattributed_bytes"] == 0
    assert found["messages"]["client"]["Query"] == len(TEXTS)
    assert sum(found["messages"]["server"].values()) > 0


def test_the_record_holds_after_all_this(bastion: BastionProcess, session: str) -> None:
    [proof] = bastion.casemate(AUDITOR, "audit", "verify", "--json")
    assert proof["intact"]
    assert proof["store"] == ""
    assert session

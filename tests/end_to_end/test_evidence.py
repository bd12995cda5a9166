"""A bundle of evidence, from an auditor's command to a proof without the bastion."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.servers.bastion_process import BastionProcess, CommandFailed, program
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_for

from .stock_clients import open_tunnel, session_of
from .test_gateway_control import control
from .test_result_exports import ssh

CATALOG = "evidence"


@pytest.fixture(scope="module")
def shop(bastion: BastionProcess, postgres_server: PostgresServer) -> str:
    postgres_server.create_user("evidence_app", "evidence's own password")
    postgres_server.create_database(CATALOG, "evidence_app")
    bastion.declare_database(
        "evidence-pg", postgres_server, account="evidence_app", password="evidence's own password", to="alice",
        tls="disable",
    )  # fmt: skip
    return "evidence-pg"


@pytest.fixture(scope="module")
def session(bastion: BastionProcess, shop: str) -> str:
    with (
        open_tunnel(bastion, "alice", shop) as tunnel,
        psycopg.connect(
            host=tunnel.host, port=tunnel.port, dbname=CATALOG, user="x", sslmode="disable", autocommit=True
        ) as connection,
    ):
        connection.execute("SELECT n, 'parcel ' || n AS label FROM generate_series(1, 3) n")
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT * FROM nowhere")
    bastion.wait_for_sessions("closed", lambda sessions: all(each["state"] != "live" for each in sessions))
    return str(session_of(bastion, tunnel)["id"])


def verified(*words: str) -> tuple[int, dict[str, object]]:
    done = subprocess.run(
        [*program(), "audit", "verify", *words, "--json"], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, json.loads(done.stdout)


def test_a_bundle_is_made_over_plain_ssh_and_proved_without_the_bastion(
    bastion: BastionProcess, session: str, tmp_path: Path
) -> None:
    got = ssh(bastion, tmp_path, "auditor", f"audit bundle {session} --reason 'case 17'")
    assert got.returncode == 0, got.stderr
    file = tmp_path / "evidence.zip"
    file.write_bytes(got.stdout)
    key = str(bastion.home / "keys" / "node.pub")
    code, proof = verified("--bundle", str(file), "--public-key", key)
    assert (code, proof["intact"], proof["session"], proof["statements"]) == (0, True, session, 2)
    assert (proof["key_from"], proof["recordings"]) == ("given", 1)
    with zipfile.ZipFile(file) as archive:
        # As a word: a signature in Base64 may have any letters in it.
        assert re.search(rb"(?<![A-Za-z0-9+/])bob(?![A-Za-z0-9+/])", archive.read("journal.lines")) is None
        results = [json.loads(line) for line in archive.read("results.jsonl").splitlines()]
    assert results[0]["results"][0]["rows"] == [["1", "parcel 1"], ["2", "parcel 2"], ["3", "parcel 3"]]
    file.write_bytes(got.stdout.replace(b"parcel 2", b"parcel 9", 1))
    code, proof = verified("--bundle", str(file), "--public-key", key)
    assert (code, proof["intact"], proof["file"]) == (1, False, "results.jsonl")


def test_a_bundle_is_on_record_with_its_reason_and_digest(
    bastion: BastionProcess, session: str, tmp_path: Path
) -> None:
    file = tmp_path / "evidence.zip"
    bastion.casemate("auditor", "audit", "bundle", session, "--reason", "case 18", "-o", str(file))
    acts = [record for record in bastion.journal() if record.get("act") == "evidence-bundled"]
    assert (acts[-1]["user"], acts[-1]["subject"], acts[-1]["detail"]["reason"]) == ("auditor", session, "case 18")
    assert acts[-1]["detail"]["bytes"] == file.stat().st_size
    fetched = [record for record in bastion.journal() if record.get("act") == "export-fetched"]
    assert fetched[-1]["detail"]["sha256"] == acts[-1]["detail"]["sha256"]
    # Nothing of it is left on the bastion.
    assert not list((bastion.home / "state" / "exports").glob("x-*"))


def test_who_may_not_see_data_gets_no_bundle(bastion: BastionProcess, session: str, tmp_path: Path) -> None:
    for person in ("alice", "admin"):
        with pytest.raises(CommandFailed) as failed:
            bastion.casemate(person, "audit", "bundle", session, "--reason", "x", "-o", str(tmp_path / "no.zip"))
        assert "auditor" in failed.value.said
    with pytest.raises(CommandFailed) as failed:
        bastion.casemate("auditor", "audit", "bundle", session, "--reason", " ", "-o", str(tmp_path / "no.zip"))
    assert "Say why" in failed.value.said
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------- legal hold, storage alarm


def test_a_hold_is_on_record_and_listed_and_released(bastion: BastionProcess, session: str) -> None:
    bastion.casemate("auditor", "audit", "legal-hold", "add", session, "--reason", "case 17", "--json")
    [held] = bastion.casemate("auditor", "audit", "legal-hold", "list", "--json")
    assert (held["session"], held["by"], held["reason"], held["user"]) == (session, "auditor", "case 17", "alice")
    with pytest.raises(CommandFailed) as failed:
        bastion.casemate("auditor", "audit", "legal-hold", "add", session, "--reason", "again")
    assert "already" in failed.value.said
    with pytest.raises(CommandFailed):
        bastion.casemate("alice", "audit", "legal-hold", "remove", session, "--reason", "mine")
    [state] = bastion.casemate("admin", "audit", "retention", "--json")
    assert (state["records"], state["holds"], state["deleted_at"]) == (0, 1, None)
    bastion.casemate("auditor", "audit", "legal-hold", "remove", session, "--reason", "closed", "--json")
    assert bastion.casemate("auditor", "audit", "legal-hold", "list", "--json") == []
    acts = [r for r in bastion.journal() if str(r.get("act", "")).startswith("legal-hold")]
    assert [(each["act"], each["subject"], each["detail"]["reason"]) for each in acts] == [
        ("legal-hold-added", session, "case 17"),
        ("legal-hold-removed", session, "closed"),
    ]


def test_a_full_disk_is_told_on_record_to_whoever_can_act_and_by_doctor(own_bastion: BastionProcess) -> None:
    own_bastion.stop()
    text = own_bastion.configuration.read_text()
    own_bastion.configuration.write_text(text.replace("alarm = 85", "alarm = 1"))
    own_bastion.start()

    def raised() -> bool:
        return any(record["kind"] == "storage-alarm" for record in own_bastion.journal())

    wait_for("the alarm", raised)
    [alarm] = [record for record in own_bastion.journal() if record["kind"] == "storage-alarm"]
    assert (alarm["state"], alarm["folder"]) == ("raised", str(own_bastion.home / "journal"))
    assert alarm["percent"] >= 1
    found = {person: hello(own_bastion, person)["alarms"] for person in ("auditor", "admin", "alice")}
    assert [one["percent"] for one in found["auditor"]] == [one["percent"] for one in found["admin"]] != []
    assert found["alice"] == []
    done = subprocess.run(
        [*program(), "doctor", "--config", str(own_bastion.configuration), "--json"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["level"] for each in findings if each["subject"] == "storage"] == ["warning"]


def hello(bastion: BastionProcess, person: str) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        async with control(bastion, person) as channel:
            return dict(await channel.result("hello"))

    return asyncio.run(ask())


def test_a_report_over_plain_ssh_and_into_a_file(bastion: BastionProcess, session: str, tmp_path: Path) -> None:
    got = ssh(bastion, tmp_path, "auditor", "audit report --user alice --since 2h --language zh")
    assert got.returncode == 0, got.stderr
    text = got.stdout.decode()
    assert text.startswith("<!DOCTYPE html>")
    assert "alice 的操作" in text
    assert "generate_series(1, 3)" in text
    file = tmp_path / "report.html"
    bastion.run(
        "audit", "report", "--since", "2h", "-o", str(file), "--config", str(bastion.configuration), "--no-proof"
    )
    assert "evidence-pg" in file.read_text(encoding="utf-8")
    with pytest.raises(CommandFailed):
        bastion.casemate("alice", "audit", "report", "--since", "2h", "--json")
    acts = [record for record in bastion.journal() if record.get("act") == "report-made"]
    assert (acts[0]["user"], acts[0]["detail"]["user"]) == ("auditor", "alice")


# ------------------------------------------------------------------------------------------------------------ retention


def test_a_bastion_deletes_what_is_too_much_by_itself_and_its_record_still_verifies(
    own_bastion: BastionProcess, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    bastion = own_bastion
    postgres_server.create_user("retained_app", "retained's own password")
    postgres_server.create_database("retained", "retained_app")
    bastion.declare_database(
        "retained-pg", postgres_server, account="retained_app", password="retained's own password", to="alice",
        tls="disable",
    )  # fmt: skip
    ids = []
    for number in range(2):
        with (
            open_tunnel(bastion, "alice", "retained-pg") as tunnel,
            psycopg.connect(
                host=tunnel.host, port=tunnel.port, dbname="retained", user="x", sslmode="disable", autocommit=True
            ) as connection,
        ):
            connection.execute(f"SELECT {number} AS kept, repeat('x', 100)")
        ids.append(str(session_of(bastion, tunnel)["id"]))
    bastion.wait_for_sessions("closed", lambda sessions: all(each["state"] != "live" for each in sessions))
    held, other = ids
    bastion.casemate("auditor", "audit", "legal-hold", "add", held, "--reason", "case 17", "--json")
    bastion.stop()
    text = bastion.configuration.read_text()
    bastion.configuration.write_text(text.replace("recordings_bytes = 0", "recordings_bytes = 1"))
    bastion.start()
    recordings = bastion.home / "state" / "recordings"
    wait_for("the deletion", lambda: not (recordings / f"{other}.recording").exists())
    assert (recordings / f"{held}.recording").exists()
    [proof] = bastion.casemate("auditor", "audit", "verify", "--json")
    assert (proof["intact"], proof["recordings"], proof["recordings_deleted"]) == (True, 1, 1)
    assert proof["deleted_by"] == "recordings beyond 1 bytes"
    said = bastion.run(
        "audit", "verify", "--journal", str(bastion.home / "journal"), "--public-key",
        str(bastion.home / "keys" / "node.pub"), "--recordings", str(recordings),
    )  # fmt: skip
    assert "1 recording was deleted by retention, as a signed tombstone says." in said
    with pytest.raises(CommandFailed) as failed:
        bastion.casemate("auditor", "audit", "show", other, "1", "--json")
    assert "it was deleted by retention" in failed.value.said
    [state] = bastion.casemate("auditor", "audit", "retention", "--json")
    assert (state["rule"], state["holds"]) == ("recordings beyond 1 bytes", 1)
    # Of the held one evidence can still be made, results and all.
    file = tmp_path / "held.zip"
    bastion.casemate("auditor", "audit", "bundle", held, "--reason", "case 17", "-o", str(file))
    code, found = verified("--bundle", str(file), "--public-key", str(bastion.home / "keys" / "node.pub"))
    assert (code, found["recordings"]) == (0, 1)

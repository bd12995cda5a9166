"""Disks that fill while people work: statements are refused and sessions told, and all goes on when there is room."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.end_to_end.stock_clients import SshTunnel, open_tunnel
from tests.servers import excuses
from tests.servers.bastion_process import BastionProcess, CommandFailed
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_for

DATABASE = "disks"
ENDED = {"closed", "refused"}

Disk = Callable[[Path, int], None]


@pytest.fixture
def small_disk(own_bastion: BastionProcess, tmp_path: Path) -> Iterator[Disk]:
    """Puts a folder of the (stopped) bastion on a disk of so many megabytes."""
    mounted: list[Path] = []

    def put(folder: Path, megabytes: int) -> None:
        aside = tmp_path / "aside"
        shutil.copytree(folder, aside, symlinks=True, ignore=shutil.ignore_patterns("*.sock"))
        said = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", folder],
            capture_output=True, check=False,
        )  # fmt: skip
        if said.returncode:
            excuses.skip("no-small-disks")
        mounted.append(folder)
        shutil.copytree(aside, folder, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(aside)

    yield put
    own_bastion.stop()
    for folder in mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def granted(own_bastion: BastionProcess, postgres_server: PostgresServer) -> BastionProcess:
    postgres_server.create_user("disks_app", "hosted-secret")
    postgres_server.create_database(DATABASE, "disks_app")
    with postgres_server.admin(DATABASE) as connection:
        connection.execute("CREATE TABLE done (n int)")
        connection.execute("GRANT ALL ON done TO disks_app")
    own_bastion.declare_database("orders", postgres_server, account="disks_app", password="hosted-secret", to="alice")
    own_bastion.stop()
    return own_bastion


def connect(tunnel: SshTunnel) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=tunnel.host, port=tunnel.port, dbname=DATABASE, user="x", sslmode="disable", autocommit=True,
        connect_timeout=60,
    )  # fmt: skip


def fill_up(folder: Path, *, leave: int = 0) -> Path:
    """A file of somebody else's that takes all the room but so many bytes."""
    ballast = folder / "ballast"
    ballast.touch()
    room = shutil.disk_usage(folder).free - leave
    try:
        with ballast.open("wb", buffering=0) as file:
            for _ in range(room // 4096):
                file.write(b"\0" * 4096)
    except OSError as error:  # the bastion has written meanwhile: it is full all the same
        if error.errno != errno.ENOSPC:
            raise
    return ballast


def ran(server: PostgresServer) -> list[int]:
    with server.admin(DATABASE) as connection:
        return [row[0] for row in connection.execute("SELECT n FROM done ORDER BY n").fetchall()]


def in_journal(bastion: BastionProcess) -> list[int]:
    words = (each["text"].split() for each in bastion.journal() if each["kind"] == "statement-sent")
    return [int(each[4].strip("()")) for each in words if each[:3] == ["INSERT", "INTO", "done"]]


def proof_of(bastion: BastionProcess) -> dict[str, object]:
    proof: dict[str, object] = json.loads(
        bastion.run("audit", "verify", "--json", "--config", str(bastion.configuration))
    )
    return proof


def test_a_journal_without_room_stops_everybody_and_goes_on_by_itself(
    granted: BastionProcess, postgres_server: PostgresServer, small_disk: Disk
) -> None:
    bastion = granted
    small_disk(bastion.home / "journal", 8)
    bastion.start()
    with open_tunnel(bastion, "alice", "orders") as tunnel, connect(tunnel) as idle:
        idle.execute("INSERT INTO done VALUES (0)")
        ballast = fill_up(bastion.home / "journal", leave=300_000)
        last = 0
        with connect(tunnel) as busy:
            with pytest.raises(psycopg.OperationalError) as refused:
                for last in range(1, 2000):
                    busy.execute(f"INSERT INTO done VALUES ({last}) /* {'x' * 2000} */".encode())
            assert "cannot write its record" in str(refused.value), refused.value
        assert last > 10
        with pytest.raises(psycopg.OperationalError):  # nobody comes in without a record
            connect(tunnel)
        assert ran(postgres_server) == list(range(last))
        before = bastion.pid
        ballast.unlink()

        def again() -> bool:
            try:
                with connect(tunnel) as new:
                    new.execute(f"INSERT INTO done VALUES ({last})".encode())
            except psycopg.OperationalError:
                return False
            return True

        wait_for("the bastion going on", again, 60, 0.2)
        assert bastion.pid == before
        assert bastion.is_running()
        idle.execute(f"INSERT INTO done VALUES ({last + 1})".encode())  # it had nothing to do with it, and goes on
    assert ran(postgres_server) == list(range(last + 2)) == in_journal(bastion)
    sessions = bastion.wait_for_sessions(
        "the end of the sessions", lambda all_: all_ if {each["state"] for each in all_} <= ENDED else None, 60
    )
    [ended] = [each for each in sessions if each["end_reason"].startswith("record-failed")]
    states = [each["state"] for each in bastion.statements(ended["id"])]
    assert states == ["done"] * (last - 1)
    [resumed] = [each for each in bastion.journal() if each.get("act") == "journal-resumed"]
    assert "No space left" in resumed["detail"]["reason"] or "disk full" in resumed["detail"]["reason"]
    assert resumed["detail"]["lost"] == 0
    assert proof_of(bastion)["intact"] is True


def test_a_store_and_recordings_without_room_stop_nobody_and_catch_up(
    granted: BastionProcess, postgres_server: PostgresServer, small_disk: Disk
) -> None:
    bastion = granted
    small_disk(bastion.home / "state", 24)
    bastion.start()
    with open_tunnel(bastion, "alice", "orders") as tunnel:
        with connect(tunnel) as working:
            working.execute("INSERT INTO done VALUES (0)")
            ballast = fill_up(bastion.home / "state")
            for n in range(1, 200):
                working.execute(f"INSERT INTO done VALUES ({n}) /* {'x' * 2000} */".encode())
            rows = working.execute("SELECT repeat('y', 200), g FROM generate_series(1, 20000) AS g").fetchall()
            assert len(rows) == 20_000

            def behind() -> bool:
                return "does not take the journal's records" in bastion.log.read_text()

            wait_for("the store failing", behind, 60)
            ballast.unlink()
        with connect(tunnel) as after:
            after.execute("INSERT INTO done VALUES (200)")
            after.execute("SELECT 'kept again'")
    assert ran(postgres_server) == list(range(201)) == in_journal(bastion)

    def arrived() -> list[dict[str, object]] | None:
        try:
            found = bastion.sessions()
        except CommandFailed:  # it says so while the store is behind
            return None
        return found if len(found) == 2 and all(each["state"] == "closed" for each in found) else None

    first, second = wait_for("the record in the store", arrived, 90, 0.5)
    assert [each["state"] for each in bastion.statements(str(first["id"]))] == ["done"] * 201
    assert len(bastion.statements(str(second["id"]))) == 2
    recordings = {each["session"]: each for each in bastion.journal() if each["kind"] == "recording"}
    assert recordings[str(first["id"])]["cut"] != ""  # something is missing of it, and it says so
    assert recordings[str(second["id"])]["cut"] == ""
    shown = bastion.casemate("auditor", "audit", "show", str(second["id"]), "2", "--json")
    assert "kept again" in json.dumps(shown, ensure_ascii=False)
    proof = proof_of(bastion)
    assert (proof["intact"], proof["store"], proof["recording"]) == (True, "", "")

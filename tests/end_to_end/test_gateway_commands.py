"""The words of the command line: in the program, over plain SSH, and on the bastion's own machine."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import yaml

from tests.servers.bastion_process import BastionProcess, CommandFailed, program
from tests.servers.postgres import PostgresServer

from .stock_clients import askpass, client_environment, ssh_command

PASSWORD = "hosted-secret"

TOKEN_FIELDS = [
    "id", "token", "user", "host", "port", "bastion", "database", "account", "expires_at", "renewals_left", "ca",
    "lines",
]  # fmt: skip
SESSION_FIELDS = [
    "id", "user", "source", "client", "token", "database", "account", "login", "engine", "node", "state", "started_at",
    "ended_at", "end_reason", "statements", "bytes_up", "bytes_down", "unattributed_bytes",
]  # fmt: skip
STATEMENT_FIELDS = [
    "session", "seq", "at", "user", "database", "account", "schema", "kind", "text", "binds", "verdict", "tool",
    "state", "rows", "error", "duration_ms", "bytes_down", "digest",
]  # fmt: skip


@pytest.fixture(scope="module")
def shop(bastion: BastionProcess, postgres_server: PostgresServer) -> str:
    postgres_server.create_user("shop_app", PASSWORD)
    postgres_server.create_database("shop", "shop_app")
    with postgres_server.admin("shop") as connection:
        connection.execute("CREATE TABLE goods (id int, name text)")
        connection.execute("INSERT INTO goods VALUES (1, 'tea'), (2, NULL)")
        connection.execute("GRANT ALL ON goods TO shop_app")
    bastion.apply(
        {
            "databases": [{
                "name": "shop", "engine": "postgresql", "platform": "self-managed", "host": postgres_server.host,
                "port": postgres_server.port, "tls": {"mode": "prefer"}, "databases": ["shop"],
                "accounts": [{"name": "shop_app", "password": {"env": "SHOP"}}],
            }],
            "grants": [{"name": "alice-shop", "to": ["alice"], "on": ["shop"], "accounts": ["*"]}],
        },
        {"SHOP": PASSWORD},
    )  # fmt: skip
    return "shop"


def over_ssh(
    bastion: BastionProcess,
    place: Path,
    user: str,
    command: str,
    stdin: str = "",
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """`ssh -p PORT user@bastion COMMAND` with OpenSSH's client."""
    options = ssh_command(user, *bastion.address, bastion.known_hosts, {"SendEnv": "LANG LC_*"})
    return subprocess.run(
        [*options, command], env={**askpass(place, bastion.password_of(user)), **(environment or {})}, input=stdin,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def casemate(bastion: BastionProcess, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program, with nothing given that is not in `words` or `environment`."""
    return subprocess.run(
        [*program(), *words],
        env={"PATH": os.environ["PATH"], "HOME": str(bastion.folder), "LC_ALL": "C.UTF-8", **environment},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False, start_new_session=True,
    )  # fmt: skip


def where(bastion: BastionProcess, user: str) -> str:
    return f"{user}@{bastion.address[0]}:{bastion.address[1]}"


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


# -------------------------------------------------------------------------------------------------------- listings


def test_databases_and_token_are_the_same_over_plain_ssh_and_in_the_program(
    bastion: BastionProcess, shop: str, tmp_path: Path
) -> None:
    done = over_ssh(bastion, tmp_path, "alice", "databases --json")
    assert (done.returncode, done.stderr) == (0, "")
    [database] = lines(done.stdout)
    assert database["name"] == "shop"
    assert database["accounts"] == [{"name": "shop_app", "hosted": True}]
    token = lines(over_ssh(bastion, tmp_path, "alice", "token shop --json").stdout)[0]
    assert list(token)[: len(TOKEN_FIELDS)] == TOKEN_FIELDS
    assert token["bastion"] == {"host": bastion.address[0], "port": bastion.address[1]}
    assert token["ca"].startswith("-----BEGIN CERTIFICATE-----")
    assert f"-p {bastion.address[1]}" in token["lines"]["ssh"]
    [again] = bastion.casemate("alice", "token", "shop", "--json")
    assert again["token"] == token["token"]
    [new] = bastion.casemate("alice", "token", "shop", "--new", "--for", "10m", "--json")
    assert new["token"] != token["token"]


def test_a_token_is_shown_renewed_and_revoked(bastion: BastionProcess, shop: str) -> None:
    [token] = bastion.casemate("alice", "token", "shop", "--new", "--for", "5m", "--json")
    [renewed] = bastion.casemate("alice", "tokens", "--renew", token["id"], "--json")
    assert renewed["renewals_left"] == token["renewals_left"] - 1
    assert renewed["expires_at"] > token["expires_at"]
    [shown] = bastion.casemate("alice", "tokens", "--show", token["id"], "--json")
    assert shown["token"] == token["token"]
    assert [each["id"] for each in bastion.casemate("alice", "tokens", "--json")] == [token["id"]]
    bastion.casemate("alice", "tokens", "--revoke", token["id"], "--reason", "done")
    assert bastion.casemate("alice", "tokens", "--json") == []
    acts = [
        record["act"] for record in bastion.journal() if record["kind"] == "act" and record["subject"] == token["id"]
    ]
    assert acts == ["token-issued", "token-renewed", "token-shown", "token-revoked"]


def test_people_get_tables_and_narration_goes_to_standard_error(
    bastion: BastionProcess, shop: str, tmp_path: Path
) -> None:
    done = over_ssh(bastion, tmp_path, "alice", "databases")
    heading, row = done.stdout.splitlines()
    assert heading.split() == ["NAME", "ENGINE", "ADDRESS", "ACCOUNTS", "TOKEN", "UNTIL"]
    assert row.startswith("shop  postgresql  127.0.0.1:")
    none = over_ssh(bastion, tmp_path, "bob", "databases")
    assert (none.returncode, none.stdout) == (0, "")
    assert "You are not authorized for any database" in none.stderr


def test_a_terminal_gets_lines_that_end_as_terminals_want(bastion: BastionProcess, shop: str, tmp_path: Path) -> None:
    options = ssh_command("alice", *bastion.address, bastion.known_hosts, {})
    done = subprocess.run(
        [*options[:-1], "-tt", options[-1], "databases"], env=askpass(tmp_path, bastion.password_of("alice")),
        stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.count(b"\r\n") == 2
    assert done.stdout.count(b"\n") == 2


# ------------------------------------------------------------------------------------------------ refusals, exit codes


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("token nothing-there", 1, "There is no database nothing-there that you are authorized for"),
        ("tokens --revoke 0000", 1, "This token is not known"),
        ("end s0000000000000000", 1, "There is no session s0000000000000000"),
        ("token", 2, "the following arguments are required: DB"),
        ("drop-everything", 2, "invalid choice"),
        ("token 'shop", 2, "the command cannot be read"),
        ("token shop --for later", 2, "is no period"),
        ("audit verify", 1, "This needs the role"),
        ("serve --config /etc/passwd", 2, "invalid choice"),
        ("apply /etc/passwd", 2, "invalid choice"),
        ("sql shop -f /etc/passwd", 2, "Files cannot be named over plain SSH"),
    ],
)
def test_what_is_not_so_has_its_exit_code_and_its_sentence(
    bastion: BastionProcess, shop: str, tmp_path: Path, command: str, code: int, said: str
) -> None:
    done = over_ssh(bastion, tmp_path, "alice", command)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


def test_an_auditor_names_no_file_of_the_bastion(bastion: BastionProcess, tmp_path: Path) -> None:
    done = over_ssh(bastion, tmp_path, "auditor", "audit verify --anchor /etc/passwd")
    assert done.returncode == 2
    assert "Files cannot be named over plain SSH" in done.stderr


def test_help_is_for_reading(bastion: BastionProcess, tmp_path: Path) -> None:
    done = over_ssh(bastion, tmp_path, "alice", "token --help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--for 2h" in done.stdout
    assert " serve " not in over_ssh(bastion, tmp_path, "alice", "--help").stdout


def test_the_programs_exit_codes(bastion: BastionProcess, shop: str, tmp_path: Path) -> None:
    known = {"CASEMATE_KNOWN_HOSTS": str(bastion.known_hosts)}
    password = {"CASEMATE_PASSWORD": bastion.password_of("alice")}
    there = ("--bastion", where(bastion, "alice"))
    assert casemate(bastion, "databases", *there, **known, **password).returncode == 0
    assert casemate(bastion, "token", "no-such", *there, **known, **password).returncode == 1
    assert casemate(bastion, "token", *there, **known, **password).returncode == 2
    assert casemate(bastion, "databases", "--bastion", "alice@127.0.0.1:1", **known, **password).returncode == 3
    refused = casemate(bastion, "databases", *there, **known, CASEMATE_PASSWORD="Wrong-password-1")
    assert refused.returncode == 4
    assert "Login failed" in refused.stderr


def test_a_password_file_does_as_well(bastion: BastionProcess, shop: str, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(bastion.password_of("alice") + "\n")
    done = casemate(
        bastion, "databases", "--json", "--password-file", str(file), CASEMATE_BASTION=where(bastion, "alice"),
        CASEMATE_KNOWN_HOSTS=str(bastion.known_hosts),
    )  # fmt: skip
    assert [each["name"] for each in lines(done.stdout)] == ["shop"]
    last_used = casemate(bastion, "tokens", "--password-file", str(file), CASEMATE_KNOWN_HOSTS=str(bastion.known_hosts))
    assert last_used.returncode == 0, last_used.stderr


def test_an_unknown_host_key_is_refused_with_its_fingerprint_unless_trusted(
    bastion: BastionProcess, shop: str, tmp_path: Path
) -> None:
    mine = tmp_path / "known_hosts"
    environment = {
        "CASEMATE_KNOWN_HOSTS": str(mine), "CASEMATE_PASSWORD": bastion.password_of("alice"), "HOME": str(tmp_path),
    }  # fmt: skip
    there = ("databases", "--bastion", where(bastion, "alice"))
    refused = casemate(bastion, *there, **environment)
    assert refused.returncode == 3
    keys = subprocess.run(["ssh-keygen", "-lf", bastion.known_hosts], capture_output=True, text=True, check=True)
    assert any(line.split()[1] in refused.stderr for line in keys.stdout.splitlines())
    assert not mine.exists()
    assert casemate(bastion, *there, "--trust-new", **environment).returncode == 0
    assert casemate(bastion, *there, **environment).returncode == 0


def test_a_changed_host_key_is_never_trusted(bastion: BastionProcess, tmp_path: Path) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    mine = tmp_path / "known_hosts"
    mine.write_text(f"[{bastion.address[0]}]:{bastion.address[1]} {other}")
    done = casemate(
        bastion, "databases", "--trust-new", "--bastion", where(bastion, "alice"), CASEMATE_KNOWN_HOSTS=str(mine),
        CASEMATE_PASSWORD=bastion.password_of("alice"), HOME=str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 3
    assert "is not the one that is known" in done.stderr


# ------------------------------------------------------------------------------------------------- sql and its record


def test_sql_over_plain_ssh_is_the_same_session_and_on_record(
    bastion: BastionProcess, shop: str, tmp_path: Path
) -> None:
    statement = "SELECT id, name FROM goods ORDER BY id"
    done = over_ssh(bastion, tmp_path, "alice", f'sql shop -c "{statement}" --json')
    assert done.returncode == 0, done.stderr
    assert lines(done.stdout) == [{"id": 1, "name": "tea"}, {"id": 2, "name": None}]
    found = [
        each for each in bastion.casemate("auditor", "audit", "search", "goods", "--json") if each["text"] == statement
    ]
    assert [list(each) for each in found] == [STATEMENT_FIELDS]
    assert (found[0]["user"], found[0]["state"], found[0]["rows"]) == ("alice", "done", 2)
    session = next(each for each in bastion.sessions() if each["id"] == found[0]["session"])
    assert list(session)[: len(SESSION_FIELDS)] == SESSION_FIELDS
    assert session["source"] == "127.0.0.1"


def test_a_script_on_standard_input_stops_at_its_first_error(
    bastion: BastionProcess, shop: str, tmp_path: Path
) -> None:
    script = "SELECT 1 AS one;\nSELECT nonsense;\nSELECT 3 AS three;\n"
    done = over_ssh(bastion, tmp_path, "alice", "sql shop -f - --csv", stdin=script)
    assert done.returncode == 1
    assert done.stdout == "one\n1\n"
    assert "nonsense" in done.stderr


def test_sql_in_the_program_prints_csv(bastion: BastionProcess, shop: str) -> None:
    where_ = ["--bastion", where(bastion, "alice")]
    printed = bastion.run(
        "sql", "shop", "-c", "SELECT 1 AS a, 'x,y' AS b", "--csv", *where_,
        environment={"CASEMATE_PASSWORD": bastion.password_of("alice")},
    )  # fmt: skip
    assert printed == 'a,b\n1,"x,y"\n'


def test_input_that_no_command_wants_is_not_kept(bastion: BastionProcess, shop: str, tmp_path: Path) -> None:
    before = bastion.resident_bytes()
    done = over_ssh(bastion, tmp_path, "alice", "databases --json", stdin="x" * (64 << 20))
    assert [each["name"] for each in lines(done.stdout)] == ["shop"]
    too_long = over_ssh(bastion, tmp_path, "alice", "sql shop -f -", stdin="x" * (64 << 20))
    assert (too_long.returncode, too_long.stdout) == (2, "")
    assert "Standard input is longer than" in too_long.stderr
    assert bastion.resident_bytes() - before < 48 << 20


def test_an_environment_of_many_megabytes_is_not_kept(bastion: BastionProcess, tmp_path: Path) -> None:
    variables = {f"V{number}": "x" * 30_000 for number in range(3000)}

    async def grown() -> int:
        async with asyncssh.connect(
            *bastion.address, username="alice", password=bastion.password_of("alice"), config=None, client_keys=None,
            known_hosts=str(bastion.known_hosts), agent_path=None,
        ) as connection:  # fmt: skip
            before = bastion.resident_bytes()
            writer, reader, _ = await connection.open_session(subsystem="casemate", env=variables)
            writer.write('{"jsonrpc": "2.0", "id": 1, "method": "hello"}\n')
            assert '"user":"alice"' in await asyncio.wait_for(reader.readline(), 60)
            return bastion.resident_bytes() - before

    assert asyncio.run(grown()) < 48 << 20


def test_a_command_that_is_given_up_leaves_no_session(bastion: BastionProcess, shop: str, tmp_path: Path) -> None:
    options = ssh_command("alice", *bastion.address, bastion.known_hosts, {})
    process = subprocess.Popen(
        [*options, 'sql shop -c "SELECT pg_sleep(600)"'], env=askpass(tmp_path, bastion.password_of("alice")),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    session = bastion.wait_for_sessions(
        "the sleeping session", lambda all: next((s for s in all if s["running"] and "pg_sleep" in s["running"]), None)
    )
    process.kill()
    process.wait(60)
    ended = bastion.wait_for_sessions(
        "its end", lambda all: next((s for s in all if s["id"] == session["id"] and s["state"] == "closed"), None)
    )
    [statement] = [each for each in bastion.statements(ended["id"]) if "pg_sleep" in each["text"]]
    assert statement["state"] == "cancelled"


# ------------------------------------------------------------------------------------------------------- the audit


def test_operators_see_their_own_record_only(bastion: BastionProcess, shop: str, tmp_path: Path) -> None:
    over_ssh(bastion, tmp_path, "alice", "sql shop -c 'SELECT 4711'")
    assert [each["user"] for each in bastion.casemate("alice", "audit", "search", "4711", "--json")] == ["alice"]
    assert bastion.casemate("bob", "audit", "search", "--user", "alice", "--json") == []
    assert bastion.casemate("bob", "sessions", "--user", "alice", "--json") == []


def test_filters_of_the_search(bastion: BastionProcess, shop: str, tmp_path: Path) -> None:
    over_ssh(bastion, tmp_path, "alice", "sql shop -f -", stdin="SELECT 'needle' AS a; SELECT needle_missing;")
    search = ("audit", "search", "needle", "--json")
    assert len(bastion.casemate("auditor", *search, "--kind", "SELECT", "--database", "shop")) == 2
    [failed] = bastion.casemate("auditor", *search, "--error")
    assert failed["state"] == "failed"
    assert len(bastion.casemate("auditor", *search, "--limit", "1")) == 1
    assert bastion.casemate("auditor", *search, "--until", "1h") == []
    assert len(bastion.casemate("auditor", *search, "--since", "1h", "--account", "shop_app")) == 2
    assert bastion.casemate("auditor", *search, "--user", "bob") == []


def test_verify_proves_the_journal_from_afar_and_from_the_files(bastion: BastionProcess, tmp_path: Path) -> None:
    [proof] = bastion.casemate("auditor", "audit", "verify", "--json")
    assert proof["intact"] is True
    local = lines(bastion.run("audit", "verify", "--config", str(bastion.configuration), "--json"))[0]
    assert local["intact"] is True
    copy = tmp_path / "journal"
    copy.mkdir()
    for file in (bastion.home / "journal").iterdir():
        if file.suffix in (".journal", ".pub"):
            (copy / file.name).write_bytes(file.read_bytes())
    [first, *_rest] = sorted(copy.glob("*.journal"))
    text = first.read_bytes()
    first.write_bytes(text.replace(b'"alice"', b'"mallo"', 1))
    words = ("audit", "verify", "--journal", str(copy), "--public-key", str(bastion.home / "keys" / "node.pub"))
    broken = casemate(bastion, *words, "--json")
    assert broken.returncode == 1
    assert lines(broken.stdout)[0]["intact"] is False
    assert "BROKEN at record" in casemate(bastion, *words).stdout


# ---------------------------------------------------------------------------------------------- on the own machine


def test_apply_shows_the_diff_and_a_dry_run_changes_nothing(bastion: BastionProcess, tmp_path: Path) -> None:
    file = tmp_path / "groups.yaml"
    file.write_text("groups: [{name: testers, members: [bob]}]\n")
    words = ("apply", str(file), "--config", str(bastion.configuration))
    dry = bastion.run(*words, "--dry-run")
    assert dry.startswith("+ group testers")
    assert bastion.run(*words) == dry
    again = casemate(bastion, *words)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "Nothing to change.\n")
    act = [record for record in bastion.journal() if record["kind"] == "act"][-1]
    assert (act["act"], act["subject"]) == ("group-create", "testers")
    assert act["user"].startswith("os:")


def test_apply_of_what_is_not_in_order_changes_nothing(bastion: BastionProcess, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("groups: [{name: halves, members: [bob]}]\nusers: [{name: 'Not A Name', roles: [king]}]\n")
    done = casemate(bastion, "apply", str(file), "--config", str(bastion.configuration))
    assert done.returncode == 1
    assert done.stderr.startswith("Nothing was changed:")
    assert "halves" not in bastion.run("export", "--config", str(bastion.configuration))
    file.write_text("users: [\n")
    broken = casemate(bastion, "apply", str(file), "--config", str(bastion.configuration))
    assert broken.returncode == 2
    assert f"{file}:2:1 is not YAML" in broken.stderr


def test_export_has_no_secrets_and_applying_it_changes_nothing(
    bastion: BastionProcess, shop: str, tmp_path: Path
) -> None:
    text = bastion.run("export", "--config", str(bastion.configuration))
    state = yaml.safe_load(text)
    assert "alice" in [user["name"] for user in state["users"]]
    for secret in (PASSWORD, bastion.password_of("alice"), "$argon2"):
        assert secret not in text
    file = tmp_path / "exported.yaml"
    file.write_text(text)
    done = casemate(bastion, "apply", str(file), "--config", str(bastion.configuration))
    assert (done.returncode, done.stderr) == (0, "Nothing to change.\n")


def test_the_own_machine_sees_all_sessions(bastion: BastionProcess, shop: str) -> None:
    found = lines(bastion.run("sessions", "--config", str(bastion.configuration), "--json"))
    assert {each["user"] for each in found} >= {"alice"}
    assert stat.S_IMODE((bastion.home / "state" / "casemate.sock").stat().st_mode) == 0o600


def test_doctor_finds_nothing_wrong_and_then_something(bastion: BastionProcess, tmp_path: Path) -> None:
    findings = lines(bastion.run("doctor", "--config", str(bastion.configuration), "--json"))
    assert {finding["level"] for finding in findings} <= {"ok", "warning"}
    assert {"configuration", "files", "master key", "store", "journal", "port"} <= {
        each["subject"] for each in findings
    }
    key = bastion.home / "keys" / "node.key"
    key.chmod(0o644)
    try:
        done = casemate(bastion, "doctor", "--config", str(bastion.configuration))
    finally:
        key.chmod(0o600)
    assert done.returncode == 1
    assert f"chmod 600 {key}" in done.stdout
    there = casemate(
        bastion, "doctor", "--bastion", where(bastion, "alice"), CASEMATE_KNOWN_HOSTS=str(bastion.known_hosts),
        CASEMATE_PASSWORD=bastion.password_of("alice"),
    )  # fmt: skip
    assert there.returncode == 0
    assert "alice with the roles operator" in there.stdout


def test_the_tunnel_command_carries_a_stock_client(bastion: BastionProcess, shop: str, tmp_path: Path) -> None:
    import psycopg

    socket = tmp_path / ".s.PGSQL.5432"
    process = subprocess.Popen(
        [*program(), "tunnel", "shop", "--listen", str(socket), "--json", "--bastion", where(bastion, "alice")],
        env=client_environment({
            "CASEMATE_PASSWORD": bastion.password_of("alice"), "CASEMATE_KNOWN_HOSTS": str(bastion.known_hosts),
            "HOME": str(bastion.folder),
        }),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert told["path"] == str(socket)
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        for _ in range(2):
            with psycopg.connect(host=str(tmp_path), dbname="shop", user="me", connect_timeout=20) as connection:
                assert connection.execute("SELECT current_user").fetchone() == ("shop_app",)
    finally:
        process.terminate()
        assert process.wait(60) == 0
    assert not socket.exists()


def test_commands_fail_as_sentences_where_nothing_runs(tmp_path: Path, bastion: BastionProcess) -> None:
    missing = casemate(bastion, "export", "--config", str(tmp_path / "casemate.toml"))
    assert missing.returncode == 2
    assert "does not exist" in missing.stderr
    with pytest.raises(CommandFailed) as refused:
        bastion.run("init", str(bastion.home), environment={"CASEMATE_PASSWORD": "Correct-horse-7"})
    assert "There is a bastion in" in refused.value.said
    weak = casemate(bastion, "init", str(tmp_path / "new"), CASEMATE_PASSWORD="short")
    assert weak.returncode == 2
    assert "The password is not good enough" in weak.stderr
    assert not (tmp_path / "new").exists()

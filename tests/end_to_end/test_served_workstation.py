"""The workstation over plain SSH: OpenSSH's client in tmux, nothing of ours at the desk."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyte
import pytest

from tests.end_to_end.served_desk import Desk, end_workstations, ui_host_of, ui_processes_of
from tests.servers.bastion_process import HOST, BastionProcess, CommandFailed
from tests.servers.postgres import PostgresServer
from tests.servers.processes import free_port, server_folder, wait_for

FIRST_PAGE = "Search"

DATABASE = "served"
NASTY = "\x1b]0;owned\x07\x1b[31mred\x1b[2J\u202e\x9b31m end"


def ended(bastion: BastionProcess) -> bool:
    """Whether no database session is open."""
    return all(each["state"] == "closed" for each in bastion.sessions())


@pytest.fixture(scope="module")
def bastion(postgres_server: PostgresServer) -> Iterator[BastionProcess]:
    """alice and bob may use one database with its hosted account."""
    postgres_server.create_user("served_app", "served's own password")
    postgres_server.create_database(DATABASE, "served_app")
    with postgres_server.admin(DATABASE) as connection:
        connection.execute("SET ROLE served_app")
        connection.execute(
            "CREATE TABLE parcels AS SELECT n AS id, 'parcel ' || n AS label FROM generate_series(1, 7) n"
        )
        connection.execute("CREATE TABLE nasty (word text)")
        connection.execute("INSERT INTO nasty VALUES (%s)", [NASTY])
    process = BastionProcess(server_folder("served"), workstation=True)
    process.apply(
        {
            "databases": [
                {
                    "name": DATABASE, "engine": "postgresql", "platform": "self-managed",
                    "host": postgres_server.host, "port": postgres_server.port, "tls": {"mode": "prefer"},
                    "databases": [DATABASE], "accounts": [{"name": "served_app", "password": {"env": "ACCOUNT"}}],
                }
            ],
            "grants": [{"name": "served", "to": ["alice", "bob"], "on": [DATABASE], "accounts": ["*"]}],
        },
        {"ACCOUNT": "served's own password"},
    )  # fmt: skip
    yield process
    process.remove()


@pytest.fixture
def desk(bastion: BastionProcess, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Desks; they are left at the end."""
    opened: list[Desk] = []

    def make(person: str = "alice", **options: object) -> Desk:
        made = Desk(bastion, tmp_path / f"desk{len(opened)}", person, **options)  # type: ignore[arg-type]
        opened.append(made)
        return made

    yield make
    for each in opened:
        each.close()
    # What was left open waits for its person: the next test is somebody else.
    end_workstations(bastion)


def open_token(desk: Desk) -> None:
    """From the databases page to a token."""
    terminal = desk.terminal
    terminal.wait(lambda text: f"{DATABASE} " in text)
    terminal.press("F3")
    terminal.wait(lambda text: "Request the token" in text or "SSH host" in text)
    if "Request the token" in terminal.text:
        terminal.type("INC-1")
        terminal.press("Enter")
    terminal.wait("SSH host")


def open_console(desk: Desk) -> None:
    """From the databases page to a console."""
    open_token(desk)
    desk.terminal.type("o")
    desk.terminal.wait("public")


def run_sql(desk: Desk, text: str) -> None:
    """In the place of what the editor kept from last time."""
    desk.terminal.press("End", "C-u")
    desk.terminal.type(text)
    desk.terminal.press("F5")


def test_the_main_job(bastion: BastionProcess, desk: Callable[..., Desk]) -> None:
    at = desk()
    at.open()
    open_console(at)
    run_sql(at, "select id, label from parcels /* served over ssh */ order by id")
    at.terminal.wait(lambda text: "parcel 1" in text and "parcel 7" in text and "7 rows" in text)
    assert at.terminal.state("alternate_on", "mouse_any_flag", "cursor_flag") == ("1", "1", "0")

    at.terminal.press("C-q")
    text = at.returned(0)
    assert "Traceback" not in text

    found = bastion.casemate("auditor", "audit", "search", "served over ssh", "--json")
    assert [(each["user"], each["database"], each["state"], each["rows"]) for each in found] == [
        ("alice", DATABASE, "done", 7)
    ]
    session = next(each for each in bastion.sessions() if each["id"] == found[0]["session"])
    assert (session["source"], session["unattributed_bytes"]) == ("127.0.0.1", 0)
    wait_for("no workstation left", lambda: not ui_processes_of(ui_host_of(bastion)))


def test_a_copied_token_reaches_the_clipboard_of_the_persons_terminal(desk: Callable[..., Desk]) -> None:
    at = desk()
    at.open()
    open_token(at)
    at.terminal.type("c")
    copied = wait_for("the token in the clipboard", lambda: _clipboard(at))
    assert copied.startswith("cmt_")
    assert copied not in at.terminal.text
    at.terminal.type("v")
    at.terminal.wait(copied)


def _clipboard(at: Desk) -> str:
    try:
        return at.terminal.clipboard()
    except AssertionError:
        return ""


def test_without_a_terminal_or_on_a_plain_one_there_is_a_sentence(desk: Callable[..., Desk]) -> None:
    at = desk()
    at.log_in("-T")
    assert "needs a terminal" in at.returned(1)
    dumb = desk(term="dumb")
    dumb.log_in()
    text = dumb.terminal.wait("returned 1")
    assert "terminal of type `dumb`" in text.replace("\n", "")


def replay(bastion: BastionProcess, screen: str) -> tuple[dict[str, Any], list[tuple[float, str, str]]]:
    """The header and the events of a recorded screen."""
    where = ["--bastion", f"auditor@{HOST}:{bastion.address[1]}"]
    printed = bastion.run(
        "audit", "replay", screen, *where, environment={"CASEMATE_PASSWORD": bastion.password_of("auditor")}
    )
    header, *events = [json.loads(line) for line in printed.splitlines()]
    return header, [(each[0], each[1], each[2]) for each in events]


def test_the_screen_is_recorded_and_proved_without_a_token_in_it(
    bastion: BastionProcess, desk: Callable[..., Desk]
) -> None:
    at = desk(columns=80, lines=24)
    at.open()
    open_token(at)
    at.terminal.type("c")
    token = wait_for("the token in the clipboard", lambda: _clipboard(at))
    at.terminal.type("v")
    at.terminal.wait(lambda text: token[:30] in text)
    at.terminal.resize(90, 25)
    at.terminal.press("Escape")
    at.terminal.wait(lambda text: "SSH host" not in text)
    at.terminal.type("what is sought")
    at.terminal.wait("what is sought")
    at.terminal.press("C-q")
    at.returned(0)

    def ended() -> dict[str, Any] | None:
        newest = bastion.casemate("auditor", "audit", "screens", "--user", "alice", "--limit", "1", "--json")[0]
        return newest if newest["ended_at"] else None

    screen = wait_for("its end is on record", ended)
    assert (screen["user"], screen["source"], screen["recorded"]) == ("alice", HOST, True)
    header, events = replay(bastion, screen["id"])
    assert (header["version"], header["term"]["cols"], header["term"]["rows"]) == (3, 80, 24)
    assert ("r", "90x25") in [event[1:] for event in events]
    assert events[-1][1:] == ("x", "0")
    picture = pyte.Screen(90, 25)
    stream = pyte.Stream(picture)
    shown = []
    for _wait, kind, data in events:
        if kind == "o":
            stream.feed(data.replace("\x1b[<u", "").replace("\x1b[>25u", ""))
            shown.append("\n".join(picture.display))
    assert any("SSH host" in each and "•" * 30 in each for each in shown)
    assert any("what is sought" in each for each in shown)

    for each in bastion.casemate("auditor", "audit", "screens", "--json"):
        if each["recorded"]:
            written = "".join(data for _wait, kind, data in replay(bastion, each["id"])[1] if kind == "o")
            assert token not in written
            assert base64.b64encode(token.encode()).decode() not in written
            assert not [start for start in range(4, len(token) - 8) if token[start : start + 8] in written]
    assert not bastion.mentions(token)
    acts = [each["act"] for each in bastion.journal() if each.get("subject") == screen["id"]]
    assert acts == ["workstation-opened", "workstation-ended", "screen-shown", "screen-shown"]

    (proof,) = bastion.casemate("auditor", "audit", "verify", "--json")
    assert proof["intact"]
    file = bastion.home / "state" / "recordings" / f"{screen['id']}.recording"
    content = bytearray(file.read_bytes())
    content[-40] ^= 1
    file.write_bytes(content)
    with pytest.raises(CommandFailed):
        bastion.casemate("auditor", "audit", "verify", "--json")
    content[-40] ^= 1
    file.write_bytes(content)


def test_two_people_at_once_and_the_end_of_one_is_not_the_others(
    bastion: BastionProcess, desk: Callable[..., Desk]
) -> None:
    alice, bob = desk("alice"), desk("bob", columns=80, lines=24)
    alice.open()
    host = ui_host_of(bastion)
    (hers,) = ui_processes_of(host)
    bob.open()
    assert "alice@" in alice.terminal.text
    assert "bob@" in bob.terminal.text
    os.kill(hers, signal.SIGKILL)
    assert "ended unexpectedly" in alice.returned(1)
    bob.terminal.type("no such thing")
    bob.terminal.wait("no such thing")
    bob.terminal.press("C-q")
    bob.returned(0)
    wait_for("no process left", lambda: not ui_processes_of(host))


def test_a_lost_connection_is_resumed_on_another_terminal(bastion: BastionProcess, desk: Callable[..., Desk]) -> None:
    first = desk()
    first.open()
    open_console(first)
    run_sql(first, "select pg_sleep(6), 'wo' || 'ke' /* kept */")
    first.terminal.wait("Running")
    (process,) = ui_processes_of(ui_host_of(bastion))
    first.kill_ssh()
    first.terminal.wait("returned 137")

    second = desk(columns=82, lines=26, term="screen")
    second.log_in()
    second.terminal.wait("whose connection was lost")
    second.terminal.press("Enter")
    text = second.terminal.wait("woke")
    assert len(text.rstrip("\n").split("\n")) <= 26
    assert "38;5;" not in second.terminal.coloured  # sixteen colours, where the first had 256
    assert "38;2;" not in second.terminal.coloured
    assert ui_processes_of(ui_host_of(bastion)) == [process]
    (statement,) = bastion.casemate("auditor", "audit", "search", "kept", "--user", "alice", "--json")
    assert (statement["state"], statement["rows"]) == ("done", 1)

    third = desk(columns=90)
    third.open()  # the first is in use: this is a new one
    wait_for("two workstations", lambda: len(ui_processes_of(ui_host_of(bastion))) == 2)

    second.terminal.press("C-q")
    second.returned(0)


def test_who_wants_a_new_workstation_instead_gets_one(bastion: BastionProcess, desk: Callable[..., Desk]) -> None:
    first = desk()
    first.open()
    first.kill_ssh()
    second = desk()
    second.log_in()
    second.terminal.wait("whose connection was lost")
    second.terminal.type("xn")
    second.terminal.wait(FIRST_PAGE)
    third = desk()
    third.log_in()
    third.terminal.wait("whose connection was lost")
    third.terminal.type("q")
    third.returned(0)
    fourth = desk("bob")
    fourth.open()  # is offered nothing: it is not bob's


def test_a_terminal_that_does_not_answer_any_more_is_taken_for_lost(
    bastion: BastionProcess, desk: Callable[..., Desk]
) -> None:
    first = desk()
    first.open()
    first.terminal.type("still mine")
    first.terminal.wait("still mine")
    os.kill(first.ssh(), signal.SIGSTOP)  # as a network that is gone: no packet says so
    second = desk()
    second.log_in()
    second.terminal.wait("whose connection was lost")
    second.terminal.press("Enter")
    second.terminal.wait("still mine")


def test_the_language_and_the_time_of_the_persons_terminal(desk: Callable[..., Desk]) -> None:
    at = desk(environment={"LANG": "zh_CN.UTF-8", "TEXTUAL_LOG": "/tmp/never", "LD_PRELOAD": "never.so"})
    at.log_in()
    at.terminal.wait("数据库")
    at.terminal.press("C-q")
    at.returned(0)


def test_whatever_a_terminal_sends_the_workstation_goes_on(desk: Callable[..., Desk]) -> None:
    at = desk()
    at.open()
    for hostile in (
        b"\xff\xfe\xc3", b"\x1b[99999999999;1u", b"\x1b[1114112;1u", b"\x1b[48;9000;9000;9000;9000t", b"\x1b[?62;22c",
        b"\x1bP1$r0m\x1b\\", b"\x1b[<0;99999;99999M", b"\x1b[M\xff\xff\xff", b"\x1b[;;;;;u", b"\x00\x80\x9b",
    ):  # fmt: skip
        at.terminal.send(hostile)
    at.terminal.press("C-u")
    at.terminal.type("still here")
    at.terminal.wait("still here")
    at.terminal.press("C-u")
    at.terminal.paste("数据 from the clipboard")
    at.terminal.wait("数据 from the clipboard")


def test_a_storm_of_sizes_ends_with_a_whole_picture(desk: Callable[..., Desk]) -> None:
    at = desk()
    at.open()
    for number in range(30):
        at.terminal.resize(60 + 7 * (number % 10), 16 + number % 12)
    at.terminal.resize(110, 24)
    at.terminal.type("q")

    def whole(text: str) -> bool:
        lines = text.rstrip("\n").split("\n")
        return "alice@" in lines[0] and len(lines[0]) > 100 and "F1 Help" in lines[-1] and len(lines) == 24

    at.terminal.wait(whole)


def test_a_killed_ui_host_is_started_again_and_its_people_are_told(
    bastion: BastionProcess, desk: Callable[..., Desk]
) -> None:
    at = desk()
    at.open()
    host = ui_host_of(bastion)
    (process,) = ui_processes_of(host)
    os.kill(host, signal.SIGKILL)
    assert "ended unexpectedly" in at.returned(1)
    wait_for("the process is gone too", lambda: not alive(process))
    wait_for("another host", lambda: ui_host_of(bastion) != host)
    at.open()
    at.terminal.press("C-q")
    at.returned(0)


def test_a_killed_bastion_leaves_no_process_behind(bastion: BastionProcess, desk: Callable[..., Desk]) -> None:
    at = desk()
    at.open()
    host = ui_host_of(bastion)
    (process,) = ui_processes_of(host)
    os.kill(process, signal.SIGSTOP)  # as hung as can be
    bastion.kill()
    wait_for("no process left", lambda: not alive(host) and not alive(process))

    # The next one also listens for people, and whoever comes there compresses, asked or not.
    port = free_port()
    text = bastion.configuration.read_text()
    bastion.configuration.write_text(text.replace("[listen]", f"[listen]\npeople = {port}"))
    known = bastion.known_hosts.read_text()
    bastion.known_hosts.write_text(known + known.replace(f":{bastion.address[1]}", f":{port}"))
    bastion.start()
    again = desk()
    again.log_in("-v", "-E", str(bastion.folder / "ssh.log"), port=port)
    again.terminal.wait(FIRST_PAGE)
    assert "compression: zlib@openssh.com" in (bastion.folder / "ssh.log").read_text()


def test_a_bastion_that_stops_says_so_and_what_nobody_resumes_is_ended(
    bastion: BastionProcess, desk: Callable[..., Desk]
) -> None:
    at = desk()
    at.open()
    host = ui_host_of(bastion)
    bastion.stop()
    assert "being stopped" in at.returned(1)
    assert not alive(host)

    text = bastion.configuration.read_text()
    bastion.configuration.write_text(text.replace("resume_for = 300", "resume_for = 1"))
    bastion.start()
    at.open()
    open_console(at)
    run_sql(at, "select pg_sleep(600) /* left behind */")
    at.terminal.wait("Running")
    (working,) = ui_processes_of(ui_host_of(bastion))
    hung = desk("bob")
    hung.open()
    (stopped,) = set(ui_processes_of(ui_host_of(bastion))) - {working}
    os.kill(stopped, signal.SIGSTOP)
    at.kill_ssh()
    hung.kill_ssh()
    wait_for("both are gone", lambda: not alive(working) and not alive(stopped))
    left = wait_for("it is cancelled", lambda: _ended_statement(bastion, "left behind"))
    assert left["state"] == "cancelled"
    wait_for("no session is left", lambda: ended(bastion))
    bastion.configuration.write_text(text)


def _ended_statement(bastion: BastionProcess, words: str) -> dict[str, Any] | None:
    found: list[dict[str, Any]] = bastion.casemate("auditor", "audit", "search", words, "--json")
    assert len(found) <= 1
    return found[0] if found and found[0]["state"] != "sent" else None


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

"""The record at other systems: what arrives, in which form, after failures too. Receivers read by the RFCs alone."""

from __future__ import annotations

import http.server
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from queue import Queue
from typing import Any

import msgspec
import pytest

from bastion.audit import records
from bastion.audit.segments import Line
from bastion.audit.shipping.events import Event
from bastion.audit.shipping.shipper import Shipper
from bastion.authority import Authority
from bastion.destinations import Destination, File, Syslog, Webhook

from .journal_samples import done, lines_of, open_journal, opened, sent

NODE = "n1"
LIMIT = 60
SYSLOG = re.compile(
    rb"<(?P<priority>\d{1,3})>1 (?P<at>\S+) (?P<host>\S+) casemate - (?P<id>[!-~]{1,32}) - "
    rb"\xef\xbb\xbf(?P<text>\{.*\})",
    re.DOTALL,
)


@contextmanager
def shipped(destination: Destination, folder: Path) -> Iterator[Shipper]:
    """A shipper at work, ended (with its last try) at the end."""
    cursors = folder / "cursors"
    cursors.mkdir(exist_ok=True)
    shipper = Shipper(destination, folder / "journal", NODE, cursors, pauses=(0.01, 0.05))
    thread = threading.Thread(target=shipper.run, daemon=True)
    thread.start()
    try:
        yield shipper
    finally:
        shipper.stop()
        thread.join(LIMIT)
        assert not thread.is_alive()


class Receiver:
    """A syslog receiver over TCP. It reads one connection after the other and gives back whole messages."""

    def __init__(self, context: ssl.SSLContext | None = None, hang_up_after: int | None = None) -> None:
        self.messages: Queue[bytes] = Queue()
        self.connections = 0
        self._context = context
        self._hang_up_after = hang_up_after
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            if self._context is not None:
                try:
                    connection = self._context.wrap_socket(connection, server_side=True)
                except OSError:
                    continue
            self._read(connection)

    def _read(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            count = 0
            while True:
                length = b""
                while (digit := stream.read(1)).isdigit():
                    length += digit
                if not length:
                    return
                assert digit == b" "
                self.messages.put(stream.read(int(length)))
                count += 1
                if count == self._hang_up_after:
                    self._hang_up_after = None
                    return

    def take(self, count: int) -> list[bytes]:
        return [self.messages.get(timeout=LIMIT) for _ in range(count)]

    def close(self) -> None:
        # Closing alone does not wake a thread that waits in accept: it would wait on, and might end up with the
        # connections of whoever gets the descriptor next.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join(LIMIT)
        assert not self._thread.is_alive()
        self._listening.close()


def journal(folder: Path, statements: int = 3) -> list[Line]:
    made = open_journal(folder / "journal")
    made.append(opened())
    for number in range(1, statements + 1):
        made.append(sent(number, f"UPDATE 订单 SET a = {number}"), done(number))
    made.close("over")
    return lines_of(folder / "journal")


def numbers(messages: list[bytes]) -> list[int]:
    found = [SYSLOG.fullmatch(message) for message in messages]
    return [json.loads(each["text"])["journal"]["number"] for each in found if each is not None]


def test_syslog_over_tcp_has_every_record_with_its_hash(tmp_path: Path) -> None:
    lines = journal(tmp_path)
    receiver = Receiver()
    with shipped(Syslog(name="siem", host="127.0.0.1", port=receiver.port), tmp_path) as shipper:
        messages = receiver.take(len(lines))
    assert shipper.cursor == lines[-1].number
    receiver.close()
    for message, line in zip(messages, lines, strict=True):
        found = SYSLOG.fullmatch(message)
        assert found is not None
        event = json.loads(found["text"])
        assert event.pop("journal") == {
            "node": NODE, "number": line.number, "hash": line.hash.hex(), "blind": line.blind.decode(),
        }  # fmt: skip
        assert event == json.loads(line.body)
        assert (found["host"], found["id"].decode(), found["at"].decode()) == (b"n1", event["kind"], event["at"])
        assert int(found["priority"]) == 13 * 8 + {"node-started": 5, "node-stopped": 5}.get(event["kind"], 6)
    kinds = [json.loads(line.body)["kind"] for line in lines]
    assert "checkpoint" in kinds
    assert kinds.count("statement-sent") == 3


def test_what_is_new_is_sent_while_the_journal_grows_and_over_its_segments(tmp_path: Path) -> None:
    receiver = Receiver()
    growing = open_journal(tmp_path / "journal", segment_bytes=2000)
    with shipped(Syslog(name="siem", host="127.0.0.1", port=receiver.port), tmp_path):
        for number in range(1, 21):
            growing.append(sent(number, f"SELECT {number}"))
            growing.append(done(number))
            texts = [json.loads(message[message.index(b"{") :]).get("text") for message in receiver.take(2)]
            while f"SELECT {number}" not in texts:
                texts += [json.loads(message[message.index(b"{") :]).get("text") for message in receiver.take(1)]
        growing.close("over")
    receiver.close()
    assert len(list((tmp_path / "journal").glob("*.journal"))) > 1


def test_a_receiver_that_hangs_up_gets_everything_at_least_once(tmp_path: Path) -> None:
    lines = journal(tmp_path, 2000)
    receiver = Receiver(hang_up_after=700)
    with shipped(Syslog(name="siem", host="127.0.0.1", port=receiver.port), tmp_path) as shipper:
        seen: list[int] = []
        while not seen or seen[-1] != lines[-1].number:
            seen += numbers(receiver.take(1))
    assert receiver.connections > 1
    receiver.close()
    assert sorted(set(seen)) == [line.number for line in lines]
    again = [later for earlier, later in pairwise(seen) if later != earlier + 1]
    assert len(again) <= 1  # it went back once, to a run's beginning, and on in order from there
    assert shipper.cursor == lines[-1].number


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    lines = journal(tmp_path)
    receiver = Receiver()
    destination = Syslog(name="siem", host="127.0.0.1", port=receiver.port)
    with shipped(destination, tmp_path):
        receiver.take(len(lines))
    more = open_journal(tmp_path / "journal")
    more.close("over")
    new = lines_of(tmp_path / "journal")[len(lines) :]
    with shipped(destination, tmp_path):
        assert numbers(receiver.take(len(new))) == [line.number for line in new]
    receiver.close()
    assert receiver.messages.empty()


def test_syslog_over_tls_checks_the_receiver(tmp_path: Path) -> None:
    lines = journal(tmp_path)
    for name in ("ca", "other"):
        (tmp_path / name).mkdir()
    authority = Authority.create(tmp_path / "ca")
    chain, key = authority.leaf(["127.0.0.1", "localhost"])
    (tmp_path / "leaf.pem").write_text(chain + key)
    (tmp_path / "ca.pem").write_text(authority.certificate_pem)
    (tmp_path / "other.pem").write_text(Authority.create(tmp_path / "other").certificate_pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "leaf.pem")
    receiver = Receiver(context)

    def to(ca: str) -> Syslog:
        return Syslog(name="siem", host="localhost", port=receiver.port, transport="tls", ca=str(tmp_path / ca))

    with shipped(to("other.pem"), tmp_path) as shipper:
        while receiver.connections < 2:
            assert receiver.messages.empty()
        assert shipper.cursor == 0
    with shipped(to("ca.pem"), tmp_path):
        assert numbers(receiver.take(len(lines))) == [line.number for line in lines]
    receiver.close()


def test_syslog_over_udp(tmp_path: Path) -> None:
    lines = journal(tmp_path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(LIMIT)
        to = Syslog(name="siem", host="127.0.0.1", port=receiver.getsockname()[1], transport="udp", longest=480)
        with shipped(to, tmp_path):
            messages = [receiver.recv(65536) for _ in lines]
    assert numbers(messages) == [line.number for line in lines]
    assert max(map(len, messages)) <= 480


@pytest.mark.parametrize("longest", [480, 600, 2000])
@pytest.mark.parametrize(
    "record",
    [
        sent(1, "订" * 100_000, binds=["x" * 5000] * 50),
        sent(1, "select 1", binds=["x"] * 10_000),
        records.Act(at="2026-11-22T09:30:00.000000Z", user="a" * 300, source="s", act="b" * 300, subject="c" * 5000),
    ],
)
def test_a_long_event_is_cut_and_says_so(record: records.AnyRecord, longest: int) -> None:
    line = Line(7, bytes(32), msgspec.json.encode(record))
    event = Event.of(NODE, line)
    assert json.loads(event.json()) == {
        "journal": {"node": NODE, "number": 7, "hash": "00" * 32},
        **json.loads(line.body),
    }
    short = event.json(longest)
    assert len(short) <= longest
    read = json.loads(short)
    assert read["cut"] is True
    assert (read["journal"]["number"], read["kind"]) == (7, event.kind)


def test_a_file_grows_turns_over_and_survives_a_torn_line(tmp_path: Path) -> None:
    lines = journal(tmp_path, 40)
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"torn": ')
    with shipped(File(name="file", path=str(path), size=1_000_000, kept=2), tmp_path):
        pass
    torn, *rest = path.read_bytes().splitlines()
    assert torn == b'{"torn": '
    assert [json.loads(each)["journal"]["number"] for each in rest] == [line.number for line in lines]
    for _ in range(4):
        open_journal(tmp_path / "journal").close("over")
        with shipped(File(name="file", path=str(path), size=1000, kept=2), tmp_path):
            pass
        with shipped(File(name="file", path=str(path), size=1000, kept=2), tmp_path):
            open_journal(tmp_path / "journal").close("over")
    names = sorted(each.name for each in tmp_path.glob("events.jsonl*"))
    assert names == ["events.jsonl", "events.jsonl.1", "events.jsonl.2"]
    kept = [
        json.loads(each)["journal"]["number"]
        for name in reversed(names)
        for each in (tmp_path / name).read_text().splitlines()
    ]
    last = lines_of(tmp_path / "journal")[-1].number
    assert kept == list(range(kept[0], last + 1))


class Hook(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers: list[int]
    taken: Queue[dict[str, Any]]
    headers_seen: list[dict[str, str]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.headers_seen.append(dict(self.headers))
        answer = self.answers.pop(0) if self.answers else 204
        if answer < 300:
            for each in body.splitlines():
                self.taken.put(json.loads(each))
        self.send_response(answer)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_webhook_takes_what_it_did_not_refuse(tmp_path: Path) -> None:
    lines = journal(tmp_path, 10)
    (tmp_path / "token").write_text("hook-secret\n")
    handler: Callable[..., Hook] = type(
        "Mine", (Hook,), {"answers": [503, 204, 429], "taken": Queue(), "headers_seen": []}
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/hook?x=1"
    with shipped(Webhook(name="hook", url=url, token_file=str(tmp_path / "token"), batch=10), tmp_path):
        seen: list[int] = []
        while not seen or seen[-1] != lines[-1].number:
            seen.append(handler.taken.get(timeout=LIMIT)["journal"]["number"])  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    assert sorted(set(seen)) == [line.number for line in lines]
    headers = handler.headers_seen  # type: ignore[attr-defined]
    assert headers[0]["Authorization"] == "Bearer hook-secret"
    assert headers[0]["Casemate-Records"] == f"{lines[0].number}-{lines[9].number}"
    assert len(headers) >= 5


def test_every_kind_of_record_is_in_the_manual() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
    kinds = {each.__struct_config__.tag: each for each in records.Record.__subclasses__()}
    assert len(kinds) > 15
    for kind, struct in kinds.items():
        row = re.search(rf"^\| `{kind}` \| (.*) \|$", manual, re.MULTILINE)
        assert row is not None, kind
        named = set(re.findall(r"`(\w+)`", row[1]))
        assert set(struct.__struct_fields__) - {"at"} <= named, kind

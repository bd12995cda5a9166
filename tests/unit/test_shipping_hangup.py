"""A receiver of syslog over TCP that hangs up is noticed, before something is sent to it and after."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import msgspec
import pytest

from bastion.audit.segments import Line
from bastion.audit.shipping import senders
from bastion.audit.shipping.events import Event
from bastion.audit.shipping.senders import StreamSender
from bastion.destinations import Syslog

from .journal_samples import sent

LIMIT = 60.0


def event(number: int) -> Event:
    return Event.of("n1", Line(number, bytes(32), msgspec.json.encode(sent(number))))


class Receiver:
    """Takes one connection after another; what it reads and when it closes is the test's."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(LIMIT)
        self.sender = StreamSender(Syslog(name="s", host="127.0.0.1", port=self.listener.getsockname()[1]))

    def accept(self) -> socket.socket:
        connection, _ = self.listener.accept()
        connection.settimeout(LIMIT)
        return connection

    def until_the_end_has_arrived(self) -> None:
        """The sender's kernel knows that this side has closed."""
        own = self.sender._socket
        assert own is not None
        readable, _, _ = select.select([own], [], [], LIMIT)
        assert readable


def read_one(connection: socket.socket, number: int) -> None:
    got = b""
    while not got.endswith(b"}"):
        got += connection.recv(65536)
    assert b'"number":%d' % number in got


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.sender.close()
    made.listener.close()


def test_what_would_go_to_one_that_has_hung_up_is_not_taken_for_sent(receiver: Receiver) -> None:
    receiver.sender.send([event(1)])
    with receiver.accept() as connection:
        read_one(connection, 1)
        # It reads on and takes what comes, and still it has said that it is leaving.
        connection.shutdown(socket.SHUT_WR)
        receiver.until_the_end_has_arrived()
        with pytest.raises(ConnectionResetError, match="it hung up"):
            receiver.sender.send([event(2)])
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(1)  # nothing was sent to it any more
    receiver.sender.close()
    receiver.sender.send([event(2)])
    with receiver.accept() as again:
        read_one(again, 2)


def test_one_that_hangs_up_while_it_is_sent_to_is_not_taken_to_have_it(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.sender.send([event(1)])
    connection = receiver.accept()
    read_one(connection, 1)

    def acknowledged_and_gone(_connection: socket.socket) -> int:
        connection.shutdown(socket.SHUT_WR)
        receiver.until_the_end_has_arrived()
        return 0

    with connection:
        monkeypatch.setattr(senders, "_unacknowledged", acknowledged_and_gone)
        with pytest.raises(ConnectionResetError, match="it hung up"):
            receiver.sender.send([event(2)])


def test_a_connection_that_was_reset_is_noticed_while_it_is_waited_for(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.sender.send([event(1)])
    connection = receiver.accept()

    def never_acknowledged(_connection: socket.socket) -> int:
        connection.close()  # with what it has not read: a reset
        receiver.until_the_end_has_arrived()
        return 1

    monkeypatch.setattr(senders, "_unacknowledged", never_acknowledged)
    with pytest.raises(ConnectionResetError):
        receiver.sender.send([event(2)])

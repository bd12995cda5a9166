"""What must hold of a login, whatever both peers send and however it is cut."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

from bastion.protocols.contract import (
    CancelAsked,
    Engine,
    Leg,
    LoggedIn,
    LoginAborted,
    LoginEnded,
    LoginRequest,
    ProtocolError,
    Read,
    Received,
    Redial,
    Refusal,
    Send,
    StartTls,
    TlsMode,
    TlsStarted,
)

SECRET = "hosted-secret-of-the-account"
TOKEN = "cmt_token-of-the-person"
ASKED = LoginRequest("alice", "app", SECRET, server_tls=TlsMode.DISABLE)
REQUESTS = (
    ASKED,
    replace(ASKED, server_tls=TlsMode.PREFER, client_tls=True),
    replace(ASKED, server_tls=TlsMode.REQUIRE, databases=("shop",)),
    replace(ASKED, demand_token=True, token=TOKEN, client_tls=True),
    replace(ASKED, account=None, secret=None),
    replace(ASKED, secret=None, client_tls=True, server_tls=TlsMode.PREFER),
    replace(ASKED, secret=None, client_tls=True),
    replace(ASKED, allow_replication=True, demand_token=True, token=TOKEN),
)
MOST_STEPS = 100_000


@dataclass
class Driven:
    """A login as it went: its result or why it was not this protocol, and what each peer was sent."""

    result: Any = None
    failed: str = ""
    sent: dict[Leg, bytearray] = field(default_factory=lambda: {Leg.CLIENT: bytearray(), Leg.SERVER: bytearray()})


def drive(engine: Engine, request: LoginRequest, says: dict[Leg, list[bytes]], cut: int, abort_at: int) -> Driven:
    """Runs a login; both peers say one item after the other without listening, cut in parts of `cut`, then close."""
    driven = Driven()
    left = {leg: [item for item in items if item] for leg, items in says.items()}
    rest_of_item = dict.fromkeys(left, b"")
    steps = engine.login(request)
    answer: Any = None
    aborted = False
    step: Any = None
    for count in range(MOST_STEPS):
        try:
            # Only what waits can come to its time limit.
            if abort_at and count >= abort_at and not aborted and not isinstance(step, Send):
                aborted = True
                step = steps.throw(LoginAborted(Refusal("login-timeout", "The login took too long.")))
            else:
                step = steps.send(answer)
        except StopIteration as stop:
            driven.result = stop.value
            break
        except ProtocolError as error:
            driven.failed = error.reason
            assert len(error.raw) <= 4096  # noqa: PT017 - no other exception is let through
            break
        answer = None
        match step:
            case Send(leg=leg, data=data):
                driven.sent[leg] += data
            case Read(leg=leg):
                assert leg is not None
                assert not aborted, "an aborted login may only send"
                item = left[leg].pop(0) if left[leg] else b""
                part = item[: cut or None]
                rest_of_item[leg] = item[len(part) :]
                if rest_of_item[leg]:
                    left[leg].insert(0, rest_of_item[leg])
                answer = Received(leg, part)
            case StartTls(leg=leg, received=received):
                assert not aborted, "an aborted login may only send"
                if rest_of_item[leg]:
                    # What came in one read with the request is part of the handshake, or was never to be in the clear.
                    left[leg].pop(0)
                    if engine.name == "postgresql" and not received:
                        driven.failed = "bytes in the clear behind a request for encryption"
                        break
                answer = TlsStarted(leg, "TLSv1.3")
            case _:
                assert isinstance(step, Redial), step
                if rest_of_item[Leg.SERVER]:
                    # What the old connection had still to say is gone with it.
                    left[Leg.SERVER].pop(0)
                    rest_of_item[Leg.SERVER] = b""
    else:
        raise AssertionError("a login without end")
    return driven


def check(engine: Engine, request: LoginRequest, says: dict[Leg, list[bytes]], abort_at: int) -> None:
    """Drives a login whole and in drips; it comes to the same end, and no secret goes where it must not."""
    with mock.patch("secrets.token_bytes", lambda size: b"\x07" * size):
        whole = drive(engine, request, says, 0, abort_at)
        assert whole.failed or isinstance(whole.result, LoggedIn | LoginEnded | CancelAsked)
        spoken = b"".join(b"".join(items) for items in says.values())
        for secret in (SECRET.encode(), TOKEN.encode()):
            if secret not in spoken:
                assert secret not in whole.sent[Leg.CLIENT], "the client is sent a secret"
        if TOKEN.encode() not in spoken:
            assert TOKEN.encode() not in whole.sent[Leg.SERVER], "the database is sent the token"
        # Whether bytes came in one read with a request for encryption is what tells a forgery from a handshake.
        apart = abort_at or whole.failed.startswith("bytes in the clear")
        for cut in () if apart else (1, 5):
            dripped = drive(engine, request, says, cut, 0)
            assert bool(dripped.failed) == bool(whole.failed), (whole.failed, dripped.failed)
            assert type(dripped.result) is type(whole.result)
            if isinstance(whole.result, LoginEnded) and not whole.failed:
                assert dripped.result == whole.result
                assert dripped.sent == whole.sent

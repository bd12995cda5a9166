"""SCRAM-SHA-256-PLUS against PostgreSQL with TLS: which mechanism is chosen, and that the server checks the binding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from bastion.network import Target, dial, tls_context
from bastion.protocols.contract import (
    Answer,
    Leg,
    LoggedIn,
    LoginEnded,
    LoginRequest,
    LoginResult,
    LoginSteps,
    Refusal,
    Send,
    TlsMode,
    TlsStarted,
)
from bastion.protocols.postgres import ENGINE
from bastion.sessions.legs import Leg as Connection
from bastion.sessions.legs import ServerConnection
from bastion.sessions.login import Legs, drive_login
from tests.servers import certificates
from tests.servers.debian_postgres import TlsPostgresServer

from . import messages as m

PASSWORD = "the account's own password"


class Deaf:
    """A client's transport: what it is told is kept."""

    def __init__(self) -> None:
        self.told = b""

    def write(self, data: Any) -> None:
        self.told += data

    def close(self) -> None: ...
    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def get_write_buffer_size(self) -> int:
        return 0


def overheard(steps: LoginSteps, said: list[bytes], change: Callable[[Answer], Answer]) -> LoginSteps:
    """The same steps; what goes to the database is kept, and the answers may be changed on their way."""
    step = next(steps)
    try:
        while True:
            if isinstance(step, Send) and step.leg is Leg.SERVER:
                said.append(step.data)
            step = steps.send(change((yield step)))
    except StopIteration as end:
        result: LoginResult = end.value
        return result


async def log_in(
    server: TlsPostgresServer, mode: TlsMode, change: Callable[[Answer], Answer] = lambda answer: answer
) -> tuple[LoginResult, list[bytes]]:
    target = Target("localhost", server.port, tls_mode=mode, ca=server.certificates.authority.read_text())
    client = Connection(Leg.CLIENT, Deaf())
    client.data_received(m.startup(user="whoever", database="postgres"))
    database = (await dial(target, ServerConnection, 10)).leg
    assert database is not None
    legs = Legs(client, database, server_tls=lambda alpn: tls_context(target, alpn), server_name=target.host)
    said: list[bytes] = []
    steps = overheard(ENGINE.login(LoginRequest("alice", "binds", PASSWORD, server_tls=mode)), said, change)
    try:
        late = Refusal("login-timeout", "late")
        return await drive_login(steps, legs, 20, late, lambda detail: Refusal("database-tls", detail)), said
    finally:
        database.close()


@pytest.fixture(scope="module")
def server(tls_postgres_server: TlsPostgresServer) -> TlsPostgresServer:
    tls_postgres_server.create_user("binds", PASSWORD)
    return tls_postgres_server


@pytest.mark.parametrize("mode", list(TlsMode))
async def test_the_mechanism_that_is_chosen(server: TlsPostgresServer, mode: TlsMode) -> None:
    result, said = await log_in(server, mode)
    assert isinstance(result, LoggedIn)
    mechanism = b"SCRAM-SHA-256\0" if mode is TlsMode.DISABLE else b"SCRAM-SHA-256-PLUS\0"
    binding = b"n,," if mode is TlsMode.DISABLE else b"p=tls-server-end-point,,"
    [first] = [data for data in said if data.startswith(b"p") and b"SCRAM" in data]
    assert first[5:].startswith(mechanism)
    assert binding in first


async def test_somebody_in_between_with_a_certificate_of_his_own(
    server: TlsPostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """`require` checks nobody's certificate; the binding still tells the server that TLS ends elsewhere."""
    made = certificates.make(tmp_path_factory.mktemp("between"))
    his = x509.load_pem_x509_certificate(made.certificate.read_bytes()).public_bytes(Encoding.DER)

    def change(answer: Answer) -> Answer:
        return TlsStarted(answer.leg, answer.version, his) if isinstance(answer, TlsStarted) else answer

    result, _ = await log_in(server, TlsMode.REQUIRE, change)
    assert isinstance(result, LoginEnded)
    assert (result.by, "channel binding check failed" in result.error) == ("database", True), result


async def test_the_offer_of_binding_cannot_be_taken_away(server: TlsPostgresServer) -> None:
    """Without the offer the login says that it could have bound, and the server that offered it ends it."""

    def change(answer: Answer) -> Answer:
        data = getattr(answer, "data", b"")
        if b"SCRAM-SHA-256-PLUS\0" not in data:
            return answer
        shorter = m.authentication(10, b"SCRAM-SHA-256\0\0")
        return type(answer)(answer.leg, shorter)  # type: ignore[union-attr,call-arg,arg-type]

    result, said = await log_in(server, TlsMode.REQUIRE, change)
    assert any(b"SCRAM-SHA-256\0" in data and b"y,," in data for data in said)
    assert isinstance(result, LoginEnded)
    assert result.by == "database"
    assert "SCRAM channel binding negotiation error" in result.error

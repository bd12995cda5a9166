"""MySQL and MariaDB as an engine of the bastion."""

from __future__ import annotations

from bastion.protocols.contract import (
    CancelKey,
    CancelSteps,
    InBandCancel,
    Leg,
    LoginEnded,
    LoginRequest,
    LoginSteps,
    Refusal,
    Send,
)

from .cancel import cancel_statement, hang_up
from .codec import encode_packets
from .login import log_in_both
from .refusal import error_at_login


class MysqlEngine:
    """MySQL 5.7 to 9.7 and MariaDB 10.3 to 11.8."""

    name = "mysql"
    default_port = 3306

    def login(self, request: LoginRequest) -> LoginSteps:
        return log_in_both(request)

    def refuse(self, refusal: Refusal, *, client_tls: bool = False) -> LoginSteps:
        """An ERR packet in the place of the greeting, which is before TLS; nothing is read before it."""
        yield Send(Leg.CLIENT, encode_packets(0, error_at_login(refusal, greeted=False)))
        return LoginEnded("bastion", f"{refusal.code}: {refusal.message}")

    def cancel(self, key: CancelKey, request: LoginRequest) -> CancelSteps | InBandCancel:
        return cancel_statement(key, request)

    def hang_up(self, key: CancelKey, request: LoginRequest) -> CancelSteps | None:
        return hang_up(key, request)


ENGINE = MysqlEngine()

"""Oracle as an engine of the bastion."""

from __future__ import annotations

from bastion.protocols.contract import (
    CancelKey,
    CancelSteps,
    InBandCancel,
    LoginRequest,
    LoginSteps,
    Refusal,
)

from .login import log_in_both, refuse


class OracleEngine:
    """Oracle Database 11g to 23ai."""

    name = "oracle"
    default_port = 1521

    def login(self, request: LoginRequest) -> LoginSteps:
        return log_in_both(request)

    def refuse(self, refusal: Refusal, *, client_tls: bool = False) -> LoginSteps:
        return refuse(refusal, client_tls=client_tls)

    def cancel(self, key: CancelKey, request: LoginRequest) -> CancelSteps | InBandCancel:
        """By a break on the session's own connection."""
        return InBandCancel()

    def hang_up(self, key: CancelKey, request: LoginRequest) -> CancelSteps | None:
        """Another connection has no such order: a database ends what runs there when its connection goes."""
        return None


ENGINE = OracleEngine()

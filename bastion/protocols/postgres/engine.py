"""The package's contract with the relay."""

from __future__ import annotations

from bastion.protocols.contract import CancelKey, CancelSteps, LoginRequest, LoginSteps, Refusal

from .cancel import cancel
from .login import login, refuse


class PostgresEngine:
    """Implements contract.Engine for PostgreSQL and what speaks its protocol (PolarDB for PostgreSQL)."""

    name = "postgresql"
    default_port = 5432

    def login(self, request: LoginRequest) -> LoginSteps:
        """See contract.Engine."""
        return login(request)

    def refuse(self, refusal: Refusal, *, client_tls: bool = False) -> LoginSteps:
        """See contract.Engine."""
        return refuse(refusal, client_tls=client_tls)

    def cancel(self, key: CancelKey, request: LoginRequest) -> CancelSteps:
        """See contract.Engine."""
        return cancel(key, request.server_tls)

    def hang_up(self, key: CancelKey, request: LoginRequest) -> CancelSteps | None:
        """See contract.Engine. PostgreSQL has a function for it (pg_terminate_backend), and no message."""
        return None


ENGINE = PostgresEngine()

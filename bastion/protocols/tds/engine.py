"""SQL Server as an engine of the bastion."""

from __future__ import annotations

from bastion.protocols.contract import CancelKey, CancelSteps, InBandCancel, LoginRequest, LoginSteps, Refusal

from .login import log_in_both, refuse


class TdsEngine:
    """SQL Server, by TDS 7.1 to 7.4 and 8.0: self-managed, RDS, and what speaks the same."""

    name = "sqlserver"
    default_port = 1433

    def login(self, request: LoginRequest) -> LoginSteps:
        """See contract.Engine."""
        return log_in_both(request)

    def refuse(self, refusal: Refusal, *, client_tls: bool = False) -> LoginSteps:
        """See contract.Engine."""
        return refuse(refusal, client_tls=client_tls)

    def cancel(self, key: CancelKey, request: LoginRequest) -> CancelSteps | InBandCancel:
        """See contract.Engine: an attention on the session's own connection."""
        return InBandCancel()

    def hang_up(self, key: CancelKey, request: LoginRequest) -> CancelSteps | None:
        """See contract.Engine. KILL wants a right that an account of an application has not."""
        return None


ENGINE = TdsEngine()

"""PostgreSQL's frontend/backend protocol, 3.0 and 3.2 (PostgreSQL documentation, "Frontend/Backend Protocol")."""

from .engine import ENGINE, PostgresEngine

__all__ = ["ENGINE", "PostgresEngine"]

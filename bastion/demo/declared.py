"""What the demo's bastion is told of people and databases: the same file that `casemate apply` takes from anybody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from .databases import ACCOUNT, DemoDatabase

OPERATOR, AUDITOR, ADMINISTRATOR = "demo", "auditor", "admin"


def password_variable(name: str) -> str:
    """The environment variable that carries a password into `casemate apply`."""
    return "DEMO_PASSWORD_" + name.upper().replace("/", "_")


def document(databases: Sequence[DemoDatabase], operator_key: str) -> str:
    """The declaration as YAML, without any secret. `operator_key` is a public key in OpenSSH's form."""
    values: dict[str, Any] = {
        "users": [
            {
                "name": OPERATOR,
                "roles": ["operator"],
                "password": {"env": password_variable(OPERATOR)},
                "keys": [operator_key],
            },
            {"name": AUDITOR, "roles": ["auditor"], "password": {"env": password_variable(AUDITOR)}},
        ],
        "databases": [
            {
                "name": database.name,
                "engine": database.engine,
                "platform": "self-managed",
                "host": "127.0.0.1",
                "port": database.port,
                "tls": {"mode": "prefer"},
                "accounts": [{"name": ACCOUNT, "password": {"env": password_variable(f"{database.name}/{ACCOUNT}")}}],
            }
            for database in databases
        ],
        "grants": [
            {
                "name": "demo-everything",
                "to": [OPERATOR],
                "on": [database.name for database in databases],
                "accounts": ["*"],
            }
        ],
    }
    return yaml.safe_dump(values, sort_keys=False)

"""Credentials that SQL Server's drivers bind: by mark, by a name that they make up, or by the client's own."""

from __future__ import annotations

import pytest

from bastion.sessions.credentials import StatementCredentials


@pytest.mark.parametrize(
    ("text", "binds", "kept"),
    [
        ("EXEC sp_addlogin @loginame = ?, @passwd = ?", ("eve", "s3cret"), ("eve", "***")),
        ("exec sp_addlogin @P1, @P2", ("eve", "s3cret"), ("eve", "***")),
        ("exec sp_addlogin @P0, @P1", ("@P0=eve", "@P1=s3cret"), ("@P0=eve", "@P1=***")),
        ("exec sp_addlogin @loginame = @who, @passwd = @p", ("eve", "s3cret"), ("eve", "***")),
        ("exec sp_addlogin @who, @p", ("@p=s3cret", "@who=eve"), ("@p=***", "@who=eve")),
        ("select @a, @b", ("@a=1", "x=2"), ("@a=1", "x=2")),
        ("exec sp_addlogin @who, @p", ("@who=eve", None), ("@who=eve", None)),
    ],
)
def test_what_is_bound_where_a_credential_stands_is_hidden(
    text: str, binds: tuple[str | None, ...], kept: tuple[str | None, ...]
) -> None:
    credentials = StatementCredentials("sqlserver")
    assert credentials.text(text, last=True) == (text, ())
    found, secrets = credentials.binds(binds)
    assert found == kept
    assert secrets == (("s3cret",) if kept != binds else ())

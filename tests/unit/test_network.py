"""The rules of TLS to databases: read once for all sessions that share them."""

from __future__ import annotations

import ssl
from dataclasses import replace

import pytest

from bastion import network
from bastion.network import Target, tls_context
from bastion.protocols.contract import TlsMode
from tests.unit.test_legs import leaf

__all__ = ["leaf"]


def test_the_rules_that_verify_are_made_once_for_the_same_mode_and_authorities(
    leaf: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, key = leaf
    mine = Target("db", 5432, tls_mode=TlsMode.VERIFY_FULL, ca=chain)
    context = tls_context(mine)
    assert tls_context(replace(mine, host="other")) is context
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    name_unchecked = tls_context(replace(mine, tls_mode=TlsMode.VERIFY_CA))
    assert name_unchecked is not context
    assert not name_unchecked.check_hostname
    assert tls_context(mine, ("postgresql",)) is not context
    assert tls_context(replace(mine, ca=None)) is not context
    # Who shows a certificate has rules of his own, and nobody else gets them.
    showing = tls_context(replace(mine, certificate=chain, certificate_key=key))
    assert showing is not context
    assert tls_context(replace(mine, certificate=chain, certificate_key=key)) is not showing
    # The system's authorities may change.
    later = network.monotonic() + network.AUTHORITIES_READ_AGAIN
    monkeypatch.setattr(network, "monotonic", lambda: later)
    assert tls_context(mine) is not context

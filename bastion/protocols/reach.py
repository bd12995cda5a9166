"""What a connection shows before anybody logs in, for finding out why one does not come about."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from .contract import Answer, Refusal, Step


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of it.

    tls      the connection speaks TLS now; the driver knows the version
    said     the server's own words: its version, or why it turns the bastion away; '' where it said nothing yet
    refused  why it goes no further: the bastion's reason, or the database's
    """

    tls: bool = False
    said: str = ""
    refused: Refusal | None = None


ReachSteps = Generator[Step, Answer, Reached]
"""Steps on the server leg of a connection of its own, without a login: nothing secret is sent."""

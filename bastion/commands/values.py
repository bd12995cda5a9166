"""What people type for periods and moments, and how both are shown."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime, timedelta

from bastion.api.plain_text import shown_duration as shown_duration

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PERIOD = re.compile(r"(?:[0-9]+[smhd])+")


def period(text: str) -> int:
    """`90s`, `30m`, `2h`, `1h30m`, `1d`, or plain seconds; as seconds. For argparse."""
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return int(text)
    if not _PERIOD.fullmatch(text) or len(text) > 32:
        raise argparse.ArgumentTypeError(f"{text!r} is no period; write it like 30m, 2h or 1h30m")
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([smhd])", text))


def moment(text: str) -> str:
    """A time (RFC 3339, or a date, or a period: that long ago) as RFC 3339 in UTC. For argparse."""
    if _PERIOD.fullmatch(text):
        return rfc3339(datetime.now(UTC) - timedelta(seconds=period(text)))
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; write it like 2026-11-30, 2026-11-30T18:00:00Z, or 2h for two hours ago"
        ) from None
    return rfc3339(value if value.tzinfo else value.astimezone())


def rfc3339(value: datetime) -> str:
    """A moment as it stands in messages: UTC, microseconds, `Z`."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def shown_moment(text: str | None) -> str:
    """A moment of a message for people: local time to the second; empty for None."""
    if not text:
        return ""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return text
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def limit(text: str) -> int:
    """How many at most: a whole number from 1. For argparse."""
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text[:12]) < 10**9:
        raise argparse.ArgumentTypeError(f"{text!r} is no count; give a whole number from 1")
    return int(text)

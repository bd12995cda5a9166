"""Times as people read them: by their own clock, with its zone, and how long ago or ahead that is.

Messages hold RFC 3339 in UTC, and scripts get that. A sentence for a person is put together where it is shown: the
workstation and the command line on the person's machine know its zone; the bastion does not, and says UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from .language import translate, translate_many

MOMENT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
"""A time as messages hold it."""


def _now() -> datetime:
    return datetime.now(UTC)


_local = False
_clock: Callable[[], datetime] = _now


def everywhere(*, local: bool, clock: Callable[[], datetime] | None = None) -> None:
    """How times are told in this process: in the machine's zone, or in UTC. For a program that one person uses."""
    global _local, _clock
    _local, _clock = local, clock or _now


def spoken(text: str) -> str:
    """`2026-11-22 17:30 CST (in 2 h 05 min)` of a time as messages hold it; what is none stays as it is."""
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return text
    if at.tzinfo is None:
        return text
    return f"{_shown(at)} ({_away(at - _clock())})"


def spoken_in(text: str) -> str:
    """A text with every time in it told so."""
    return MOMENT.sub(lambda found: spoken(found[0]), text)


def _shown(at: datetime) -> str:
    if not _local:
        return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    there = at.astimezone()
    # A zone without a letter name is told by its distance from UTC.
    zone = there.tzname() or ""
    if not zone or not zone[0].isalpha():
        offset = f"{there:%z}"
        zone = f"UTC{offset[:3]}:{offset[3:5]}"
    return f"{there:%Y-%m-%d %H:%M} {zone}"


def _away(rest: timedelta) -> str:
    seconds = int(abs(rest.total_seconds()))
    if seconds < 60:
        return translate(_("just now")) if rest <= timedelta() else translate(_("in less than a minute"))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 60:
        time = translate(_("{minutes} min")).format(minutes=minutes)
    elif hours < 48:
        time = translate(_("{hours} h {minutes} min")).format(hours=hours, minutes=f"{minutes % 60:02}")
    else:
        time = translate_many("{days} day", "{days} days", days).format(days=days)
    return translate(_("{time} ago") if rest < timedelta() else _("in {time}")).format(time=time)


def _(text: str) -> str:
    """Marks a text for the catalogue; it is translated when it is shown."""
    return text

"""Periods as people write them (`90s`, `30m`, `8h`, `1d`, `1h30m`) and as the program counts them: seconds."""

from __future__ import annotations

import re

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_FORM = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?")


def parse_period(text: str) -> int:
    """Seconds. Raises ValueError with what is wanted."""
    found = _FORM.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        raise ValueError(f"{text!r} is no period; write it like 90s, 30m, 8h, 1d or 1h30m")
    return sum(int(number or 0) * seconds for number, seconds in zip(found.groups(), _UNITS.values(), strict=True))


def write_period(seconds: int) -> str:
    """The shortest such text: `8h`, `1h30m`, `0s`."""
    parts = []
    for unit, size in _UNITS.items():
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"

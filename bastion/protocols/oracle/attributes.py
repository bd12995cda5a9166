"""What a client says of itself with its calls: module, action, identifier, an application's context."""

from __future__ import annotations

MOST_ATTRIBUTES = 64
LONGEST_VALUE = 256


class Attributes:
    """Those that were set since the last statement: they go on record with the next one."""

    def __init__(self) -> None:
        self._set: dict[str, str] = {}
        self._more = 0

    def __bool__(self) -> bool:
        return bool(self._set)

    def set(self, attributes: tuple[tuple[str, str], ...]) -> None:
        """Sets them; an empty value takes one back."""
        for name, value in attributes:
            name = name[:LONGEST_VALUE]
            if name not in self._set and len(self._set) >= MOST_ATTRIBUTES:
                self._more += 1
                continue
            self._set[name] = value if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]}…"

    def take(self) -> str:
        """All of them, as the record has them; none is left."""
        said = "; ".join(f"{name}={value}" for name, value in self._set.items())
        if self._more:
            said += f"; … ({self._more} more)"
        self._set.clear()
        self._more = 0
        return said

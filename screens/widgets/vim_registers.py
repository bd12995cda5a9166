"""What vim keys have deleted or yanked."""

from __future__ import annotations


class Registers:
    """By name: `"` is the one that everything goes to, `0` the last yank, letters are the person's own."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[str, bool]] = {}

    def get(self, name: str) -> tuple[str, bool] | None:
        """The text, and whether it is whole lines."""
        return self._kept.get(name.lower())

    def keep(self, name: str, text: str, *, linewise: bool, yanked: bool) -> None:
        """A capital letter adds to what its register holds."""
        kept = text, linewise
        self._kept['"'] = kept
        if yanked:
            self._kept["0"] = kept
        if name.isalpha():
            letter = name.lower()
            if name.isupper() and letter in self._kept:
                kept = self._kept[letter][0] + text, linewise
            self._kept[letter] = kept

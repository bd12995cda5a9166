"""How keys are written: `F5`, `^G`, `Enter`, the same way everywhere."""

from __future__ import annotations

from textual.binding import Binding

NAMES = {"question_mark": "?", "enter": "Enter", "escape": "Esc", "pageup": "PgUp", "pagedown": "PgDn"}


def key_name(binding: Binding) -> str:
    """The first key of `binding`, as a person reads it."""
    if binding.key_display:
        return binding.key_display
    *modifiers, key = binding.key.partition(",")[0].split("+")
    function_key = key[:1] == "f" and key[1:].isdigit()
    name = NAMES.get(key, key.upper() if function_key else key.capitalize() if len(key) > 1 else key)
    if "ctrl" in modifiers:
        name = f"^{name.upper() if len(name) == 1 else name}"
    return f"Shift+{name}" if "shift" in modifiers else name

"""How keys are written: `F5`, `^G`, `Enter`, the same way everywhere."""

from __future__ import annotations

from textual.binding import Binding

NAMES = {
    "question_mark": "?",
    "enter": "Enter",
    "escape": "Esc",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "slash": "/",
    "backslash": "\\",
    "comma": ",",
    "full_stop": ".",
    "minus": "-",
    "plus": "+",
    "underscore": "_",
    "at": "@",
    "less_than_sign": "<",
    "greater_than_sign": ">",
}


def key_name(binding: Binding) -> str:
    """The first key of `binding`, as a person reads it; `^K F` are two keys, one after the other."""
    if binding.key_display:
        return binding.key_display
    return " ".join(_one(key) for key in binding.key.partition(",")[0].split())


def _one(text: str) -> str:
    *modifiers, key = text.split("+")
    function_key = key[:1] == "f" and key[1:].isdigit()
    name = NAMES.get(key, key.upper() if function_key else key.capitalize() if len(key) > 1 else key)
    if "ctrl" in modifiers:
        name = f"^{name.upper() if len(name) == 1 else name}"
    return f"Shift+{name}" if "shift" in modifiers else name

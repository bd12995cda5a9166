"""The colours. Calm: one accent, and colour for state only."""

from __future__ import annotations

from textual.theme import Theme

CASEMATE = Theme(
    name="casemate",
    primary="#5b8dd6",
    secondary="#7aa2f7",
    accent="#e0af68",
    foreground="#d5d9e3",
    background="#14171d",
    surface="#1b1f27",
    panel="#262c37",
    success="#7fb069",
    warning="#e0af68",
    error="#e06c75",
    dark=True,
    luminosity_spread=0.12,
    variables={"footer-key-foreground": "#e0af68"},
)

ANSI = "ansi-dark"
"""The theme for terminals of 16 colours: their own colours, nothing computed."""


def theme_for(color_system: str | None) -> str:
    """The theme that reads well with `truecolor`, `256`, `standard` (16) or no colours."""
    return ANSI if color_system == "standard" else CASEMATE.name

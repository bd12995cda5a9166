"""The colours, by what they mean. Everything on the screen takes them by these names; no screen names a colour.

In CSS they are variables (`$danger`), in a Text they are styles (`style="danger"`): one name is one whole style.

| name | says |
| --- | --- |
| accent | what can be acted on: keys, the page that is open, the border of what has the focus |
| ok, warning, danger | how it stands; always beside a word or a sign |
| production | a production database; a band of its own |
| muted | beside the point |
| selection | where the cursor is; `selection-idle`: where it would be, in a pane without the focus |
| code-… | the parts of a statement |

Three themes are of computed colours (dark, light, contrast), for terminals of 256 colours and more; every text in them
has a contrast of 4.5:1 at least (WCAG 2.2, 1.4.3; contrast: 7:1). `sixteen` leaves text in the terminal's own colours,
since nobody knows its background, and puts states on a background of their own. `plain` has no colours: bold,
underline, reverse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rich.style import Style
from rich.theme import Theme as StyleTheme
from textual.theme import Theme

Colours = Literal["many", "sixteen", "none"]
"""What the terminal can show."""


@dataclass(frozen=True)
class Palette:
    """The colours of one theme; `…_text` stands on the background of the same name."""

    background: str
    surface: str
    """Dialogs and the editor."""
    panel: str
    """The first and the last line, headings."""
    field: str
    """Where something is typed."""
    line: str
    """Borders that only separate."""
    text: str
    muted: str
    accent: str
    ok: str
    warning: str
    danger: str
    production: str
    production_text: str
    selection: str
    selection_text: str
    idle: str
    """The background of the cursor in a pane without the focus."""
    keyword: str
    string: str
    number: str
    function: str
    type: str

    @property
    def grounds(self) -> tuple[str, ...]:
        """What text stands on."""
        return (self.background, self.surface, self.panel, self.field)


DARK = Palette(
    background="#131416", surface="#1b1c1f", panel="#26272a", field="#2e3033", line="#5a5d63",
    text="#dde1ea", muted="#a9adb7", accent="#8fb4ff", ok="#8fca7c", warning="#e8bb66", danger="#ff8f96",
    production="#a81c1c", production_text="#ffffff", selection="#2f56a0", selection_text="#ffffff", idle="#37393d",
    keyword="#8fb4ff", string="#a5d68a", number="#ffb07a", function="#7fd3f2", type="#5ccfd6",
)  # fmt: skip
LIGHT = Palette(
    background="#fafafa", surface="#ffffff", panel="#ebebec", field="#f0f0f1", line="#aaacb0",
    text="#1f2124", muted="#505257", accent="#1b4a9e", ok="#17591f", warning="#6b4200", danger="#a01020",
    production="#a81c1c", production_text="#ffffff", selection="#1b51a8", selection_text="#ffffff", idle="#dfe0e2",
    keyword="#1b4a9e", string="#17591f", number="#861a00", function="#0a5478", type="#075a5f",
)  # fmt: skip
"""In both the greys are hardly coloured: with 256 colours they come out as greys, where bluish ones become blue."""
CONTRAST = Palette(
    background="#000000", surface="#000000", panel="#1c1c1c", field="#1c1c1c", line="#ffffff",
    text="#ffffff", muted="#d6d6d6", accent="#87d7ff", ok="#87ff87", warning="#ffd75f", danger="#ffafaf",
    production="#ffd700", production_text="#000000", selection="#ffffff", selection_text="#000000", idle="#3a3a3a",
    keyword="#87d7ff", string="#87ff87", number="#ffd75f", function="#afd7ff", type="#87ffff",
)  # fmt: skip

SIXTEEN_STYLES = {
    "accent": "bold",
    "ok": "default",
    "warning": "black on yellow",
    "danger": "bold bright_white on red",
    "production": "bold bright_white on red",
    "muted": "default",
    "selection": "black on white",
    "selection-idle": "underline",
    "code-keyword": "bold",
    "code-string": "default",
    "code-number": "default",
    "code-function": "default",
    "code-type": "default",
    "code-comment": "italic",
    "code-error": "bold bright_white on red",
}
PLAIN_STYLES = {
    **SIXTEEN_STYLES,
    "warning": "bold underline",
    "danger": "bold reverse",
    "production": "bold reverse",
    "selection": "reverse",
    "code-error": "bold reverse",
}


def styles(palette: Palette) -> dict[str, str]:
    """The styles of a theme of computed colours."""
    return {
        "accent": f"bold {palette.accent}",
        "ok": palette.ok,
        "warning": f"bold {palette.warning}",
        "danger": f"bold {palette.danger}",
        "production": f"bold {palette.production_text} on {palette.production}",
        "muted": palette.muted,
        "selection": f"bold {palette.selection_text} on {palette.selection}",
        "selection-idle": f"{palette.text} on {palette.idle}",
        "code-keyword": f"bold {palette.keyword}",
        "code-string": palette.string,
        "code-number": palette.number,
        "code-function": palette.function,
        "code-type": palette.type,
        "code-comment": f"italic {palette.muted}",
        "code-error": f"bold underline {palette.production_text} on {palette.production}",
    }


def _theme(name: str, palette: Palette, *, dark: bool) -> Theme:
    """The library's own names are put on ours, so that its widgets look the same."""
    p = palette
    return Theme(
        name=name,
        dark=dark,
        primary=p.accent,
        secondary=p.accent,
        accent=p.accent,
        foreground=p.text,
        background=p.background,
        surface=p.surface,
        panel=p.panel,
        success=p.ok,
        warning=p.warning,
        error=p.danger,
        luminosity_spread=0.0,
        variables={
            **_names(p),
            "text": p.text,
            "text-muted": p.muted,
            "text-disabled": p.muted,
            "text-accent": p.accent,
            "text-primary": p.accent,
            "text-success": p.ok,
            "text-warning": p.warning,
            "text-error": p.danger,
            "foreground-muted": p.muted,
            "primary-muted": p.idle,
            "panel-lighten-1": p.line,
            "panel-lighten-2": p.idle,
            "block-cursor-background": p.selection,
            "block-cursor-foreground": p.selection_text,
            "block-cursor-blurred-background": p.idle,
            "block-cursor-blurred-foreground": p.text,
            "block-hover-background": p.panel,
            "border": p.accent,
            "border-blurred": p.line,
            "scrollbar": p.line,
            "scrollbar-hover": p.accent,
            "scrollbar-active": p.accent,
            "scrollbar-background": p.background,
            "footer-key-foreground": p.accent,
            "input-cursor-background": p.text,
            "input-cursor-foreground": p.background,
            "input-selection-background": p.selection,
            "input-selection-foreground": p.selection_text,
            "screen-selection-background": p.selection,
            "screen-selection-foreground": p.selection_text,
            "button-foreground": p.text,
            "button-color-foreground": p.background,
            "button-focus-text-style": "bold reverse",
            "link-color": p.accent,
        },
    )


def _names(p: Palette) -> dict[str, str]:
    return {
        "ok": p.ok,
        "danger": p.danger,
        "muted": p.muted,
        "field": p.field,
        "line": p.line,
        "production": p.production,
        "production-text": p.production_text,
        "selection": p.selection,
        "selection-text": p.selection_text,
        "selection-style": "bold",
        "selection-idle": p.idle,
        "selection-idle-text": p.text,
        "selection-idle-style": "none",
        "heading-style": "none",
        "heading-focus-style": "bold",
        "field-style": "none",
    }


OWN = "ansi_default"
"""The terminal's own colour."""


GROUNDS = ("selection", "block-cursor-background", "input-selection-background", "screen-selection-background")
ON_GROUNDS = ("selection-text", "block-cursor-foreground", "input-selection-foreground", "screen-selection-foreground")


def _own_colours(name: str, *, production: str) -> Theme:
    """A theme that leaves the terminal its colours. What the cursor is on has a background of its own; without colours
    that is sent as reverse."""
    names = dict.fromkeys(
        (
            "ok", "danger", "muted", "field", "selection-idle", "selection-idle-text", "text", "text-muted",
            "text-disabled", "text-accent", "text-primary", "text-success", "foreground-muted", "primary-muted",
            "line", "surface", "panel", "panel-lighten-1", "panel-lighten-2", "block-cursor-blurred-background",
            "block-cursor-blurred-foreground", "block-hover-background", "border", "border-blurred", "scrollbar",
            "scrollbar-hover", "scrollbar-active", "scrollbar-background", "scrollbar-background-hover",
            "scrollbar-background-active", "input-cursor-background", "input-cursor-foreground", "link-color",
            "footer-key-foreground", "link-color-hover", "link-background-hover", "surface-active", "primary",
            "accent", "success", "secondary", "boost", "ansi-background", "ansi-foreground",
        ),
        OWN,
    )  # fmt: skip
    return Theme(
        name=name,
        ansi=True,
        dark=True,
        primary=OWN,
        foreground=OWN,
        background=OWN,
        surface=OWN,
        panel=OWN,
        variables=names
        | {
            "warning": OWN,
            "error": OWN,
            "text-error": OWN,
            "text-warning": OWN,
            **dict.fromkeys(GROUNDS, "ansi_white"),
            **dict.fromkeys(ON_GROUNDS, "ansi_black"),
            "production": production,
            "production-text": "ansi_bright_white" if production != "ansi_white" else "ansi_black",
            "selection-style": "none",
            "selection-idle-style": "underline",
            "heading-style": "underline",
            "heading-focus-style": "bold underline",
            "field-style": "underline",
            "block-cursor-text-style": "none",
            "block-cursor-blurred-text-style": "underline",
            "input-cursor-text-style": "reverse",
            "button-focus-text-style": "bold reverse",
        },
    )


THEMES: dict[str, Theme] = {
    "dark": _theme("casemate-dark", DARK, dark=True),
    "light": _theme("casemate-light", LIGHT, dark=False),
    "contrast": _theme("casemate-contrast", CONTRAST, dark=True),
    "sixteen": _own_colours("casemate-sixteen", production="ansi_red"),
    "plain": _own_colours("casemate-plain", production="ansi_white"),
}
STYLES: dict[str, dict[str, str]] = {
    THEMES["dark"].name: styles(DARK),
    THEMES["light"].name: styles(LIGHT),
    THEMES["contrast"].name: styles(CONTRAST),
    THEMES["sixteen"].name: SIXTEEN_STYLES,
    THEMES["plain"].name: PLAIN_STYLES,
}
CASEMATE = THEMES["dark"]
CHOICES = ("dark", "light", "contrast")
"""What a person chooses among where the terminal can show it."""

COLOURLESS_TERMS = ("vt", "dumb", "unknown", "xterm-mono", "linux-m", "screen-m", "cons25-m", "ansi-m")


def colours_of(color_system: str | None, environment: Mapping[str, str]) -> Colours:
    """What the terminal shows: NO_COLOR (no-color.org) and terminals of the VT series have none."""
    term = environment.get("TERM", "")
    if environment.get("NO_COLOR") or color_system is None or term.startswith(COLOURLESS_TERMS):
        return "none"
    return "sixteen" if color_system == "standard" else "many"


def theme_for(colours: Colours, choice: str = "") -> str:
    """The name of the theme: the person's choice where the terminal can show it."""
    if colours == "none":
        return THEMES["plain"].name
    if colours == "sixteen":
        return THEMES["sixteen"].name
    return THEMES[choice if choice in CHOICES else "dark"].name


def text_styles(theme: str) -> StyleTheme:
    """The names that a Text may use as its style, in `theme`; any other theme has the dark ones."""
    return StyleTheme({name: Style.parse(style) for name, style in STYLES.get(theme, STYLES[CASEMATE.name]).items()})

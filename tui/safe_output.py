"""The one place where text becomes terminal output: nothing that a terminal would obey gets through as content.

Textual writes control characters of widget content to the terminal as they are. `install` replaces the step where a
strip becomes escape sequences, for the whole process: every segment's text is made visible first, links are dropped,
and the colours of a style are worked out for the console at hand instead of being kept on the shared style.
"""

from __future__ import annotations

from functools import lru_cache

from rich.color import Color, ColorSystem
from rich.console import Console
from rich.style import Style
from textual.strip import SGR_STYLES, Strip

from backends.visible_text import visible_line


@lru_cache(maxsize=4096)
def _codes(attributes: int, color: Color | None, background: Color | None, system: ColorSystem) -> str:
    """The SGR codes of a style in a colour system; rich would keep those of the first system that asked."""
    codes = [SGR_STYLES[bit] for bit in range(attributes.bit_length()) if attributes & (1 << bit)]
    if color is not None:
        codes.extend(color.downgrade(system).get_ansi_codes())
    if background is not None:
        codes.extend(background.downgrade(system).get_ansi_codes(False))
    return ";".join(codes)


def render_style(style: Style | None, text: str, color_system: ColorSystem) -> str:
    """`text`, made visible, in the colours of `style`."""
    text = visible_line(text)
    if style is None:
        return text
    codes = _codes(style._attributes & style._set_attributes, style.color, style.bgcolor, color_system)
    return f"\x1b[{codes}m{text}\x1b[0m" if codes else text


def _render(self: Strip, console: Console) -> str:
    if self._render_cache is None:
        color_system = console._color_system or ColorSystem.TRUECOLOR
        self._render_cache = "".join(
            [render_style(style, text, color_system) for text, style, _control in self._segments]
        )
    return self._render_cache


def _render_style(cls: type[Strip], style: Style, text: str, color_system: ColorSystem) -> str:
    return render_style(style, text, color_system)


def install() -> None:
    """Before anything is rendered; may be called again."""
    Strip.render = _render  # type: ignore[method-assign]
    Strip.render_style = classmethod(_render_style)  # type: ignore[method-assign, assignment]

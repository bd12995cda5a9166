"""The one place where text becomes terminal output: nothing that a terminal would obey gets through as content.

Textual writes control characters of widget content to the terminal as they are. `install` replaces the step where a
strip becomes escape sequences, for the whole process: every segment's text is made visible first, links are dropped,
and the colours of a style are worked out for the console at hand instead of being kept on the shared style. From one
segment to the next only what differs is sent; a strip ends as it began, without attributes.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from rich.color import Color, ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.strip import SGR_STYLES, Strip

from backends.visible_text import visible_line
from screens.secret_text import SECRET_MARK

RESET = "\x1b[0m"


class Look(NamedTuple):
    """A style as SGR codes; a colour that is the terminal's own is empty. `secret`: see `mark_secrets`."""

    attributes: tuple[str, ...] = ()
    foreground: str = ""
    background: str = ""
    secret: bool = False


NOTHING = Look()
_SECRET = SECRET_MARK.encode()
_marks = ("", "")


def mark_secrets(begin: str, end: str) -> None:
    """From now on what is shown of a secret (screens.secret_text) stands between these two, for whoever records it."""
    global _marks
    _marks = (begin, end)
    change.cache_clear()


@lru_cache(maxsize=4096)
def _look(attributes: int, color: Color | None, background: Color | None, system: ColorSystem | None) -> Look:
    """The SGR codes of a style in a colour system; rich would keep those of the first system that asked. None: no
    colours at all, attributes only."""
    codes = tuple(SGR_STYLES[bit] for bit in range(attributes.bit_length()) if attributes & (1 << bit))
    if system is None:
        # A background that is not the terminal's own says where the cursor is, or what must not be overlooked.
        return Look(
            (*codes, "7") if background is not None and not background.is_default and "7" not in codes else codes
        )
    return Look(
        codes,
        ";".join(color.downgrade(system).get_ansi_codes()) if color is not None and not color.is_default else "",
        ";".join(background.downgrade(system).get_ansi_codes(False))
        if background is not None and not background.is_default
        else "",
    )


@lru_cache(maxsize=4096)
def change(before: Look, after: Look) -> str:
    """The sequence from one look to the next."""
    if before.secret != after.secret:
        mark = _marks[0] if after.secret else _marks[1]
        return mark + change(before._replace(secret=False), after._replace(secret=False))
    if before == after:
        return ""
    if after == NOTHING:
        return RESET
    if set(before.attributes) - set(after.attributes):
        # An attribute is only taken away with all others: the codes that take one away are not known everywhere.
        return "\x1b[" + ";".join(filter(None, ("0", *after.attributes, after.foreground, after.background))) + "m"
    codes = [code for code in after.attributes if code not in before.attributes]
    if before.foreground != after.foreground:
        codes.append(after.foreground or "39")
    if before.background != after.background:
        codes.append(after.background or "49")
    return f"\x1b[{';'.join(codes)}m"


def look_of(style: Style | None, system: ColorSystem | None) -> Look:
    """What a style comes to in a colour system."""
    if style is None:
        return NOTHING
    look = _look(style._attributes & style._set_attributes, style.color, style.bgcolor, system)
    # What a style has beside its looks is kept as a pickle; most segments have something.
    return look._replace(secret=True) if style._meta is not None and _SECRET in style._meta else look


def render_segments(segments: Iterable[Segment], system: ColorSystem | None) -> str:
    """`segments`, made visible, in their colours; begins and ends without attributes."""
    pieces: list[str] = []
    before = NOTHING
    for text, style, _control in segments:
        if text:
            look = look_of(style, system)
            pieces.append(change(before, look))
            pieces.append(visible_line(text))
            before = look
    pieces.append(change(before, NOTHING))
    return "".join(pieces)


def render_style(style: Style | None, text: str, color_system: ColorSystem) -> str:
    """`text`, made visible, in the colours of `style`."""
    return render_segments([Segment(text, style)], color_system)


def colours_of(console: Console) -> ColorSystem | None:
    """What the console is to be sent: nothing where it was told to be without colours."""
    return None if console.no_color else console._color_system or ColorSystem.TRUECOLOR


_strips_are_kept = True


def keep_no_strips() -> None:
    """From now on every strip is written anew each time: those that are kept have the colours of another terminal."""
    global _strips_are_kept
    _strips_are_kept = False


def _render(self: Strip, console: Console) -> str:
    if self._render_cache is None or not _strips_are_kept:
        self._render_cache = render_segments(self._segments, colours_of(console))
    return self._render_cache


def _render_style(cls: type[Strip], style: Style, text: str, color_system: ColorSystem) -> str:
    return render_style(style, text, color_system)


def install() -> None:
    """Before anything is rendered; may be called again."""
    Strip.render = _render  # type: ignore[method-assign]
    Strip.render_style = classmethod(_render_style)  # type: ignore[method-assign, assignment]

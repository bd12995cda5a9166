"""The title of the person's terminal window (OSC 2; xterm control sequences, "Operating System Commands").

The title that was there is put on the terminal's own stack first (CSI 22 ; 2 t) and taken from it at the end; terminals
without such a stack are left without a title, which is what they show before one is set.
"""

from __future__ import annotations

from rich.text import Text

from backends.visible_text import visible_line

KEEP = "\x1b[22;2t"
GIVE_BACK = "\x1b]2;\a\x1b[23;2t"
CELLS = 80


def sequence(words: str) -> str:
    """What sets the title to `words`: one line, cut to what fits on a tab, and nothing in it that a terminal obeys."""
    text = Text(" ".join(visible_line(words).split()))
    text.truncate(CELLS, overflow="ellipsis")
    return f"\x1b]2;{text.plain}\a"

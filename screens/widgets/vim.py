"""The modal keys of vim, for those whose hands know them: off unless asked for.

Normal, insert, visual and visual-line mode; operators d c y < > with counts, motions and text objects; registers; `.`;
`/` with n and N; u and Ctrl+R. There are no commands with `:`, since nothing here is a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import vim_motions as go
from .vim_motion_keys import Motions
from .vim_motions import Reach
from .vim_registers import Registers

if TYPE_CHECKING:
    from .editor import SqlEditor

OPERATORS = "dcy<>"
MOST_COUNT = 10_000
NAMES = {"left": "h", "right": "l", "up": "k", "down": "j", "home": "0", "end": "$", "enter": "j", "backspace": "h",
         "delete": "x", "space": "l"}  # fmt: skip
"""Keys that mean what a letter means, outside insert mode."""


class Vim:
    """The state of the keys of one editor. `mode` is NORMAL, INSERT, VISUAL, V-LINE or `/`."""

    def __init__(self, editor: SqlEditor, changed: Callable[[str, str], None]) -> None:
        self._editor, self._tell = editor, changed
        self.mode = "NORMAL"
        self._typed = ""
        """The command so far."""
        self._registers = Registers()
        self._register = '"'
        self._motions = Motions()
        self._anchor = 0
        self._last: list[str] = []
        """The keys of the last change, for `.`."""
        self._keys: list[str] = []
        self._repeating = False
        self._search = ""
        """What is typed of a search."""

    @property
    def inserts(self) -> bool:
        """What is typed goes into the text."""
        return self.mode == "INSERT"

    # -- the text

    @property
    def _text(self) -> str:
        return self._editor.text

    @property
    def _at(self) -> int:
        return self._editor.cursor_offset

    def _go(self, offset: int) -> None:
        """Puts the cursor there; outside insert mode it is on a character of the line."""
        text = self._text
        offset = max(0, min(offset, len(text)))
        if self.mode == "NORMAL" and offset > go.line_start(text, offset) and offset == go.line_end(text, offset):
            offset -= 1
        editor = self._editor
        if self.mode in ("VISUAL", "V-LINE"):
            self._show_selection(offset)
        else:
            editor.move_cursor(editor.location_of(offset))

    def _show_selection(self, at: int) -> None:
        text, editor = self._text, self._editor
        first, last = sorted((self._anchor, at))
        if self.mode == "V-LINE":
            first, last = go.line_start(text, first), go.line_end(text, last)
        else:
            last = min(last + 1, len(text))
        start, end = editor.location_of(first), editor.location_of(last)
        backward = at < self._anchor
        editor.move_cursor(end if backward else start)
        editor.move_cursor(start if backward else end, select=True)

    def _visual_at(self) -> int:
        """The character that the cursor is on, of which the selection shows the end."""
        at = self._at
        return at if at < self._anchor or at == 0 or self.mode == "V-LINE" else at - 1

    # -- keys

    def key(self, key: str, character: str | None) -> bool:
        """Handles a key; False leaves it to the editor."""
        if key == "escape":
            return self._escape()
        if self.mode == "INSERT":
            self._keys.append(key if character is None or not character.isprintable() else character)
            return False
        if self.mode == "/":
            return self._search_key(key, character)
        if key == "ctrl+r":
            self._editor.action_redo()
            return True
        if key in NAMES and not (self._typed and self._typed[-1] in "fFtTr"):
            character = NAMES[key]
        if character is None or not character.isprintable() or key.startswith("ctrl+"):
            return False
        self._keys.append(character)
        self._typed += character
        self._interpret()
        self._tell(self.mode, self._typed)
        return True

    def _escape(self) -> bool:
        was = self.mode
        self._typed = self._search = ""
        if was == "NORMAL":
            self._keys.clear()
            self._tell(self.mode, "")
            return False
        at = self._visual_at() if was in ("VISUAL", "V-LINE") else self._at
        self.mode = "NORMAL"
        if was == "INSERT":
            self._remember()
            text = self._text
            at = at - 1 if at > go.line_start(text, at) else at
        else:
            self._keys.clear()
        self._go(at)
        self._tell(self.mode, "")
        return True

    def _remember(self) -> None:
        if not self._repeating and self._keys:
            self._last = list(self._keys)
        self._keys.clear()

    def _done(self, *, change: bool = False) -> None:
        """The command is over."""
        self._typed, self._register = "", '"'
        if change and self.mode != "INSERT":
            self._remember()
        elif self.mode != "INSERT":
            self._keys.clear()

    def _interpret(self) -> None:
        """Does the command that is typed, where it is whole; forgets it where it is none."""
        match = re.fullmatch(r'(?:"(.))?([1-9]\d*)?([dcy<>])?([1-9]\d*)?(.*)', self._typed, re.DOTALL)
        if match is None or self._typed == '"':
            if self._typed != '"':
                self._done()
            return
        register, first, operator, second, rest = match.groups()
        if not rest:
            if operator and self.mode in ("VISUAL", "V-LINE"):
                self._register = register or '"'
                self._operate_on_selection(operator)
            return
        self._register = register or '"'
        counted = first is not None or second is not None
        count = min(int(first or 1) * int(second or 1), MOST_COUNT)
        if operator is None:
            self._command(rest, count, counted=counted)
        else:
            self._operator(operator, rest, count, counted=counted)

    # -- operators

    def _operator(self, operator: str, rest: str, count: int, *, counted: bool) -> None:
        text, at = self._text, self._at
        if rest == operator:
            end = go.up_down(text, at, count - 1, 0)
            self._apply(operator, at, Reach(end, linewise=True))
            return
        if rest[0] in "ia":
            if len(rest) == 2:
                found = go.text_object(text, at, rest[0] == "a", rest[1])
                if found is not None:
                    self._apply(operator, found[0], Reach(found[1]))
                else:
                    self._done()
            return
        if operator == "c" and rest in ("w", "W") and at < len(text) and not text[at].isspace():
            rest = "e" if rest == "w" else "E"  # vim's own exception
            at_end = at
            for number in range(count):
                one = go.word_end(text, at_end - (number == 0), big=rest == "E")
                at_end = one
            self._apply(operator, at, Reach(at_end, inclusive=True))
            return
        reach = self._motion(rest, count, counted=counted)
        if reach is None:
            return
        if rest in ("w", "W") and reach.to > at:
            # Up to the end of the line: `dw` on its last word leaves the line as it is.
            end = go.line_end(text, at)
            if end < reach.to and not text[end : reach.to].strip(" \t\n") and count == 1:
                reach = Reach(end)
        self._apply(operator, at, reach)

    def _apply(self, operator: str, at: int, reach: Reach) -> None:
        text = self._text
        first, last = sorted((at, reach.to))
        if reach.linewise:
            first, last = go.line_start(text, first), go.line_end(text, last)
        elif reach.inclusive:
            last = min(last + 1, len(text))
        self._operate(operator, first, last, linewise=reach.linewise)

    def _operate_on_selection(self, operator: str) -> None:
        first, last = (self._editor.offset_of(place) for place in sorted(self._editor.selection))
        linewise = self.mode == "V-LINE"
        self.mode = "NORMAL"
        self._operate(operator, first, last, linewise=linewise)

    def _operate(self, operator: str, first: int, last: int, *, linewise: bool) -> None:
        editor, text = self._editor, self._text
        if operator in "<>":
            editor.selection = type(editor.selection)(editor.location_of(first), editor.location_of(last))
            editor.action_indent() if operator == ">" else editor.action_outdent()
            self._go(go.first_filled(self._text, first))
            self._done(change=True)
            return
        kept = text[first:last] + ("\n" if linewise else "")
        self._registers.keep(self._register, kept, linewise=linewise, yanked=operator == "y")
        if operator == "y":
            self._go(first)
            self._done()
            return
        if linewise and operator == "d":
            if last < len(text):
                last += 1
            elif first:
                first -= 1
        editor.replace_span(first, last, "")
        if operator == "c":
            self._insert(first)
            return
        self._go(go.first_filled(self._text, first) if linewise else first)
        self._done(change=True)

    def _insert(self, at: int) -> None:
        self.mode = "INSERT"
        self._typed, self._register = "", '"'
        self._go(at)

    # -- motions

    def _motion(self, rest: str, count: int, *, counted: bool) -> Reach | None:
        """Where a motion leads; None where it is not whole or there is no such place. Then nothing is done."""
        text = self._text
        at = self._visual_at() if self.mode in ("VISUAL", "V-LINE") else self._at
        if rest in ("g", "f", "F", "t", "T"):
            return None
        reach = self._motions.reach(rest, text, at, count, counted=counted, on_character=self.mode == "NORMAL")
        if reach is None:
            self._done()
        return reach

    # -- searching

    def _search_key(self, key: str, character: str | None) -> bool:
        if key == "enter":
            forward = self._typed != "?"
            self.mode, self._typed = "NORMAL", ""
            if self._search:
                self._motions.searched = self._search, forward
            self._search = ""
            reach = self._motions.next_match(self._text, self._at, 1, same=True)
            if reach is not None:
                self._go(reach.to)
            self._done()
            self._tell(self.mode, "" if reach is not None else "?")
            return True
        if key == "backspace":
            self._search = self._search[:-1]
        elif character is not None and character.isprintable():
            self._search += character
        else:
            return False
        self._tell(self.mode, self._typed + self._search)
        return True

    # -- commands without an operator

    def _command(self, rest: str, count: int, *, counted: bool) -> None:
        key = rest[0]
        visual = self.mode in ("VISUAL", "V-LINE")
        if visual and self._visual_command(rest):
            return
        if not visual and self._edit_command(rest, count):
            return
        if rest in ("r", "g", "f", "F", "t", "T") or (visual and rest in ("i", "a")):
            return  # one more key belongs to it
        reach = self._motion(rest, count, counted=counted)
        if reach is None:
            return
        self._go(reach.to)
        if key == "$":
            self._motions.keep_to_the_end(self._at)
        self._done()

    def _visual_command(self, rest: str) -> bool:
        key = rest[0]
        if key in "vV":
            mode = "VISUAL" if key == "v" else "V-LINE"
            if self.mode == mode:
                self._escape()
            else:
                at = self._visual_at()
                self.mode = mode
                self._show_selection(at)
            self._done()
        elif key in "xs":
            self._operate_on_selection("d" if key == "x" else "c")
        elif key == "o":
            self._anchor, at = self._visual_at(), self._anchor
            self._show_selection(at)
            self._done()
        elif key in "pP":
            kept = self._registers.get(self._register)
            if kept is not None:
                self._operate_on_selection("d")
                self._put(kept[0], kept[1], before=True, count=1)
            self._done(change=True)
        elif key in "ia" and len(rest) == 2:
            found = go.text_object(self._text, self._visual_at(), key == "a", rest[1])
            if found is not None:
                self._anchor = found[0]
                self._show_selection(max(found[1] - 1, found[0]))
            self._done()
        else:
            return False
        return True

    def _edit_command(self, rest: str, count: int) -> bool:
        """Commands that change the text or the mode. True when it was one."""
        text, at, key = self._text, self._at, rest[0]
        end = go.line_end(text, at)
        if key in "iaIA":
            place = {"i": at, "a": min(at + 1, end), "I": go.first_filled(text, at), "A": end}[key]
            self._insert(place)
        elif key in "oO":
            start = go.line_start(text, at)
            indent = text[start : go.first_filled(text, at)]
            place = end if key == "o" else start
            self._editor.replace_span(place, place, f"\n{indent}" if key == "o" else f"{indent}\n")
            self._insert(place + len(indent) + (key == "o"))
        elif key in "vV":
            self.mode = "VISUAL" if key == "v" else "V-LINE"
            self._anchor = at
            self._show_selection(at)
            self._done()
        elif key in "xX":
            first, last = (at, min(at + count, end)) if key == "x" else (max(at - count, go.line_start(text, at)), at)
            self._operate("d", first, last, linewise=False)
        elif key in "DCYSs":
            self._short_operator(key, at, end, count)
        elif key == "r":
            if len(rest) == 2 and at + count <= end:
                self._editor.replace_span(at, at + count, rest[1] * count)
                self._go(at + count - 1)
                self._done(change=True)
            return len(rest) == 2
        elif key == "~":
            piece = text[at : min(at + count, end)]
            self._editor.replace_span(at, at + len(piece), piece.swapcase())
            self._go(at + len(piece))
            self._done(change=True)
        elif key == "J":
            for _ in range(max(count - 1, 1)):
                self._join()
            self._done(change=True)
        elif key in "pP":
            kept = self._registers.get(self._register)
            if kept is not None:
                self._put(kept[0], kept[1], before=key == "P", count=count)
            self._done(change=True)
        elif key == "u":
            for _ in range(count):
                self._editor.action_undo()
            self._go(self._at)
            self._done()
        elif key == ".":
            self._repeat(count)
        elif key in "/?":
            self.mode, self._search, self._typed = "/", "", key
        elif key == "*":
            found = go.text_object(text, at, False, "w")
            if found is not None:
                self._motions.searched = text[slice(*found)], True
                reach = self._motions.next_match(text, at, count, same=True)
                self._go(reach.to if reach is not None else at)
            self._done()
        else:
            return False
        return True

    def _short_operator(self, key: str, at: int, end: int, count: int) -> None:
        if key in "DC":
            self._operate(key.lower(), at, end, linewise=False)
        elif key == "s":
            self._operate("c", at, min(at + count, end), linewise=False)
        else:
            last = go.up_down(self._text, at, count - 1, 0)
            self._apply("y" if key == "Y" else "c", at, Reach(last, linewise=True))

    def _join(self) -> None:
        text, at = self._text, self._at
        end = go.line_end(text, at)
        if end >= len(text):
            return
        following = end + 1
        while following < len(text) and text[following] in " \t":
            following += 1
        blank = "" if text[following : following + 1] in ("", "\n", ")") or text[end - 1 : end] == " " else " "
        self._editor.replace_span(end, following, blank)
        self._go(end)

    def _put(self, kept: str, linewise: bool, *, before: bool, count: int) -> None:
        text, at, editor = self._text, self._at, self._editor
        piece = kept * count
        if linewise:
            if before:
                place = go.line_start(text, at)
                editor.replace_span(place, place, piece)
            else:
                place = go.line_end(text, at)
                editor.replace_span(place, place, "\n" + piece.removesuffix("\n"))
                place += 1
            self._go(go.first_filled(self._text, place))
            return
        place = at if before or at >= go.line_end(text, at) else at + 1
        editor.replace_span(place, place, piece)
        self._go(place + len(piece) - 1)

    def _repeat(self, count: int) -> None:
        """`.`: the keys of the last change once more."""
        self._typed, self._keys = "", []
        self._repeating = True
        try:
            for _ in range(count):
                for key in self._last:
                    self._press(key)
                if self.mode == "INSERT":
                    self._escape()
        finally:
            self._repeating = False
            self._keys.clear()

    def _press(self, key: str) -> None:
        if self.mode != "INSERT":
            self.key(key, key if len(key) == 1 else None)
            return
        at = self._at
        if key == "backspace":
            self._editor.replace_span(max(at - 1, 0), at, "")
        elif len(key) == 1 or key in ("enter", "tab"):
            self._editor.replace_span(at, at, {"enter": "\n", "tab": "  "}.get(key, key))

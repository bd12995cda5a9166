"""The vim keys: what is typed, and what is in the editor then. `|` is the cursor."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.app import App, ComposeResult

from screens.widgets.editor import SqlEditor
from tui.theme import CASEMATE, text_styles

NAMES = {"^": "circumflex_accent", "$": "dollar_sign", " ": "space", "\n": "enter", "\x1b": "escape", "\x12": "ctrl+r"}


class EditorApp(App[None]):
    def compose(self) -> ComposeResult:
        self.console.push_theme(text_styles(CASEMATE.name))
        yield SqlEditor(id="editor")


CASES = [
    ("|select a, b from t", "dw", "|a, b from t"),
    ("|select a, b from t", "2dw", "|, b from t"),
    ("select |a, b from t", "D", "select| "),
    ("select |a, b from t", "cwxy\x1b", "select x|y, b from t"),
    ("|one\ntwo\nthree", "dd", "|two\nthree"),
    ("|one\ntwo\nthree", "2dd", "|three"),
    ("one\n|two", "dd", "|one"),
    ("|one\ntwo", "yyp", "one\n|one\ntwo"),
    ("|one\ntwo", "ddp", "two\n|one"),
    ("|one\ntwo", '"ayyj"ap', "one\ntwo\n|one"),
    ("|one two", "x.", "|e two"),
    ("|one two one", "dww.", "two| "),
    ("|a b c", "cwx\x1bw.", "x |x c"),
    ("a |b c", "ix\x1b", "a |xb c"),
    ("|one", "A two\x1b", "one tw|o"),
    ("one\n|two", "Onew\x1b", "one\nne|w\ntwo"),
    ("  |one", "otwo\x1b", "  one\n  tw|o"),
    ("x = '|abc' y", "ci'z\x1b", "x = '|z' y"),
    ("f(a, |b, g(c))", "di(", "f(|)"),
    ("f(a, |b, g(c)) x", "da(", "f| x"),
    ("|select 1 from t", "wd$", "select| "),
    ("|one two three", "fth", "one| two three"),
    ("|one two three", "dtt", "|two three"),
    ("|one two three", "dft", "|wo three"),
    ("|(a (b) c) d", "d%", "| d"),
    ("a|bc\ndef", "jx", "abc\nd|f"),
    ("abc\nd|ef", "ggx", "|bc\ndef"),
    ("a|bc\ndef\nghi", "G", "abc\ndef\n|ghi"),
    ("a|bc\ndef\nghi", "dG", "|"),
    ("|abc\ndef", "J", "abc| def"),
    ("|abc", "~~", "AB|c"),
    ("|abc", "rx", "|xbc"),
    ("|abc", "3x", "|"),
    ("|abc def", "vey$p", "abc defab|c"),
    ("|abc def", "ved", "| def"),
    ("|abc\ndef\nghi", "Vjd", "|ghi"),
    ("|abc\ndef", "V>", "  |abc\ndef"),
    ("  |abc", "<<", "|abc"),
    ("|one two\none", "/two\n", "one |two\none"),
    ("|one two\none", "*", "one two\n|one"),
    ("one |two", "u", "one |two"),
    ("|one", "ddu", "|one"),
    ("|one two", "dwu\x12", "|two"),
    ("|a, b", "wi c\x1b", "a |c, b"),
    ("|one\n\ntwo\nthree", "d}", "|\ntwo\nthree"),
    ("one |上海 two", "dw", "one |two"),
]


async def test_keys() -> None:
    app = EditorApp()
    wrong = []
    async with app.run_test() as pilot:
        editor = app.query_one(SqlEditor)
        editor.focus()
        for before, keys, after in CASES:
            editor.load_text(before.replace("|", ""))
            editor.move_cursor(editor.location_of(before.index("|")))
            editor.use_vim(True)
            for key in keys:
                name = NAMES.get(key, key)
                app.post_message(events.Key(name, key if key.isprintable() else None))
            await pilot.pause()
            await pilot.pause()
            if (now := _shown(editor)) != after:
                wrong.append((before, keys, now, after))
    assert wrong == []


def _shown(editor: Any) -> str:
    text, at = editor.text, editor.cursor_offset
    return f"{text[:at]}|{text[at:]}"

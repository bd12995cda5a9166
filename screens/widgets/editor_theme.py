"""The colours of an editor: the parts of a statement by the names that the application's theme gives to styles."""

from __future__ import annotations

from rich.console import Console
from rich.errors import MissingStyle
from rich.style import Style
from textual.widgets.text_area import TextAreaTheme

NAME = "casemate"
PARTS = {
    "keyword": "code-keyword",
    "keyword.operator": "code-keyword",
    "conditional": "code-keyword",
    "string": "code-string",
    "number": "code-number",
    "float": "code-number",
    "boolean": "code-number",
    "comment": "code-comment",
    "function.call": "code-function",
    "type": "code-type",
    "type.builtin": "code-type",
    "type.qualifier": "code-type",
    "attribute": "code-type",
    "storageclass": "code-type",
    "parameter": "code-number",
    "error": "code-error",
    "found": "selection-idle",
    "found.here": "selection",
}
"""What tree-sitter's query calls a part, and the style of the theme."""


def style_of(console: Console, name: str) -> Style:
    """A style of the theme; none where it does not know the name."""
    try:
        return console.get_style(name)
    except MissingStyle:
        return Style()


def editor_theme(console: Console) -> TextAreaTheme:
    """The theme that the console has now."""
    styles = {part: style_of(console, name) for part, name in PARTS.items()}
    return TextAreaTheme(
        name=NAME,
        syntax_styles=styles,
        bracket_matching_style=Style(bold=True, underline=True),
        gutter_style=style_of(console, "muted"),
    )

"""How the things of a catalog are written: a line of the tree, and in full."""

from __future__ import annotations

from rich.text import Text

from backends.catalog import GROUPS, CatalogNode
from backends.visible_text import table_text
from bastion.api.language import translate as _
from bastion.api.language import translate_many

from ..words import mark

SIGNS = {
    "table": "t",
    "view": "v",
    "materialized view": "m",
    "foreign table": "x",
    "function": "f",
    "procedure": "p",
    "aggregate": "a",
    "package": "g",
    "synonym": "y",
    "sequence": "s",
    "event": "e",
    "index": "i",
    "key": "k",
    "check": "c",
    "trigger": "!",
    "foreign key": "→",
    "reference": "←",
}
"""A letter each, so that the kinds are told apart without colour; the line below the tree has them in words."""
WORDS = {
    "tables": mark("tables"),
    "views": mark("views"),
    "materialized views": mark("materialized views"),
    "functions": mark("functions"),
    "procedures": mark("procedures"),
    "packages": mark("packages"),
    "sequences": mark("sequences"),
    "synonyms": mark("synonyms"),
    "events": mark("events"),
    "indexes": mark("indexes"),
    "keys": mark("keys and checks"),
    "foreign keys": mark("foreign keys"),
    "referenced by": mark("referenced by"),
    "triggers": mark("triggers"),
    "partitions": mark("partitions"),
    "table": mark("table"),
    "view": mark("view"),
    "materialized view": mark("materialized view"),
    "foreign table": mark("foreign table"),
    "function": mark("function"),
    "procedure": mark("procedure"),
    "aggregate": mark("aggregate"),
    "package": mark("package"),
    "sequence": mark("sequence"),
    "synonym": mark("synonym"),
    "event": mark("event"),
    "index": mark("index"),
    "key": mark("key"),
    "check": mark("check"),
    "trigger": mark("trigger"),
    "foreign key": mark("foreign key"),
    "reference": mark("reference"),
    "column": mark("column"),
    "schema": mark("schema"),
    "database": mark("database"),
}
"""Kinds as a person reads them."""
MARKS = {"pk": mark("pk"), "fk": mark("fk"), "not null": mark("not null")}
"""What stands after a column's type."""


def label(text: Text, node: CatalogNode, is_open: bool | None, loaded: int, words: list[str]) -> Text:
    """A node's line: how it stands, its kind, its name, and what is to know of it."""
    text.append("  " if is_open is None else "▾ " if is_open else "▸ ", style="muted")
    if node.kind in GROUPS:
        text.append(_(WORDS.get(node.kind, node.kind)), style="muted")
        count = node.count if node.count is not None else loaded if is_open else None
        if count is not None:
            text.append(f" {count:,}", style="muted")
        return text
    if node.kind == "column":
        sign = "*" if "pk" in node.marks else "→" if "fk" in node.marks else "·"
        text.append(f"{sign} ", style="accent" if sign != "·" else "muted")
    elif sign := SIGNS.get(node.kind, ""):
        text.append(f"{sign} ", style="accent" if sign in "→←" else "muted")
    start = len(text)
    shown = table_text(node.name)
    text.append(shown, style="muted" if node.system else "")
    folded = shown.lower()
    for word in words:
        part = word.lower().rpartition(".")[2]
        at = folded.find(part)
        if part and at >= 0:
            text.stylize("accent", start + at, start + at + len(part))
    facts = [table_text(node.detail)] if node.detail else []
    if node.kind == "column" and node.target is not None:
        facts.append(f"→ {table_text(node.target.name)}")
    # The arrow says fk already.
    facts += [_(MARKS[one]) for one in node.marks if one in MARKS and (one != "fk" or node.target is None)]
    if facts:
        text.append(" " + " ".join(facts), style="muted")
    return text


def told_of(node: CatalogNode) -> str:
    """A node in full, for a line of its own: the kind, the whole name, the rest."""
    if node.kind in GROUPS:
        return _(WORDS.get(node.kind, node.kind))
    words = [_(WORDS.get(node.kind, node.kind)), table_text(node.name)]
    if node.detail:
        words.append(table_text(node.detail))
    words += [_(MARKS[one]) for one in node.marks if one in MARKS]
    if node.target is not None:
        words.append("→ " + table_text(".".join(node.target.path)))
    return " ".join(words)


def found_words(shown: int) -> str:
    """How many the filter lets through."""
    return translate_many("{count} found", "{count} found", shown).format(count=f"{shown:,}")

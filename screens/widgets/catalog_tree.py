"""The catalog: schemas or databases, tables and views, columns; each level is asked for when it is opened."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from backends.catalog import CatalogNode
from backends.visible_text import visible_line
from bastion.api.language import translate as _

from ..words import mark

SIGNS = {"schema": "", "database": "", "table": "▦", "view": "◫", "key": "◆", "column": "·", "more": "…"}
SLICE = 250
"""Nodes added at a time, so that a schema of 20,000 tables does not hold the screen up."""


class CatalogTree(Tree[CatalogNode]):
    """Posts `Wanted` for what is below a node; `fill` puts it there."""

    DEFAULT_CSS = """
    CatalogTree { background: $background; padding: 0; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i", "insert", mark("Insert the name"), show=False),
        Binding("s", "select", mark("Select its rows"), show=False),
        Binding("f5", "reload", mark("Reload"), show=False),
        Binding("right", "open", mark("Open"), show=False),
        Binding("left", "shut", mark("Close"), show=False),
    ]

    class Wanted(Message):
        """What is below `node` is to be loaded."""

        def __init__(self, node: TreeNode[CatalogNode]) -> None:
            super().__init__()
            self.node = node

    class Chosen(Message):
        """`action`: insert or select."""

        def __init__(self, node: CatalogNode, action: str) -> None:
            super().__init__()
            self.node, self.action = node, action

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(Text(""), id=id)
        self.show_root = False
        self.show_guides = False
        self.guide_depth = 2
        self.auto_expand = False
        self._asked: set[int] = set()

    def reset_to(self, title: str) -> None:
        """Empties the tree for another connection and asks for the top level."""
        self._asked = set()
        self.clear()
        self.root.set_label(Text(visible_line(title)))
        self.root.expand()
        self.want(self.root)

    def want(self, node: TreeNode[CatalogNode]) -> None:
        """Asks for the children of `node`, once."""
        if node.id in self._asked:
            return
        self._asked.add(node.id)
        node.remove_children()
        node.add_leaf(Text(_("loading …"), style="muted"))
        self.post_message(self.Wanted(node))

    async def fill(self, node: TreeNode[CatalogNode], children: list[CatalogNode]) -> None:
        """Puts `children` below `node`."""
        node.remove_children()
        if not children:
            node.add_leaf(Text(_("nothing"), style="muted"))
        for start in range(0, len(children), SLICE):
            for child in children[start : start + SLICE]:
                if child.leaf:
                    node.add_leaf(label(child), child)
                else:
                    node.add(label(child), child, allow_expand=True)
            if start + SLICE < len(children):
                await _breath()
        if node is self.root:
            self.cursor_line = 0

    def failed(self, node: TreeNode[CatalogNode], message: str) -> None:
        """Says why nothing could be loaded; opening it again tries again."""
        node.remove_children()
        node.add_leaf(Text("✗ " + visible_line(message), style="danger"))
        self._asked.discard(node.id)

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[CatalogNode]) -> None:
        event.stop()
        self.want(event.node)

    def on_tree_node_selected(self, event: Tree.NodeSelected[CatalogNode]) -> None:
        event.stop()
        node = event.node
        if node.allow_expand and node.data is not None and not node.data.leaf:
            node.toggle()
        elif node.data is not None:
            self.post_message(self.Chosen(node.data, "insert"))

    def action_open(self) -> None:
        node = self.cursor_node
        if node is not None and node.allow_expand and not node.is_expanded:
            node.expand()
        else:
            self.action_cursor_down()

    def action_shut(self) -> None:
        node = self.cursor_node
        if node is not None and node.is_expanded and node.allow_expand:
            node.collapse()
        elif node is not None and node.parent is not None and node.parent is not self.root:
            self.move_cursor(node.parent)

    def action_insert(self) -> None:
        self._choose("insert")

    def action_select(self) -> None:
        self._choose("select")

    def _choose(self, action: str) -> None:
        node = self.cursor_node
        if node is not None and node.data is not None and node.data.kind != "more":
            self.post_message(self.Chosen(node.data, action))

    def action_reload(self) -> None:
        node = self.cursor_node
        if node is None or node.data is None or node.data.leaf:
            node = node.parent if node is not None and node.parent is not None else self.root
        self._asked.discard(node.id)
        self.want(node)


def label(node: CatalogNode) -> Text:
    """A node's line."""
    dim = node.kind in ("schema", "database") and node.name in (
        "information_schema",
        "pg_catalog",
        "mysql",
        "performance_schema",
        "sys",
    )
    text = Text(no_wrap=True)
    if sign := SIGNS.get(node.kind, "·"):
        text.append(f"{sign} ", style="warning" if node.kind == "key" else "muted")
    text.append(visible_line(node.name), style="muted" if dim else "")
    if node.detail:
        text.append(f" {visible_line(node.detail)}", style="muted")
    return text


async def _breath() -> None:
    import asyncio

    await asyncio.sleep(0)

"""What the catalog tree asks for, and what is done with what is chosen there."""

from __future__ import annotations

from backends.catalog import RELATIONS
from bastion.api.language import translate as _

from ..widgets.catalog_tree import CatalogTree
from ..widgets.editor import SqlEditor
from ..words import sentence
from ..workstation import Page
from .at_hand import CONNECTION_ERRORS, AtHand


class Catalog:
    """Between the tree, the connection's catalog and the editor."""

    def __init__(self, page: Page, at_hand: AtHand) -> None:
        self._page, self._at_hand = page, at_hand

    async def load(self, message: CatalogTree.Wanted) -> None:
        """Fills a node; an answer of a connection that was left meanwhile is dropped."""
        console, tree, node = self._at_hand.database, self._page.query_one(CatalogTree), message.node
        if console is None:
            tree.failed(node, _("not connected"))
            return
        try:
            children = (await console.children(node.data)).nodes
        except CONNECTION_ERRORS as error:
            tree.failed(node, sentence(error))
            return
        if console is self._at_hand.database:
            await tree.fill(node, children)

    def take(self, message: CatalogTree.Chosen) -> None:
        """Puts a name, or a statement that reads a table, into the editor."""
        console, editor, node = self._at_hand.database, self._page.query_one(SqlEditor), message.node
        if console is None:
            return
        path = node.path if node.kind in RELATIONS else node.path[-1:]
        if message.action == "select" and node.kind in RELATIONS:
            before = "" if not editor.text.strip() else "\n\n"
            end = editor.document.end
            editor.move_cursor(end)
            editor.put(before + console.sample(path))
        else:
            if path and path[0] == "public":
                path = path[1:] or path
            editor.put(".".join(console.quote(part) for part in path))
        editor.focus()

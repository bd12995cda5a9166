"""The catalog tree without a screen: what was loaded, what is open, what a filter lets through, line by line.

A branch lives as long as the connection: loading a level again keeps the branches that are still there, and with them
what is open below. Only lines that are seen are drawn, so the number of branches costs nothing but these lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from backends.catalog import GROUPS, RELATIONS, CatalogNode, CatalogPage
from backends.metadata import SchemaMetadata, TableMetadata

MOST_FOUND = 2_000
"""Tables that a filter shows; more of them nobody reads."""
MOST_FOUND_COLUMNS = 500
NAMED = RELATIONS | {"column"}
"""Kinds that the names of the whole database hold."""


class State(Enum):
    """How far a branch's children are."""

    UNKNOWN = "unknown"
    LOADING = "loading"
    LOADED = "loaded"
    FAILED = "failed"


class Branch:
    """A node and what is below it. `reason`: why nothing could be loaded. `more`: there are others behind."""

    __slots__ = ("children", "more", "node", "open", "parent", "reason", "state")

    def __init__(self, node: CatalogNode | None, parent: Branch | None) -> None:
        self.node = node
        self.parent = parent
        self.children: list[Branch] = []
        self.open = False
        self.state = State.UNKNOWN
        self.reason = ""
        self.more = False

    @property
    def leaf(self) -> bool:
        """Nothing can be below."""
        return self.node is not None and self.node.leaf


class Note(Enum):
    """Lines that are no nodes."""

    NONE = ""
    LOADING = "loading"
    FAILED = "failed"
    NOTHING = "nothing"
    MORE = "more"
    CUT = "cut"
    """The filter found more than it shows."""
    PLACE = "place"
    """The schema that the found ones below are in."""
    NAMES = "names"
    """The filter looks only through what was loaded, and why."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the tree. A note stands below `branch`."""

    branch: Branch
    depth: int
    note: Note = Note.NONE

    @property
    def identity(self) -> tuple[object, Note]:
        """Tells it from every other line, also after loading again."""
        node = self.branch.node
        return (node.key if node is not None else None, self.note)


class CatalogModel:
    """The tree of one connection."""

    def __init__(self) -> None:
        self.root = Branch(None, None)
        self.root.open = True
        self.names: SchemaMetadata | None = None
        self.names_reason = ""
        """Why not all names are known."""
        self.words: list[str] = []
        self.found = 0
        """How many things the filter lets through."""
        self._known: dict[tuple[str, tuple[str, ...], str], Branch] = {}

    # -- loading

    def fill(self, branch: Branch, page: CatalogPage, offset: int = 0) -> list[Branch]:
        """Puts a page below `branch`; from offset 0 it replaces what was there. Gives the branches that are new."""
        new = []
        children = [] if offset == 0 else branch.children[:offset]
        there = {child.node.key for child in children if child.node is not None}
        for node in page.nodes:
            if node.key in there:
                continue
            child = self._known.get(node.key)
            if child is None:
                child = self._known[node.key] = Branch(node, branch)
                new.append(child)
            child.node, child.parent = node, branch
            children.append(child)
        if offset == 0:
            self._forget(branch, children)
        branch.children, branch.more, branch.state, branch.reason = children, page.more, State.LOADED, ""
        return new

    def fail(self, branch: Branch, reason: str) -> None:
        """Nothing could be loaded; what was there before stays."""
        branch.state, branch.reason = State.FAILED, reason

    def branch_of(self, node: CatalogNode, parent: Branch) -> Branch:
        """The branch of a node, made where there is none yet."""
        found = self._known.get(node.key)
        if found is None:
            found = self._known[node.key] = Branch(node, parent)
        return found

    def known(self, kind: str, path: tuple[str, ...]) -> Branch | None:
        """The branch of that kind and path, if it was loaded."""
        return self._known.get((kind, path, ""))

    def open_branches(self) -> list[Branch]:
        """Loaded and open ones, the upper ones first; what a refresh asks for again."""
        found = [self.root]
        for branch in found:
            found.extend(child for child in branch.children if child.open and child.state is not State.UNKNOWN)
        return found

    def forget_closed(self) -> None:
        """Closed branches are asked for again when they are next opened."""
        for branch in self._known.values():
            if not branch.open and branch.state is State.LOADED:
                branch.state = State.UNKNOWN
                branch.children = []

    def _forget(self, branch: Branch, kept: list[Branch]) -> None:
        gone = set(map(id, branch.children)) - set(map(id, kept))
        for child in branch.children:
            if id(child) in gone and child.node is not None:
                self._known.pop(child.node.key, None)

    # -- lines

    def lines(self) -> list[Line]:
        """What is to be seen, from top to bottom."""
        if self.words:
            return list(self._filtered())
        lines: list[Line] = []
        self._below(self.root, 0, lines)
        return lines

    def _below(self, branch: Branch, depth: int, lines: list[Line]) -> None:
        # By hand and not by recursion alone: a level of leaves is by far the most common case.
        for child in branch.children:
            lines.append(Line(child, depth))
            if child.open:
                self._below(child, depth + 1, lines)
        if branch.state is State.FAILED:
            lines.append(Line(branch, depth, Note.FAILED))
        elif branch.state is not State.LOADED:
            if not branch.children:
                lines.append(Line(branch, depth, Note.LOADING))
        elif branch.more:
            lines.append(Line(branch, depth, Note.MORE))
        elif not branch.children:
            lines.append(Line(branch, depth, Note.NOTHING))

    def _filtered(self) -> Iterator[Line]:
        """Found things by schema: tables of all names, then columns, then what else was loaded."""
        groups: dict[str, list[tuple[Branch, list[Branch]]]] = {}
        seen: set[int] = set()
        self.found = 0
        cut = False
        if self.names is not None:
            tables, self.found = self.names.tables_with(self.words, MOST_FOUND)
            cut = self.found > len(tables)
            for table in tables:
                branch = self._table_branch(table)
                seen.add(id(branch))
                groups.setdefault(table.schema, []).append((branch, []))
            for table, columns in self.names.columns_with(self.words, MOST_FOUND_COLUMNS):
                branch = self._table_branch(table)
                below = self._column_branches(table, columns, branch)
                self.found += len(below)
                if id(branch) in seen:
                    for place, (found, _below) in enumerate(groups[table.schema]):
                        if found is branch:
                            groups[table.schema][place] = (branch, below)
                            break
                else:
                    seen.add(id(branch))
                    groups.setdefault(table.schema, []).append((branch, below))
        for branch in self._loaded_matches(seen):
            self.found += 1
            assert branch.node is not None
            groups.setdefault(branch.node.path[0], []).append((branch, []))
        begin = self.words[0].casefold().rpartition(".")[2]
        for schema, entries in groups.items():
            # What begins with the word is most likely meant.
            entries.sort(key=lambda entry: not _begins(entry[0], begin))
            yield Line(self._place(schema), 0, Note.PLACE)
            for branch, below in entries:
                yield Line(branch, 1)
                if branch.open:
                    opened: list[Line] = []
                    self._below(branch, 2, opened)
                    yield from opened
                else:
                    for column in below:
                        yield Line(column, 2)
        if cut:
            yield Line(self.root, 0, Note.CUT)
        if self.names is None:
            yield Line(self.root, 0, Note.NAMES)
            return
        if not groups:
            yield Line(self.root, 0, Note.NOTHING)
        if self.names.truncated:
            yield Line(self.root, 0, Note.NAMES)

    def _place(self, schema: str) -> Branch:
        for kind in ("schema", "database"):
            if (found := self.known(kind, (schema,))) is not None:
                return found
        return Branch(CatalogNode("schema", schema, (schema,)), self.root)

    def _table_branch(self, table: TableMetadata) -> Branch:
        node = CatalogNode(table.kind, table.name, (table.schema, table.name))
        return self._known.get(node.key) or self.branch_of(node, self._place(table.schema))

    def _column_branches(self, table: TableMetadata, names: Sequence[str], parent: Branch) -> list[Branch]:
        types = {column.name: column.type_name for column in table.columns}
        return [
            self.branch_of(
                CatalogNode("column", name, (table.schema, table.name, name), types.get(name, ""), leaf=True), parent
            )
            for name in names
        ]

    def _loaded_matches(self, seen: set[int]) -> list[Branch]:
        """What only the tree holds: routines, sequences, indexes, keys, and what belongs to the server itself."""
        words = [word.casefold() for word in self.words]
        tails = [word.rpartition(".")[2] for word in words]
        named = self.names is not None
        system = {top.node.name for top in self.root.children if top.node is not None and top.node.system}
        found = []
        for (kind, path, _specific), branch in self._known.items():
            if named and (kind == "table" or kind in NAMED) and path[0] not in system:
                # The names hold it; where they did not find it, it does not match.
                continue
            if kind in GROUPS or len(path) < 2 or branch.node is None or id(branch) in seen:
                continue
            name = branch.node.name.casefold()
            whole = f"{path[0]}.{path[1]}.{name}".casefold()
            if all(word in whole for word in words) and any(tail in name for tail in tails):
                found.append(branch)
                if len(found) >= MOST_FOUND:
                    break
        return found


def _begins(branch: Branch, word: str) -> bool:
    return branch.node is not None and branch.node.name.casefold().startswith(word)

"""What a statement does to the data, as far as its text tells: for the console's own care, not a judgement.

A statement counts as a read only where that is sure. What cannot be parsed, is built at run time (`execute`, `do`,
procedures) or hides in a conditional comment counts as a write. Functions called in a SELECT are not looked into,
except some that are known to act.

Facts: PostgreSQL manual, notes of CREATE DATABASE, CREATE INDEX CONCURRENTLY, VACUUM, ALTER SYSTEM and others that say
"cannot be executed inside a transaction block"; MySQL manual 15.3.3, statements that cause an implicit commit.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from sqlglot import exp
from sqlglot.errors import SqlglotError

from .bounded_parser import parse
from .sql_tokens import TokenKind, tokens
from .statements import first_word

log = logging.getLogger(__name__)
logging.getLogger("sqlglot").setLevel(logging.ERROR)

LONGEST_PARSED = 100_000
"""Characters; a longer statement is judged by its first word alone."""
DIALECTS = {"postgresql": "postgres", "mysql": "mysql", "sqlserver": "tsql", "oracle": "oracle"}


class EffectKind(Enum):
    """READ leaves data as it is; SESSION changes this connection only; TRANSACTION begins, marks or ends one."""

    READ = "read"
    SESSION = "session"
    TRANSACTION = "transaction"
    WRITE = "write"


@dataclass(frozen=True)
class Effect:
    """What is known of a statement before it is sent.

    verb       its first word in capitals
    undoable   a rollback takes it back
    every_row  tables whose rows it changes or removes without a condition
    certain    False: it could not be read, and counts as a write for that
    """

    kind: EffectKind
    verb: str
    undoable: bool = True
    every_row: tuple[str, ...] = ()
    certain: bool = True

    @property
    def writes(self) -> bool:
        """Whether the guard has to do with it."""
        return self.kind is EffectKind.WRITE

    @property
    def loud(self) -> bool:
        """Whether one key is too little to send it."""
        return bool(self.every_row) or (not self.undoable and self.verb in ("DROP", "TRUNCATE"))


_TRANSACTION = {"begin", "commit", "rollback", "savepoint", "release", "abort", "end"}
_SESSION = {
    "set", "use", "discard", "deallocate", "listen", "unlisten", "prepare", "close", "move", "lock", "unlock",
}  # fmt: skip
_READ = {"show", "describe", "desc", "help", "fetch", "table"}
_QUERIES = {"select", "with", "values"}
_DEFINITIONS = {
    "create", "alter", "drop", "truncate", "grant", "revoke", "comment", "rename", "reindex", "cluster", "refresh",
    "vacuum", "optimize", "repair", "analyze", "security", "import", "reassign", "flush", "kill", "install",
    "uninstall", "change", "purge", "reset", "checkpoint", "audit", "noaudit", "deny", "shutdown",
}  # fmt: skip
_ACTING_FUNCTIONS = {
    "pg_terminate_backend", "pg_cancel_backend", "pg_reload_conf", "pg_promote", "pg_switch_wal", "pg_rotate_logfile",
    "setval", "dblink_exec", "lo_unlink", "lo_import", "lo_export", "pg_drop_replication_slot", "pg_file_write",
    "load_file", "sys_exec", "sys_eval",
}  # fmt: skip
_CONDITIONAL = re.compile(r"/\*M?!")
_OUTSIDE_POSTGRES = re.compile(
    r"(?:create|drop|alter)\s+(?:database|tablespace|subscription)\b|alter\s+system\b|vacuum\b|checkpoint\b"
    r"|(?:create|drop|reindex|alter)\b.*\bconcurrently\b|reindex\s+(?:\([^)]*\)\s*)?(?:database|system)\b|cluster\s*$",
    re.IGNORECASE | re.DOTALL,
)
_EXPLAIN = re.compile(r"\s*(?:explain|analyze|analyse|describe|desc)\b", re.IGNORECASE)
_EXPLAIN_OPTION = re.compile(
    r"\s*(?:\((?P<list>[^)]*)\)|(?P<word>analyze|analyse|verbose|extended|partitions)\b"
    r"|format\s*=\s*\w+|for\s+(?:schema|database)\s+\w+|into\s+@\w+)",
    re.IGNORECASE,
)
_ORACLE_PLAN = re.compile(
    r"\s*explain\s+plan\s+(?:set\s+statement_id\s*=\s*'[^']*'\s+)?(?:into\s+[\w.$#\"]+\s+)?for\b", re.IGNORECASE
)
_ANALYSES = re.compile(r"\banaly[sz]e\b(?!\s*(?:false|off|0)\b)", re.IGNORECASE)
_ON_SERVER = re.compile(r"\bset\s+(?:global|persist|persist_only)\b|@@(?:global|persist)", re.IGNORECASE)


_WRITING = frozenset(
    {"insert", "update", "delete", "merge", "truncate", "drop", "alter", "create", "exec", "execute", "grant", "revoke",
     "deny", "backup", "restore", "kill", "shutdown", "bulk", "updatetext", "writetext"}
)  # fmt: skip


def effect_of(text: str, engine: str) -> Effect:
    """What one statement does. Never raises."""
    found = _effect_of(text, engine)
    if engine == "sqlserver" and not found.writes and _writes_behind(text):
        return Effect(EffectKind.WRITE, found.verb, certain=False)
    return found


def _writes_behind(text: str) -> bool:
    """Whether another statement follows that changes something: Transact-SQL wants no semicolon between them.

    All these words are reserved: unquoted they begin a statement, or stand in a clause that only writes have.
    """
    words = [token.text.lower() for token in tokens(text, "sqlserver") if token.kind is TokenKind.WORD]
    return any(
        word in _WRITING and not (word == "merge" and words[place + 1 : place + 2] in (["join"], ["union"]))
        for place, word in enumerate(words)
        if place
    )


def _effect_of(text: str, engine: str) -> Effect:
    word = first_word(text, engine)
    verb = word.upper()
    if engine == "mysql" and _CONDITIONAL.search(text):
        return _unknown(verb)
    if engine == "oracle" and (found := _of_oracle(text, word)) is not None:
        return found
    if word in _TRANSACTION or (word == "start" and "transaction" in text.lower()):
        return Effect(EffectKind.TRANSACTION, verb)
    if word == "set" and engine == "mysql" and _ON_SERVER.search(text):
        return Effect(EffectKind.WRITE, verb, undoable=False)
    if word in _SESSION or (word in ("reset", "declare") and engine == "postgresql"):
        return Effect(EffectKind.SESSION, verb)
    if word == "explain" or (word in ("analyze", "describe", "desc") and _explains(text, engine)):
        return _explained(text, engine, measured=word == "analyze")
    if word in _READ or (word in ("check", "checksum") and engine == "mysql"):
        return Effect(EffectKind.READ, verb)
    if word in _QUERIES:
        return _of_query(text, engine, verb)
    if word in ("insert", "replace", "update", "delete", "merge", "load"):
        return _of_change(text, engine, verb)
    if word == "copy":
        return _of_copy(text, engine)
    if word in _DEFINITIONS:
        return _of_definition(text, engine, verb)
    if word in ("call", "exec"):
        # A procedure may commit by itself.
        return Effect(EffectKind.WRITE, verb, undoable=False, certain=False)
    return _unknown(verb)


def _of_oracle(text: str, word: str) -> Effect | None:
    """What the words of Oracle mean that other engines use otherwise, or do not have."""
    if word in ("begin", "declare", "call") or text.lstrip().startswith("<<"):
        # A block may do anything, and may commit by itself.
        return Effect(EffectKind.WRITE, word.upper() or "BEGIN", undoable=False, certain=False)
    if word == "explain":
        # The plan is only written down; the statement is not run.
        return Effect(EffectKind.READ, "EXPLAIN")
    if word == "alter" and re.match(r"alter\s+session\b", text.lstrip(), re.IGNORECASE):
        return Effect(EffectKind.SESSION, "ALTER")
    return None


def explainable(text: str, engine: str) -> bool:
    """Whether it makes sense to ask the database for its plan."""
    return first_word(text, engine) in _QUERIES | {"insert", "replace", "update", "delete", "merge", "table"}


def past_explain(text: str, engine: str) -> int:
    """Where the statement begins that an EXPLAIN is about; 0 for any other statement."""
    if engine == "oracle":
        plan = _ORACLE_PLAN.match(text)
        return plan.end() if plan is not None else 0
    explains = _EXPLAIN.match(text) is not None and (first_word(text, engine) == "explain" or _explains(text, engine))
    return _past_explain(text)[0] if explains else 0


def _unknown(verb: str) -> Effect:
    return Effect(EffectKind.WRITE, verb or "?", certain=False)


def _explains(text: str, engine: str) -> bool:
    """`analyze select …` (MariaDB) and `desc select …`, beside `analyze t` and `desc t`."""
    inner = first_word(text[_past_explain(text)[0] :], engine)
    return inner in _QUERIES | {"insert", "replace", "update", "delete"}


def _past_explain(text: str) -> tuple[int, bool]:
    """Where the explained statement begins, and whether it is run for its plan."""
    head = _EXPLAIN.match(text)
    at, measured = (head.end() if head is not None else 0), False
    while (option := _EXPLAIN_OPTION.match(text, at)) is not None:
        measured = measured or _ANALYSES.search(option.group("list") or option.group("word") or "") is not None
        at = option.end()
    return at, measured


def _explained(text: str, engine: str, *, measured: bool) -> Effect:
    if _EXPLAIN.match(text) is None:
        return _unknown("EXPLAIN")  # a comment stands before it
    at, analyses = _past_explain(text)
    if not (measured or analyses):
        return Effect(EffectKind.READ, "EXPLAIN")
    inner = effect_of(text[at:], engine)
    return inner if inner.writes else Effect(EffectKind.READ, "EXPLAIN")


def _of_query(text: str, engine: str, verb: str) -> Effect:
    tree = _tree(text, engine)
    if not isinstance(tree, exp.Query | exp.Values | exp.Insert | exp.Update | exp.Delete | exp.Merge):
        return _unknown(verb)
    changes = list(tree.find_all(exp.Insert, exp.Update, exp.Delete, exp.Merge))
    if changes:
        return Effect(EffectKind.WRITE, verb, every_row=tuple(_every_row(tree)))
    if tree.find(exp.Into, exp.Command, exp.Create) is not None:
        if engine == "mysql" and re.search(r"\binto\s+@", text, re.IGNORECASE):
            return Effect(EffectKind.SESSION, verb)
        return Effect(EffectKind.WRITE, verb, undoable=engine != "mysql")
    if any(_function_name(call) in _ACTING_FUNCTIONS for call in tree.find_all(exp.Func)):
        return Effect(EffectKind.WRITE, verb, undoable=False)
    return Effect(EffectKind.READ, verb)


def _of_change(text: str, engine: str, verb: str) -> Effect:
    tree = _tree(text, engine)
    if isinstance(tree, exp.Insert | exp.Update | exp.Delete | exp.Merge):
        return Effect(EffectKind.WRITE, verb, every_row=tuple(_every_row(tree)))
    if verb in ("UPDATE", "DELETE") and re.search(r"\bwhere\b", text, re.IGNORECASE) is None:
        return Effect(EffectKind.WRITE, verb, every_row=("?",), certain=False)
    return Effect(EffectKind.WRITE, verb, certain=verb in ("REPLACE", "LOAD"))


def _every_row(tree: exp.Expression) -> Iterator[str]:
    for change in tree.find_all(exp.Update, exp.Delete):
        condition = change.args.get("where")
        if condition is not None and not _always_true(condition.this):
            continue
        if change.args.get("limit") is None and not isinstance(change.parent, exp.When):
            table = change.find(exp.Table)
            yield table.name if table is not None else "?"


def _always_true(condition: exp.Expression) -> bool:
    while isinstance(condition, exp.Paren):
        condition = condition.this
    if isinstance(condition, exp.Boolean | exp.Literal):
        return True
    both = isinstance(condition, exp.EQ) and isinstance(condition.this, exp.Literal)
    return both and condition.this == condition.expression


def _of_copy(text: str, engine: str) -> Effect:
    tree = _tree(text, engine)
    reads = re.search(r"\bto\s+stdout\b", text, re.IGNORECASE) is not None
    if isinstance(tree, exp.Copy) and reads and tree.find(exp.Insert, exp.Update, exp.Delete, exp.Merge) is None:
        return Effect(EffectKind.READ, "COPY")
    return Effect(EffectKind.WRITE, "COPY", undoable=re.search(r"\bfrom\b", text, re.IGNORECASE) is not None)


def _of_definition(text: str, engine: str, verb: str) -> Effect:
    start = text.lower().find(verb.lower())
    words = text[max(start, 0) :]
    undoable = _OUTSIDE_POSTGRES.match(words) is None if engine == "postgresql" else engine == "sqlserver"
    if engine == "mysql" and re.match(r"(?:create|drop)\s+temporary\b", words, re.IGNORECASE):
        return Effect(EffectKind.SESSION, verb)
    every_row: tuple[str, ...] = ()
    if verb == "TRUNCATE":
        tree = _tree(text, engine)
        table = tree.find(exp.Table) if tree is not None else None
        every_row = (table.name if table is not None else "?",)
    return Effect(EffectKind.WRITE, verb, undoable=undoable, every_row=every_row)


def _function_name(call: exp.Func) -> str:
    name = call.this if isinstance(call, exp.Anonymous) else ""
    return str(name).lower()


def _tree(text: str, engine: str) -> exp.Expression | None:
    """The statement as sqlglot reads it; None where it does not, or sees more than one."""
    if len(text) > LONGEST_PARSED:
        return None
    try:
        trees = parse(text, DIALECTS.get(engine))
    except (SqlglotError, RecursionError):
        return None
    except Exception:
        # A defect of the parser must not make a write pass for a read, nor stop the person.
        log.warning("the parser failed on a statement", exc_info=True)
        return None
    return trees[0] if len(trees) == 1 and isinstance(trees[0], exp.Expression) else None

"""A batch of Transact-SQL as statements: they need no semicolon between them, so each is known by how it begins."""

from __future__ import annotations

from dataclasses import dataclass, field

from .sql_lexer import Kind, SyntaxFault, Token, tokens_of


@dataclass(frozen=True)
class Statement:
    """`tokens` are all of it, its first keyword included."""

    tokens: list[Token]

    @property
    def line(self) -> int:
        """Of the batch, from 1."""
        return self.tokens[0].line if self.tokens else 1


@dataclass(frozen=True)
class Simple(Statement):
    """Everything that has no form of its own here, by its first word."""

    word: str = ""


@dataclass(frozen=True)
class Declare(Statement):
    """Names with the text of their type, and the tokens of their value."""

    variables: list[tuple[str, str, list[Token]]] = field(default_factory=list)


@dataclass(frozen=True)
class Assign(Statement):
    """SET @name = …"""

    name: str = ""
    value: list[Token] = field(default_factory=list)


@dataclass(frozen=True)
class Block(Statement):
    """BEGIN … END"""

    body: list[Statement] = field(default_factory=list)


@dataclass(frozen=True)
class If(Statement):
    condition: list[Token] = field(default_factory=list)
    then: Statement | None = None
    otherwise: Statement | None = None


@dataclass(frozen=True)
class While(Statement):
    condition: list[Token] = field(default_factory=list)
    body: Statement | None = None


@dataclass(frozen=True)
class TryCatch(Statement):
    body: list[Statement] = field(default_factory=list)
    handler: list[Statement] = field(default_factory=list)


@dataclass(frozen=True)
class Module(Statement):
    """CREATE or ALTER of a procedure, function, trigger or view: the text to keep, and what stands behind AS."""

    kind: str = ""
    name: list[Token] = field(default_factory=list)
    arguments: list[Token] = field(default_factory=list)
    text: str = ""
    body: str = ""


_STARTS = {
    "select", "insert", "update", "delete", "merge", "with", "create", "alter", "drop", "truncate", "exec", "execute",
    "declare", "set", "print", "raiserror", "throw", "waitfor", "if", "while", "begin", "end", "commit", "rollback",
    "save", "use", "return", "break", "continue", "kill", "grant", "revoke", "deny", "dbcc", "checkpoint", "open",
    "fetch", "close", "deallocate", "else", "backup", "restore", "reconfigure", "go", "bulk",
}  # fmt: skip
_GOES_ON_AFTER = {"union", "all", "except", "intersect"}
_MODULES = {"procedure", "proc", "function", "trigger", "view"}


def statements_of(text: str) -> list[Statement]:
    """Raises SyntaxFault."""
    parser = _Parser(text)
    found = []
    while parser.left():
        statement = parser.statement()
        if statement is not None:
            found.append(statement)
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens_of(text)
        self.at = 0
        self.depth = 0

    def left(self) -> bool:
        return self.at < len(self.tokens)

    def peek(self, ahead: int = 0) -> Token | None:
        place = self.at + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def next_is(self, *words: str, ahead: int = 0) -> bool:
        token = self.peek(ahead)
        return token is not None and token.is_word(*words)

    def fault(self) -> SyntaxFault:
        token = self.peek() or (self.tokens[-1] if self.tokens else None)
        return SyntaxFault(token.text if token else "", token.line if token else 1)

    def statement(self) -> Statement | None:
        token = self.peek()
        if token is None:
            raise self.fault()
        if token.is_sign(";"):
            self.at += 1
            return None
        self.depth += 1
        if self.depth > 100:
            raise self.fault()
        try:
            return self._statement(token)
        finally:
            self.depth -= 1

    def _statement(self, token: Token) -> Statement:
        start = self.at
        if token.is_word("begin") and self.next_is("tran", "transaction", "distributed", ahead=1):
            return self._simple("begin")
        if token.is_word("begin") and self.next_is("try", ahead=1):
            return self._try(start)
        if token.is_word("begin"):
            self.at += 1
            body = self._until_end()
            return Block(self.tokens[start : self.at], body)
        if token.is_word("if", "while"):
            return self._conditional(start, token.value)
        if token.is_word("declare"):
            return self._declare(start)
        if token.is_word("create", "alter") and (module := self._module(start)) is not None:
            return module
        second = self.peek(1)
        if token.is_word("set") and second is not None and second.kind is Kind.VARIABLE:
            self.at += 2
            sign = self.peek()
            if sign is None or sign.kind is not Kind.SIGN:
                raise self.fault()
            self.at += 1
            value = self._rest()
            if sign.value != "=":
                operator = Token(Kind.SIGN, sign.value[0], sign.value[0], sign.start, sign.line)
                value = [second, operator, *value]
            return Assign(self.tokens[start : self.at], second.value, value)
        if token.is_word("end", "else"):
            raise self.fault()
        return self._simple(token.value if token.kind is Kind.WORD else "")

    def _simple(self, word: str) -> Simple:
        start = self.at
        self.at += 1
        if word == "begin":
            self.at += 1
        self._rest(word)
        return Simple(self.tokens[start : self.at], word)

    def _rest(self, word: str = "") -> list[Token]:
        """Up to where the next statement begins."""
        start, depth, cases = self.at, 0, 0
        one_more = {
            "insert": {"select", "exec", "execute", "with"},
            "with": {"select", "insert", "update", "delete", "merge"},
        }.get(word, set())
        one_more = set(one_more)
        while self.left():
            token = self.tokens[self.at]
            if token.is_sign("("):
                depth += 1
            elif token.is_sign(")"):
                depth -= 1
            elif token.is_sign(";") and depth <= 0:
                break
            elif token.is_word("values") and depth <= 0 and word == "insert":
                one_more.clear()
            elif token.is_word("case"):
                cases += 1
            elif token.is_word("end") and cases:
                cases -= 1
            elif self._ends(token, word, depth, cases, one_more, start):
                break
            self.at += 1
        return self.tokens[start : self.at]

    def _ends(self, token: Token, word: str, depth: int, cases: int, one_more: set[str], start: int) -> bool:
        """Whether the next statement begins here."""
        begins = token.is_word() and depth <= 0 and not cases and token.value in _STARTS
        return begins and not self._goes_on(word, token, one_more, start)

    def _goes_on(self, word: str, token: Token, one_more: set[str], start: int) -> bool:
        """Whether a word that can begin a statement belongs to the one that is being read."""
        before = self.tokens[self.at - 1] if self.at else None
        if before is not None and (before.is_sign(".") or (before.is_word("as") and word != "with")):
            return True
        if word in ("create", "drop", "alter") and before is not None and before.is_word("on"):
            return True
        if token.value in one_more:
            if token.value != "with":
                one_more.clear()
                one_more |= {"select"} if token.value == "insert" else set()
            return True
        if token.value == "select" and before is not None and before.is_word(*_GOES_ON_AFTER):
            return True
        if token.value == "with":
            after = self.peek(1)
            return (
                word in ("create", "alter", "exec", "execute", "raiserror", "bulk", "backup", "restore", "declare")
                or (after is not None and after.is_sign("("))
                or (before is not None and before.is_sign(","))
            )
        if token.value == "set" and word in ("update", "with", "merge", "alter"):
            return True
        if word == "merge":
            return token.value in ("update", "insert", "delete", "set", "with")
        if word == "alter":
            return token.value in ("alter", "drop", "set", "with") and self.at - start < 400 and self.at > start
        if word in ("grant", "revoke", "deny"):
            return token.value in ("select", "insert", "update", "delete", "execute", "exec", "alter", "create", "with")
        if word == "drop" and token.value == "if":
            return True
        if word == "if" and token.value in ("select",):
            return False
        if word in ("select", "with", "insert") and token.value in ("fetch",):
            return True
        if word == "fetch" or (word == "declare" and token.value == "fetch"):
            return False
        if word == "set" and token.value in ("on", "off"):
            return True
        if token.value in ("open", "close", "go", "save", "use", "bulk", "backup", "restore", "checkpoint"):
            return word not in ("",) and (
                (before is not None and (before.is_sign(",", "(", "=") or before.is_word("as")))
                or (word == "insert" and token.value == "bulk")
            )
        return False

    def _until_end(self) -> list[Statement]:
        """The statements up to END, which is taken."""
        body: list[Statement] = []
        while True:
            if not self.left():
                raise self.fault()
            if self.next_is("end"):
                self.at += 1
                return body
            statement = self.statement()
            if statement is not None:
                body.append(statement)

    def _try(self, start: int) -> Statement:
        self.at += 2
        body = self._until_end()
        if not self.next_is("try"):
            raise self.fault()
        self.at += 1
        while (token := self.peek()) is not None and token.is_sign(";"):
            self.at += 1
        if not (self.next_is("begin") and self.next_is("catch", ahead=1)):
            raise self.fault()
        self.at += 2
        handler = self._until_end()
        if self.next_is("catch"):
            self.at += 1
        return TryCatch(self.tokens[start : self.at], body, handler)

    def _conditional(self, start: int, word: str) -> Statement:
        self.at += 1
        condition = self._rest("if")
        if not condition:
            raise self.fault()
        then = self._one()
        if word == "while":
            return While(self.tokens[start : self.at], condition, then)
        otherwise = None
        place = self.at
        while (token := self.peek()) is not None and token.is_sign(";"):
            self.at += 1
        if self.next_is("else"):
            self.at += 1
            otherwise = self._one()
        else:
            self.at = place
        return If(self.tokens[start : self.at], condition, then, otherwise)

    def _one(self) -> Statement:
        statement = self.statement()
        if statement is None:
            raise self.fault()
        return statement

    def _declare(self, start: int) -> Statement:
        self.at += 1
        variables = []
        second = self.peek()
        if second is None or second.kind is not Kind.VARIABLE or self.next_is("table", ahead=1):
            self._rest("declare")
            return Simple(self.tokens[start : self.at], "declare")
        while (token := self.peek()) is not None and token.kind is Kind.VARIABLE:
            self.at += 1
            if self.next_is("as"):
                self.at += 1
            kind = self._until(",", "=")
            value: list[Token] = []
            sign = self.peek()
            if sign is not None and sign.is_sign("="):
                self.at += 1
                value = self._until(",")
            variables.append((token.value, "".join(one.text + " " for one in kind), value))
            comma = self.peek()
            if comma is None or not comma.is_sign(","):
                break
            self.at += 1
        return Declare(self.tokens[start : self.at], variables)

    def _until(self, *signs: str) -> list[Token]:
        """Up to one of the signs outside brackets, or where the next statement begins."""
        start, depth = self.at, 0
        end = len(self._peeked_rest()) + start
        while self.at < end:
            token = self.tokens[self.at]
            if token.is_sign(*signs) and depth == 0:
                break
            depth += token.is_sign("(") - token.is_sign(")")
            self.at += 1
        return self.tokens[start : self.at]

    def _peeked_rest(self) -> list[Token]:
        start = self.at
        rest = self._rest()
        self.at = start
        return rest

    def _module(self, start: int) -> Statement | None:
        ahead = 1
        while self.next_is("or", "alter", ahead=ahead):
            ahead += 1
        if not self.next_is(*_MODULES, ahead=ahead):
            return None
        kind = (self.peek(ahead) or self.tokens[start]).value
        self.at += ahead + 1
        name: list[Token] = []
        while (token := self.peek()) is not None and (token.kind in (Kind.WORD, Kind.QUOTED) or token.is_sign(".")):
            if name and not (name[-1].is_sign(".") or token.is_sign(".")):
                break
            name.append(token)
            self.at += 1
        arguments = []
        depth = 0
        while (token := self.peek()) is not None and not (
            depth == 0 and token.is_word("as") and not self._type_follows()
        ):
            depth += token.is_sign("(") - token.is_sign(")")
            arguments.append(token)
            self.at += 1
        if not self.left() or not name:
            raise self.fault()
        self.at += 1
        body = self.text[self.tokens[self.at].start :] if self.left() else ""
        self.at = len(self.tokens)
        kind = {"proc": "procedure"}.get(kind, kind)
        return Module(self.tokens[start:], kind, name, arguments, self.text[self.tokens[start].start :].rstrip(), body)

    def _type_follows(self) -> bool:
        """`@a AS int`: the AS between a parameter and its type."""
        return self.at > 0 and self.tokens[self.at - 1].kind is Kind.VARIABLE

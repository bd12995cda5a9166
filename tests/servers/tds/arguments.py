"""Arguments of procedures: by name or place, and the definitions that they belong to."""

from __future__ import annotations

from .encoding import Value
from .sql_lexer import Kind, SyntaxFault, Token, tokens_of
from .sql_types import SqlType, parsed
from .translation import closing, listed


class Argument:
    """Of a call, by its name or place. `output` is set where its value goes back."""

    def __init__(self, name: str, sql_type: SqlType, value: Value, *, output: bool = False) -> None:
        self.name, self.type, self.value, self.output = name.lower(), sql_type, value, output


Arguments = list[Argument]


def argument(arguments: Arguments, place: int, name: str = "") -> Argument | None:
    """By name where any has that name, else by place."""
    for each in arguments:
        if name and each.name == name:
            return each
    if place < len(arguments) and not (name and arguments[place].name not in ("", name)):
        return arguments[place]
    return arguments[place] if place < len(arguments) and not arguments[place].name else None


def plain_procedure(name: str) -> str:
    """A procedure's name without its database, dbo, sys, brackets and number."""
    pieces = [piece.strip('[]" ') for piece in name.split(";")[0].split(".")]
    if len(pieces) > 1 and pieces[-2].lower() not in ("dbo", "sys", ""):
        return ".".join(pieces[-2:])
    return pieces[-1]


def declared_parameters(definition: str) -> list[tuple[str, SqlType, list[Token] | None]]:
    """Names, types and defaults (None where there is none) of `@a int, @b nvarchar(10) = N'x' output`."""
    words = tokens_of(definition)
    if words and words[0].is_sign("(") and closing(words, 0) == len(words) - 1:
        words = words[1:-1]
    found: list[tuple[str, SqlType, list[Token] | None]] = []
    for part in listed(words):
        if part[0].kind is not Kind.VARIABLE:
            if part[0].is_word("with", "for"):
                break
            raise SyntaxFault(part[0].text, part[0].line)
        rest = [token for token in part[1:] if not token.is_word("output", "out", "readonly", "as")]
        equals = next((at for at, token in enumerate(rest) if token.is_sign("=")), len(rest))
        name = "".join(token.text for token in rest[:equals])
        sql_type = parsed(name) or SqlType("sql_variant")
        found.append((part[0].value, sql_type, rest[equals + 1 :] or None))
    return found


def output_parameters(definition: str) -> set[str]:
    """The names of those that give a value back."""
    return {
        part[0].value for part in listed(tokens_of(definition)) if any(one.is_word("output", "out") for one in part)
    }

"""What statements that differ only in their values have in common: their shape, and its digest.

Out of the text go comments, space, letter case, numbers, literals and parameters; a list of values is the same as one
value, and several rows are the same as one. The digest is per family of engines, since what a literal is differs.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from hashlib import sha256

from .sql_anchors import line_comment
from .sql_scanner import dialect_of

LONGEST = 256 * 1024
"""Characters of a text that its shape is made of; longer statements are alike where they begin alike."""

DIGEST_LENGTH = 32
"""Hexadecimal digits of a digest."""

_QUOTED_NAME = re.compile(r'["`\[$]')
_WHOLE_NUMBER = re.compile(r"(?<![\w.!#@:-])\d+(?![\w.])")
_SPACE_AT_MARK = re.compile(r"\s*([^\w\s$#?])\s*")
_SPACE = re.compile(r"\s+")
_SIGN = re.compile(r"(?<=[=(,<>])[-+]+(?=\?)")
_CONSTANT = re.compile(r"(?<=[(,])(?:null|true|false|default)(?=[,)])")
_VALUES = re.compile(r"\?(?:,\?)++")
_ROWS = re.compile(r"\(\?\)(?:,\(\?\))++")


def shape_of(text: str, engine: str) -> str:
    """The text with `?` for every value, in lower case; '' for one without any word."""
    dialect = dialect_of(engine)

    def stand_in(found: re.Match[str]) -> str:
        return " " if found.lastindex is None else "?" if found.lastindex == 1 else found[0]

    shape = _varying("mysql" if dialect.executable else engine).sub(stand_in, text[:LONGEST]).lower()
    shape = _SPACE_AT_MARK.sub(r"\1", _SPACE.sub(" ", shape)).strip(" ;")
    shape = _VALUES.sub("?", _CONSTANT.sub("?", _SIGN.sub("", shape)))
    return _ROWS.sub("(?)", shape)


def shape_digest(text: str, engine: str) -> str:
    """The digest of a text's shape; '' for a text without one."""
    # Most texts that are new differ from an earlier one in whole numbers only. In a quoted name a number counts.
    if not _QUOTED_NAME.search(text):
        text = _WHOLE_NUMBER.sub("0", text)
    return _digest_of(text, engine)


@lru_cache(maxsize=2048)
def _digest_of(text: str, engine: str) -> str:
    shape = shape_of(text, engine)
    if not shape:
        return ""
    family = "mysql" if dialect_of(engine).executable else engine
    return sha256(f"{family}\0{shape}".encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_LENGTH]


@cache
def _varying(engine: str) -> re.Pattern[str]:
    """What varies: group 1 are values, without any group are comments, the rest are quoted names, which stay."""
    dialect = dialect_of(engine)
    literal = r"'(?:[^'\\]++|\\.|'')*+(?:'|\Z)" if dialect.backslash else r"'(?:[^']++|'')*+(?:'|\Z)"
    values = [literal]
    names = []
    if dialect.double_strings:
        values.append(literal.replace("'", '"'))
    else:
        names.append(r'"[^"]*+"')
    prefixes = "|".join(sorted(re.escape(prefix) for prefix in dialect.prefixes if prefix not in ("e", "q", "nq")))
    if prefixes:
        values[0] = rf"(?<![\w$#])(?:{prefixes}{'|_[a-z0-9]++' if dialect.executable else ''}){literal}|{literal}"
    if dialect.dollar_strings:
        values.insert(0, r"(?<![\w$#])e'(?:[^'\\]++|\\.|'')*+(?:'|\Z)")
        values += [r"(?<![\w$#])\$(?P<tag>(?:[^\W\d]\w*+)?)\$.*?(?:\$(?P=tag)\$|\Z)", r"(?<![\w$#])\$\d++"]
    if dialect.alternative_strings:
        values.insert(0, r"(?<![\w$#])n?q'(?:\[.*?\]'|\(.*?\)'|\{.*?\}'|<.*?>'|(?P<mark>.).*?(?P=mark)')")
    values.append(r"(?<![\w$#])(?:\d[\w.]*+(?:(?<=[eE])[+-]\d++)?|\.\d\w*+)")
    if dialect.backticks:
        names.append(r"`[^`]*+`")
    if dialect.brackets:
        names.append(r"\[[^\]]*+\]")
    inner = r"(?:[^*/]++|\*(?!/)|/(?!\*)|/\*(?:[^*]++|\*(?!/))*+\*/)*+" if dialect.nested_comments else (
        r"(?:[^*]++|\*(?!/))*+"
    )  # fmt: skip
    comments = [rf"/\*{inner}(?:\*/|\Z)", rf"{line_comment(dialect)}[^\r\n]*+"]
    if dialect.executable:
        comments.insert(0, r"/\*M?!\d{0,6}|\*/")
    return re.compile(f"({'|'.join(values)})|({'|'.join(names)})|{'|'.join(comments)}", re.IGNORECASE | re.DOTALL)

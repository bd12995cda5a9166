"""The keywords, functions and types of an engine, from `words/<engine>.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "words"


@dataclass(frozen=True)
class EngineWords:
    """All in lower case. `common` and `phrases` are offered before the rest of `keywords`."""

    common: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    foreign: frozenset[str] = frozenset()
    """What other engines say, though each of its words is one of this engine's as well."""
    follows: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What comes behind a word, where that is this engine's own."""


@cache
def words_of(engine: str) -> EngineWords:
    """Those of `engine`; none of an engine that has no file."""
    if engine not in ("postgresql", "mysql", "sqlserver", "oracle"):
        return EngineWords()
    data = tomllib.loads((FOLDER / f"{engine}.toml").read_text(encoding="utf-8"))
    return EngineWords(
        common=tuple(data["common"].split()),
        phrases=tuple(data["phrases"]),
        keywords=tuple(data["keywords"].split()),
        functions=tuple(data["functions"].split()),
        types=tuple(data["types"].split()),
        foreign=frozenset(data["foreign"]),
        follows={word: tuple(behind) for word, behind in data["follows"].items()},
    )

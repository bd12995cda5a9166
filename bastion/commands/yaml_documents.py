"""Reads YAML as people mean it (YAML 1.2): `on`, `off`, `yes` and `no` are words, and 22:30 is no number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader follows YAML 1.1, where a grant's key `on:` would become True."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":int", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)


def read_all(text: str) -> Iterator[Any]:
    """The documents of a file. Raises yaml.YAMLError."""
    loader = Loader(text)
    try:
        while loader.check_data():  # type: ignore[no-untyped-call]
            yield loader.get_data()
    finally:
        loader.dispose()

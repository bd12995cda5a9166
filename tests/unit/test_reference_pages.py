"""The administrators' reference pages name every key that there is, and their examples are taken as they stand."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from bastion import configuration, destinations
from bastion.access import document_reader, documents
from bastion.commands import yaml_documents

PAGES = Path(__file__).parents[2] / "docs" / "administrators"


def named(page: str) -> set[str]:
    """Every word in backticks of a page; `token.validity` counts as both of its words."""
    text = (PAGES / page).read_text(encoding="utf-8")
    return {part for word in re.findall(r"`([^`\n]+)`", text) for part in word.strip("[]").split(".")}


def structs(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """Every mapping that can stand somewhere in `kind`."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        for each in msgspec.structs.fields(kind):
            yield from structs(each.type)
    else:
        for part in get_args(kind):
            yield from structs(part)


MAPPINGS = sorted(set(structs(documents.Document)), key=repr)


@pytest.mark.parametrize("struct", MAPPINGS, ids=lambda each: each.__name__)
def test_every_key_of_the_declared_state_is_named(struct: type[msgspec.Struct]) -> None:
    page = (PAGES / "declared-state.md").read_text(encoding="utf-8")
    sections = set(re.findall(r"^## (\w+)$", page, re.MULTILINE))
    known = named("declared-state.md") | sections
    assert [each.encode_name for each in msgspec.structs.fields(struct) if each.encode_name not in known] == []


def test_every_key_of_the_configuration_is_named() -> None:
    tables = (
        configuration.Limits, configuration.RecordingSettings, configuration.RetentionSettings,
        configuration.WorkstationSettings,
    )  # fmt: skip
    keys = {each.name for table in tables for each in dataclasses.fields(table)}
    keys |= {each.name for kind in get_args(destinations.Destination) for each in msgspec.structs.fields(kind)}
    written = tomllib.loads(configuration.written(configuration.Endpoint("0.0.0.0", 60022), "node"))
    keys |= {key for table in written.values() if isinstance(table, dict) for key in table} | set(written)
    assert sorted(keys - named("configuration.md")) == []


def test_the_example_of_the_declared_state_is_read() -> None:
    for page in (PAGES / "declared-state.md", PAGES.parents[1] / "README.md"):
        [example] = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        sections = list(yaml_documents.read_all(example.replace("ssh-ed25519 AAAA… alice", "")))
        sections[0]["users"][0].pop("keys", None)  # a key that is only hinted at
        declared = document_reader.read([sections[0]])
        assert declared.problems == []
        assert {"user", "group", "database", "grant"} <= set(declared.entries)

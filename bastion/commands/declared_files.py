"""Reading the files of `apply` on the caller's side, with their environment: the bastion may run with another one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .words import WRONG_USAGE, CommandFailed

MAX_FILE = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Documents:
    """The YAML documents of all files, in order, and the folder that the files they name are relative to."""

    contents: list[dict[str, Any]]
    base: Path


def read_documents(files: list[Path]) -> Documents:
    """Reads declared state. Raises CommandFailed naming the file and the line."""
    import yaml

    from .yaml_documents import read_all

    contents: list[dict[str, Any]] = []
    folders = {file.absolute().parent for file in files}
    if len(folders) > 1:
        raise CommandFailed(
            "The files are in different folders, so what a file names could be in either. Apply them one by one.",
            WRONG_USAGE,
        )
    for file in files:
        try:
            if file.stat().st_size > MAX_FILE:
                raise CommandFailed(f"{file} is longer than {MAX_FILE} bytes.", WRONG_USAGE)
            documents = list(read_all(file.read_text(encoding="utf-8")))
        except OSError as error:
            raise CommandFailed(f"{file} cannot be read: {error.strerror}.", WRONG_USAGE) from error
        except UnicodeDecodeError as error:
            raise CommandFailed(f"{file} is not UTF-8 text.", WRONG_USAGE) from error
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
            problem = getattr(error, "problem", None) or "it cannot be read"
            raise CommandFailed(f"{file}{where} is not YAML: {problem}.", WRONG_USAGE) from error
        for document in documents:
            if document is None:
                continue
            if not isinstance(document, dict):
                raise CommandFailed(f"{file}: a document must be a mapping: users, databases, grants, …", WRONG_USAGE)
            contents.append({"$file": str(file), **_plain(document)})  # for messages: see document_reader.FILE_KEY
    return Documents(contents, next(iter(folders)))


def _plain(value: Any) -> Any:
    """YAML's dates as text: the declared state has them as text."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def referenced_environment(value: Any, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that `{env: NAME}` in the documents ask for, as far as they are set; nothing else is handed on."""
    environment = os.environ if environment is None else environment
    found: dict[str, str] = {}
    if isinstance(value, dict):
        name = value.get("env")
        if len(value) == 1 and isinstance(name, str) and name in environment:
            found[name] = environment[name]
        for each in value.values():
            found.update(referenced_environment(each, environment))
    elif isinstance(value, list):
        for each in value:
            found.update(referenced_environment(each, environment))
    return found

"""Every text that people are shown has a Chinese form, and the compiled catalogue is the one of the source."""

from __future__ import annotations

import io
import string
from collections.abc import Sequence
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from bastion.api import language
from bastion.api.language import translate, translate_many

HOUSE = Path(__file__).parents[3]
CATALOGUE = HOUSE / "bastion" / "api" / "locale" / "zh_CN" / "LC_MESSAGES" / "casemate.po"
KEYWORDS = {"_": None, "translate": None, "mark": None, "translate_many": (1, 2)}


SEEN = ("screens", "tui", "backends", "bastion/api")
"""Where every text has its Chinese. The gateway's and the commands' words may have theirs."""


def marked(folders: Sequence[str] = SEEN) -> set[str]:
    """The English texts that are marked in what people see."""
    found: set[str] = set()
    for folder in folders:
        for _file, _line, message, _comments, _context in extract_from_dir(
            HOUSE / folder, [("**.py", "python")], keywords=KEYWORDS
        ):
            found.add(message[0] if isinstance(message, tuple) else message)
    return found - {""}


def catalogue() -> Catalog:
    with CATALOGUE.open("rb") as file:
        return read_po(file)


def names(text: str) -> set[str]:
    return {name for _literal, name, _format, _conversion in string.Formatter().parse(text) if name}


def test_every_marked_text_is_translated() -> None:
    translated = catalogue()
    texts = marked()
    assert len(texts) > 200
    assert {text for text in texts if not _chinese(translated, text)} == set()


def test_nothing_in_the_catalogue_is_left_over() -> None:
    ids = {entry.id[0] if isinstance(entry.id, tuple) else entry.id for entry in catalogue() if entry.id}
    assert ids - marked((*SEEN, "bastion")) == set()


def test_translations_have_the_same_parameters() -> None:
    for entry in catalogue():
        if entry.id:
            ids = entry.id if isinstance(entry.id, tuple) else (entry.id,)
            texts = entry.string if isinstance(entry.string, tuple) else (entry.string,)
            assert all(names(text) == names(ids[-1]) for text in texts), ids


def test_the_compiled_catalogue_is_current() -> None:
    compiled = io.BytesIO()
    write_mo(compiled, catalogue())
    assert CATALOGUE.with_suffix(".mo").read_bytes() == compiled.getvalue()


def test_the_language_is_that_of_the_context() -> None:
    language.use("zh_CN")
    assert translate("Databases") == "数据库"
    assert translate_many("{count} row", "{count} rows", 2) == "{count} 行"
    language.use("en")
    assert translate("Databases") == "Databases"


def _chinese(translated: Catalog, text: str) -> bool:
    entry = translated.get(text)
    return entry is not None and bool(entry.string) and not entry.fuzzy

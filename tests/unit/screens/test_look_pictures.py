"""Pictures of what all pages have in common: the themes, the languages, plain pages, palette, help, settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from backends.interface import TransactionState
from bastion.api import language
from screens.widgets.editor import SqlEditor

from .conftest import Compare, settled
from .test_screens_pictures import SCRIPT
from .world import world

SMALL, LARGE = (80, 24), (160, 48)


def themed(folder: Path, theme: str, **more: Any) -> Any:
    scripted = world(folder, **more)
    scripted.app.theme_at_first = f"casemate-{theme}"
    return scripted


async def with_rows(pilot: Pilot[Any]) -> None:
    pilot.app.screen.stage.clock = lambda: 48.0  # type: ignore[attr-defined]
    editor = pilot.app.screen.query_one(SqlEditor)
    editor.load_text(SCRIPT)
    editor.move_cursor((3, 0))
    await pilot.press("f5")
    await settled(pilot)


@pytest.mark.parametrize("theme", ["light", "contrast", "sixteen", "plain"])
async def test_console_in_each_theme(picture: Compare, tmp_path: Path, theme: str) -> None:
    scripted = themed(tmp_path, theme)
    scripted.console.state = TransactionState.OPEN
    await picture(scripted.app, f"console-theme-{theme}", SMALL, with_rows, press=["enter"])


async def test_audit_on_light(picture: Compare, tmp_path: Path) -> None:
    scripted = themed(tmp_path, "light", roles=["operator", "auditor"])
    await picture(scripted.app, "audit-theme-light", SMALL, press=["3"])


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x48"])
async def test_console_in_chinese(picture: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    language.use("zh_CN")
    await picture(world(tmp_path).app, "console-zh", size, with_rows, press=["enter"])


async def test_audit_in_chinese(picture: Compare, tmp_path: Path) -> None:
    language.use("zh_CN")
    await picture(world(tmp_path, roles=["operator", "auditor"]).app, "audit-zh", SMALL, press=["3"])


async def test_plain_pages(picture: Compare, tmp_path: Path) -> None:
    scripted = themed(tmp_path, "plain", roles=["operator", "auditor"])
    scripted.app.preferences.settings.plain = True
    await picture(scripted.app, "audit-plain-page", SMALL, press=["3"])


async def test_settings(picture: Compare, tmp_path: Path) -> None:
    await picture(world(tmp_path).app, "settings", SMALL, press=["f2", *"settings", "enter", "down", "down", "down"])


async def test_palette_in_chinese(picture: Compare, tmp_path: Path) -> None:
    language.use("zh_CN")
    await picture(world(tmp_path).app, "palette-zh", SMALL, press=["f2"])


async def test_quitting_with_an_open_transaction(picture: Compare, tmp_path: Path) -> None:
    scripted = world(tmp_path)
    scripted.console.state = TransactionState.OPEN

    async def prepare(pilot: Pilot[Any]) -> None:
        await with_rows(pilot)
        await pilot.press("ctrl+backslash")

    await picture(scripted.app, "quit-question", SMALL, prepare, press=["enter"])

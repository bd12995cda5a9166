"""A session as evidence from the audit page, by the keyboard."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.refusals import Refused

from .conftest import settled
from .test_screens_behaviour import press, shown
from .world import SESSIONS, World, world

SIZE = (100, 30)
CONTENT = b"PK " + bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file goes that is proposed."""
    monkeypatch.setenv("HOME", str(tmp_path))


def made(digest: str = "") -> m.ExportFile:
    return m.ExportFile(
        id="x-0123456789abcdef", session=SESSIONS[0].id, seq=None, database="", format="bundle",
        name=f"evidence-{SESSIONS[0].id}.zip", rows=0, bytes=len(CONTENT),
        digest=digest or hashlib.sha256(CONTENT).hexdigest(), begun_at="2026-11-22T09:30:00Z",
        until="2026-11-23T09:30:00Z",
    )  # fmt: skip


def pieces(wanted: methods.ExportRead) -> m.ExportPiece:
    following = wanted.after + 4096
    return m.ExportPiece(
        data=CONTENT[wanted.after : following], next=following if following < len(CONTENT) else None
    )  # fmt: skip


def audit(folder: Path, **answers: Any) -> World:
    every = {"audit.bundle": made(), "audit.bundle.read": pieces, "audit.bundle.remove": None, **answers}
    return world(folder, roles=("auditor",), answers=every)


async def said(pilot: Pilot[Any], text: str) -> None:
    """Waits until a message says so."""
    async with asyncio.timeout(60):
        while not any(text in each.message for each in pilot.app._notifications):
            await pilot.pause()


async def test_a_reason_a_file_and_the_evidence_is_there(tmp_path: Path) -> None:
    scripted = audit(tmp_path)
    file = tmp_path / f"evidence-{SESSIONS[0].id}.zip"
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await settled(pilot)
        await press(pilot, "v")
        assert "why? It is recorded with your name." in shown(pilot)
        await press(pilot, *"case 17", "enter")
        await press(pilot, "enter")
        await said(pilot, "Its SHA-256 is on record.")
    assert file.read_bytes() == CONTENT
    [request] = scripted.link.asked("audit.bundle")
    assert (request.session, request.reason) == (SESSIONS[0].id, "case 17")
    assert len(scripted.link.asked("audit.bundle.remove")) == 1


async def test_what_came_otherwise_is_not_kept(tmp_path: Path) -> None:
    scripted = audit(tmp_path, **{"audit.bundle": made("00" * 32)})
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await settled(pilot)
        await press(pilot, "v", "y", "enter", "enter")
        await said(pilot, "is not whole")
    assert list(tmp_path.glob("*.zip")) == []


async def test_a_refusal_is_said_and_no_reason_makes_nothing(tmp_path: Path) -> None:
    refused = Refused("bundle-impossible", session=SESSIONS[0].id, detail="they were deleted.")
    scripted = audit(tmp_path, **{"audit.bundle": refused})
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await settled(pilot)
        await press(pilot, "v", "enter")
        assert scripted.link.asked("audit.bundle") == []
        await press(pilot, "v", "y", "enter", "enter")
        await said(pilot, "they were deleted.")


async def test_who_is_no_auditor_is_not_offered_it(tmp_path: Path) -> None:
    scripted = world(tmp_path, roles=("administrator",))
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await settled(pilot)
        await press(pilot, "v")
        assert "why?" not in shown(pilot)

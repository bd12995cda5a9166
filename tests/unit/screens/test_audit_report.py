"""A report from the audit page, by the keyboard: proposed from the filter, into a file, or the line that makes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bastion.api.refusals import Refused
from bastion.api.reports import Report, ReportRequest

from .conftest import settled
from .test_audit_evidence import said
from .test_screens_behaviour import press, shown
from .world import World, world

SIZE = (100, 30)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file goes that is proposed."""
    monkeypatch.setenv("HOME", str(tmp_path))


def made(wanted: ReportRequest) -> Report:
    return Report(
        user=wanted.user, database=wanted.database, since="2026-10-23T09:30:00Z", until="2026-11-22T09:30:00Z",
        made_at="2026-11-22T09:30:00Z", made_by="eve", node="n1", sessions={"closed": 2}, sources=1, clients=1,
        bytes_down=100, unattributed_bytes=0, kinds=[], people=[], databases=[], tables=[], errors=[], refusals=[],
        longest=[], largest=[], definitions=[], acts=[],
    )  # fmt: skip


def audit(folder: Path, **answers: Any) -> World:
    return world(folder, roles=("auditor",), answers={"audit.report": made, **answers})


async def test_the_filter_says_of_whom_and_the_file_is_written(tmp_path: Path) -> None:
    scripted = audit(tmp_path)
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await settled(pilot)
        await press(pilot, "slash", *"user:alice since:7d client:psql", "enter")
        await settled(pilot)
        await press(pilot, "i")
        assert "user:alice since:7d" in shown(pilot)
        assert "client:" not in shown(pilot).partition("A report of")[2]
        await press(pilot, "enter")
        assert "Export to which file?" in shown(pilot)
        await press(pilot, "enter")
        await said(pilot, "It is on record.")
    [file] = tmp_path.glob("report-*.html")
    assert "alice" in file.read_text(encoding="utf-8")
    [request] = scripted.link.asked("audit.report")
    assert (request.user, request.database, request.since, request.until) == ("alice", None, "7d", "0s")


async def test_a_month_is_proposed_and_what_a_report_does_not_know_is_refused(tmp_path: Path) -> None:
    scripted = audit(tmp_path)
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await settled(pilot)
        await press(pilot, "i")
        assert "since:30d" in shown(pilot)
        await press(pilot, *" drop", "enter")
        await said(pilot, "A report takes user:, db:, since: and until:")
        await press(pilot, "i", "escape")
    assert scripted.link.asked("audit.report") == []


async def test_a_refusal_and_a_file_that_cannot_be_written_are_said(tmp_path: Path) -> None:
    scripted = audit(tmp_path)
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await settled(pilot)
        await press(pilot, "i", "enter", *["backspace"] * 200, *str(tmp_path), "enter")
        await said(pilot, "cannot be written")
        scripted.link.answers["audit.report"] = Refused("record-failed")
        await press(pilot, "i", "enter", "enter")
        await said(pilot, str(Refused("record-failed")))
    assert list(tmp_path.glob("report-*.html")) == []


async def test_a_served_workstation_gives_the_line_that_makes_it(tmp_path: Path) -> None:
    scripted = audit(tmp_path)
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        scripted.app.services.exports_to_bastion = True
        await settled(pilot)
        await press(pilot, "slash", *"user:alice db:orders since:7d", "enter")
        await settled(pilot)
        await press(pilot, "i", "enter")
        await said(pilot, "'audit report --since 7d --user alice --database orders' > report.html")
    assert scripted.link.asked("audit.report") == []


async def test_an_operator_is_not_offered_it(tmp_path: Path) -> None:
    scripted = world(tmp_path, roles=("operator",))
    async with scripted.app.run_test(size=SIZE, notifications=True) as pilot:
        await settled(pilot)
        await press(pilot, "3")
        await settled(pilot)
        await press(pilot, "i")
        assert "A report of" not in shown(pilot)

"""How times are told: by the reader's clock, with the zone, and how far away they are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from bastion.api import language, moments
from bastion.api.refusals import RefusalData, Refused

NOW = datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def back_again() -> Iterator[None]:
    yield
    moments.everywhere(local=False)
    language.use("en")


@pytest.fixture
def in_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


def told(text: str, *, local: bool = False) -> str:
    moments.everywhere(local=local, clock=lambda: NOW)
    return moments.spoken(text)


def test_how_far_away_a_time_is() -> None:
    assert told("2026-11-22T03:04:00Z") == "2026-11-22 03:04 UTC (just now)"
    assert told("2026-11-22T03:04:50Z") == "2026-11-22 03:04 UTC (in less than a minute)"
    assert told("2026-11-22T02:00:00Z") == "2026-11-22 02:00 UTC (1 h 04 min ago)"
    assert told("2026-11-22T03:16:00Z") == "2026-11-22 03:16 UTC (in 11 min)"
    assert told("2026-11-25T03:16:00.5Z") == "2026-11-25 03:16 UTC (in 3 days)"
    assert told("not a time") == "not a time"
    assert told("2026-11-22") == "2026-11-22"


def test_by_the_clock_of_the_reader_s_machine(in_zone: pytest.MonkeyPatch) -> None:
    in_zone.setenv("TZ", "CST-8")
    time.tzset()
    assert told("2026-11-22T02:00:00Z", local=True) == "2026-11-22 10:00 CST (1 h 04 min ago)"
    in_zone.setenv("TZ", "<+0545>-5:45")
    time.tzset()
    assert told("2026-11-22T02:00:00Z", local=True) == "2026-11-22 07:45 UTC+05:45 (1 h 04 min ago)"


def test_a_refusal_is_told_so_and_travels_as_it_was(in_zone: pytest.MonkeyPatch) -> None:
    refused = Refused("token-revoked", at="2026-11-22T02:00:00Z", by="admin", database="orders")
    in_zone.setenv("TZ", "CST-8")
    time.tzset()
    moments.everywhere(local=True, clock=lambda: NOW)
    assert str(refused).startswith("The token was revoked at 2026-11-22 10:00 CST (1 h 04 min ago) by admin.")
    language.use("zh_CN")
    assert "2026-11-22 10:00 CST (1 小时 04 分钟前)" in str(refused)
    assert RefusalData(refused.code, refused.params).params["at"] == "2026-11-22T02:00:00Z"

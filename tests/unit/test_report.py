"""A report says what was done in figures that can be asked for again, and nothing in it can do more than be read."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from bastion.api import language
from bastion.api.refusals import Refused
from bastion.api.report_page import page
from bastion.api.reports import Report, ReportRequest
from bastion.audit.audit import Audit
from bastion.audit.records import Act, StatementRefused
from bastion.audit.report import report
from bastion.audit.verify import verify
from bastion.store.store import Store

from .journal_samples import AT, closed, done, logged_in, open_journal, opened, sent
from .test_projection import migrated_store, store  # noqa: F401 - the fixtures, for both databases

NASTY = "SELECT '<script>alert(1)</script>' AS \"a & b\" -- \x1b[31m\u202e &lt;\nFROM 订单"
DAY = {"since": "2026-11-22T00:00:00Z", "until": "2026-11-23T00:00:00Z"}


@pytest.fixture
async def filled(tmp_path: Path, store: Store) -> Path:  # noqa: F811
    journal = open_journal(tmp_path / "journal")
    audit = Audit(journal, store)
    await audit.start()
    for session, user, database in (("s1", "alice", "orders"), ("s2", "bob", "orders"), ("s3", "alice", "billing")):
        journal.append(opened(session, user, database), logged_in(session))
        for seq, (kind, text, error) in enumerate(
            (
                ("select", "SELECT * FROM parcels JOIN people USING (id)", None),
                ("select", NASTY, None),
                ("update", "UPDATE parcels SET a = 1", "deadlock <detected>"),
                ("drop", "DROP TABLE parcels", None),
            ),
            1,
        ):
            journal.append(sent(seq, text, session, statement_kind=kind), done(seq, session, error))
        journal.append(
            StatementRefused(
                at=AT, session=session, seq=5, statement_kind="truncate", schema="", text="TRUNCATE parcels",
                binds=None, code="statement-denied", error="not here",
            ),
            closed(session, 5),
        )  # fmt: skip
    journal.append(Act(at=AT, user="eve", source="x", act="result-shown", subject="s1"))
    journal.append(Act(at=AT, user="eve", source="x", act="result-shown", subject="s2"))
    await audit.settle()
    await audit.stop()
    journal.close("over")
    return tmp_path / "journal"


def made(store: Store, **wanted: str) -> Report:  # noqa: F811
    request = msgspec.convert({**DAY, **wanted}, ReportRequest)
    return store.read_now(report(request, "eve", AT, "n1"))


async def test_the_figures_of_a_person_and_a_database(filled: Path, store: Store) -> None:  # noqa: F811
    everything = made(store)
    assert everything.sessions == {"closed": 3}
    assert {one.name: (one.statements, one.failed, one.rows) for one in everything.kinds} == {
        "select": (6, 0, 42),
        "update": (3, 3, 0),
        "drop": (3, 0, 21),
        "truncate": (3, 3, 0),
    }
    of_alice = made(store, user="alice")
    assert [(one.name, one.statements) for one in of_alice.databases] == [("billing", 5), ("orders", 5)]
    assert {one.name: one.statements for one in of_alice.tables} == {"parcels": 8, "people": 2, "订单": 2}
    assert [(one.name, one.statements) for one in of_alice.errors] == [("deadlock <detected>", 2)]
    assert [(one.name, one.statements) for one in of_alice.refusals] == [("statement-denied", 2)]
    assert sorted((one.session, one.kind) for one in of_alice.definitions) == [
        ("s1", "drop"), ("s1", "truncate"), ("s3", "drop"), ("s3", "truncate"),
    ]  # fmt: skip
    assert [(one.act, one.user, one.count) for one in of_alice.acts] == [("result-shown", "eve", 1)]
    both = made(store, user="alice", database="orders")
    assert sum(one.statements for one in both.kinds) == 5
    assert made(store, until="2026-11-22T01:00:00Z").kinds == []


async def test_a_period_that_is_none_is_refused(filled: Path, store: Store) -> None:  # noqa: F811
    for since, until in ((DAY["until"], DAY["since"]), ("yesterday", DAY["until"])):
        with pytest.raises(Refused):
            made(store, since=since, until=until)


class Read(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _value in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


async def test_the_page_shows_all_of_it_and_runs_none_of_it(filled: Path, store: Store) -> None:  # noqa: F811
    figures = made(store, user="alice", database="orders")
    figures.proof = verify(filled, None)
    text = page(figures)
    read = Read(text)
    assert "script" not in read.tags
    assert not read.tags & {"img", "link", "iframe", "a", "form", "object"}
    assert not [name for name in read.attributes if name.startswith("on") or name in ("src", "href")]
    assert "'<script>alert(1)</script>' AS \"a & b\" -- \ufffd[31m\ufffd &lt;\nFROM 订单" in read.text
    assert "deadlock <detected>" in read.text
    assert "What alice did in orders" in read.text
    assert f"proved to record {figures.proof.proved_to}" in read.text
    assert "casemate audit search --user alice --database orders" in read.text
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", text)
    assert "http" not in text.replace("http-equiv", "")


async def test_a_record_that_does_not_verify_is_said_so(filled: Path, store: Store) -> None:  # noqa: F811
    figures = made(store)
    figures.proof = msgspec.structs.replace(verify(filled, None), intact=False, reason="record 7 was changed")
    assert "THE RECORD DOES NOT VERIFY: record 7 was changed" in Read(page(figures)).text


async def test_the_page_in_chinese(filled: Path, store: Store) -> None:  # noqa: F811
    before = language.current()
    language.use("zh_CN")
    try:
        text = page(made(store, user="alice"))
    finally:
        language.use(before)
    assert '<html lang="zh-Hans">' in text
    read = Read(text)
    assert "alice 的操作" in read.text
    assert "按类型统计的语句" in read.text

"""A report of a person, a database and a period, as a page that prints: a file, or the line that fetches it."""

from __future__ import annotations

import asyncio
import shlex
from datetime import datetime, tzinfo
from pathlib import Path

from backends.link import LinkError
from backends.visible_text import visible_line
from bastion.api import messages as m
from bastion.api import methods
from bastion.api.audit_filter import FilterUnreadable, joined, read_statements, terms
from bastion.api.language import translate as _
from bastion.api.refusals import Refused
from bastion.api.report_page import page
from bastion.api.reports import Report, ReportRequest

from .export import local_path
from .widgets.confirmation import TextQuestion
from .words import sentence
from .workstation import Workstation

ASKED = ("user", "db", "since", "until")
PERIOD = "since:30d"
NOW = "0s"


async def report(workstation: Workstation, line: str, now: datetime, zone: tzinfo) -> None:
    """Asks of whom and from when (what the filter `line` says of it is proposed), and where to."""
    proposed = _proposed(line)
    title = _("A report of which person (user:), database (db:) and period (since:, until:)?")
    given = await workstation.push_screen_wait(TextQuestion(title, proposed))
    if given is None:
        return
    try:
        wanted = _wanted(given, now, zone)
    except FilterUnreadable as error:
        workstation.told(sentence(error), bad=True)
        return
    if wanted is None:
        workstation.told(_("A report takes user:, db:, since: and until:, each once; it needs since:."), bad=True)
        return
    if workstation.services.exports_to_bastion:
        link = fetch_line(workstation, wanted)
        workstation.copy(link, _("the line"))
        workstation.told(_("The report is made by this line on your own machine: {line}").format(line=link))
        return
    name = f"report-{now:%Y%m%d-%H%M%S}.html"
    path = await workstation.push_screen_wait(TextQuestion(_("Export to which file?"), str(Path.home() / name)))
    if path:
        await _make(workstation, wanted, local_path(path))


async def _make(workstation: Workstation, wanted: ReportRequest, path: Path) -> None:
    workstation.told(_("The bastion makes the report, and verifies the record for it …"))
    try:
        made: Report = await workstation.bastion.call(methods.REPORT, wanted)
        text = await asyncio.to_thread(page, made)
        await asyncio.to_thread(path.write_text, text, encoding="utf-8")
    except (Refused, LinkError) as error:
        workstation.told(sentence(error), bad=True)
    except OSError as error:
        words = _("{path} cannot be written: {reason}").format(
            path=visible_line(str(path)), reason=error.strerror or str(error)
        )
        workstation.told(words, bad=True)
    else:
        workstation.told(_("The report is in {path}. It is on record.").format(path=visible_line(str(path))))


def _proposed(line: str) -> str:
    """What a filter line says of what a report is asked."""
    try:
        kept = [term for term in terms(line) if term.key in ASKED and not term.negated]
    except FilterUnreadable:
        kept = []
    if not any(term.key == "since" for term in kept):
        return joined(kept) + (" " if kept else "") + PERIOD
    return joined(kept)


def _wanted(line: str, now: datetime, zone: tzinfo) -> ReportRequest | None:
    """The request; None where the line asks for more than a report knows. Raises FilterUnreadable."""
    found: m.StatementFilter = read_statements(line, now=now, zone=zone)
    keys = [term.key for term in terms(line)]
    if found.since is None or len(set(keys)) != len(keys) or not set(keys) <= set(ASKED):
        return None
    if found.any_of or found.none_of:
        return None
    return ReportRequest(since=found.since, until=found.until or NOW, user=found.user, database=found.database)


def fetch_line(workstation: Workstation, wanted: ReportRequest) -> str:
    """The command that makes it, with any ssh client."""
    words = ["audit", "report", "--since", wanted.since]
    if wanted.until != NOW:
        words += ["--until", wanted.until]
    if wanted.user is not None:
        words += ["--user", wanted.user]
    if wanted.database is not None:
        words += ["--database", wanted.database]
    hello = workstation.bastion.hello
    port = "" if hello.bastion.port == 22 else f" -p {hello.bastion.port}"
    return f"ssh{port} {hello.user}@{hello.bastion.host} {shlex.quote(shlex.join(words))} > report.html"

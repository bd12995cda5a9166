"""A report as a page: one HTML file without scripts or anything from elsewhere, made to be printed on A4.

Everything that comes from the record is escaped, and its control characters are shown as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape

from . import language
from .language import translate as _
from .plain_text import clean, shown_duration
from .reports import Report, ReportCount, ReportStatement

STYLE = """
@page { size: A4; margin: 16mm 14mm 18mm;
  @bottom-right { content: counter(page) " / " counter(pages); font-size: 8pt; } }
* { box-sizing: border-box; }
body { font: 9.5pt/1.45 "Noto Sans", "Noto Sans CJK SC", "Source Han Sans SC", "PingFang SC", "Microsoft YaHei",
  "Hiragino Sans GB", system-ui, sans-serif; color: #1a1d21; max-width: 182mm; margin: 8mm auto; }
h1 { font-size: 18pt; line-height: 1.2; margin: 0 0 1mm; }
h2 { font-size: 12pt; margin: 7mm 0 2mm; padding-bottom: 1mm; border-bottom: 0.6pt solid #1a1d21; break-after: avoid; }
p { margin: 0 0 2mm; }
.lead { color: #4a5058; margin-bottom: 4mm; }
table { border-collapse: collapse; width: 100%; margin: 0 0 2mm; }
th, td { text-align: left; vertical-align: top; padding: 0.9mm 2mm 0.9mm 0; border-bottom: 0.3pt solid #c9ced4; }
th { font-weight: 600; color: #4a5058; font-size: 8.5pt; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.t { white-space: nowrap; }
code, .sql { font: 8pt/1.4 "DejaVu Sans Mono", "Noto Sans Mono CJK SC", ui-monospace, Consolas, monospace; }
.sql { white-space: pre-wrap; overflow-wrap: anywhere; }
.query { color: #4a5058; font-size: 8pt; margin: 0 0 3mm; overflow-wrap: anywhere; }
.figures { display: flex; flex-wrap: wrap; gap: 0 9mm; margin: 0 0 2mm; }
.figures div { min-width: 27mm; padding: 1mm 0; }
.figures b { display: block; font-size: 15pt; line-height: 1.2; font-variant-numeric: tabular-nums; }
.bad { color: #a3140c; font-weight: 600; }
.none { color: #4a5058; }
"""

Cell = tuple[str, str]
"""HTML of a cell, and its class."""


def page(report: Report) -> str:
    """The whole file."""
    return _Page(report).html()


def _text(value: object) -> str:
    return escape(clean(str(value)), quote=True)


def _number(value: float | int | None) -> Cell:
    return ("" if value is None else f"{value:,.0f}", "n")


def _moment(text: str) -> str:
    """In UTC, as the record has it: a report must read the same everywhere."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return text


class _Page:
    def __init__(self, report: Report) -> None:
        self._report = report

    def html(self) -> str:
        title = self._title()
        body = "\n".join(
            (
                f"<h1>{_text(title)}</h1>", self._lead(), self._figures(), self._proof(), *self._statements(),
                self._definitions(), self._refusals(), self._others(), self._made(),
            )
        )  # fmt: skip
        tongue = "zh-Hans" if language.current().startswith("zh") else "en"
        return (
            f'<!DOCTYPE html>\n<html lang="{tongue}">\n<head>\n<meta charset="utf-8">\n'
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
            f"<title>{_text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
        )

    def _title(self) -> str:
        report = self._report
        if report.user is not None and report.database is not None:
            return _("What {user} did in {database}").format(user=report.user, database=report.database)
        if report.user is not None:
            return _("What {user} did").format(user=report.user)
        if report.database is not None:
            return _("What was done in {database}").format(database=report.database)
        return _("What was done in all databases")

    def _lead(self) -> str:
        text = _("From {since} until before {until} (UTC)").format(
            since=_moment(self._report.since), until=_moment(self._report.until)
        )
        return f'<p class="lead">{_text(text)}</p>'

    def _figures(self) -> str:
        report = self._report
        statements = sum(one.statements for one in report.kinds)
        figures = [
            (_("sessions"), sum(report.sessions.values()), False),
            (_("statements"), statements, False),
            (_("failed"), sum(one.failed for one in report.kinds), False),
            (_("refused"), sum(one.statements for one in report.refusals), False),
            (_("changes of definitions"), report.definitions_total, False),
            (_("rows"), sum(one.rows for one in report.kinds), False),
            (_("bytes not understood"), report.unattributed_bytes, bool(report.unattributed_bytes)),
        ]
        shown = "".join(
            f"<div><b{' class=bad' if bad else ''}>{value:,}</b>{_text(name)}</div>" for name, value, bad in figures
        )
        states = ", ".join(f"{number:,} {_text(_(state))}" for state, number in report.sessions.items())
        more = _("{sources} sources, {clients} client programs, {bytes} bytes returned").format(
            sources=f"{report.sources:,}", clients=f"{report.clients:,}", bytes=f"{report.bytes_down:,}"
        )
        line = _text(more) + (f" · {states}" if states else "")
        return f'<div class="figures">{shown}</div><p>{line}</p>{self._query("")}'

    def _query(self, more: str, action: str = "audit search") -> str:
        """The command that gives these statements."""
        report = self._report
        words = ["casemate", action]
        if report.user is not None:
            words += ["--user", _quoted(report.user)]
        if report.database is not None:
            words += ["--database", _quoted(report.database)]
        words += ["--since", report.since, "--until", report.until]
        if more:
            words.append(more)
        return f'<p class="query"><code>{_text(" ".join(words))}</code></p>'

    def _proof(self) -> str:
        proof = self._report.proof
        if proof is None:
            text, bad = _("The record was not verified for this report."), False
        elif proof.intact:
            text, bad = _(
                "The record is proved to record {number} at {at} (UTC); {unwitnessed} records after it are not "
                "witnessed yet."
            ).format(
                number=f"{proof.proved_to:,}", at=_moment(proof.proved_at or ""), unwitnessed=proof.unwitnessed
            ), False  # fmt: skip
            if proof.deleted:
                text += " " + _("{count} older records were deleted by retention; a signed tombstone says so.").format(
                    count=f"{proof.deleted:,}"
                )
        else:
            text, bad = _("THE RECORD DOES NOT VERIFY: {reason}").format(reason=proof.reason or ""), True
        return (
            f"<h2>{_text(_('Proof'))}</h2><p{' class=bad' if bad else ''}>{_text(text)}</p>"
            '<p class="query"><code>casemate audit verify</code></p>'
        )

    def _statements(self) -> Iterable[str]:
        report = self._report
        yield self._counts(_("Statements by kind"), _("Kind"), report.kinds, "--kind KIND")
        yield self._counts(_("Tables"), _("Table"), report.tables, "--table TABLE", self._left_out())
        if report.user is None:
            yield self._counts(_("People"), _("Person"), report.people, "--user NAME")
        if report.database is None:
            yield self._counts(_("Databases"), _("Database"), report.databases, "--database DB")
        yield self._counts(_("Errors"), _("Error"), report.errors, "--error", failed=False)
        yield self._listed(_("Longest"), report.longest, "--slower MS")
        yield self._listed(_("Most rows"), report.largest, "--rows N")

    def _left_out(self) -> str:
        left = self._report.shapes_left_out
        if not left:
            return ""
        return _("{count} rarer forms of statements were not looked at for their tables.").format(count=f"{left:,}")

    def _definitions(self) -> str:
        report = self._report
        more = report.definitions_total - len(report.definitions)
        note = _("{count} more are not shown here.").format(count=f"{more:,}") if more > 0 else ""
        return self._listed(_("Changes of definitions and rights"), report.definitions, "--kind KIND", note)

    def _refusals(self) -> str:
        return self._counts(_("Refused"), _("Refusal"), self._report.refusals, "--verdict CODE", failed=False)

    def _others(self) -> str:
        rows = [
            ((f"<code>{_text(one.act)}</code>", ""), (_text(one.user), ""), _number(one.count))
            for one in self._report.acts
        ]
        heads = ((_("What"), ""), (_("Who"), ""), (_("Times"), "n"))
        note = _("Logins, tokens, exports and what auditors looked at; docs/events.md names them all.")
        return f"<h2>{_text(_('Beside statements'))}</h2>{_table(heads, rows)}<p class=query>{_text(note)}</p>"

    def _made(self) -> str:
        report = self._report
        text = _("Made by {user} on node {node} at {at} (UTC), on record as `report-made`.").format(
            user=report.made_by, node=report.node, at=_moment(report.made_at)
        )
        return f'<p class="lead" style="margin-top:6mm">{_text(text)}</p>'

    def _counts(
        self, title: str, name: str, counts: Sequence[ReportCount], query: str, note: str = "", *, failed: bool = True
    ) -> str:
        heads = [(name, ""), (_("Statements"), "n")]
        if failed:
            heads += [(_("Failed"), "n"), (_("Rows"), "n"), (_("Time"), "n")]
        rows = []
        for one in counts:
            row: list[Cell] = [(_text(one.name) or "–", ""), _number(one.statements)]
            if failed:
                row += [_number(one.failed), _number(one.rows), (shown_duration(one.milliseconds), "n")]
            rows.append(row)
        said = f"<p>{_text(note)}</p>" if note else ""
        return f"<h2>{_text(title)}</h2>{_table(heads, rows)}{said}{self._query(query) if rows else ''}"

    def _listed(self, title: str, statements: Sequence[ReportStatement], query: str, note: str = "") -> str:
        heads = ((_("At (UTC)"), ""), (_("Who, where"), ""), (_("Statement"), ""), (_("Rows"), "n"), (_("Time"), "n"))
        rows = []
        for one in statements:
            error = f'<div class="bad">{_text(one.error)[:400]}</div>' if one.error else ""
            rows.append(
                (
                    (_text(_moment(one.at)), "t"),
                    (f"{_text(one.user)}<br>{_text(one.database)}<br><code>{_text(one.session)}/{one.seq}</code>", ""),
                    (f'<div class="sql">{_lines(one.text)}</div>{error}', ""),
                    _number(one.rows),
                    (shown_duration(one.milliseconds), "n"),
                )
            )
        said = f"<p>{_text(note)}</p>" if note else ""
        return f"<h2>{_text(title)}</h2>{_table(heads, rows)}{said}{self._query(query) if rows else ''}"


def _lines(text: str) -> str:
    """A statement with its line breaks, and nothing else that is not printed."""
    return "\n".join(_text(line) for line in text.splitlines())


def _quoted(text: str) -> str:
    return text if text.isalnum() else "'" + text.replace("'", "'\\''") + "'"


def _table(heads: Sequence[Cell], rows: Sequence[Sequence[Cell]]) -> str:
    if not rows:
        return f'<p class="none">{_text(_("None."))}</p>'
    head = "".join(f"<th{_class(style)}>{_text(text)}</th>" for text, style in heads)
    body = "".join(
        "<tr>" + "".join(f"<td{_class(style)}>{content}</td>" for content, style in row) + "</tr>\n" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"


def _class(style: str) -> str:
    return f' class="{style}"' if style else ""

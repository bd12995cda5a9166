"""SET SHOWPLAN_XML: what the statements would do, in the form of SQL Server's plans (showplanxml.xsd, version 1.5).

A plan is made up from the tables that a statement names: a scan or a seek of each, joined by nested loops, sorted where
it orders. The elements, attributes and their order are those of the schema; the figures are not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from .response import Response
from .script import Statement
from .sql_lexer import Kind, Token
from .sql_types import MAX, ResultColumn, SqlType

TITLE = "Microsoft SQL Server 2005 XML Showplan"
NAMESPACE = "http://schemas.microsoft.com/sqlserver/2004/07/showplan"


def answer(text: str, statements: Sequence[Statement], out: Response, *, measured: bool = False) -> None:
    """One row with the plan of the batch; `measured` as of one that was run."""
    out.columns([ResultColumn(TITLE, SqlType("nvarchar", MAX))])
    out.row((plan(statements, measured=measured),))
    out.statement_done(1, 0xC1)


def _tables(tokens: Sequence[Token]) -> list[tuple[str, str]]:
    """The tables behind FROM, JOIN, INTO and UPDATE, with their aliases."""
    found = []
    for at, token in enumerate(tokens[:-1]):
        if not token.is_word("from", "join", "into", "update") or tokens[at + 1].kind not in (Kind.WORD, Kind.QUOTED):
            continue
        end = at + 1
        while end + 2 < len(tokens) and tokens[end + 1].is_sign("."):
            end += 2
        alias = tokens[end + 1] if end + 1 < len(tokens) else None
        if alias is not None and alias.is_word("as"):
            alias = tokens[end + 2]
        named = (
            alias is not None
            and alias.is_word()
            and not alias.is_word(
                "where",
                "join",
                "inner",
                "left",
                "on",
                "order",
                "group",
                "set",
                "values",
                "cross",
                "union",
                "option",
                "select",
            )
        )
        found.append((tokens[end].name, alias.name if named and alias is not None else ""))
    return found


class _Writer:
    def __init__(self, *, measured: bool) -> None:
        self.number = -1
        self._measured = measured

    def step(self, physical: str, logical: str, rows: float, cost: float, inside: str) -> str:
        counted = (
            '<RunTimeInformation><RunTimeCountersPerThread Thread="0" ActualRows="10" ActualEndOfScans="1" '
            f'ActualExecutions="1" ActualElapsedms="{cost * 1000:.0f}" ActualCPUms="0" /></RunTimeInformation>'
        )
        return (
            f'<RelOp NodeId="{self._next()}" PhysicalOp={quoteattr(physical)} LogicalOp={quoteattr(logical)} '
            f'EstimateRows="{rows:g}" EstimateIO="0.003125" EstimateCPU="0.0001581" AvgRowSize="31" '
            f'EstimatedTotalSubtreeCost="{cost:g}" Parallel="0" EstimateRebinds="0" EstimateRewinds="0" '
            f'EstimatedExecutionMode="Row"><OutputList />{counted if self._measured else ""}{inside}</RelOp>'
        )

    def _next(self) -> int:
        self.number += 1
        return self.number

    def scan(self, table: str, alias: str, *, seek: bool) -> str:
        shown = f" Alias={quoteattr(f'[{alias}]')}" if alias else ""
        thing = (
            f'<Object Database="[shop]" Schema="[dbo]" Table={quoteattr(f"[{table}]")} '
            f"Index={quoteattr(f'[PK_{table}]')}"
            f'{shown} IndexKind="Clustered" Storage="RowStore" />'
        )
        inside = f'<IndexScan Ordered="{int(seek)}" ForcedIndex="0" ForceScan="0" NoExpandHint="0" Storage="RowStore">'
        inside += f"<DefinedValues />{thing}</IndexScan>"
        name = "Clustered Index Seek" if seek else "Clustered Index Scan"
        return self.step(name, name, 1 if seek else 1000, 0.0032831 if seek else 0.02, inside)


def plan(statements: Sequence[Statement], *, measured: bool) -> str:
    """The whole document."""
    parts = []
    for number, statement in enumerate(statements, 1):
        if not statement.tokens:
            continue
        words = " ".join(token.text for token in statement.tokens)
        tables = _tables(statement.tokens)
        kind = statement.tokens[0].text.upper()
        head = (
            f'<StmtSimple StatementText={quoteattr(words)} StatementId="{number}" StatementCompId="{number}" '
            f'StatementType="{kind}" RetrievedFromCache="false"'
        )
        if not tables:
            parts.append(f"{head} />")
            continue
        writer = _Writer(measured=measured)
        tree = writer.scan(*tables[0], seek=any(token.is_word("where") for token in statement.tokens))
        cost = 0.02
        for table, alias in tables[1:]:
            inner = writer.scan(table, alias, seek=True)
            cost += 0.0047
            loops = f'<NestedLoops Optimized="0"><OuterReferences />{tree}{inner}</NestedLoops>'
            tree = writer.step("Nested Loops", "Inner Join", 1000, cost, loops)
        if any(token.is_word("order") for token in statement.tokens):
            cost += 0.0113
            sort = f'<MemoryFractions Input="1" Output="1" /><Sort Distinct="0"><OrderBy />{tree}</Sort>'
            tree = writer.step("Sort", "Sort", 1000, cost, sort)
        parts.append(
            f'{head} StatementSubTreeCost="{cost:g}" StatementEstRows="1000" StatementOptmLevel="FULL">'
            f'<StatementSetOptions QUOTED_IDENTIFIER="true" /><QueryPlan '
            f'NonParallelPlanReason="NoParallelPlansInDesktop" '
            f'CachedPlanSize="24" CompileTime="3" CompileCPU="3" CompileMemory="224">{tree}</QueryPlan></StmtSimple>'
        )
    return (
        f'<ShowPlanXML xmlns="{NAMESPACE}" Version="1.564" Build="16.0.1000.6"><BatchSequence><Batch><Statements>'
        f"{''.join(parts)}</Statements></Batch></BatchSequence></ShowPlanXML>"
    )

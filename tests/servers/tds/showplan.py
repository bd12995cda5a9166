"""SET SHOWPLAN_XML: what the statements would do, in the form of SQL Server's plans."""

from __future__ import annotations

from collections.abc import Sequence

from .response import Response
from .script import Statement
from .sql_types import MAX, ResultColumn, SqlType

TITLE = "Microsoft SQL Server 2005 XML Showplan"


def answer(text: str, statements: Sequence[Statement], out: Response) -> None:
    """One row with the plan of the batch."""
    out.columns([ResultColumn(TITLE, SqlType("nvarchar", MAX))])
    out.row(("<ShowPlanXML/>",))
    out.statement_done(1, 0xC1)

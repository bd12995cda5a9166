"""A row of a result, one column a line."""
from __future__ import annotations
from .widgets.result_table import ResultTable
from .workstation import Dialog


class RowDialog(Dialog[None]):
    def __init__(self, table: ResultTable) -> None:
        super().__init__()

"""The band over the console of a production database: in words and in colour, and always there."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from backends.visible_text import visible_line
from bastion.api.language import translate as _


class ProductionBand(Static):
    """One line; hidden for any other database."""

    DEFAULT_CSS = """
    ProductionBand { height: 1; display: none; background: $production; color: $production-text; }
    ProductionBand.shown { display: block; }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._said = ""

    def show(self, database: str, guard: str) -> None:
        """`database` '' hides it. `guard`: what the write guard does there, in words."""
        said = " · ".join([" " + _("PRODUCTION"), visible_line(database), guard]) if database else ""
        if said != self._said:
            self._said = said
            self.set_class(bool(said), "shown")
            self.update(Text.assemble((said, "production"), no_wrap=True, overflow="ellipsis"))

"""What a person reads on the console, without the lines that the text is broken into."""

from __future__ import annotations

import re
from typing import Any

from textual.geometry import Region
from textual.pilot import Pilot

from screens.widgets.results import Results
from screens.workstation import Dialog

from .test_screens_behaviour import shown


def read(pilot: Pilot[Any]) -> str:
    """The dialog that is open; else the results, the status line and the keys. One space between words."""
    screen = pilot.app.screen
    lines = shown(pilot).splitlines()
    if isinstance(screen, Dialog):
        return _inside(lines, screen.children[0].region)
    return " ".join([_inside(lines, screen.query_one(Results).region), *" ".join(lines[-2:]).split()])


def told(pilot: Pilot[Any]) -> str:
    """The passing messages that are in view."""
    lines = shown(pilot).splitlines()
    return " ".join(_inside(lines, toast.region) for toast in pilot.app.screen.query("Toast"))


def _inside(lines: list[str], region: Region) -> str:
    rows = [line[region.x : region.right] for line in lines[region.y : region.bottom]]
    return " ".join(word for row in rows for word in re.sub("[│┃▌]", " ", row).split())

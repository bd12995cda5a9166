"""Results as they look, in their main states."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from backends.interface import Column, DatabaseError, Kind, Row
from bastion.api import language

from .conftest import Compare, settled
from .results_stage import Stage, place
from .world import world

NARROW, WIDE = (80, 24), (160, 48)
DOCUMENT = (
    '{"order": 100002, "customer": {"name": "上海贸易有限公司", "vip": true, "since": "2019-04-01"}, '
    '"lines": [{"sku": "TEA-01", "qty": 12, "price": 3.50}, {"sku": "CUP-07", "qty": 2, "price": 9.00}], '
    '"note": "call back before ten; the gate is behind the second warehouse, ring twice and ask for the foreman"}'
)
GREETING = "\\x" + bytes.fromhex("89504e470d0a1a0a0000000d49484452").hex() + b"IDAT hello \x1b[2J bastion".hex()
COLUMNS = (
    Column("订单", "int8", Kind.NUMBER), Column("客户", "text", Kind.TEXT), Column("备注", "text", Kind.TEXT),
    Column("金额", "numeric", Kind.NUMBER),
)  # fmt: skip
CJK: list[Row] = [
    ("100001", "上海贸易有限公司", "十点前回电话，仓库在后门", "1234.50"),
    ("100002", "株式会社ミライ", None, "88.00"),
    ("100003", "한국무역", "", "0.10"),
    ("100004", "Å\u0301ngström Ltd", "half ﾊﾝｶｸ and ＦＵＬＬ", "7.35"),
    ("100005", "👨\u200d👩\u200d👧 family ❤\ufe0f", "NULL", None),
]

Look = Callable[[Stage], Awaitable[None]]


def shot(look: Look, folder: Path) -> Callable[[Pilot[Any]], Awaitable[None]]:
    async def prepare(pilot: Pilot[Any]) -> None:
        await look(await place(pilot, folder))
        await settled(pilot)

    return prepare


async def rows(s: Stage) -> None:
    await s.show()
    await s.press("down", "down", "right")


async def arranged(s: Stage) -> None:
    await s.show()
    await s.press("f", "t", *"total", "enter", "s", "s", "slash", *"status ~ pai", "enter")
    await s.press("space", "down", "down", "left")


async def several(s: Stage) -> None:
    await s.show(statement="select * from customer")
    await s.show(statement="select status, count(*) from orders group by status order by 2 desc", truncated=True)
    await s.show(statement="select 3", ended=False)
    await s.press("n", "n")


async def empty(s: Stage) -> None:
    await s.show(rows=[])


async def failed(s: Stage) -> None:
    s.results.failed(
        DatabaseError(
            'relation "order_lines" does not exist', code="42P01",
            hint="There is a table named order_line. Perhaps you meant that one.",
        ),
        0.0021,
    )  # fmt: skip
    s.results.focus_inside()


async def row(s: Stage) -> None:
    await s.show()
    await s.press("down", "down", "d", "down")


async def json_value(s: Stage) -> None:
    await s.show([Column("document", "jsonb", Kind.JSON)], [(DOCUMENT,)])
    await s.press("enter", "down", "down", "space", "slash", *"gate", "enter")


async def hexadecimal(s: Stage) -> None:
    await s.show([Column("picture", "bytea", Kind.BINARY)], [(GREETING,)])
    await s.press("enter")


async def bars(s: Stage) -> None:
    await s.show()
    await s.press("t", *"total", "enter", "b", "a", "l", *"status", "enter")


async def line(s: Stage) -> None:
    await s.show()
    await s.press("slash", *"id > 100003", "enter", "t", *"total", "enter", "b")


async def cjk(s: Stage) -> None:
    await s.show(COLUMNS, CJK, statement="select 订单, 客户 from 订单表")
    await s.press("down", "right")


async def copying(s: Stage) -> None:
    await s.show()
    await s.press("y", *"row")


@pytest.mark.parametrize(
    ("name", "size", "look"),
    [
        ("results", NARROW, rows), ("results", WIDE, rows), ("results-arranged", NARROW, arranged),
        ("results-several", NARROW, several), ("results-empty", NARROW, empty), ("results-error", NARROW, failed),
        ("results-row", NARROW, row), ("results-json", NARROW, json_value),
        ("results-hexadecimal", NARROW, hexadecimal),
        ("results-bars", NARROW, bars), ("results-line", NARROW, line), ("results-cjk", NARROW, cjk),
        ("results-copy", NARROW, copying),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_results(picture: Compare, tmp_path: Path, name: str, size: tuple[int, int], look: Look) -> None:
    await picture(world(tmp_path, signed_in=False).app, name, size, shot(look, tmp_path))


async def test_results_in_chinese(picture: Compare, tmp_path: Path) -> None:
    language.use("zh_CN")
    await picture(world(tmp_path, signed_in=False).app, "results-zh", NARROW, shot(cjk, tmp_path))

"""Declared files are read as people mean them."""

from __future__ import annotations

import datetime

from bastion.commands.yaml_documents import read_all


def test_words_stay_words_and_times_are_no_numbers() -> None:
    (document,) = read_all("{on: [orders], off: no, at: 22:30, port: 3306, ok: true, share: 0.5, day: 2026-11-01}")
    assert document == {
        "on": ["orders"],
        "off": "no",
        "at": "22:30",
        "port": 3306,
        "ok": True,
        "share": 0.5,
        "day": datetime.date(2026, 11, 1),
    }


def test_several_documents_and_no_python_objects() -> None:
    assert list(read_all("a: 1\n---\nb: 2\n")) == [{"a": 1}, {"b": 2}]

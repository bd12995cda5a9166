"""JSON-RPC lines: cut from any stream of chunks, bounded, and strict about what is no object."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.api import messages as m
from bastion.api import rpc


@given(st.lists(st.text(max_size=50), max_size=8), st.lists(st.integers(1, 40), max_size=30))
def test_lines_are_the_same_however_the_stream_is_cut(texts: list[str], cuts: list[int]) -> None:
    stream = b"".join(rpc.request(number, "call", {"text": text}) for number, text in enumerate(texts))
    lines, found = rpc.Lines(), []
    for size in cuts:
        found += lines.feed(stream[:size])
        stream = stream[size:]
    found += lines.feed(stream)
    assert [incoming.params["text"] for incoming in found] == texts
    assert [incoming.id for incoming in found] == list(range(len(texts)))


def test_the_four_forms() -> None:
    lines = rpc.Lines()
    [call] = lines.feed(rpc.request(1, "hello", {}))
    assert (call.id, call.method) == (1, "hello")
    [answer] = lines.feed(rpc.answer(1, m.Address(host="h", port=2)))
    assert (answer.id, answer.method, answer.result) == (1, None, {"host": "h", "port": 2})
    [failure] = lines.feed(rpc.failure(1, rpc.RpcError(rpc.REFUSED, "no", {"code": "internal", "params": {}})))
    assert failure.error is not None
    assert failure.error.data == {"code": "internal", "params": {}}
    [notification] = lines.feed(rpc.notification("event", {"a": 1}))
    assert (notification.id, notification.method, notification.params) == (None, "event", {"a": 1})


def test_every_object_is_json_rpc_2_on_one_line() -> None:
    for line in (rpc.request(1, "m", {"t": "a\nb"}), rpc.answer(1, "x\n"), rpc.notification("m", {})):
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert json.loads(line)["jsonrpc"] == "2.0"


@pytest.mark.parametrize("line", [b"nonsense\n", b"[1]\n", b'{"id": "text"}\n', b'{"params": []}\n', b"\xff\n"])
def test_what_is_no_object_is_a_bad_line(line: bytes) -> None:
    with pytest.raises(rpc.BadLine):
        rpc.Lines().feed(line)


def test_empty_lines_are_nothing() -> None:
    assert rpc.Lines().feed(b"\n \r\n\n") == []


def test_a_line_without_end_is_given_up_at_its_limit() -> None:
    lines = rpc.Lines()
    assert lines.feed(b"x" * rpc.MAX_LINE) == []
    with pytest.raises(rpc.LineTooLong):
        lines.feed(b"x")

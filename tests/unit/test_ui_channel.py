"""What of a client's terminal and environment reaches a served workstation."""

from __future__ import annotations

import socket

import pytest

from bastion.gateway.ui_channel import environment_of, refusal_of, round_trip


def test_only_what_is_wanted_of_the_environment_and_only_harmless_values() -> None:
    given = {
        "LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8", "LC_TERMINAL": "iTerm2", "COLORTERM": "truecolor",
        "TZ": "Asia/Shanghai", "NO_COLOR": "1",
        "TEXTUAL_DRIVER": "evil:Driver", "LD_PRELOAD": "evil.so", "PYTHONPATH": "/tmp", "LC_TIME": "C", "PATH": "/tmp",
    }  # fmt: skip
    assert environment_of("tmux-256color", given) == {
        "TERM": "tmux-256color", "LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8", "LC_TERMINAL": "iTerm2",
        "COLORTERM": "truecolor", "TZ": "Asia/Shanghai", "NO_COLOR": "1",
    }  # fmt: skip


@pytest.mark.parametrize("zone", ["/etc/shadow", ":/etc/shadow", "../../etc/shadow", "a/../../b", "x" * 65, "", "a\nb"])
def test_a_time_zone_that_could_name_a_file_is_left_out(zone: str) -> None:
    assert "TZ" not in environment_of("xterm", {"TZ": zone})


@pytest.mark.parametrize("value", ["/etc/locale", "a b", "x" * 65, "\x1b[2J", "zh_CN;rm", "$(id)"])
def test_other_values_too(value: str) -> None:
    assert environment_of("xterm", {"LANG": value}) == {"TERM": "xterm"}


@pytest.mark.parametrize(
    ("term", "code"),
    [
        (None, "workstation-needs-terminal"), ("", "terminal-too-plain"), ("dumb", "terminal-too-plain"),
        ("unknown", "terminal-too-plain"), ("../x", "terminal-too-plain"), ("x\x1b[2J", "terminal-too-plain"),
        ("x" * 65, "terminal-too-plain"),
    ],
)  # fmt: skip
def test_terminals_that_cannot_show_it(term: str | None, code: str) -> None:
    refused = refusal_of(term)
    assert refused is not None
    assert refused.code == code


@pytest.mark.parametrize(
    "term", ["xterm", "xterm-256color", "screen.xterm-256color", "linux", "vt100", "rxvt-unicode+x"]
)
def test_terminals_that_can(term: str) -> None:
    assert refusal_of(term) is None


def test_the_kernel_says_how_far_a_tcp_connection_goes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as near:
        seconds = round_trip(near)
        assert seconds is not None
        assert 0 <= seconds < 1
    first, second = socket.socketpair()
    with first, second:
        assert round_trip(first) is None
    assert round_trip(None) is None

"""A terminal in tmux with a shell in it: what a person at a desk has, and what they see."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.servers import excuses

LIMIT = 60.0
PROMPT = "desk$ "


class Tmux:
    """One window of a tmux server of its own. `keys` types, `wait` waits for the screen, `close` ends everything."""

    def __init__(
        self,
        place: Path,
        environment: Mapping[str, str],
        columns: int = 100,
        lines: int = 30,
        term: str = "tmux-256color",
    ) -> None:
        program = shutil.which("tmux")
        if program is None:
            excuses.skip("no-tmux")
        self._command = [program, "-S", str(place / "tmux.sock"), "-f", "/dev/null"]
        self._environment = {"PATH": "/usr/bin:/bin", "HOME": str(place), "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        settings = [
            "set -g default-terminal " + term,
            "set -g set-clipboard on",
            "set -g status off",
            "set -g mouse on",
        ]
        self._run("start-server", ";", *[word for each in settings for word in [*shlex.split(each), ";"]],
                  "new-session", "-d", "-x", str(columns), "-y", str(lines),
                  "env", *[f"{name}={value}" for name, value in environment.items()], f"PS1={PROMPT}",
                  "/bin/sh", "-i")  # fmt: skip
        self.wait(PROMPT.strip())

    def _run(self, *words: str) -> str:
        done = subprocess.run([*self._command, *words], env=self._environment, capture_output=True, timeout=LIMIT,
                              check=False)  # fmt: skip
        if done.returncode != 0:
            raise AssertionError(f"tmux {words[0]}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode(errors="replace")

    @property
    def text(self) -> str:
        """The screen, line by line."""
        return self._run("capture-pane", "-p")

    @property
    def coloured(self) -> str:
        """The screen with its escape sequences for colours."""
        return self._run("capture-pane", "-p", "-e")

    def state(self, *names: str) -> tuple[str, ...]:
        """Variables of the pane, as `tmux` calls them: alternate_on, mouse_any_flag, cursor_flag, …"""
        return tuple(self._run("display-message", "-p", "|".join(f"#{{{name}}}" for name in names)).strip().split("|"))

    def clipboard(self) -> str:
        """What has reached the terminal's clipboard."""
        return self._run("show-buffer")

    def wait(self, what: str | Callable[[str], bool], limit: float = LIMIT) -> str:
        """Until the screen shows it. Raises AssertionError with the screen."""
        end = time.monotonic() + limit
        while True:
            text = self.text
            if what in text if isinstance(what, str) else what(text):
                return text
            if time.monotonic() > end:
                raise AssertionError(f"{what!r} was not shown:\n{text}")
            time.sleep(0.05)

    def type(self, text: str) -> None:
        """Types it as it is."""
        self._run("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Keys by their tmux names: Enter, F5, C-q, …"""
        self._run("send-keys", *keys)

    def send(self, data: bytes) -> None:
        """Bytes, as a terminal would send them."""
        self._run("send-keys", "-H", *[f"{byte:02x}" for byte in data])

    def paste(self, text: str) -> None:
        """Pastes, bracketed where the program asks for that."""
        self._run("set-buffer", "-b", "paste", "--", text)
        self._run("paste-buffer", "-p", "-b", "paste")

    def resize(self, columns: int, lines: int) -> None:
        """Another size of the window."""
        self._run("resize-window", "-x", str(columns), "-y", str(lines))

    def close(self) -> None:
        subprocess.run([*self._command, "kill-server"], env=self._environment, capture_output=True, check=False)

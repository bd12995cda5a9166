"""The person's own terminal, also after the workstation was stopped without being asked.

The library comes back from Ctrl+Z, for which it gives the terminal up first. A SIGCONT behind a SIGSTOP, of which
nobody is told, made it begin a second time on top of the first: two threads then read the keyboard, and the program
never ended (`textual/drivers/linux_driver.py`). Meanwhile a shell may have used the terminal, so it is given up and
taken anew.
"""

from __future__ import annotations

from typing import Any

from textual.drivers.linux_driver import LinuxDriver


class LocalDriver(LinuxDriver):
    """Comes back once, however often and whenever it is told to go on."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._has_terminal = self._suspended = self._giving_up = False

    def start_application_mode(self) -> None:
        # The shell may have put the program in the background: then it is stopped in here, and SIGCONT starts it.
        self._suspended = True
        super().start_application_mode()  # type: ignore[no-untyped-call]
        self._has_terminal = self._key_thread is not None and self._key_thread.is_alive()
        self._suspended = not self._has_terminal

    def stop_application_mode(self) -> None:
        self._has_terminal = False
        super().stop_application_mode()

    def suspend_application_mode(self) -> None:
        self._suspended = True
        super().suspend_application_mode()

    def resume_application_mode(self) -> None:
        """Does nothing before the first start, behind the end, and while the terminal is given up."""
        if self._giving_up or not (self._has_terminal or self._suspended):
            return
        if self._has_terminal:
            self._giving_up = True
            try:
                self.suspend_application_mode()
            finally:
                self._giving_up = False
        # The application is told, and draws everything.
        self._must_signal_resume = True
        super().resume_application_mode()

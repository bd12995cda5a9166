"""The SQL console: `screen` lays it out, each of the other modules owns one part of what it does and its state."""

from .screen import ConsoleScreen

__all__ = ["ConsoleScreen"]

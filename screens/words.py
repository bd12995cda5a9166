"""Sentences and times as the screens write them."""

from __future__ import annotations

from datetime import datetime, timedelta

from backends.interface import DatabaseError
from backends.link import HostKeyChanged, HostKeyUnknown, KeyUnusable, LoginRefused, Unreachable
from backends.spill import SpillBroken
from backends.visible_text import visible, visible_line
from bastion.api import messages as m
from bastion.api.language import translate as _
from bastion.api.refusals import Refused


def storage_words(state: m.StorageState) -> str:
    """That a disk of the record is nearly full."""
    return _(
        "The disk of {folder} is {percent} % full. When it is full, nothing is passed on any more: make room, or set "
        "retention."
    ).format(folder=visible_line(state.folder), percent=state.percent)


def mark(text: str) -> str:
    """Marks a text for the catalogue where it stands; it is translated when it is shown."""
    return text


FROM_BELOW = (
    mark("The rows that were put aside on disk cannot be read back. Run the statement again."),
    mark("Login failed: the user name, the password or the key is wrong, or the account is locked."),
    mark("Say who and where: user@host or user@host:port."),
    mark("An IPv6 address stands in brackets: user@[2001:db8::1]:60022."),
    mark("The host is missing: user@host:port."),
    mark("The port is a number from 1 to 65535."),
    mark("A transaction is open. Commit it or roll it back before autocommit is turned on."),
    mark("The connection to the database is closed. Connect again."),
    mark("It is not there any more. Load the catalog again (F5)."),
    mark("Several things together have no definition. Choose one of them."),
    mark("The server does not show this definition: the account has no right to see it."),
    mark("The catalog of the database did not answer in time."),
    mark("The database does not say which table this value is from: it is computed, or the driver does not tell."),
    mark("The transaction had failed: the database rolled it back instead of committing it."),
    mark("Not everything was taken back."),
    mark("There is no plan to show for this engine."),
    mark("This MySQL measures no plans; 8.0.18 and later do."),
    mark("MySQL measures no UPDATE or DELETE of this kind."),
    mark("The plan is not in the form that is known of PostgreSQL."),
    mark("The plan is not in the form that is known of MySQL."),
    mark("The plan is not in the form that is known of MySQL and MariaDB."),
    mark("The plan is not in the form that is known of SQL Server."),
    mark("The plan is too long to be drawn."),
    mark("The server gave no plan for this statement."),
    mark("There is no plan for this statement: it reads no table."),
)
"""Sentences that are made below the screens and translated here."""


def sentence(error: BaseException) -> str:
    """What a person is told about an error. Safe to show."""
    if isinstance(error, Refused):
        text = str(error)
    elif isinstance(error, HostKeyChanged):
        text = _(
            "The host key of {host}:{port} is not the one that is known. Somebody may be between you and the bastion. "
            "Nothing was sent. Ask an administrator whether the key was changed on purpose; then remove the old one "
            "from {files}."
        ).format(host=error.host, port=error.port, files=", ".join(str(file) for file in error.files))
    elif isinstance(error, HostKeyUnknown):
        text = _("The host key of {host}:{port} is not known.").format(host=error.key.host, port=error.key.port)
    elif isinstance(error, LoginRefused):
        text = _(str(error))
    elif isinstance(error, KeyUnusable):
        text = _("The key file cannot be used. {detail}").format(detail=error)
    elif isinstance(error, Unreachable):
        text = _("No connection to the bastion. {detail}").format(detail=error)
    elif isinstance(error, DatabaseError):
        text = _(error.message)
    elif isinstance(error, SpillBroken):
        text = _(str(error))
    else:
        text = _("Something went wrong: {detail}").format(detail=str(error) or type(error).__name__)
    return visible(text)


def numbered(number: int, line: str, *, plain: bool) -> str:
    """A line of a list; on plain pages with its number, which a screen reader's user goes by."""
    return f"{number}. {line}" if plain else line


def moment(text: str) -> datetime:
    """A time of the API."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def left(until: str, now: datetime) -> str:
    """The time left, coarse: `7h 59m`, `42m`, `<1m`; `ended`."""
    return duration_left(moment(until) - now)


def duration_left(rest: timedelta) -> str:
    """The same of a duration."""
    seconds = int(rest.total_seconds())
    if seconds <= 0:
        return _("ended")
    if seconds < 60:
        return "<1m"
    hours, minutes = divmod(seconds // 60, 60)
    if hours >= 48:
        return f"{hours // 24}d {hours % 24}h"
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m"


def countdown(until: str, now: datetime) -> str:
    """`07:59:12` to the second; `00:00:00` when it is over."""
    seconds = max(int((moment(until) - now).total_seconds()), 0)
    return f"{seconds // 3600:02}:{seconds % 3600 // 60:02}:{seconds % 60:02}"


def seconds(count: float) -> str:
    """A duration of work: `<1 ms`, `12 ms`, `1.2 s`, `3 min 05 s`."""
    if count < 0.0005:
        return "<1 ms"
    if count < 1:
        return f"{count * 1000:.0f} ms"
    if count < 60:
        return f"{count:.1f} s"
    return f"{int(count // 60)} min {int(count % 60):02} s"


def duration(count: float) -> str:
    """Time that passes, whole seconds, then minutes: `12 s`, `3 min 05 s`, `2 h 04 min`."""
    whole = int(count)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def size(count: int) -> str:
    """Bytes: `512 B`, `13.5 KB`, `256 MB`."""
    value = float(count)
    for unit in ("B", "KB", "MB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GB"


def parse_period(text: str) -> int | None:
    """`90m`, `2h`, `1d` or `2h30m` in seconds; None for nothing. Raises ValueError with a sentence."""
    text = text.strip().lower().replace(" ", "")
    if not text:
        return None
    total, number = 0, ""
    for character in text:
        if character.isdigit() and character.isascii():
            number += character
        elif character in "mhd" and number:
            total += int(number) * {"m": 60, "h": 3600, "d": 86400}[character]
            number = ""
        else:
            raise ValueError(_("The period is written like 30m, 2h or 1d."))
    if number or not total:
        raise ValueError(_("The period is written like 30m, 2h or 1d."))
    return total


def period_words(seconds: int) -> str:
    """A period as `parse_period` reads it: `8h`, `1d`, `2h30m`; seconds below a minute are left out."""
    days, rest = divmod(seconds, 86400) if seconds % 86400 == 0 else (0, seconds)
    hours, minutes = divmod(rest // 60, 60)
    return "".join(f"{count}{unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "m")) if count)


def clock_time(text: str, *, local: bool, with_date: bool = False) -> str:
    """A time of the API as hours, minutes and seconds, in the machine's zone or in UTC."""
    at = moment(text)
    if local:
        at = at.astimezone()
    return at.strftime("%m-%d %H:%M:%S" if with_date else "%H:%M:%S")

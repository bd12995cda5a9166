"""What the audit page says of a listing: how many entries there are, as far as is known, and why there are none."""

from __future__ import annotations

from rich.text import Text

from bastion.api.language import translate as _
from bastion.api.language import translate_many

from .audit_listing import SessionListing, StatementListing


def count_words(listing: SessionListing | StatementListing, tab: str) -> str:
    """How many there are: exactly, or at least."""
    have, count = len(listing.entries), listing.count
    number, exact = (count.count, count.exact) if count is not None else (have, not listing.more)
    number = max(number, have)
    if tab == "sessions":
        words = translate_many("{count} session", "{count} sessions", number)
    else:
        words = translate_many("{count} statement", "{count} statements", number)
    said = words.format(count=f"{number:,}")
    return said if exact else _("at least {count}").format(count=said)


def nothing_words(listing: SessionListing | StatementListing, *, unreadable: bool, narrowed: bool) -> Text:
    """What to say where there is no entry. narrowed: others may be on record."""
    if unreadable:
        return Text(_("Nothing is searched for until the filter can be read."), style="muted")
    if listing.failure:
        return Text(listing.failure + "\n\n" + _("F5 tries again."))
    if not listing.loaded:
        return Text(_("searching …"), style="muted")
    if narrowed:
        said = Text(_("Nothing on record meets this filter."), style="bold")
        then = _("/ changes it, Backspace goes back to the one before, F4 shows it as a form.")
    else:
        said = Text(_("Nothing is on record yet."), style="bold")
        then = _("Every statement that goes through the bastion appears here.")
    said.append("\n\n" + then, style="not bold")
    return said

"""The reasons of a session's risk as sentences: codes and params travel, words are for whoever reads them."""

from __future__ import annotations

from .language import translate
from .live import Reason


def _(text: str) -> str:
    """Marks a sentence for the catalogue; it is translated when it is shown."""
    return text


SENTENCES: dict[str, str] = {
    "production": _("a production database"),
    "without-where": _("{kind} without WHERE: every row"),
    "definition": _("changes definitions ({kind})"),
    "write": _("writes ({kind})"),
    "running-long": _("one statement for {minutes}"),
    "transaction-long": _("transaction open for {minutes}"),
    "transaction-idle": _("idle inside a transaction"),
    "transaction-failed": _("in a transaction that has failed"),
    "many-rows": _("{rows} rows by one statement"),
    "much-data": _("{mebibytes} MiB a second"),
    "errors": _("{errors} of {statements} statements failed"),
    "unattributed": _("{bytes} bytes that were not understood"),
    "first-time": _("the first time that this person works on this database"),
    "new-source": _("from an address that is new for this person"),
    "unusual-hour": _("at an hour that is unusual for this person"),
}


def sentence(reason: Reason) -> str:
    """The reason in the language of whoever is shown it. An unknown code (a newer bastion) is shown as it is."""
    template = SENTENCES.get(reason.code)
    if template is None:
        return reason.code
    try:
        return translate(template).format(**reason.params)
    except (KeyError, IndexError):
        return reason.code

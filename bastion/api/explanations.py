"""The words of `messages.Check`: what is so, and what to do where it is not, in the language of whoever reads it."""

from __future__ import annotations

from . import messages as m
from .language import translate
from .moments import spoken_in
from .refusals import sentence


def _(text: str) -> str:
    """Marks a text for the catalogue; it is translated when it is shown."""
    return text


STAGES: dict[str, str] = {
    "person": _("You"),
    "grant": _("Grant"),
    "account": _("Account"),
    "token": _("Token"),
    "limit": _("Limits"),
    "name": _("Name"),
    "tcp": _("TCP"),
    "tls": _("TLS"),
    "login": _("Login"),
    "last": _("Last session"),
}

SENTENCES: dict[str, str] = {
    "person-fit": _("{user} may work here."),
    "person-fit-until": _("{user} may work here until {until}."),
    "grant-holds": _("Granted by {grants}, without an end."),
    "grant-holds-until": _("Granted by {grants} until {until}."),
    "account-hosted": _("{account}: the bastion has what it logs in with."),
    "account-not-hosted": _("{account}: the bastion does not have its password, so you need it."),
    "account-any": _("Any account: user name and password are yours to give."),
    "token-none": _("There is none yet."),
    "token-live": _("Live until {until}."),
    "token-expired": _("It ended at {at}."),
    "token-revoked": _("It was revoked at {at} by {by}."),
    "limit-free": _("{used} of {limit} sessions of the bastion are open."),
    "limit-full": _("All {limit} sessions of the bastion are in use, most of them by {by}."),
    "domain-not-dialled": _("It is in the network domain {domain}, which this version of the bastion does not reach."),
    "name-found": _("{host} is {addresses}."),
    "name-unknown": _("The bastion cannot resolve {host}: {detail}."),
    "name-unanswered": _("No name server told the bastion within {seconds} seconds what {host} is."),
    "tcp-answers": _("Port {port} answers the bastion in {ms} ms."),
    "tcp-failed": _("The bastion does not get through to {host}:{port}: {detail}."),
    "tls-on": _("{version}, as its setting {mode} asks."),
    "tls-off": _("In the clear, as its setting {mode} allows."),
    "tls-failed": _("TLS as its setting {mode} demands was not possible: {detail}."),
    "tls-unanswered": _("The port is open, but no database answered within {seconds} seconds."),
    "server-refused": _("The database turned the bastion away: {detail}"),
    "last-worked": _("The one of {at} was let in."),
    "last-refused": _("The one of {at} came to nothing: {reason}"),
    "login-own-password": _("The account's password is yours, so it is for your client to try."),
    "login-worked": _("The login works: {version}."),
    "login-failed-there": _("The database, or the bastion in its place, said: {detail}"),
}
"""By code; a code that is not here is a refusal's."""

NEXT: dict[str, str] = {
    "user-locked": _("Ask {ask} to unlock {user}."),
    "user-locked-until": _("Ask {by}, or {ask}, to unlock {user}."),
    "user-not-valid": _("Ask {ask} to look at the dates of {user}."),
    "role-missing": _("Ask {ask} for the role operator."),
    "database-not-authorized": _("Ask {ask} for a grant for {database}."),
    "database-not-authorized-like": _("Is it {like} that you mean? Otherwise ask {ask} for a grant."),
    "grant-not-yet": _("Wait until then, or ask {ask} to let it start earlier."),
    "grant-ended": _("Ask {ask} to renew the grant."),
    "account-not-authorized": _("Take one of yours, or ask {ask} for a grant for {account}."),
    "account-needed": _("Say which account: {accounts}."),
    "account-not-hosted": _("Give its password with the request for the token, or in your client."),
    "account-any": _("Give both with the request for the token, or in your client."),
    "token-none": _("Request one: F3 on the databases page, or casemate token {database}."),
    "token-expired": _("Request a new one: F3 on the databases page, or casemate token {database}."),
    "token-revoked": _("Request a new one: F3 on the databases page, or casemate token {database}."),
    "limit-full": _("Wait until one ends, or ask somebody who does not need theirs any more."),
    "domain-not-dialled": _("Ask an administrator for a direct way to it."),
    "name-unknown": _("Ask an administrator to check the address of the database and the bastion's name server."),
    "name-unanswered": _("Ask an administrator to check the bastion's name server."),
    "tcp-failed": _("Check that the database runs, then the firewall between the bastion and it."),
    "tls-failed": _("Ask an administrator to check the TLS settings of the database and its certificate."),
    "tls-unanswered": _("Check that it is the database that listens there, and that it is not overloaded."),
    "server-refused": _("These are its own words: take them to whoever runs the database."),
    "last-refused": _("If that is no longer so, try again; the session is on record."),
    "login-failed-there": _("These are its own words: take them to whoever runs the database."),
}
"""What to do about it, by code."""


def stage(check: m.Check) -> str:
    """The stage's name; of a newer bastion's stage, its code."""
    return translate(STAGES[check.stage]) if check.stage in STAGES else check.stage


def text(check: m.Check) -> str:
    """What is so. Not cleaned: it may hold a server's words."""
    code = check.code
    if f"{code}-until" in SENTENCES and check.params.get("until"):
        code = f"{code}-until"
    if code not in SENTENCES:
        return sentence(check.code, check.params)
    return _filled(SENTENCES[code], check)


def next_step(check: m.Check) -> str:
    """What to do about it; '' where there is nothing to do."""
    code = check.code
    if f"{code}-like" in NEXT and check.params.get("like"):
        code = f"{code}-like"
    if check.state == "ok" or code not in NEXT:
        return ""
    return _filled(NEXT[code], check)


def _filled(template: str, check: m.Check) -> str:
    params = {name: spoken_in(value) if isinstance(value, str) else value for name, value in check.params.items()}
    params = {**params, "ask": params.get("ask") or translate(_("an administrator"))}
    try:
        return translate(template).format(**params)
    except (KeyError, IndexError):
        return f"{check.code} {check.params}"

"""Reasons for a no. A refusal travels as a code and its parameters and becomes a sentence where it is shown.

Each sentence says what happened, why, and what to do next.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .language import translate
from .moments import MOMENT, spoken


class Refused(Exception):
    """A request is refused for a reason that its person is told."""

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code)
        self.code = code
        self.params = params

    def __str__(self) -> str:
        return sentence(self.code, self.params)


class RefusalData(msgspec.Struct):
    """How a refusal travels."""

    code: str
    params: dict[str, Any] = {}


def _(text: str) -> str:
    """Marks a sentence for the catalogue; it is translated when it is shown."""
    return text


SENTENCES: dict[str, str] = {
    "login-failed": _(
        "Login failed: the user name or the password is wrong, or the account is locked. Try again later or ask an administrator."
    ),
    "too-many-tries": _("Too many failed logins from here. Wait {seconds} seconds and try again."),
    "role-missing": _("This needs the role {role}, which {user} does not have. Ask an administrator."),
    "unknown-method": _("The bastion does not know the call {method}. Update the client or the bastion."),
    "invalid-params": _("The call {method} was not understood: {detail}."),
    "not-applicable": _("Nothing was changed: {detail}"),
    "internal": _("The bastion failed at this. It is in its log under {reference}; tell an administrator."),
    "database-not-authorized": _(
        "There is no database {database} that you are authorized for. `casemate databases` lists yours; ask an administrator for a grant."
    ),
    "account-not-authorized": _(
        "You are not authorized for the account {account} of {database}. Yours are: {accounts}."
    ),
    "account-needed": _("{database} has several accounts for you: {accounts}. Say which with --account."),
    "grant-not-yet": _("Your grant for {database} starts at {at}."),
    "grant-ended": _("Your grant for {database} ended at {at}. Ask an administrator for a new one."),
    "token-unknown": _(
        "This token is not known, not yours, or no longer kept. Request a new one: casemate token DATABASE."
    ),
    "token-expired": _("The token ended at {at}. Request a new one: casemate token {database}."),
    "token-revoked": _("The token was revoked at {at} by {by}. Request a new one: casemate token {database}."),
    "token-wrong-database": _(
        "This token opens {host}:{port} ({database}) and nothing else; the tunnel asked for {asked_host}:{asked_port}. Check the address of your ssh -L."
    ),
    "renewals-used-up": _(
        "The token has been renewed {renewals} times, which is all that is allowed. Request a new one."
    ),
    "renewal-not-possible": _(
        "The token cannot live beyond {at}: then your grant or your account ends. Ask an administrator."
    ),
    "period-too-long": _("A token may live {longest} at most; {asked} was asked."),
    "period-too-short": _("A token lives one minute at least."),
    "tunnel-not-open": _(
        "This login opens no tunnel by itself. Use an O&M token as the SSH password, or `casemate tunnel DATABASE`."
    ),
    "token-only-tunnels": _(
        "An O&M token opens a tunnel to its database and nothing else. Log in with your password or key for this."
    ),
    "no-remote-forward": _("The bastion forwards no ports back to your side."),
    "channel-not-offered": _("The bastion does not offer this kind of channel ({kind})."),
    "user-locked": _("{user} is locked. Ask an administrator."),
    "user-not-valid": _("{user} is not valid at this time. Ask an administrator."),
    "too-many-sessions": _("The bastion has {limit} sessions open, which is all that it takes. Try again later."),
    "too-many-sessions-of-person": _(
        "You have {limit} sessions open, which is all that one person may have here: {sessions}. Close one of them first."
    ),
    "database-unreachable": _(
        "The database {database} at {host}:{port} cannot be reached from the bastion: {detail}. Check that it is running, then the network domain and the firewall."
    ),
    "database-tls": _(
        "TLS to the database {database} was not possible as its setting {mode} demands: {detail}. Ask an administrator to check the database's TLS settings."
    ),
    "database-name-not-allowed": _("The database {name} may not be opened through {database}; allowed are: {names}."),
    "client-token-needed": _("The password of the database login must be the O&M token here."),
    "replication-not-allowed": _("Replication connections to {database} are not granted."),
    "redirect-not-allowed": _(
        "The database {database} sends this connection on to {host}:{port}, which is not among the databases that you may use. Ask an administrator to declare that address as a database, and to grant it."
    ),
    "login-timeout": _("The login to the database {database} took longer than {seconds} seconds and was given up."),
    "not-understood": _(
        "The bastion could not read what was sent as {engine} ({detail}). Nothing of it was passed on; the session is ended."
    ),
    "record-failed": _(
        "The bastion cannot write its record, so nothing is passed on. Tell an administrator; the session is ended."
    ),
    "session-ended": _("The session was ended by {by}: {reason}."),
    "bastion-stopping": _("The bastion is being stopped. Connect again in a moment."),
    "session-ended-by-auditor": _("An auditor ({by}) ended this session: {reason}."),
    "statement-refused": _("An auditor ({by}) held this statement and refused it: {reason}. It was not run."),
    "hold-too-long": _(
        "An auditor ({by}) held this statement for {seconds} seconds and did not let it go: {reason}. It was not run."
    ),
    "held-cancelled": _("The statement was held by an auditor, and given up before it was let go. It was not run."),
    "said-by-auditor": _("A message of the auditor {by}: {text}"),
    "already-held": _("{by} holds the next statement of this session already. Let it go first."),
    "nothing-held": _("No statement of this session is held, and none is to be."),
    "reason-needed": _("Say why: what auditors do to a session is on record with its reason."),
    "message-empty": _("There are no words to send."),
    "words-too-long": _("This is too long: {length} characters, of {limit} at most."),
    "hold-time": _("A statement can be held for 1 to {limit} seconds."),
    "lock-time": _("A person can be locked for one minute to {limit} days."),
    "not-yourself": _("You cannot lock yourself."),
    "user-unknown": _("There is no user {user}."),
    "not-locked": _("{user} is not locked by an auditor."),
    "user-locked-until": _("{user} is locked until {until}, by {by}: {reason}."),
    "watch-unknown": _("This watch has ended. Begin a new one."),
    "too-many-watches": _("One connection can watch {limit} sessions at one time."),
    "session-unknown": _("There is no session {session} that you may see."),
    "statement-unknown": _("There is no statement {seq} of a session {session} on record."),
    "session-not-live": _("The session {session} is not live any more."),
    "cancel-unknown": _(
        "The key of this request to cancel belongs to no live session on {database}, so nothing was cancelled."
    ),
    "cancel-not-yours": _(
        "The key of this request to cancel belongs to a session that is not of {user} on {database}, so nothing was cancelled."
    ),
    "cancel-failed": _("The database did not take the order to cancel: {detail}."),
    "personal-too-long": _("This is too long to be kept for you: {size} bytes, of {limit} at most."),
    "personal-full": _(
        "The bastion keeps {items} items of a kind and {size} bytes in all for a person, and yours are full. Remove some of what you keep ({kind})."
    ),
    "exports-off": _("This bastion keeps no exported results: its administrator has set their quota to 0."),
    "exports-full": _("You have {limit} exports on the bastion, which is the most. Remove some: `export remove ID`."),
    "export-quota": _(
        "Your exported results would take more than {limit} bytes on the bastion. Fetch and remove others (`export list`), or export fewer rows."
    ),
    "exports-total": _(
        "The exports of everybody would take more than {limit} bytes on the bastion. Fetch and remove yours (`export list`), or ask an administrator for more room (workstation.exports_total)."
    ),
    "export-unknown": _("There is no export {id} of yours. Exports are kept for a day: `export list` shows them."),
    "evidence-reason": _("Say why: it is recorded with your name."),
    "hold-there-already": _("The session {session} is on legal hold already."),
    "retention-failed": _("Retention deletes nothing now: {detail}. What was begun goes on with its next turn."),
    "hold-unknown": _("The session {session} is not on legal hold. `audit legal-hold list` shows those that are."),
    "holds-full": _("There are {limit} legal holds, which is the most. Release some first."),
    "bundle-impossible": _("No bundle of evidence can be made of the session {session}: {detail}"),
    "export-broken": _("The export {id} is not whole and cannot be used. Export the result again."),
    "filter-unreadable": _("The filter cannot be read: {detail}"),
    "filter-name": _("A filter's name has 1 to {limit} characters, can be shown, and has no / in it."),
    "filter-unknown": _("There is no filter {name} of yours. `casemate audit filters` lists those that there are."),
    "filters-full": _("You keep {limit} filters, which is the most. Remove some of them first."),
    "search-too-long": _(
        "The search took longer than {seconds} seconds and was given up. Narrow it with a person, a database, a table or a time; *words and client: read everything."
    ),
    "search-replaced": _("The search was given up for a newer one."),
    "results-masked": _(
        "What databases return is masked here. Give a reason to see it: it goes on record with your name."
    ),
    "audit-export-unknown": _("There is no export {id} of yours at work. Begin it again."),
    "audit-exports-busy": _("{limit} exports of the record are at work, which is the most. Wait for one to end."),
    "audit-export-failed": _(
        "The export did not come to its end: {detail}. What came of it is not whole; begin it again."
    ),
    "no-terminal-here": _(
        "The workstation is not served over plain SSH by this bastion. Run `casemate connect` on your side, or give a command: databases, token, sessions, sql."
    ),
    "workstation-needs-terminal": _(
        "The workstation needs a terminal. Ask for one with `ssh -t`, or give a command: databases, token, sessions, sql."
    ),
    "terminal-too-plain": _(
        "The workstation cannot be shown on a terminal of type `{term}`. Set TERM to what your terminal is (like xterm-256color), or give a command: databases, token, sessions, sql."
    ),
    "too-many-workstations": _(
        "The bastion serves {limit} workstations at one time, and all of them are taken. Try again in a while, or run `casemate connect` on your side."
    ),
    "too-many-workstations-yours": _(
        "You have {limit} workstations here already, as many as one person may. Leave one of them with Ctrl+Q, or take up one that waits for you."
    ),
    "screen-unknown": _(
        "There is no recording of a screen {screen}. `casemate audit screens` lists those that there are."
    ),
    "screen-not-live": _(
        "Nothing is shown on a workstation {screen} now: it is closed, or runs on another node. Its recording can be replayed."
    ),
    "screen-damaged": _(
        "The recording of {screen} cannot be read: {detail}. Keep the file as it is; `casemate audit verify` says more."
    ),
    "workstation-not-ready": _(
        "The bastion could not start a workstation. Try again in a moment; if it stays so, tell an administrator. Commands (databases, token, sql) work all the same."
    ),
}


def sentence(code: str, params: dict[str, Any]) -> str:
    """The sentence in the language of whoever is shown it, times by their clock. An unknown code (a newer bastion) is
    shown as it is."""
    template = SENTENCES.get(code)
    if template is None:
        return f"{code} {params}" if params else code
    try:
        return translate(template).format(**{name: _told(value) for name, value in params.items()})
    except (KeyError, IndexError):
        return f"{code} {params}"


def _told(value: Any) -> Any:
    """A time as people read it; anything else as it is."""
    return spoken(value) if isinstance(value, str) and MOMENT.fullmatch(value) else value

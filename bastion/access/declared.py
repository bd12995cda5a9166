"""The declared state: what documents change (`plan`), making it so (`apply`), and the reverse (`export`).

An entry replaces the one of its name whole; entries that no document names stay, unless `prune` removes those of the
kinds that the documents do name. Secrets are compared with what is stored and never shown.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from bastion.api import messages as m
from bastion.store import moments, schema
from bastion.store.moments import to_text
from bastion.vault import NotSealed, Vault

from . import document_reader, passwords, sealing
from . import documents as d
from .document_reader import Declared, NotApplicable, Sources
from .entry_writer import Change, EntryWriter
from .policies import ENFORCED
from .settings import generation, next_generation
from .stored_entries import read_stored

__all__ = ["NotApplicable", "Plan", "StateMoved", "apply", "export", "plan"]

_LOCK = 0x6361_7365_6170_6C79
"""PostgreSQL's advisory lock that appliers take: one at a time."""

_ORDER = [kind for kind, _struct in document_reader.SECTIONS.values()] + ["setting"]


class StateMoved(Exception):
    """Somebody else changed the declared state between `plan` and `apply`. Nothing was changed; plan again."""


@dataclass(frozen=True)
class Plan:
    """What `apply` will do. `changes` and `warnings` are for showing: no secret is in them."""

    changes: list[m.Change]
    warnings: list[str]
    generation: int
    work: list[Change] = field(repr=False)


def plan(
    connection: sa.Connection,
    documents: list[dict[str, Any]],
    *,
    base: Path,
    environment: Mapping[str, str],
    prune: bool = False,
    vault: Vault | None = None,
) -> Plan:
    """What the documents change. Reads only; hashes new passwords (some 50 ms each).

    `base` is the folder that `{file: PATH}` is relative to; `environment` holds what `{env: NAME}` asks for. Without
    the vault every declared account password counts as changed. Raises NotApplicable with everything that is wrong.
    """
    declared = document_reader.read(documents)
    stored = read_stored(connection)
    work = list(_changes(connection, declared, stored, Sources(base, environment), vault))
    removed = _removals(declared, stored) if prune else []
    final = {kind: {**stored[kind], **declared.entries.get(kind, {})} for kind in _ORDER}
    for change in removed:
        del final[change.kind][change.name]
    warnings = [*_warnings(declared)]
    problems = [*declared.problems, *_unenforced(declared), *_dangling(declared, final)]
    if not problems:
        problems.extend(_without_administrator(stored, final, work))
    if problems:
        raise NotApplicable(problems)
    work.extend(removed)
    shown = [
        m.Change(action=each.action, kind=each.kind, name=each.name, detail=_detail(each, stored)) for each in work
    ]
    return Plan(shown, warnings, generation(connection), work)


def apply(connection: sa.Connection, plan: Plan, vault: Vault, *, by: str = "", at: datetime | None = None) -> None:
    """Carries the plan out, in the caller's transaction. `by` is kept with the versions of grants and policies.

    Raises StateMoved when the state is not the one that was planned for.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    if generation(connection) != plan.generation:
        raise StateMoved("The declared state was changed by somebody else meanwhile. Nothing was applied; apply again.")
    if not plan.work:
        return
    moment = to_text(moments.now() if at is None else at)
    writer = EntryWriter(connection, vault, by, moment)
    for change in plan.work:
        writer.carry_out(change)
    next_generation(connection, moment)


def export(connection: sa.Connection) -> dict[str, Any]:
    """The declared state as one document, without secrets: applying it changes nothing."""
    stored = read_stored(connection)
    document: dict[str, Any] = {}
    for section, (kind, _struct) in document_reader.SECTIONS.items():
        if stored[kind]:
            document[section] = [d.written(entry) for entry in stored[kind].values()]
    settings = {name: d.written(stored["setting"][name]) for name in sorted(stored["setting"])}
    if settings:
        document["settings"] = settings
    return document


# --------------------------------------------------------------------------------------------------------- comparing


def _changes(
    connection: sa.Connection,
    declared: Declared,
    stored: dict[str, dict[str, d.Entry]],
    sources: Sources,
    vault: Vault | None,
) -> Iterator[Change]:
    for kind in _ORDER:
        for name, entry in declared.entries.get(kind, {}).items():
            before = stored[kind].get(name)
            secrets = _new_secrets(connection, declared, kind, entry, before, sources, vault)
            if before is None:
                yield Change("create", kind, name, entry, secrets)
            elif secrets or d.written(before) != d.written(entry):
                yield Change("update", kind, name, entry, secrets)


def _removals(declared: Declared, stored: dict[str, dict[str, d.Entry]]) -> list[Change]:
    """What is there and not declared, of the kinds that are named; what refers comes before what is referred to."""
    return [
        Change("delete", kind, name)
        for kind in reversed(_ORDER)
        if kind in declared.entries
        for name in stored[kind]
        if name not in declared.entries[kind]
    ]


def _new_secrets(
    connection: sa.Connection,
    declared: Declared,
    kind: str,
    entry: d.Entry,
    before: d.Entry | None,
    sources: Sources,
    vault: Vault | None,
) -> dict[str, str]:
    """The secrets of the entry that differ from the stored ones, by their place. What is wrong becomes a problem."""
    found: dict[str, str] = {}
    texts: dict[str, str | None] = {}
    for where, secret, was_there, stored in _secrets(connection, entry, before):
        place = f"{declared.place(kind, entry.name if hasattr(entry, 'name') else '')}: {where}"
        try:
            if secret.form == "kept":
                if not was_there:
                    raise ValueError("there is nothing to keep; give it with {env: NAME} or {file: PATH}")
                texts[where] = stored(vault)
            elif isinstance(entry, d.User):
                text, is_hash = document_reader.user_password(sources, secret)
                if not _same_password(stored(None), text, is_hash):
                    found[where] = text if is_hash else passwords.hash_password(text)
            else:
                texts[where] = text = sources.value(secret)
                if vault is None or not _same(stored(vault), text):
                    found[where] = text
        except ValueError as error:
            declared.problems.append(f"{place}: {error}")
    if isinstance(entry, d.Database):
        declared.problems.extend(
            f"{declared.place(kind, entry.name)}: {problem}" for problem in _certificate_mistakes(entry, texts)
        )
    if isinstance(entry, d.Database) and entry.tls.ca is not None:
        try:
            entry.tls.ca = d.Secret("text", document_reader.certificates(sources, entry.tls.ca))
        except ValueError as error:
            declared.problems.append(f"{declared.place(kind, entry.name)}: tls.ca: {error}")
    return found


def _certificate_mistakes(database: d.Database, texts: Mapping[str, str | None]) -> Iterator[str]:
    """Client certificates that cannot be used, as far as they can be read here (a kept one needs the vault)."""
    for account in database.accounts:
        where = f"accounts.{account.label}"
        certificate, key = texts.get(f"{where}.certificate"), texts.get(f"{where}.key")
        if certificate is not None and key is not None:
            problem = document_reader.client_certificate_mistake(certificate, key)
            if problem is not None:
                yield f"{where}: {problem}"


class _Stored:
    """Reads one stored secret when it is asked for."""

    def __init__(self, connection: sa.Connection, query: sa.Select[Any] | None, context: str) -> None:
        self._connection = connection
        self._query = query
        self._context = context

    def __call__(self, vault: Vault | None) -> str | None:
        value = None if self._query is None else self._connection.scalar(self._query)
        if value is None or vault is None:
            return value
        try:
            return vault.open(value, self._context)
        except NotSealed:
            return None


def _secrets(
    connection: sa.Connection, entry: d.Entry, before: d.Entry | None
) -> Iterator[tuple[str, d.Secret, bool, _Stored]]:
    """Every secret that the entry declares: place, declared form, whether there is one, and how to read that."""
    if isinstance(entry, d.User):
        if entry.password is not None:
            had = isinstance(before, d.User) and before.password is not None
            users = schema.users
            query = sa.select(users.c.password_hash).where(users.c.name == entry.name)
            yield "password", entry.password, had, _Stored(connection, query, "")
    elif isinstance(entry, d.Database):
        known_accounts = {a.label: a for a in before.accounts} if isinstance(before, d.Database) else {}
        a, b = schema.accounts, schema.databases
        for account in entry.accounts:
            there = known_accounts.get(account.label, d.Account())
            for where, secret, old, column, context in (
                ("password", account.password, there.password, a.c.secret, sealing.account_context),
                (
                    "certificate",
                    account.certificate,
                    there.certificate,
                    a.c.certificate,
                    sealing.account_certificate_context,
                ),
                ("key", account.key, there.key, a.c.certificate_key, sealing.account_key_context),
            ):
                if secret is not None:
                    query = sa.select(column).join(b).where(b.c.name == entry.name, a.c.name == account.label)
                    stored = _Stored(connection, query, context(entry.name, account.label))
                    yield f"accounts.{account.label}.{where}", secret, old is not None, stored
    elif isinstance(entry, d.Domain):
        proxies = before.proxies if isinstance(before, d.Domain) else []
        p, n = schema.proxies, schema.network_domains
        for place, proxy in enumerate(entry.proxies):
            known = proxies[place] if place < len(proxies) else None
            of_this = sa.and_(n.c.name == entry.name, p.c.place == place)
            if proxy.password is not None:
                query = sa.select(p.c.secret).join(n).where(of_this)
                stored = _Stored(connection, query, sealing.proxy_secret_context(entry.name, place))
                was_there = known is not None and known.password is not None
                yield f"proxies[{place}].password", proxy.password, was_there, stored
            if proxy.key is not None:
                query = sa.select(p.c.key).join(n).where(of_this)
                stored = _Stored(connection, query, sealing.proxy_key_context(entry.name, place))
                was_there = known is not None and known.key is not None
                yield f"proxies[{place}].key", proxy.key, was_there, stored


def _same(stored: str | None, text: str) -> bool:
    return stored is not None and hmac.compare_digest(stored.encode(), text.encode())


def _same_password(stored: str | None, text: str, is_hash: bool) -> bool:
    if stored is None:
        return False
    return _same(stored, text) if is_hash else passwords.matches(stored, text)


def _detail(change: Change, stored: dict[str, dict[str, d.Entry]]) -> str:
    """What differs, for people: `roles: operator -> operator, auditor; password (changed)`."""
    if change.entry is None:
        return ""
    before = stored[change.kind].get(change.name)
    new, old = d.written(change.entry), {} if before is None else d.written(before)
    parts = []
    for key in [*new, *(key for key in old if key not in new)]:
        if key != "name" and new.get(key) != old.get(key):
            value = _brief(new.get(key))
            parts.append(f"{key}: {value}" if before is None else f"{key}: {_brief(old.get(key))} -> {value}")
    word = "set" if before is None else "changed"
    parts.extend(f"{where} ({word})" for where in change.secrets)
    return "; ".join(parts)


def _brief(value: Any) -> str:
    """A value in a line. Nested mappings lose their braces' noise only where they are empty."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(_brief(each) for each in value) or "-"
    if isinstance(value, dict):
        if value == {"kept": True}:
            return "(secret)"
        return "{" + ", ".join(f"{key}: {_brief(each)}" for key, each in value.items()) + "}"
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"


# ---------------------------------------------------------------------------------------------------------- checking


def _dangling(declared: Declared, final: dict[str, dict[str, d.Entry]]) -> Iterator[str]:
    """References to what will not be there."""

    def missing(kind: str, name: str, where: str, wanted: str, target: str) -> Iterator[str]:
        if target not in final[wanted]:
            yield f"{declared.place(kind, name)}: {where}: there is no {wanted} {target}"

    for name, entry in final["group"].items():
        assert isinstance(entry, d.Group)
        for member in entry.members:
            yield from missing("group", name, "members", "user", member)
    for name, entry in final["database-group"].items():
        assert isinstance(entry, d.DatabaseGroup)
        for member in entry.members:
            yield from missing("database-group", name, "members", "database", member)
    for name, entry in final["database"].items():
        assert isinstance(entry, d.Database)
        if entry.domain is not None:
            yield from missing("database", name, "domain", "domain", entry.domain)
    for kind in ("grant", "policy"):
        for name, entry in final[kind].items():
            assert isinstance(entry, d.Grant | d.Policy)
            for where, references, one, group in (
                ("to", entry.to, "user", "group"),
                ("on", entry.on, "database", "database-group"),
            ):
                for reference in references:
                    if reference.startswith("group:"):
                        yield from missing(kind, name, where, group, reference.removeprefix("group:"))
                    elif reference != "*":
                        yield from missing(kind, name, where, one, reference)


def _unenforced(declared: Declared) -> Iterator[str]:
    """Rules that this version would not enforce are refused, so that nobody believes in them."""
    basics = {"name", "to", "on", "priority", "comment", *ENFORCED}
    for name, entry in declared.entries.get("policy", {}).items():
        parts = [
            each.name
            for each in msgspec.structs.fields(entry)
            if each.name not in basics and getattr(entry, each.name) is not None
        ]
        if parts:
            place = declared.place("policy", name)
            yield f"{place}: this version cannot enforce {', '.join(parts)} yet; take it out of the policy"
    for name, entry in declared.entries.get("database", {}).items():
        if isinstance(entry, d.Database) and entry.tls.pin and entry.tls.mode in ("disable", "prefer"):
            place = declared.place("database", name)
            yield f"{place}: tls.pin: {entry.tls.mode} may go without TLS and would not look at it; write mode: require"
    for name, entry in declared.entries.get("user", {}).items():
        if isinstance(entry, d.User) and entry.totp == "required":
            yield f"{declared.place('user', name)}: totp: this version cannot enforce required yet; write off"


def _warnings(declared: Declared) -> Iterator[str]:
    for name, entry in declared.entries.get("user", {}).items():
        if isinstance(entry, d.User) and entry.totp == "optional":
            yield f"{declared.place('user', name)}: totp: this version asks nobody for it yet"


def _without_administrator(
    stored: dict[str, dict[str, d.Entry]], final: dict[str, dict[str, d.Entry]], work: list[Change]
) -> Iterator[str]:
    """The last administrator who can log in is not taken away."""
    new_passwords = {change.name for change in work if change.kind == "user" and "password" in change.secrets}

    def administrators(users: dict[str, d.Entry]) -> list[str]:
        found = []
        for name, entry in users.items():
            assert isinstance(entry, d.User)
            before = stored["user"].get(name)
            has_password = name in new_passwords or (isinstance(before, d.User) and before.password is not None)
            if "administrator" in entry.roles and not entry.locked and (has_password or entry.keys):
                found.append(name)
        return found

    if administrators(stored["user"]) and not administrators(final["user"]):
        yield "users: nobody who can log in would be administrator any more; declare one, or leave out --prune"

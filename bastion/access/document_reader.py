"""Reads declared documents strictly: every mistake is found, with its place and what was wanted."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from . import documents as d
from .identity import read_public_key
from .passwords import is_hash, weakness

FILE_KEY = "$file"
"""A document may carry under this key the name of the file that it comes from; it is only used in messages."""

MAX_SECRET_FILE = 64 * 1024
"""Bytes of a file that holds a secret or a certificate."""

E = TypeVar("E", bound=d.Entry)


class NotApplicable(Exception):
    """The documents cannot be applied; nothing was changed. `problems`: one line each, with file and place."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass
class Declared:
    """What all documents say together: by kind and name, with the place of each. A kind that is not named is absent."""

    entries: dict[str, dict[str, d.Entry]] = field(default_factory=dict)
    places: dict[tuple[str, str], str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def place(self, kind: str, name: str) -> str:
        """Where it is declared, for a message."""
        return self.places.get((kind, name), f"{kind} {name}")


SECTIONS: dict[str, tuple[str, type[d.Entry]]] = {
    "domains": ("domain", d.Domain),
    "databases": ("database", d.Database),
    "database_groups": ("database-group", d.DatabaseGroup),
    "users": ("user", d.User),
    "groups": ("group", d.Group),
    "grants": ("grant", d.Grant),
    "policies": ("policy", d.Policy),
}
"""Sections in the order in which they are applied, with the name of one of them and its struct."""

SETTING_SECTIONS: dict[str, type[d.Entry]] = {
    "token": d.Token, "lockout": d.Lockout, "advertise": d.Advertise, "audit": d.Audit,
}  # fmt: skip


def read(documents: list[dict[str, Any]]) -> Declared:
    """All documents as one. What is wrong is in `problems`; the entries are those that could be read."""
    declared = Declared()
    for number, document in enumerate(documents, 1):
        document = dict(document)
        source = str(document.pop(FILE_KEY, f"document {number}"))
        sections = dict.fromkeys(document)  # only the names: each section is looked through below
        declared.problems.extend(f"{source}: {problem}" for problem in _unknown_keys(sections, d.Document, ""))
        for section, (kind, struct) in SECTIONS.items():
            if document.get(section) is not None:
                _read_section(declared, source, section, kind, struct, document[section])
        if document.get("settings") is not None:
            _read_settings(declared, source, document["settings"])
    return declared


def _read_section(declared: Declared, source: str, section: str, kind: str, struct: type[d.Entry], items: Any) -> None:
    if not isinstance(items, list):
        declared.problems.append(f"{source}: {section}: a list is wanted")
        return
    found = declared.entries.setdefault(kind, {})
    for index, item in enumerate(map(_yaml_booleans, items)):
        path = f"{section}[{index}]"
        if isinstance(item, dict) and isinstance(item.get("name"), str):
            path += f" ({item['name'][:128]})"
        entry = _convert(declared, source, path, struct, item)
        if entry is None:
            continue
        name: str = entry.name  # type: ignore[attr-defined]
        if name in found:
            declared.problems.append(f"{source}: {path}: declared twice; before in {declared.place(kind, name)}")
            continue
        _tidy(entry)
        declared.problems.extend(f"{source}: {path}: {problem}" for problem in _mistakes(entry))
        found[name] = entry
        declared.places[kind, name] = f"{source}: {path}"


def _yaml_booleans(item: Any) -> Any:
    """YAML 1.1 reads a bare `on` and `off` as true and false, which here are a key and a value."""
    if not isinstance(item, dict):
        return item
    read = {"on" if key is True or key == "True" else key: value for key, value in item.items()}
    if read.get("totp") is False:
        read["totp"] = "off"
    return read


def _read_settings(declared: Declared, source: str, sections: Any) -> None:
    settings = _convert(declared, source, "settings", d.Settings, sections)
    if settings is None:
        return
    found = declared.entries.setdefault("setting", {})
    for name in SETTING_SECTIONS:
        entry = getattr(settings, name)
        if entry is None:
            continue
        if name in found:
            declared.problems.append(f"{source}: settings.{name}: declared twice")
            continue
        found[name] = entry
        declared.places["setting", name] = f"{source}: settings.{name}"
        if isinstance(entry, d.Token):
            _check_token(declared, f"{source}: settings.token", entry)


def _check_token(declared: Declared, place: str, token: d.Token) -> None:
    if token.validity.seconds < 60 or token.renewal.seconds < 60:
        declared.problems.append(f"{place}: a token lives one minute at least, and a renewal adds that much")
    if token.validity.seconds > token.longest.seconds:
        declared.problems.append(f"{place}: validity {token.validity!r} is more than longest {token.longest!r}")


def _convert(declared: Declared, source: str, path: str, struct: type[E], item: Any) -> E | None:
    unknown = list(_unknown_keys(item, struct, path))
    declared.problems.extend(f"{source}: {problem}" for problem in unknown)
    if unknown:
        return None
    try:
        return msgspec.convert(item, struct, dec_hook=d.read_special)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        for pattern, words in d.IN_WORDS.items():
            message = message.replace(f"`str` matching regex {pattern!r}", words)
        declared.problems.append(f"{source}: {path}{where.rstrip('`')}: {message}")
        return None


def _unknown_keys(value: Any, kind: Any, path: str) -> Iterator[str]:
    """Every key that no struct has, with the nearest one that there is."""
    structs = [each for each in _alternatives(kind) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    if isinstance(value, dict) and structs:
        struct = structs[0]
        fields = {each.encode_name: each.type for each in msgspec.structs.fields(struct)}
        for key, each in value.items():
            place = f"{path}.{key}" if path else str(key)
            if key in fields:
                yield from _unknown_keys(each, fields[key], place)
                continue
            near = difflib.get_close_matches(str(key), fields, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(fields)}"
            yield f"{place}: there is no such key; {hint}"
    elif isinstance(value, list):
        items = [typing.get_args(each)[0] for each in _alternatives(kind) if typing.get_origin(each) is list]
        for index, each in enumerate(value if items else []):
            yield from _unknown_keys(each, items[0], f"{path}[{index}]")


def _alternatives(kind: Any) -> tuple[Any, ...]:
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return _alternatives(typing.get_args(kind)[0])
    if origin in (typing.Union, types.UnionType):
        return tuple(each for one in typing.get_args(kind) for each in _alternatives(one))
    return (kind,)


def _tidy(entry: d.Entry) -> None:
    """Puts what has no order into one, so that entries can be compared, and fills in what the engine says."""
    if isinstance(entry, d.User):
        entry.roles = sorted(set(entry.roles))
        entry.keys = [key.strip() for key in entry.keys]
    elif isinstance(entry, d.Group | d.DatabaseGroup):
        entry.members = sorted(set(entry.members))
    elif isinstance(entry, d.Grant | d.Policy):
        entry.to, entry.on = sorted(set(entry.to)), sorted(set(entry.on))
        if isinstance(entry, d.Grant):
            entry.accounts = sorted(set(entry.accounts))
    elif isinstance(entry, d.Database):
        entry.port = entry.port or d.DEFAULT_PORTS[entry.engine]
        entry.databases = entry.databases or None
        entry.accounts = sorted(entry.accounts, key=lambda account: (account.any, account.name or ""))


def _mistakes(entry: d.Entry) -> Iterator[str]:
    """What the types do not catch."""
    if isinstance(entry, d.User):
        yield from _user_mistakes(entry)
    elif isinstance(entry, d.Database):
        yield from _database_mistakes(entry)
    elif isinstance(entry, d.Domain):
        for place, proxy in enumerate(entry.proxies):
            if any(secret and secret.form == "hash" for secret in (proxy.password, proxy.key)):
                yield f"proxies[{place}]: the secret itself is needed, not its hash"
    elif isinstance(entry, d.Grant) and _backwards(entry.valid_from, entry.valid_until):
        yield "until is not after from"


def _user_mistakes(user: d.User) -> Iterator[str]:
    if _backwards(user.valid_from, user.valid_until):
        yield "until is not after from"
    for index, key in enumerate(user.keys):
        try:
            read_public_key(key)
        except ValueError as error:
            yield f"keys[{index}]: {error}"


def _database_mistakes(database: d.Database) -> Iterator[str]:
    names: set[str] = set()
    for index, account in enumerate(database.accounts):
        place = f"accounts[{index}]"
        if account.any == (account.name is not None):
            yield f"{place}: either a name or any: true"
        if account.name == "*":
            yield f"{place}: '*' is no login; write any: true"
        if account.any and account.password is not None:
            yield f"{place}: an any account has no password: the operator types the login"
        if account.password is not None and account.password.form == "hash":
            yield f"{place}.password: the password itself is needed, not its hash"
        yield from _client_certificate_mistakes(database, account, place)
        if account.label in names:
            yield f"{place}: the account {account.label} is there twice"
        names.add(account.label)
    if database.service and database.sid:
        yield "either service or sid"
    if (database.service or database.sid) and database.engine != "oracle":
        yield "service and sid are for oracle"


def _client_certificate_mistakes(database: d.Database, account: d.Account, place: str) -> Iterator[str]:
    if (account.certificate is None) != (account.key is None):
        yield f"{place}: a certificate and its key go together"
    elif account.certificate is not None and database.tls.mode == "disable":
        yield f"{place}.certificate: a certificate is shown in TLS, and tls.mode is disable"
    for where, secret in (("certificate", account.certificate), ("key", account.key)):
        if secret is not None and secret.form in ("text", "hash"):
            yield f"{place}.{where}: it is written {{file: PATH}} or {{env: NAME}}"


def _backwards(start: d.Moment | None, end: d.Moment | None) -> bool:
    return start is not None and end is not None and end.at <= start.at


# ---------------------------------------------------------------------------------------------------------- secrets


@dataclass(frozen=True)
class Sources:
    """Where secrets are read from: `base` is the folder that files are relative to."""

    base: Path
    environment: Mapping[str, str]

    def value(self, secret: d.Secret) -> str:
        """The secret. Raises ValueError saying what is missing."""
        if secret.form == "env":
            if secret.text not in self.environment:
                raise ValueError(f"the variable {secret.text} is not set")
            text = self.environment[secret.text]
        elif secret.form == "file":
            text = self._file(secret.text)
        else:
            text = secret.text
        if not text:
            raise ValueError(f"the secret from {secret.form} {secret.text} is empty")
        if "\0" in text:
            raise ValueError(f"the secret from {secret.form} {secret.text} has a NUL character")
        return text

    def _file(self, name: str) -> str:
        path = self.base / name
        try:
            with path.open("rb") as file:
                content = file.read(MAX_SECRET_FILE + 1)
        except OSError as error:
            raise ValueError(f"the file {path} cannot be read: {error.strerror}") from None
        if len(content) > MAX_SECRET_FILE:
            raise ValueError(f"the file {path} has more than {MAX_SECRET_FILE} bytes")
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise ValueError(f"the file {path} is not UTF-8 text") from None
        return text if text.startswith("-----BEGIN ") else re.sub(r"\r?\n\Z", "", text)


def user_password(sources: Sources, secret: d.Secret) -> tuple[str, bool]:
    """The password (or its hash, then True) of a user. Raises ValueError: missing, or against the password rules."""
    text = sources.value(secret)
    if secret.form == "hash":
        if not is_hash(text):
            raise ValueError("the hash is not argon2id in PHC form ($argon2id$v=19$…)")
        return text, True
    weak = weakness(text)
    if weak is not None:
        raise ValueError(weak)
    return text, False


def client_certificate_mistake(certificate: str, key: str) -> str | None:
    """What is wrong with a client certificate (PEM, its chain behind it) and its private key (PEM); None: nothing."""
    try:
        chain = x509.load_pem_x509_certificates(certificate.encode())
    except ValueError:
        return "certificate: no PEM text of a certificate"
    if "PRIVATE KEY" in certificate:
        return "certificate: it holds a private key; that belongs under key"
    try:
        private = serialization.load_pem_private_key(key.encode(), password=None)
    except TypeError:
        return "key: it has a passphrase, which nobody could type at the bastion; give it without one"
    except (ValueError, UnsupportedAlgorithm):
        return "key: no PEM text of a private key"
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if private.public_key().public_bytes(*form) != chain[0].public_key().public_bytes(*form):
        return "key: it is not the certificate's"
    return None


def certificates(sources: Sources, secret: d.Secret) -> str:
    """The PEM of one or more certificates. Raises ValueError."""
    text = sources.value(secret)
    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise ValueError("the ca is no PEM file of certificates") from None
    if "PRIVATE KEY" in text or not found:
        raise ValueError("the ca holds something else than certificates")
    return text.strip() + "\n"

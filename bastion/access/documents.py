"""The declared state's format: what a document may say. Every struct is one mapping of the YAML.

The same structs describe what is declared and what is in the store, so that the two can be compared and exported:
`written` gives an entry as a document has it, without its secrets and without what is at its default.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

import msgspec

from .periods import parse_period, write_period
from .settings import LockoutSettings, TokenSettings

_TOKEN, _LOCKOUT = TokenSettings(), LockoutSettings()


class Period:
    """A period of the document (`8h`), in seconds."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Period) and other.seconds == self.seconds

    def __hash__(self) -> int:
        return hash(self.seconds)

    def __repr__(self) -> str:
        return write_period(self.seconds)


class Moment:
    """A date (its first moment, UTC) or a date with a time of the document; without a zone it is UTC. Whole seconds."""

    def __init__(self, at: datetime) -> None:
        self.at = at.replace(microsecond=0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Moment) and other.at == self.at

    def __hash__(self) -> int:
        return hash(self.at)

    def __repr__(self) -> str:
        return self.at.strftime("%Y-%m-%dT%H:%M:%SZ")


class Secret:
    """Where a secret comes from: `env`, `file` or `hash` with its name, path or text; `kept`: the one that is there."""

    def __init__(self, form: str, text: str = "") -> None:
        self.form = form
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (other.form, other.text) == (self.form, self.text)

    def __hash__(self) -> int:
        return hash((self.form, self.text))

    def __repr__(self) -> str:
        return f"Secret({self.form})"


KEPT = Secret("kept")

Text = Annotated[str, msgspec.Meta(max_length=500)]
_USER_NAME = r"^[a-z0-9._-]{1,128}\Z"
_NAME = r"^\w[\w.-]{0,127}\Z"
_REFERENCE = r"^(\*|(group:)?[\w.-]{1,128})\Z"
_LOGIN = r"^[^\x00-\x1f\x7f]{1,128}\Z"
_HOST = r"^(?![^:]*:[^:]*\Z)[^\s\x00-\x1f\x7f/@\[\]]{1,255}\Z"
_PIN = r"^([0-9a-f]{64})?\Z"

IN_WORDS = {
    _USER_NAME: "1 to 128 of a-z, 0-9, '.', '_', '-'",
    _NAME: "a name: 1 to 128 letters, digits, '.', '_', '-', not beginning with '.' or '-'",
    _REFERENCE: "a name, group:NAME or *",
    _LOGIN: "1 to 128 characters without control characters",
    _HOST: "a host name or an address, without port, brackets or blanks (the port has a key of its own)",
    _PIN: "the SHA-256 of the certificate's public key, 64 hex digits in lower case",
}
"""What a pattern asks for, for whoever broke it."""

UserName = Annotated[str, msgspec.Meta(pattern=_USER_NAME)]
Name = Annotated[str, msgspec.Meta(pattern=_NAME)]
"""Of databases, groups, domains, grants and policies."""
Reference = Annotated[str, msgspec.Meta(pattern=_REFERENCE)]
"""`*`, `group:NAME` or a name."""
Login = Annotated[str, msgspec.Meta(pattern=_LOGIN)]
Host = Annotated[str, msgspec.Meta(pattern=_HOST)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class Entry(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of all mappings: a key that is not known is an error."""


class User(Entry, rename={"valid_from": "from", "valid_until": "until"}):
    name: UserName
    display: Text = ""
    comment: Text = ""
    roles: list[Literal["operator", "approver", "auditor", "administrator"]] = []
    password: Secret | None = None  # left out: as it is
    keys: list[str] = []
    totp: Literal["off", "optional", "required"] = "off"
    valid_from: Moment | None = None
    valid_until: Moment | None = None
    locked: bool = False
    language: Literal["", "en", "zh_CN"] = ""


class Group(Entry):
    name: Name
    members: list[UserName] = []
    comment: Text = ""


class Proxy(Entry):
    type: Literal["ssh", "socks5", "http"]
    host: Host
    port: Port
    user: Text = ""
    password: Secret | None = None
    key: Secret | None = None
    host_key: str = ""


class Domain(Entry):
    name: Name
    proxies: Annotated[list[Proxy], msgspec.Meta(min_length=1, max_length=2)]  # primary, standby
    comment: Text = ""


class Tls(Entry):
    mode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    ca: Secret | None = None  # PEM text, or {file: PATH}
    pin: Annotated[str, msgspec.Meta(pattern=_PIN)] = ""


class Account(Entry):
    name: Login | None = None
    any: bool = False
    password: Secret | None = None  # left out: not hosted
    certificate: Secret | None = None  # PEM: what the bastion shows the database in TLS as this account
    key: Secret | None = None  # PEM: its private key

    @property
    def label(self) -> str:
        """Its name, `*` for the account that is whatever the operator types."""
        return "*" if self.any else self.name or ""


class Database(Entry):
    name: Name
    engine: Literal["mysql", "postgresql", "sqlserver", "oracle"]
    host: Host
    platform: Literal["self-managed", "rds", "polardb"] = "self-managed"
    port: Port | None = None
    domain: Name | None = None
    tls: Tls = msgspec.field(default_factory=Tls)
    databases: list[Login] | None = None
    service: Text = ""
    sid: Text = ""
    accounts: list[Account] = []
    production: bool = False
    comment: Text = ""


class DatabaseGroup(Entry):
    name: Name
    members: list[Name] = []
    comment: Text = ""


class Grant(Entry, rename={"valid_from": "from", "valid_until": "until"}):
    name: Name
    to: Annotated[list[Reference], msgspec.Meta(min_length=1)]
    on: Annotated[list[Reference], msgspec.Meta(min_length=1)]
    accounts: Annotated[list[Login], msgspec.Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["*"])
    valid_from: Moment | None = None
    valid_until: Moment | None = None
    replication: bool = False
    comment: Text = ""


class Sources(Entry):
    allow: list[str] = []
    deny: list[str] = []


class Window(Entry):
    days: str
    hours: str = "00:00-24:00"
    zone: str = "UTC"


class Approval(Entry):
    required: bool = True
    by: list[Reference] = []


class Connections(Entry):
    per_user: Count = 0
    per_token: Count = 0
    per_database: Count = 0


class SessionLimits(Entry):
    idle: Period | None = None
    total: Period | None = None


class When(Entry):
    kind: list[str] = []
    table: list[str] = []
    without_where: bool = False
    rows: Count = 0


class Rule(Entry):
    when: When
    then: Literal["allow", "deny", "hold", "warn"]


class Policy(Entry):
    name: Name
    to: Annotated[list[Reference], msgspec.Meta(min_length=1)]
    on: Annotated[list[Reference], msgspec.Meta(min_length=1)]
    priority: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    comment: Text = ""
    client_password: Literal["any", "token"] | None = None
    at_expiry: Literal["finish", "now"] | None = None
    sources: Sources | None = None
    windows: Window | list[Window] | None = None
    approval: Approval | None = None
    note: Literal["optional", "required"] | None = None
    connections: Connections | None = None
    session: SessionLimits | None = None
    statements: list[Rule] | None = None


class Token(Entry):
    validity: Period = Period(_TOKEN.validity)
    longest: Period = Period(_TOKEN.longest)
    renewals: Annotated[int, msgspec.Meta(ge=0, le=1000)] = _TOKEN.renewals
    renewal: Period = Period(_TOKEN.renewal)


class Lockout(Entry):
    tries: Annotated[int, msgspec.Meta(ge=0, le=999)] = _LOCKOUT.tries
    period: Period = Period(_LOCKOUT.period)
    source_tries: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = _LOCKOUT.source_tries


class Advertise(Entry):
    host: Host
    port: Port = 60022


class Audit(Entry):
    mask_results: bool = False


class Settings(Entry):
    token: Token | None = None
    lockout: Lockout | None = None
    advertise: Advertise | None = None
    audit: Audit | None = None


class Document(Entry):
    """One document. A section that is left out says nothing of its kind; an empty one says that there is none of it."""

    users: list[User] | None = None
    groups: list[Group] | None = None
    domains: list[Domain] | None = None
    databases: list[Database] | None = None
    database_groups: list[DatabaseGroup] | None = None
    grants: list[Grant] | None = None
    policies: list[Policy] | None = None
    settings: Settings | None = None


DEFAULT_PORTS = {"mysql": 3306, "postgresql": 5432, "sqlserver": 1433, "oracle": 1521}


def read_special(kind: type, value: Any) -> Any:
    """msgspec's hook for Period, Moment and Secret. Raises ValueError with what is wanted."""
    if kind is Period:
        if not isinstance(value, str):
            raise ValueError("a period is written like 90s, 30m, 8h or 1d")
        return Period(parse_period(value))
    if kind is Moment:
        return Moment(_moment(value))
    if kind is Secret:
        return _secret(value)
    raise NotImplementedError(kind)


def written(entry: Entry) -> dict[str, Any]:
    """The entry as a document has it, without what is at its default.

    A secret is `{kept: true}`, wherever it came from; a user's password is left out.
    """
    found: dict[str, Any] = {}
    for each in msgspec.structs.fields(entry):
        value = getattr(entry, each.name)
        default = each.default_factory() if each.default_factory is not msgspec.NODEFAULT else each.default
        if value != default and not (isinstance(entry, User) and each.name == "password"):
            found[each.encode_name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Entry):
        return written(value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, Secret):
        return value.text if value.form == "text" else {"kept": True}
    if isinstance(value, Period | Moment):
        return repr(value)
    return value


def _moment(value: Any) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("a date is written like 2026-11-01 or 2026-11-01T08:00:00+08:00") from None
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise ValueError("a date is written like 2026-11-01 or 2026-11-01T08:00:00+08:00")


def _secret(value: Any) -> Secret:
    if isinstance(value, str):
        if value.lstrip().startswith("-----BEGIN CERTIFICATE-----"):
            return Secret("text", value)
        raise ValueError("a secret does not stand in the file; write {env: NAME} or {file: PATH}")
    if isinstance(value, dict) and len(value) == 1:
        ((form, text),) = value.items()
        if form == "kept" and text is True:
            return KEPT
        if form in ("env", "file", "hash") and isinstance(text, str) and text:
            return Secret(form, text)
    raise ValueError("a secret is written {env: NAME}, {file: PATH}, {hash: ARGON2ID} or {kept: true}")

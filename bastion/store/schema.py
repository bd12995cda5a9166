"""The tables. One definition for SQLite and PostgreSQL; the migrations under `migrations/` build them.

Times are text: RFC 3339 in UTC with microseconds and a `Z` (`2026-11-22T09:30:00.000000Z`), as in the journal, so that
they sort as text and read the same in both databases. `moments.py` converts. Sealed columns hold `Vault.seal` text;
digests are keyed hex. Names of people and databases are kept as text beside their keys wherever a row must outlive
them.

PostgreSQL text cannot hold a NUL character: whoever stores what came from outside replaces it first.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
"""JSON of any shape. NULL is SQL's NULL (`none_as_null` is set per column through `_json`)."""

BigKey = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A 64-bit key that the database counts up. SQLite only counts its own INTEGER, which is 64 bits wide there."""


def _json() -> sa.types.TypeEngine[Any]:
    return sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def _key(kind: sa.types.TypeEngine[Any] | None = None) -> sa.Column[Any]:
    return sa.Column("id", kind if kind is not None else BigKey, primary_key=True)


def _text(name: str, default: str | None = "") -> sa.Column[Any]:
    """Text that is never NULL, empty where nothing is said; with default None it must be given."""
    return sa.Column(name, sa.Text, nullable=False, server_default=default)


def _moment(name: str, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _count(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


def _flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false())


def _to(name: str, target: str, on_delete: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, BigKey, sa.ForeignKey(target, ondelete=on_delete), nullable=nullable)


# --------------------------------------------------------------------------------------------------------- identity

users = sa.Table(
    "users",
    metadata,
    _key(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    _text("display"),
    _text("comment"),
    _text("source", "local"),  # local | ldap
    sa.Column("password_hash", sa.Text),  # argon2id, PHC string; NULL: no password login
    _flag("must_change"),
    _moment("password_changed_at"),
    _moment("valid_from"),
    _moment("valid_until"),
    _flag("locked"),  # by an administrator, until unlocked
    _text("locked_by"),
    _text("totp", "off"),  # off | optional | required
    sa.Column("totp_secret", sa.Text),  # sealed
    _text("language"),  # '': the client's
    _moment("created_at", nullable=False),
    _moment("changed_at", nullable=False),
)

user_locks = sa.Table(  # for a time, by an auditor; by name, so that no change of what is declared undoes it
    "user_locks",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    _moment("until", nullable=False),
    _text("by", None),
    _text("reason"),
    _moment("at", nullable=False),
)

user_keys = sa.Table(
    "user_keys",
    metadata,
    _key(),
    _to("user_id", "users.id", "CASCADE"),
    _text("algorithm", None),
    _text("blob", None),  # base64 of the key's wire form: what is compared
    _text("comment"),
    sa.UniqueConstraint("user_id", "blob"),
)

user_roles = sa.Table(
    "user_roles",
    metadata,
    sa.Column("user_id", BigKey, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("role", sa.Text, primary_key=True),  # operator | approver | auditor | administrator
)

groups = sa.Table(
    "groups",
    metadata,
    _key(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    _text("comment"),
)

group_members = sa.Table(
    "group_members",
    metadata,
    sa.Column("group_id", BigKey, sa.ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("user_id", BigKey, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True),
)

login_failures = sa.Table(
    "login_failures",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),  # user | source
    sa.Column("name", sa.Text, primary_key=True),  # what was typed (known or not), or the source address
    _count("tries"),
    _moment("first_at", nullable=False),
    _moment("last_at", nullable=False),
    _moment("locked_until"),
)

personal_state = sa.Table(
    "personal_state",
    metadata,
    sa.Column("user_id", BigKey, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),  # tabs | history | saved | favourites | …
    sa.Column("key", sa.Text, primary_key=True),  # not sealed: nothing secret is in it
    _moment("updated_at", nullable=False),
    _count("size"),  # bytes of what is sealed
    _text("value", None),  # sealed
    sa.Index("ix_personal_state_user_id_kind_updated_at", "user_id", "kind", "updated_at"),
)

# ----------------------------------------------------------------------------------------------------------- assets

network_domains = sa.Table(
    "network_domains",
    metadata,
    _key(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    _text("comment"),
)

proxies = sa.Table(
    "proxies",
    metadata,
    _key(),
    _to("domain_id", "network_domains.id", "CASCADE"),
    sa.Column("place", sa.Integer, nullable=False),  # 0 primary, 1 standby
    _text("kind", None),  # ssh | socks5 | http
    _text("host", None),
    sa.Column("port", sa.Integer, nullable=False),
    _text("login"),
    sa.Column("secret", sa.Text),  # sealed password
    sa.Column("key", sa.Text),  # sealed private key
    _text("host_key"),  # ssh: the proxy's own key, one line
    sa.UniqueConstraint("domain_id", "place"),
)

databases = sa.Table(
    "databases",
    metadata,
    _key(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    _text("engine", None),  # mysql | postgresql | sqlserver | oracle
    _text("platform", "self-managed"),  # self-managed | rds | polardb
    _text("host", None),
    sa.Column("port", sa.Integer, nullable=False),
    _to("domain_id", "network_domains.id", "RESTRICT", nullable=True),  # NULL: direct
    _text("tls_mode", "prefer"),
    sa.Column("tls_ca", sa.Text),  # PEM
    sa.Column("tls_pin", sa.Text),  # sha256 of the certificate's public key, hex
    sa.Column("allowed_names", _json()),  # list of names that may be opened; NULL: all
    _text("service"),  # Oracle
    _text("sid"),  # Oracle
    sa.Column("options", Json, nullable=False),
    _text("comment"),
    _flag("production"),  # a mistake here is felt: the workstation says so and guards writes
)

accounts = sa.Table(
    "accounts",
    metadata,
    _key(),
    _to("database_id", "databases.id", "CASCADE"),
    _text("name", None),  # '*' where `any_login`
    _flag("any_login"),  # whatever the operator types
    sa.Column("secret", sa.Text),  # sealed password: hosted; NULL: not hosted
    _moment("secret_changed_at"),
    sa.Column("certificate", sa.Text),  # sealed chain for TLS to the database (PEM); NULL: none
    sa.Column("certificate_key", sa.Text),  # sealed private key (PEM)
    sa.UniqueConstraint("database_id", "name"),
)

database_groups = sa.Table(
    "database_groups",
    metadata,
    _key(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    _text("comment"),
)

database_group_members = sa.Table(
    "database_group_members",
    metadata,
    sa.Column("group_id", BigKey, sa.ForeignKey("database_groups.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("database_id", BigKey, sa.ForeignKey("databases.id", ondelete="CASCADE"), primary_key=True, index=True),
)

# ------------------------------------------------------------------------------------------------ grants and policies

grants = sa.Table(
    "grants",
    metadata,
    _key(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("version", sa.Integer, nullable=False),
    _moment("valid_from"),
    _moment("valid_until"),
    _flag("replication"),
    _text("comment"),
)

grant_versions = sa.Table(
    "grant_versions",
    metadata,
    _key(),
    _text("name", None),  # the grant's, kept after the grant itself is gone
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("document", _json()),  # as declared; NULL: this version removed it
    _moment("at", nullable=False),
    _text("by", None),
    sa.UniqueConstraint("name", "version"),
)

grant_subjects = sa.Table(
    "grant_subjects",
    metadata,
    _key(),
    sa.Column("grant_id", BigKey, sa.ForeignKey("grants.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("user_id", BigKey, sa.ForeignKey("users.id", ondelete="RESTRICT"), index=True),
    sa.Column("group_id", BigKey, sa.ForeignKey("groups.id", ondelete="RESTRICT"), index=True),
    _flag("everyone"),
)

grant_objects = sa.Table(
    "grant_objects",
    metadata,
    _key(),
    sa.Column("grant_id", BigKey, sa.ForeignKey("grants.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("database_id", BigKey, sa.ForeignKey("databases.id", ondelete="RESTRICT"), index=True),
    sa.Column("group_id", BigKey, sa.ForeignKey("database_groups.id", ondelete="RESTRICT"), index=True),
    _flag("everything"),
)

grant_accounts = sa.Table(
    "grant_accounts",
    metadata,
    sa.Column("grant_id", BigKey, sa.ForeignKey("grants.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),  # '*': every account of the databases
)

policies = sa.Table(
    "policies",
    metadata,
    _key(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("priority", sa.Integer, nullable=False),  # 1-100, 1 is highest; of equals the later version wins
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("document", Json, nullable=False),  # as declared, periods in seconds
    _moment("changed_at", nullable=False),
)

policy_versions = sa.Table(
    "policy_versions",
    metadata,
    _key(),
    _text("name", None),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("document", _json()),  # NULL: this version removed it
    _moment("at", nullable=False),
    _text("by", None),
    sa.UniqueConstraint("name", "version"),
)

settings = sa.Table(
    "settings",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", Json, nullable=False),
    _moment("changed_at", nullable=False),
)

# -------------------------------------------------------------------------------------------------- tokens, requests

requests = sa.Table(
    "requests",
    metadata,
    _key(sa.Text()),
    _text("kind", "token"),  # token | statement
    _to("user_id", "users.id", "SET NULL", nullable=True),
    _to("database_id", "databases.id", "SET NULL", nullable=True),
    _text("user", None),
    _text("database", None),
    _text("account", None),
    _text("reason"),
    sa.Column("period", sa.BigInteger),  # seconds asked for
    _moment("wanted_from"),
    _moment("wanted_until"),
    sa.Column("document", _json()),  # statement: text, binds, plan, estimated rows
    _text("state", "pending"),  # pending | approved | rejected | withdrawn | lapsed
    _moment("created_at", nullable=False),
    _moment("lapses_at"),
    _moment("decided_at"),
    sa.Index(None, "state", "created_at"),
)

approvals = sa.Table(
    "approvals",
    metadata,
    _key(),
    sa.Column("request_id", sa.Text, sa.ForeignKey("requests.id", ondelete="CASCADE"), nullable=False, index=True),
    _text("approver", None),
    _text("decision", None),  # approve | reject
    sa.Column("period", sa.BigInteger),  # seconds granted
    _moment("valid_from"),
    _moment("valid_until"),
    _text("comment"),
    _moment("at", nullable=False),
)

tokens = sa.Table(
    "tokens",
    metadata,
    _key(sa.Text()),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    _text("sealed", None),  # the token's text, for its owner
    _to("user_id", "users.id", "SET NULL", nullable=True),
    _to("database_id", "databases.id", "SET NULL", nullable=True),
    _to("account_id", "accounts.id", "SET NULL", nullable=True),
    _text("user", None),
    _text("database", None),
    _text("account", None),  # '*' for an `any` account
    _text("login"),  # typed with the request, for an account that is not hosted
    sa.Column("secret", sa.Text),  # sealed password typed with the request
    _text("reason"),
    _moment("issued_at", nullable=False),
    _moment("expires_at", nullable=False),
    sa.Column("renewals_used", sa.Integer, nullable=False, server_default="0"),
    sa.Column("renewals_allowed", sa.Integer, nullable=False, server_default="0"),
    sa.Column("current", sa.Boolean, nullable=False, server_default=sa.true()),
    _moment("revoked_at"),
    _text("revoked_by"),
    _text("revoked_why"),
    sa.Column("request_id", sa.Text, sa.ForeignKey("requests.id", ondelete="SET NULL")),
    sa.Index("ix_tokens_user_database", "user", "database"),
)

one_current_token = sa.Index(
    "uq_tokens_current",
    tokens.c.user_id,
    tokens.c.account_id,
    unique=True,
    sqlite_where=sa.text("current"),
    postgresql_where=sa.text("current"),
)
"""One current token a person and account, whatever races: a new one first takes the mark off the old one."""

# ------------------------------------------------------------------------------------------------------------- nodes

nodes = sa.Table(
    "nodes",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    _text("address"),
    _text("version"),
    _text("public_key"),
    _text("state", "up"),  # up | draining | stopped | lost
    _moment("started_at", nullable=False),
    _moment("heartbeat_at", nullable=False),
)

leases = sa.Table(
    "leases",
    metadata,
    _key(),
    _text("kind", None),  # user | token | database | bastion
    _text("name", None),  # whose limit it counts against
    _text("node", None),
    _text("session", None),
    _moment("taken_at", nullable=False),
    _moment("ends_at", nullable=False),
    sa.UniqueConstraint("kind", "name", "session"),
)

# -------------------------------------------------------------------------- the audit's projections of the journal

sessions = sa.Table(
    "sessions",
    metadata,
    _key(),  # the cursor of a listing; ids are handed out in the journal's order
    sa.Column("session", sa.Text, nullable=False, unique=True),  # messages.Session.id
    _text("user", None),
    _text("source"),
    _text("client"),
    _text("token"),
    _text("database", None),
    _text("account"),
    _text("login"),
    _text("engine"),
    _text("node"),
    _text("purpose"),  # console | client | catalog
    _text("state", None),  # opening | live | closed | refused | lost
    _moment("started_at", nullable=False),
    _moment("ended_at"),
    sa.Column("end_reason", sa.Text),
    _count("statements"),
    _count("bytes_up"),
    _count("bytes_down"),
    _count("unattributed_bytes"),
    _text("catalog"),
    _text("schema"),
    _text("server_version"),
    _text("database_tls"),
    _text("backend"),  # how the database's end was left: idle | gone | busy
    sa.Column("messages", _json()),  # how many of each type passed: {"client": {…}, "server": {…}}; NULL: not counted
    sa.Index(None, "user", "started_at"),
    sa.Index(None, "database", "started_at"),
    sa.Index(None, "started_at"),
    sa.Index(None, "state"),
    sa.Index(None, "token"),
)

statements = sa.Table(
    "statements",
    metadata,
    _key(),  # the cursor of a listing
    _text("session", None),  # sessions.session; no foreign key: a record is never turned away for its order
    sa.Column("seq", sa.BigInteger, nullable=False),
    _moment("at", nullable=False),
    _text("user", None),
    _text("database", None),
    _text("account"),
    _text("schema"),
    _text("operation"),
    _text("kind"),
    _text("text"),  # whole, or the beginning of a long one that is in `texts` by its digest
    sa.Column("complete", sa.Boolean, nullable=False, server_default=sa.true()),
    _text("text_digest"),  # of the whole text
    sa.Column("binds", _json()),
    _text("verdict", "allowed"),
    _text("tool"),
    _text("state", "sent"),  # sent | done | failed | cancelled | refused | skipped
    sa.Column("rows", sa.BigInteger),
    sa.Column("error", sa.Text),
    sa.Column("duration_ms", sa.Float(53)),
    _count("bytes_down"),
    _text("digest"),  # of the text's shape: the same for all that differ only in their values; '' for old rows
    sa.UniqueConstraint("session", "seq"),
    sa.Index(None, "digest"),
    sa.Index(None, "user", "at"),
    sa.Index(None, "database", "at"),
    sa.Index(None, "kind", "at"),
    sa.Index(None, "at"),
)

_UNUSUAL = "state = 'sent' OR state = 'cancelled' OR state = 'refused' OR state = 'skipped' OR state = 'failed'"
for _name, _column, _condition in (
    ("ix_statements_large", "rows", "rows >= 100"),
    ("ix_statements_slow", "duration_ms", "duration_ms >= 100"),
    ("ix_statements_unusual", "state", _UNUSUAL),
):
    # Only the statements that are sorted or looked for so: the many small ones cost nothing here.
    sa.Index(
        _name, statements.c[_column], statements.c.id, sqlite_where=sa.text(_condition),
        postgresql_where=sa.text(_condition),
    )  # fmt: skip

audit_filters = sa.Table(
    "audit_filters",
    metadata,
    _key(),
    _text("owner", None),  # a name, which outlives the person's account
    _text("name", None),
    _text("what", "statements"),  # statements | sessions
    _text("text", None),  # as it is typed
    _flag("shared"),
    _moment("changed_at", nullable=False),
    sa.UniqueConstraint("owner", "name"),
)

texts = sa.Table(
    "texts",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),  # statements.text_digest
    sa.Column("text", sa.Text, nullable=False),
)

words_indexed = sa.Table(
    "words_indexed",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    _count("number"),  # of the last statement (statements.id) whose words are in the index, or that is pending
)

words_pending = sa.Table(
    "words_pending",
    metadata,
    sa.Column("statement_id", BigKey, primary_key=True, autoincrement=False),
)

WORDS = "statement_words"
"""The index of words: no table in SQLAlchemy's sense, and another thing in each database; see audit/word_index.py."""

legal_holds = sa.Table(
    "legal_holds",
    metadata,
    _key(),
    sa.Column("session", sa.Text, nullable=False, unique=True),
    _text("screen"),  # the one that it was opened in, which is held with it
    _text("reason"),
    _text("by"),
    _moment("at", nullable=False),
)

acts = sa.Table(
    "acts",
    metadata,
    _key(),
    _text("node"),
    _count("number"),  # of the record in the node's journal
    _moment("at", nullable=False),
    _text("kind", "act"),  # act | login | login-refused | cancel | …: the record's tag
    _text("user"),
    _text("source"),
    _text("act"),
    _text("subject"),
    sa.Column("detail", Json, nullable=False),
    sa.UniqueConstraint("node", "number"),
    sa.Index(None, "user", "at"),
    sa.Index(None, "at"),
)

shipped = sa.Table(
    "shipped",
    metadata,
    sa.Column("node", sa.Text, primary_key=True),
    _count("number"),  # of the last record of the node's journal that is in this store
    _moment("at"),
)

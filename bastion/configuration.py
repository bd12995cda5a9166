"""What a bastion is told by its configuration file: `DIR/casemate.toml`. Paths in it are relative to its folder.

What people may do is not configuration but state: it is declared with `casemate apply` and lives in the store.
"""

from __future__ import annotations

import re
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bastion.destinations import LEAST_SYSLOG, Destination, File, Syslog, Webhook
from bastion.destinations import NAME as DESTINATION_NAME

FILE_NAME = "casemate.toml"
DEFAULT_PORT = 60022
LEAST_MEMORY = 256 * 1024 * 1024
DURABILITIES = ("written", "synced", "stored")
_NODE_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class ConfigurationError(Exception):
    """The configuration cannot be used. The message names the file, the key, what is wrong and what is allowed."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host name or address and a TCP port. Port 0 to listen on: any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Limits:
    """What an outsider can make the bastion hold. Times are seconds.

    sessions                    database sessions at one time
    sessions_per_person         the same of one person; 0: as many as the bastion takes
    login_timeout               from the connection to the end of the SSH login
    dial_timeout                to reach a database
    unauthenticated_per_source  connections from one address that have not logged in
    unauthenticated             the same from all addresses
    commands                    command processes started for `exec` at one time
    """

    sessions: int = 500
    sessions_per_person: int = 0
    login_timeout: int = 60
    dial_timeout: int = 10
    unauthenticated_per_source: int = 20
    unauthenticated: int = 200
    commands: int = 16


@dataclass(frozen=True, slots=True)
class RecordingSettings:
    """Whether results are kept, and how many bytes of a statement's, of a session's, and of what is streamed in.

    screens  whether the screens of served workstations are kept; a session's limit holds for each
    """

    results: bool = True
    per_statement: int = 1024 * 1024
    per_session: int = 256 * 1024 * 1024
    per_upload: int = 256 * 1024
    screens: bool = True


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """How long the record is kept, and when its disk is too full. 0: for ever, as much as there is.

    records           days that the journal and the store keep sessions, statements and acts
    recordings        days that results are kept; `screens`: the same of screens
    recordings_bytes  bytes of both together; beyond it the oldest go
    alarm             per cent of a disk in use from which there is an alarm; 0: none
    """

    records: int = 0
    recordings: int = 0
    screens: int = 0
    recordings_bytes: int = 0
    alarm: int = 85


@dataclass(frozen=True, slots=True)
class WorkstationSettings:
    """The workstation over plain SSH.

    served      whether a login with a terminal gets one
    sessions    workstations at one time, also those that wait for their terminal
    per_person  of them of one person
    resume_for  seconds that a workstation whose connection was lost is kept; 0: not at all
    memory      bytes that the process of one may have for data; 0: as many as there are
    export_quota  bytes that one person's exported results may take on the bastion together; 0: nothing is exported
    exports_total  bytes that everybody's exported results may take together; 0: only the disk is the limit
    user        whose processes they are; '': the bastion's own. Needs a bastion that runs as root
    socket      where a UI host that is a service of its own listens; None: the bastion starts one
    """

    served: bool = True
    sessions: int = 100
    per_person: int = 10
    resume_for: int = 300
    memory: int = 1024 * 1024 * 1024
    export_quota: int = 1024 * 1024 * 1024
    exports_total: int = 10 * 1024 * 1024 * 1024
    user: str = ""
    socket: Path | None = None


@dataclass(frozen=True, slots=True)
class Configuration:
    """The configuration of one node. All paths are absolute."""

    file: Path
    listen: Endpoint
    advertise: Endpoint | None
    state_folder: Path
    store_url: str
    node: str
    journal_folder: Path
    durability: str
    host_keys: tuple[Path, ...]
    master_key: Path
    signing_key: Path
    ca_folder: Path
    limits: Limits
    recording: RecordingSettings = RecordingSettings()
    workstation: WorkstationSettings = WorkstationSettings()
    retention: RetentionSettings = RetentionSettings()
    shipping: tuple[Destination, ...] = ()
    people: Endpoint | None = None
    """A second address to listen on, for people: it offers compression only, so every ssh compresses the screen."""

    @property
    def folder(self) -> Path:
        """The folder that the configuration file is in."""
        return self.file.parent

    @property
    def public_key(self) -> Path:
        """The file with the public key that proves this node's journal."""
        return self.signing_key.with_suffix(".pub")

    @property
    def known_hosts(self) -> Path:
        """The file that `init` makes for clients: this bastion's host keys under its names."""
        return self.folder / "known_hosts"

    @property
    def recordings_folder(self) -> Path:
        """Where the results of sessions are kept."""
        return self.state_folder / "recordings"

    @property
    def exports_folder(self) -> Path:
        """Where results that people exported wait to be fetched."""
        return self.state_folder / "exports"

    @property
    def control_socket(self) -> Path:
        """The Unix socket on which the running bastion takes commands of its own machine."""
        return self.state_folder / "casemate.sock"

    def advertised(self, port: int) -> Endpoint:
        """The address that people are shown, where the bastion listens on `port`."""
        if self.advertise is not None:
            return self.advertise
        anywhere = self.listen.host in ("0.0.0.0", "::", "")  # noqa: S104 - compared, not listened on
        return Endpoint(socket.getfqdn() if anywhere else self.listen.host, port)


def parse_endpoint(text: str, default_port: int = DEFAULT_PORT) -> Endpoint:
    """`HOST`, `HOST:PORT` or `[IPV6]:PORT`. Raises ValueError with a sentence."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^\[\]:\s]+))(?::(\d{1,5}))?", text)
    if match is None:
        raise ValueError(f"{text!r} is no HOST:PORT; write an IPv6 address in brackets, like [::1]:{default_port}")
    port = int(match[3]) if match[3] is not None else default_port
    if port > 65535:
        raise ValueError(f"{text!r}: a port is a number up to 65535")
    return Endpoint(match[1] or match[2], port)


class _Table:
    """Takes typed values out of one table of the file and notices what nobody asked for."""

    def __init__(self, file: Path, name: str, values: Mapping[str, Any]) -> None:
        self._file = file
        self._name = name
        self._values = dict(values)

    def _key(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key

    def fail(self, key: str, problem: str) -> ConfigurationError:
        return ConfigurationError(f"{self._file}: {self._key(key)} {problem}")

    def table(self, key: str) -> _Table:
        value = self._values.pop(key, {})
        if not isinstance(value, dict):
            raise self.fail(key, f"must be a table, [{key}]")
        return _Table(self._file, self._key(key), value)

    def tables(self, key: str) -> list[_Table]:
        values = self._values.pop(key, [])
        if not isinstance(values, list) or not all(isinstance(each, dict) for each in values):
            raise self.fail(key, f"must be tables, each [[{key}]]")
        return [_Table(self._file, f"{self._key(key)}[{number}]", each) for number, each in enumerate(values, 1)]

    def text(self, key: str, default: str) -> str:
        value = self._values.pop(key, default)
        if not isinstance(value, str) or (not value and default):
            raise self.fail(key, "must be a text in quotes and not empty")
        return value

    def texts(self, key: str, default: list[str]) -> list[str]:
        value = self._values.pop(key, default)
        if not isinstance(value, list) or not value or not all(isinstance(each, str) and each for each in value):
            raise self.fail(key, "must be a list of texts and not empty")
        return list(value)

    def number(self, key: str, default: int, least: int, most: int) -> int:
        value = self._values.pop(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.fail(key, f"must be a whole number from {least} to {most}, not {value!r}")
        return value

    def choice(self, key: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.text(key, default)
        if value not in choices:
            raise self.fail(key, f"must be one of {', '.join(choices)}, not {value!r}")
        return value

    def end(self) -> None:
        if self._values:
            raise self.fail(sorted(self._values)[0], "is not known. Remove it, or check its spelling.")


def load(file: Path) -> Configuration:
    """Reads a configuration file. Raises ConfigurationError."""
    file = file.absolute()
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{file} does not exist. Make it with: casemate init {file.parent}") from None
    except IsADirectoryError:
        raise ConfigurationError(f"{file} is a folder. Name the file in it: {file / FILE_NAME}") from None
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} is not TOML: {error}") from error
    return _read(file, _Table(file, "", values))


def _endpoint(table: _Table, default: Endpoint) -> Endpoint:
    endpoint = Endpoint(table.text("host", default.host), table.number("port", default.port, 0, 65535))
    table.end()
    return endpoint


def _read(file: Path, root: _Table) -> Configuration:
    folder = file.parent
    listen_table = root.table("listen")
    people_port = listen_table.number("people", 0, 0, 65535)
    listen = _endpoint(listen_table, Endpoint("0.0.0.0", DEFAULT_PORT))  # noqa: S104 - a bastion serves a network
    advertise_table = root.table("advertise")
    advertise = _endpoint(advertise_table, Endpoint("", 0))
    if bool(advertise.host) != bool(advertise.port):
        raise advertise_table.fail("host", "and advertise.port go together: set both, or neither")
    node = root.text("node", socket.gethostname().split(".")[0] or "bastion")
    if not _NODE_NAME.fullmatch(node):
        raise root.fail("node", "must be 1 to 64 letters, digits, dots, dashes or underscores")

    state = root.table("state")
    state_folder = folder / state.text("folder", "state")
    store_url = _store_url(folder, state.text("store", f"sqlite:///{state_folder}/casemate.sqlite3"), state)
    state.end()

    keys = root.table("keys")
    host_keys = tuple(folder / each for each in keys.texts("host", ["keys/host_ed25519", "keys/host_rsa"]))
    master_key = folder / keys.text("master", "keys/master.key")
    signing_key = folder / keys.text("signing", "keys/node.key")
    ca_folder = folder / keys.text("ca", "ca")
    keys.end()

    audit = root.table("audit")
    journal_folder = folder / audit.text("journal", "journal")
    durability = audit.choice("durability", "written", DURABILITIES)
    audit.end()

    recording = _recording(root.table("recording"))
    workstation = _workstation(folder, root.table("workstation"))
    retention = _retention(root.table("retention"))
    shipping = tuple(_destination(folder, each) for each in root.tables("shipping"))
    if len({each.name for each in shipping}) < len(shipping):
        raise root.fail("shipping", "has two destinations of one name: each remembers by it how far it is")

    table = root.table("limits")
    defaults = Limits()
    limits = Limits(
        sessions=table.number("sessions", defaults.sessions, 1, 100_000),
        sessions_per_person=table.number("sessions_per_person", defaults.sessions_per_person, 0, 100_000),
        login_timeout=table.number("login_timeout", defaults.login_timeout, 5, 600),
        dial_timeout=table.number("dial_timeout", defaults.dial_timeout, 1, 300),
        unauthenticated_per_source=table.number(
            "unauthenticated_per_source", defaults.unauthenticated_per_source, 1, 10_000
        ),
        unauthenticated=table.number("unauthenticated", defaults.unauthenticated, 1, 100_000),
        commands=table.number("commands", defaults.commands, 1, 1_000),
    )
    table.end()
    root.end()
    return Configuration(
        file=file,
        listen=listen,
        advertise=advertise if advertise.host else None,
        state_folder=state_folder,
        store_url=store_url,
        node=node,
        journal_folder=journal_folder,
        durability=durability,
        host_keys=host_keys,
        master_key=master_key,
        signing_key=signing_key,
        ca_folder=ca_folder,
        limits=limits,
        recording=recording,
        workstation=workstation,
        retention=retention,
        shipping=shipping,
        people=Endpoint(listen.host, people_port) if people_port else None,
    )


def _recording(table: _Table) -> RecordingSettings:
    defaults = RecordingSettings()
    recording = RecordingSettings(
        results=table.choice("results", "on", ("on", "off")) == "on",
        per_statement=table.number("per_statement", defaults.per_statement, 1024, 1024**3),
        per_session=table.number("per_session", defaults.per_session, 1024, 1024**4),
        per_upload=table.number("per_upload", defaults.per_upload, 0, 512 * 1024),
        screens=table.choice("screens", "on", ("on", "off")) == "on",
    )
    table.end()
    return recording


def _retention(table: _Table) -> RetentionSettings:
    defaults = RetentionSettings()
    longest = 36_500
    retention = RetentionSettings(
        records=table.number("records", defaults.records, 0, longest),
        recordings=table.number("recordings", defaults.recordings, 0, longest),
        screens=table.number("screens", defaults.screens, 0, longest),
        recordings_bytes=table.number("recordings_bytes", defaults.recordings_bytes, 0, 1024**5),
        alarm=table.number("alarm", defaults.alarm, 0, 99),
    )
    table.end()
    return retention


def _workstation(folder: Path, table: _Table) -> WorkstationSettings:
    defaults = WorkstationSettings()
    socket_path = table.text("socket", "")
    user = table.text("user", "")
    if socket_path and user:
        raise table.fail("user", "and workstation.socket do not go together: whose that service is, its unit says")
    settings = WorkstationSettings(
        served=table.choice("served", "on", ("on", "off")) == "on",
        sessions=table.number("sessions", defaults.sessions, 1, 10_000),
        per_person=table.number("per_person", defaults.per_person, 1, 10_000),
        resume_for=table.number("resume_for", defaults.resume_for, 0, 24 * 3600),
        memory=table.number("memory", defaults.memory, 0, 1024**4),
        export_quota=table.number("export_quota", defaults.export_quota, 0, 1024**5),
        exports_total=table.number("exports_total", defaults.exports_total, 0, 1024**5),
        user=user,
        socket=folder / socket_path if socket_path else None,
    )
    if 0 < settings.memory < LEAST_MEMORY:
        raise table.fail("memory", f"must be 0 or at least {LEAST_MEMORY}: a workstation does not start with less")
    table.end()
    return settings


def _destination(folder: Path, table: _Table) -> Destination:
    name = table.text("name", "")
    if not DESTINATION_NAME.fullmatch(name):
        raise table.fail("name", "must be 1 to 32 letters, digits, dashes or underscores")
    kind = table.choice("kind", "syslog", ("syslog", "file", "webhook"))
    destination: Destination

    def path(key: str) -> str:
        given = table.text(key, "")
        return str(folder / given) if given else ""

    if kind == "file":
        if not (file := path("path")):
            raise table.fail("path", "must name the file")
        destination = File(
            name=name,
            path=file,
            size=table.number("size", 100 * 1024 * 1024, 1024, 1024**4),
            kept=table.number("kept", 10, 0, 10_000),
        )
    elif kind == "webhook":
        url = table.text("url", "")
        if not url.startswith(("https://", "http://")):
            raise table.fail("url", "must begin with https:// or http://")
        destination = Webhook(
            name=name, url=url, token_file=path("token_file"), ca=path("ca"), batch=table.number("batch", 500, 1, 500)
        )
    else:
        transport = table.choice("transport", "tls", ("udp", "tcp", "tls"))
        if not (host := table.text("host", "")):
            raise table.fail("host", "must name the receiver")
        destination = Syslog(
            name=name,
            host=host,
            port=table.number("port", 6514 if transport == "tls" else 514, 1, 65535),
            transport=transport,
            facility=table.number("facility", 13, 0, 23),
            longest=table.number("longest", 8192 if transport == "udp" else 65536, LEAST_SYSLOG, 16 * 1024 * 1024),
            ca=path("ca"),
            certificate=path("certificate"),
            key=path("key"),
        )
    table.end()
    return destination


def _store_url(folder: Path, url: str, table: _Table) -> str:
    """A relative SQLite path is relative to the configuration's folder, wherever the bastion is started."""
    scheme, mark, rest = url.partition("://")
    if not mark or scheme.partition("+")[0] not in ("sqlite", "postgresql"):
        raise table.fail("store", "must be sqlite:///PATH or postgresql+psycopg://USER@HOST/DATABASE")
    if scheme == "sqlite":
        path = rest.removeprefix("/")
        if not path:
            raise table.fail("store", "names no file: sqlite:///PATH")
        return f"sqlite:///{folder / path}"
    return url


def written(listen: Endpoint, node: str) -> str:
    """The text of a new configuration file."""
    return f"""# The configuration of a Casemate bastion. Paths are relative to this folder.
# Users, databases, grants and settings are not here: declare them with `casemate apply`.

node = "{node}"

[listen]
host = "{listen.host}"
port = {listen.port}

# The address that people are shown in tokens and ready-made lines.
# [advertise]
# host = "bastion.example.com"
# port = {listen.port or DEFAULT_PORT}

[state]
folder = "state"
# store = "postgresql+psycopg://casemate@db.example.com/casemate"

[audit]
journal = "journal"
# written: survives a crash of the bastion; synced: survives a power failure
durability = "written"

# What statements returned is kept, encrypted, for auditors: bytes of one statement, and of one session;
# and the beginning of what is streamed into one (COPY, LOAD DATA LOCAL).
[recording]
results = "on"
screens = "on"
per_statement = {RecordingSettings().per_statement}
per_session = {RecordingSettings().per_session}
per_upload = {RecordingSettings().per_upload}

# `ssh -p {listen.port or DEFAULT_PORT} NAME@HOST` gives the workstation, with nothing installed.
[workstation]
served = "on"
sessions = {WorkstationSettings().sessions}
per_person = {WorkstationSettings().per_person}
# seconds that a workstation waits for its person after a lost connection, with its query and its transaction
resume_for = {WorkstationSettings().resume_for}
# bytes that one person's exported results may take here, for a day at most; 0: nothing is exported
export_quota = {WorkstationSettings().export_quota}
# bytes that everybody's may take here together; 0: only the disk is the limit
exports_total = {WorkstationSettings().exports_total}

# Days that the record is kept; 0: for ever. What goes leaves a signed tombstone, so that the record still verifies;
# sessions on legal hold stay. The alarm is raised when so many per cent of a disk of the record are in use.
[retention]
records = 0
recordings = 0
screens = 0
# bytes of all recordings and screens together; beyond it the oldest go; 0: as many as there are
recordings_bytes = 0
alarm = {RetentionSettings().alarm}

# Every record, also to other systems: kind = "syslog", "file" or "webhook". See docs/events.md.
# [[shipping]]
# name = "siem"
# kind = "syslog"
# transport = "tls"
# host = "siem.example.com"

[keys]
host = ["keys/host_ed25519", "keys/host_rsa"]
master = "keys/master.key"
signing = "keys/node.key"
ca = "ca"
"""

"""What a token's owner gives to which program: ready-made lines, and settings field by field."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from urllib.parse import quote

from bastion.api import messages as m
from bastion.api.language import translate as _

from .words import mark


@dataclass(frozen=True)
class Setting:
    """One field of a program, or one line for a shell. `secret`: shown only when the person asks for it."""

    label: str
    value: str
    secret: bool = False
    note: str = ""


TABS = {
    "token": mark("Token"),
    "client": mark("Command line"),
    "navicat": "Navicat",
    "dbeaver": "DBeaver",
    "url": "URL, JDBC",
}

_NAVICAT = {"mysql": "MySQL", "postgresql": "PostgreSQL", "sqlserver": "SQL Server", "oracle": "Oracle"}
_CLIENTS = {"mysql": "mysql", "postgresql": "psql", "sqlserver": "sqlcmd", "oracle": "sqlplus"}


def settings_for(tab: str, token: m.Token) -> list[Setting]:
    """The fields of one of TABS, in the order in which the program asks for them."""
    return {
        "token": _token,
        "client": _command_line,
        "navicat": _navicat,
        "dbeaver": _dbeaver,
        "url": _urls,
    }[tab](token)


def _token(token: m.Token) -> list[Setting]:
    return [
        Setting(_("Token"), token.token, secret=True, note=_("the SSH password")),
        *_bastion(token, _("SSH host"), _("SSH port"), _("SSH user")),
        Setting(_("Database address"), f"{token.host}:{token.port}"),
        Setting(_("Database user"), _login(token)),
        *([Setting(_("Database name"), token.catalog)] if token.catalog else []),
        *([Setting(_("Service"), token.service)] if token.service else []),
        *([Setting("SID", token.sid)] if token.sid else []),
    ]


def _command_line(token: m.Token) -> list[Setting]:
    account = ["--account", token.account]
    ssh = Setting(_("Tunnel"), token.lines.ssh, note=_("the password is the token"))
    client = Setting(_CLIENTS.get(token.engine, _("Client")), token.lines.client, note=_password_note(token))
    own = shlex.join(["casemate", "tunnel", token.database, *account])
    return [
        ssh,
        client,
        Setting("casemate tunnel", own, note=_("instead of ssh; nobody else can use it")),
        Setting("casemate sql", shlex.join(["casemate", "sql", token.database, *account, "-c", "select 1"])),
    ]


def _navicat(token: m.Token) -> list[Setting]:
    service = [Setting(_("Service Name"), token.service)] if token.service else []
    sid = [Setting("SID", token.sid)] if token.sid else []
    catalog = [Setting(_("Initial Database"), token.catalog)] if token.catalog and token.engine != "mysql" else []
    return [
        Setting(_("Connection"), _NAVICAT.get(token.engine, token.engine)),
        Setting(_("General: Host"), token.host),
        Setting(_("General: Port"), str(token.port)),
        *catalog,
        *service,
        *sid,
        Setting(_("General: User Name"), _login(token)),
        _password(token, _("General: Password")),
        Setting(_("SSH: Use SSH Tunnel"), _("on")),
        *_bastion(token, _("SSH: Host"), _("SSH: Port"), _("SSH: User Name")),
        Setting(_("SSH: Authentication"), _("Password")),
        Setting(_("SSH: Password"), token.token, secret=True),
    ]


def _dbeaver(token: m.Token) -> list[Setting]:
    properties = (
        [Setting(_("Driver property assumeMinServerVersion"), "10", note=_("your name stays in the session"))]
        if token.engine == "postgresql"
        else []
    )
    return [
        Setting(_("Main: Host"), token.host),
        Setting(_("Main: Port"), str(token.port)),
        *([Setting(_("Main: Database"), token.catalog)] if token.catalog else []),
        *([Setting(_("Main: Service name"), token.service)] if token.service else []),
        *([Setting("Main: SID", token.sid)] if token.sid else []),
        Setting(_("Main: Username"), _login(token)),
        _password(token, _("Main: Password")),
        *properties,
        Setting(_("SSH: Use SSH Tunnel"), _("on")),
        *_bastion(token, _("SSH: Host/IP"), _("SSH: Port"), _("SSH: User Name")),
        Setting(_("SSH: Authentication Method"), _("Password")),
        Setting(_("SSH: Password"), token.token, secret=True),
    ]


def _urls(token: m.Token) -> list[Setting]:
    near, login = token.local_port, quote(_login(token), safe="")
    catalog = quote(token.catalog, safe="")
    place = f"127.0.0.1:{near}"
    uri = {
        "postgresql": f"postgresql://{login}@{place}/{catalog}",
        "mysql": f"mysql://{login}@{place}/{catalog}",
        "sqlserver": f"mssql://{login}@{place}/{catalog}",
        "oracle": f"oracle://{login}@{place}/{token.service or token.sid}",
    }.get(token.engine, place)
    oracle = f"{place}:{token.sid}" if token.sid else f"//{place}/{token.service}"
    jdbc = {
        "postgresql": f"jdbc:postgresql://{place}/{catalog}?user={login}",
        "mysql": f"jdbc:mysql://{place}/{catalog}?user={login}",
        "sqlserver": f"jdbc:sqlserver://{place};databaseName={token.catalog or 'master'};user={_login(token)}",
        "oracle": f"jdbc:oracle:thin:@{oracle}",
    }.get(token.engine, place)
    return [
        Setting(_("First the tunnel"), token.lines.ssh, note=_("the password is the token")),
        Setting("JDBC", jdbc, note=_password_note(token)),
        Setting("URI", uri),
    ]


def _bastion(token: m.Token, host: str, port: str, user: str) -> list[Setting]:
    return [
        Setting(host, token.bastion.host),
        Setting(port, str(token.bastion.port)),
        Setting(user, token.user),
    ]


def _login(token: m.Token) -> str:
    return token.login or (token.account if token.account != "*" else token.user)


def _password(token: m.Token, label: str) -> Setting:
    """The database password that a program is to be given."""
    if not token.hosted:
        return Setting(label, "", note=_("the account's own"))
    if token.asks_password:
        return Setting(label, token.token, secret=True, note=_("the token again"))
    return Setting(label, "", note=_("the bastion puts it in place"))


def _password_note(token: m.Token) -> str:
    if not token.hosted:
        return _("its password is the account's own")
    return _("its password is the token again") if token.asks_password else _("no password, or any")

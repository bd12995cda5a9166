"""The workstation on the terminal that it was started in."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from backends import witness
from backends.console import DatabaseConsole
from backends.host_keys import HostKeys, default_files
from backends.link import Credentials, Link, Target
from backends.recent_bastions import RecentBastions, default_file
from bastion.api import language
from bastion.api import messages as m
from bastion.api.language import translate as _
from screens.workstation import Console, ControlLink, Services, Start

from . import keymap, settings
from .app import CasemateApp


async def _log_in(target: Target, credentials: Credentials, host_keys: HostKeys) -> ControlLink:
    return await Link.connect(target, credentials, host_keys)


async def _open_console(link: ControlLink, token: m.Token, catalog: str) -> Console:
    assert isinstance(link, Link)
    return await DatabaseConsole.open(link, token, catalog)


def services(host_keys: HostKeys) -> Services:
    """The real world."""
    recent = RecentBastions(default_file())
    return Services(log_in=_log_in, open_console=_open_console, host_keys=host_keys, recent_bastions=recent)


def run(
    target: str | None,
    *,
    known_hosts: Path | None = None,
    password: str | None = None,
    identity: Path | None = None,
    trust_new: bool = False,
    plain: bool = False,
) -> int:
    """The workstation on this terminal, until the person leaves. Returns the exit code.

    With a target and a password or key the login is tried at once, and shown only when it does not work.
    """
    language.use(language.from_environment())
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print(
            _("The workstation needs a terminal. For scripts there are the commands: casemate --help."), file=sys.stderr
        )
        return 2
    if known_hosts is None and os.environ.get("CASEMATE_KNOWN_HOSTS"):
        known_hosts = Path(os.environ["CASEMATE_KNOWN_HOSTS"])
    start = Start(target=target or "", password=password, identity=identity, trust_new=trust_new, plain=plain)
    complaints: list[str] = []
    app = CasemateApp(
        replace(services(HostKeys(default_files(known_hosts))), witness=witness.Witness(witness.default_folder())),
        start,
        settings=settings.load(complaints.append),
        keep=_keep,
    )
    for complaint in complaints:
        app.call_later(app.told, complaint, bad=True)
    try:
        code = app.run()
    finally:
        if app.link is not None:
            app.link.close()
    return code if code is not None else (app.return_code or 0)


def _keep(wanted: settings.Settings) -> None:
    """The file of the keys is left as it is where it says the same: a person may have written into it."""
    settings.save(wanted)
    good, _problems = keymap.check(wanted.keys)
    if good != keymap.check(settings.load(lambda complaint: None).keys)[0]:
        settings.write(settings.keys_file(), keymap.as_toml(good))


def key_map(complain: Callable[[str], None]) -> str:
    """Every action with its keys, as the file that rebinds them: for `casemate keys`. `complain` is told what is wrong
    with the file that is there."""
    keymap.name_actions()
    good, problems = keymap.check(settings.load(complain).keys)
    for problem in problems:
        complain(str(problem))
    return keymap.as_toml(good)

"""The `casemate` program. What a command does not need is not imported: help comes at once."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bastion import own_machine
from bastion.api import language, methods, moments
from bastion.api.language import translate as _
from bastion.api.refusals import Refused
from bastion.commands import standard_streams as streams
from bastion.commands.program_arguments import parse
from bastion.commands.words import (
    DONE,
    LOGIN_REFUSED,
    NOT_SO,
    UNREACHABLE,
    WRONG_USAGE,
    CommandFailed,
    Context,
    Place,
    UsageShown,
    Word,
)

if TYPE_CHECKING:
    from backends.link import Credentials, Link, Target
    from bastion.api import messages as m
    from bastion.commands.words import Api

INTERRUPTED = 130
CALL_SECONDS = 600.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    language.use(language.from_environment())
    moments.everywhere(local=True)
    output = streams.StandardOutput()
    try:
        code = _run(parse(sys.argv[1:] if arguments is None else list(arguments)))
        sys.stdout.flush()
        return code
    except UsageShown as shown:
        (output.out if shown.exit_code == DONE else output.err)(shown.text)
        return shown.exit_code
    except Refused as refused:
        output.err(f"{refused}\n")
        return LOGIN_REFUSED if refused.code == "login-failed" else NOT_SO
    except CommandFailed as failed:
        output.err(f"{failed}\n")
        return failed.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read has seen enough: `casemate audit search | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if os.environ.get("CASEMATE_DEBUG"):
            raise
        output.err(
            _("casemate failed: {kind}: {error}. That is a defect; CASEMATE_DEBUG=1 shows where.").format(
                kind=type(error).__name__, error=str(error).split("\n")[0][:300]
            )
            + "\n"
        )
        return NOT_SO


# -------------------------------------------------------------------------------------------------- the commands


def _run(arguments: argparse.Namespace) -> int:
    word: Word = arguments.chosen
    if getattr(arguments, "reason", None) == "":
        file = getattr(arguments, "reason_file", None)
        if file == "-" == getattr(arguments, "file", None):
            raise CommandFailed("Standard input cannot be both the script and the reason.", WRONG_USAGE)
        arguments.reason = streams.given_reason(file)
    own = _OWN.get(word.name)
    if own is not None:
        return own(arguments)
    if word.name == "audit" and arguments.action == "verify" and arguments.bundle:
        return own_machine.verify_bundle(arguments)
    if word.name == "audit" and arguments.action == "verify" and (arguments.journal or arguments.config):
        return own_machine.verify(arguments)
    assert word.run is not None
    if getattr(arguments, "config", None) is not None:
        return _await(_run_locally(word, arguments))
    if word.name == "watch" and arguments.screen:
        return _watch_screen(arguments)
    link = _link(arguments)
    try:
        return _guarded(lambda: _await(_run_word(word, arguments, _LinkApi(link), Place.PROGRAM)))
    finally:
        link.close()


def _await(work: Coroutine[Any, Any, int]) -> int:
    import asyncio

    return asyncio.run(work)


async def _run_word(word: Word, arguments: argparse.Namespace, api: Api, place: Place) -> int:
    assert word.run is not None
    context = Context(
        api=api,
        output=streams.StandardOutput(),
        place=place,
        read_file=streams.read_file,
        read_input=streams.read_input,
    )
    return await word.run(context, arguments)


class _LinkApi:
    """The control API over the SSH connection."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def call(self, method: methods.Method, params: Any) -> Any:
        return await self._link.call(method, params, CALL_SECONDS)


def _guarded(work: Callable[[], int]) -> int:
    """What goes wrong with the connection, with its sentence and its exit code."""
    from backends import link as links

    try:
        return work()
    except links.LoginRefused as error:
        raise CommandFailed(str(error), LOGIN_REFUSED) from error
    except links.LinkError as error:
        raise CommandFailed(str(error), UNREACHABLE) from error


# -------------------------------------------------------------------------------------------- over SSH: the link


def _last_used() -> Path:
    import platformdirs

    return Path(platformdirs.user_state_dir("casemate")) / "last_bastion"


def _target(text: str | None) -> Target:
    from backends.link import Target

    text = text or os.environ.get("CASEMATE_BASTION")
    if not text:
        try:
            text = _last_used().read_text(encoding="utf-8").strip()
        except OSError:
            text = None
    if not text:
        raise CommandFailed(_("Say which bastion: --bastion USER@HOST[:PORT], or CASEMATE_BASTION."), WRONG_USAGE)
    try:
        return Target.parse(text)
    except ValueError as error:
        raise CommandFailed(f"{text!r}: {error}", WRONG_USAGE) from error


def _remember(target: Target) -> None:
    file = _last_used()
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_text(f"{target}\n", encoding="utf-8")
    except OSError:
        return  # a home that cannot be written to is no reason not to work


def _link(arguments: argparse.Namespace) -> Link:
    """Connects and logs in: with what was given; else with the agent's keys; else the person is asked."""
    from backends.link import Credentials, LoginRefused

    target = _target(arguments.bastion)
    identity = None if arguments.identity is None else Path(arguments.identity)
    password = streams.given_password(arguments.password_file)
    trust_new = bool(arguments.trust_new)

    def attempt(secret: str | None) -> Link:
        return _connect(target, Credentials(password=secret, identity=identity), trust_new)

    def work() -> Link:
        if password is not None or not streams.can_ask():
            return attempt(password)
        try:
            return attempt(None)
        except LoginRefused:
            return attempt(streams.ask_password(_("Password of {target}: ").format(target=target)))

    link = _links_guarded(work)
    _remember(target)
    return link


def _links_guarded(work: Callable[[], Link]) -> Link:
    found: list[Link] = []

    def keep() -> int:
        found.append(work())
        return DONE

    _guarded(keep)
    return found[0]


def _connect(target: Target, credentials: Credentials, trust_new: bool) -> Link:
    from backends.host_keys import HostKeys, default_files
    from backends.link import HostKeyUnknown, Link

    host_keys = HostKeys(default_files())
    try:
        return Link.connect_now(target, credentials, host_keys)
    except HostKeyUnknown as unknown:
        if not trust_new:
            raise CommandFailed(
                _("{error} If that is the bastion's, trust it with --trust-new, or put its line into {file}.").format(
                    error=unknown, file=host_keys.files[0]
                ),
                UNREACHABLE,
            ) from unknown
        host_keys.remember(unknown.key)
        return Link.connect_now(target, credentials, host_keys)


def _inherited_link(text: str) -> Link:
    """The connection that the bastion has handed to this process: `USER:DESCRIPTOR`."""
    import socket

    from backends.link import Credentials, Link, Target

    user, _colon, descriptor = text.rpartition(":")
    sock = socket.socket(fileno=int(descriptor))
    return Link.connect_now(Target(user, "bastion"), Credentials(agent=False), sock=sock)


def _sql(arguments: argparse.Namespace) -> int:
    if arguments.command is not None:
        text = arguments.command
    elif arguments.file == "-":
        text = sys.stdin.read()
    else:
        text = streams.read_file(arguments.file)
    if arguments.inherited is not None:
        link = _links_guarded(lambda: _inherited_link(arguments.inherited))
    else:
        link = _link(arguments)
    from backends.headless import run_sql

    form = "json" if arguments.json else "csv" if arguments.csv else "table"
    try:
        return _guarded(
            lambda: run_sql(link, arguments.database, text, form, account=arguments.account, reason=arguments.reason)
        )
    finally:
        link.close()


def _watch_screen(arguments: argparse.Namespace) -> int:
    from backends.screen_printing import NotWatched, watch_screen

    link = _link(arguments)
    try:
        return _guarded(lambda: watch_screen(link, arguments.session, arguments.reason))
    except NotWatched as error:
        raise CommandFailed(str(error)) from error
    finally:
        link.close()


def _tunnel(arguments: argparse.Namespace) -> int:
    from backends.forward import CannotListen, Forward, Listen

    try:
        listen = Listen.parse(arguments.listen)
    except ValueError as error:
        raise CommandFailed(str(error), WRONG_USAGE) from error
    link = _link(arguments)
    output = streams.StandardOutput()
    try:
        request = methods.TokenRequest(
            database=arguments.database, account=arguments.account, period=arguments.period, reason=arguments.reason
        )
        token: m.Token = link.call_now(methods.TOKEN_REQUEST, request)
        forward = Forward(link, token.id, lambda text: output.err(text + "\n"))
        try:
            port = forward.start(listen)
        except CannotListen as error:
            raise CommandFailed(str(error)) from error
        try:
            return _guarded(lambda: _attend_tunnel(link, token, listen.path, port, as_json=arguments.json))
        finally:
            forward.stop()
    finally:
        link.close()


def _show_notices(link: Link, output: streams.StandardOutput) -> None:
    """What auditors say to the person is said here: their client's protocol may have no words for it."""
    import msgspec

    from bastion.api import live
    from bastion.commands.printing import clean

    def heard(event: m.Event) -> None:
        if event.topic == "notices":
            notice = msgspec.convert(event.data, live.Notice)
            said = _("The auditor {by}, about your session on {database}: {text}")
            output.err(clean(said.format(by=notice.by, database=notice.database, text=notice.text)) + "\n")

    link.listen(heard)
    with contextlib.suppress(Refused):  # an older bastion has no such topic
        link.call_now(methods.SUBSCRIBE, methods.Subscription(topics=["notices"]))


def _attend_tunnel(link: Link, token: m.Token, path: Path | None, port: int | None, *, as_json: bool) -> int:
    """Says where the tunnel listens and waits until it is interrupted, or the bastion goes away."""
    import signal
    import threading

    from bastion.commands.tunnel_lines import client_line, listening

    output = streams.StandardOutput()
    ended = threading.Event()
    lost: list[str] = []

    def on_lost(reason: str) -> None:
        lost.append(reason)
        ended.set()

    link.on_lost.append(on_lost)
    _show_notices(link, output)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_arguments: ended.set())
    output.out(listening(token, path, port, as_json=as_json))
    sys.stdout.flush()
    if not as_json:
        output.err(_("In another window: {line}").format(line=client_line(token, path, port)) + "\n")
        output.err(_("Ctrl-C closes the tunnel.") + "\n")
    while not ended.wait(1.0):
        if not link.alive:
            break
    if lost or not link.alive:
        raise CommandFailed(lost[0] if lost else _("The connection to the bastion was lost."), UNREACHABLE)
    return DONE


# -------------------------------------------------------------------------------------------- on the own machine


async def _run_locally(word: Word, arguments: argparse.Namespace) -> int:
    """Through the running bastion's socket, or, when none runs, on the state itself under the journal's lock."""
    async with own_machine.local_api(own_machine.configuration_of(arguments.config)) as api:
        return await _run_word(word, arguments, api, Place.LOCAL)


def _doctor(arguments: argparse.Namespace) -> int:
    from bastion.commands.doctor import check_link, check_machine
    from bastion.commands.local import show_findings

    if arguments.config is not None:
        findings = check_machine(Path(arguments.config))
    else:
        findings = check_link(str(_target(arguments.bastion)), lambda: _hello(arguments))
    return show_findings(streams.StandardOutput(), findings, as_json=arguments.json)


def _hello(arguments: argparse.Namespace) -> m.Hello:
    link = _link(arguments)
    try:
        return link.hello
    finally:
        link.close()


def _connect_workstation(arguments: argparse.Namespace) -> int:
    from tui.local import run

    text = arguments.target or os.environ.get("CASEMATE_BASTION")
    if not text and _last_used().exists():
        text = str(_target(None))
    elif text:
        text = str(_target(text))
    return run(
        text,
        password=streams.given_password(arguments.password_file),
        identity=None if arguments.identity is None else Path(arguments.identity),
        trust_new=arguments.trust_new,
        plain=arguments.plain,
    )


def _keys(arguments: argparse.Namespace) -> int:
    from tui.local import key_map

    output = streams.StandardOutput()
    output.out(key_map(lambda complaint: output.err(f"{complaint}\n")))
    return DONE


def _demo(arguments: argparse.Namespace) -> int:
    from bastion.demo import run
    from bastion.demo.demo import SignIn

    def workstation(sign_in: SignIn) -> int:
        from tui.local import run as open_workstation

        target = f"{sign_in.user}@{sign_in.host}:{sign_in.port}"
        return open_workstation(target, known_hosts=sign_in.known_hosts, identity=sign_in.key)

    def prepare() -> None:
        import tui.local  # noqa: F401 - loaded while the servers start

    return int(run(arguments.check, workstation, prepare) or DONE)


_OWN: dict[str, Callable[[argparse.Namespace], int]] = {
    "sql": _sql,
    "tunnel": _tunnel,
    "init": own_machine.init,
    "serve": own_machine.serve,
    "doctor": _doctor,
    "connect": _connect_workstation,
    "keys": _keys,
    "demo": _demo,
}

if __name__ == "__main__":
    sys.exit(main())

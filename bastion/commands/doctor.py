"""`casemate doctor`: what is wrong with this set-up, and what to do. Looks only; changes nothing."""

from __future__ import annotations

import os
import pwd
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from bastion.api import messages as m
from bastion.configuration import Configuration, ConfigurationError, load

from .words import LOGIN_REFUSED, CommandFailed

EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
RESERVED_PORTS = Path("/proc/sys/net/ipv4/ip_local_reserved_ports")


def _ok(subject: str, message: str) -> m.Finding:
    return m.Finding(level="ok", subject=subject, message=message)


def _warning(subject: str, message: str, what_next: str) -> m.Finding:
    return m.Finding(level="warning", subject=subject, message=message, next=what_next)


def _error(subject: str, message: str, what_next: str) -> m.Finding:
    return m.Finding(level="error", subject=subject, message=message, next=what_next)


# ----------------------------------------------------------------------------------------------- on the own machine


def check_machine(file: Path) -> list[m.Finding]:
    """Checks the bastion of this configuration file, running or not."""
    try:
        configuration = load(file)
    except ConfigurationError as error:
        return [_error("configuration", str(error), "Correct the file, or make a bastion with: casemate init DIR")]
    findings = [_ok("configuration", f"{configuration.file} can be read")]
    for check in (_modes, _keys, _store, _journal, _storage, _port, _workstation):
        findings += check(configuration)
    return findings


def _modes(configuration: Configuration) -> Iterator[m.Finding]:
    private = [
        configuration.folder, configuration.state_folder, configuration.journal_folder, configuration.ca_folder,
        configuration.master_key, configuration.signing_key, *configuration.host_keys,
    ]  # fmt: skip
    bad = 0
    for path in private:
        try:
            status = path.stat()
        except OSError as error:
            bad += 1
            yield _error("files", f"{path}: {error.strerror}", "Restore it from a backup.")
            continue
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            bad += 1
            wanted = "700" if path.is_dir() else "600"
            yield _error(
                "files",
                f"{path} is open to other users (mode {stat.S_IMODE(status.st_mode):o})",
                f"chmod {wanted} {path}",
            )
        elif status.st_uid != os.geteuid() and os.geteuid() != 0:
            bad += 1
            yield _error("files", f"{path} belongs to another user", "Run this as the bastion's own user.")
    if not bad:
        yield _ok("files", "keys and state are closed to other users")


def _keys(configuration: Configuration) -> Iterator[m.Finding]:
    from bastion.authority import Authority, AuthorityUnusable
    from bastion.vault import Vault, VaultUnusable

    try:
        vault = Vault.load(configuration.master_key)
        yield _ok("master key", f"{len(vault.key_ids)} key(s) in {configuration.master_key}")
    except VaultUnusable as error:
        yield _error(
            "master key", str(error), "Restore the file from a backup: hosted passwords cannot be read without it."
        )
    try:
        Authority.load(configuration.ca_folder)
        yield _ok("certificate authority", str(configuration.ca_folder))
    except AuthorityUnusable as error:
        yield _error("certificate authority", str(error), "Restore the folder from a backup.")


def _store(configuration: Configuration) -> Iterator[m.Finding]:
    import sqlalchemy as sa

    from bastion.store.store import Store, StoreUnusable

    try:
        store = Store.open(configuration.store_url)
        try:
            with store.engine.connect() as connection:
                version = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
                users = connection.execute(sa.text("SELECT count(*) FROM users")).scalar()
        finally:
            store.close()
    except (StoreUnusable, sa.exc.SQLAlchemyError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        yield _error("store", reason, "Check the store's address in the configuration, and that it is running.")
        return
    yield _ok("store", f"reachable, version {version}, {users} user(s)")


def _journal(configuration: Configuration) -> Iterator[m.Finding]:
    from .verifying import verify_files

    try:
        proof = verify_files(configuration.journal_folder, configuration.public_key, None)
    except CommandFailed as error:
        yield _error("journal", str(error), "Restore the journal's folder and node.pub from a backup.")
        return
    if proof.intact:
        yield _ok(
            "journal", f"{proof.records} records, proved to {proof.proved_to}, {proof.unwitnessed} not witnessed yet"
        )
    else:
        yield _error(
            "journal", f"broken at record {proof.broken_at} in {proof.file}: {proof.reason}",
            "Keep the files as they are, and find out who changed them.",
        )  # fmt: skip


def _storage(configuration: Configuration) -> Iterator[m.Finding]:
    from bastion.audit.storage import usages

    alarm = configuration.retention.alarm
    for disk in usages([configuration.journal_folder, configuration.recordings_folder]):
        said = f"{disk.percent} % of the disk of {disk.folder} are in use"
        if alarm and disk.percent >= alarm:
            yield _warning(
                "storage", said, "Make room, or set [retention]: when it is full, nothing is passed on any more."
            )
        else:
            yield _ok("storage", said)


def _port(configuration: Configuration) -> Iterator[m.Finding]:
    listen = configuration.listen
    if listen.port == 0:
        yield _ok("port", "any free one")
        return
    running = _answers(configuration.control_socket)
    if running:
        yield _ok("port", f"a bastion runs and listens on {listen}")
    else:
        family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        with socket.socket(family) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((listen.host, listen.port))
                yield _ok("port", f"{listen} is free")
            except OSError as error:
                yield _error(
                    "port",
                    f"{listen} cannot be listened on: {error.strerror}",
                    f"See who has it: ss -tanp | grep {listen.port}",
                )
    yield from _ephemeral(listen.port)


def _workstation(configuration: Configuration) -> Iterator[m.Finding]:
    """Whose the processes of served workstations are: not the bastion's own user's, whose files are its keys."""
    settings = configuration.workstation
    if not settings.served:
        yield _ok("workstation", "not served over SSH")
        return
    own = configuration.folder.stat().st_uid
    if settings.socket is not None:
        try:
            theirs = settings.socket.stat().st_uid
        except OSError as error:
            yield _error(
                "workstation", f"the UI host's socket {settings.socket}: {error.strerror}",
                "Start it: systemctl start casemate-ui. Or remove workstation.socket from the configuration.",
            )  # fmt: skip
            return
    elif settings.user:
        try:
            theirs = pwd.getpwnam(settings.user).pw_uid
        except KeyError:
            yield _error("workstation", f"there is no user {settings.user}", f"useradd --system {settings.user}")
            return
        if own != 0:
            yield _error(
                "workstation", "workstation.user needs a bastion that runs as root",
                "Run the UI host as a service of its own: docs/administrators/served-workstation.md",
            )  # fmt: skip
            return
    else:
        theirs = own
    if theirs == own:
        yield _warning(
            "workstation",
            "served workstations run as the bastion's own user: a flaw in one could read the bastion's keys",
            "Give them a user of their own: docs/administrators/served-workstation.md",
        )
    else:
        yield _ok("workstation", f"served over SSH, as user {theirs}")


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as trial:
        try:
            trial.connect(str(path))
        except OSError:
            return False
    return True


def _ephemeral(port: int) -> Iterator[m.Finding]:
    try:
        least, most = (int(number) for number in EPHEMERAL_RANGE.read_text().split())
        reserved = RESERVED_PORTS.read_text().strip()
    except (OSError, ValueError):
        return
    if least <= port <= most and not _reserved(port, reserved):
        yield _warning(
            "port",
            f"{port} is among the ports that the kernel gives to outgoing connections ({least}-{most}): one can "
            "hold it when the bastion starts",
            f"sysctl -w net.ipv4.ip_local_reserved_ports={port}",
        )


def _reserved(port: int, text: str) -> bool:
    for part in text.split(","):
        first, _dash, last = part.partition("-")
        if first.isdecimal() and int(first) <= port <= int(last or first):
            return True
    return False


# ------------------------------------------------------------------------------------------------------------ from afar


def check_link(bastion: str, log_in: Callable[[], m.Hello]) -> list[m.Finding]:
    """Checks that the bastion can be reached, that its key is known, and that the login works."""
    findings: list[m.Finding] = []
    try:
        hello = log_in()
    except CommandFailed as failed:
        subject = "login" if failed.exit_code == LOGIN_REFUSED else "bastion"
        if failed.exit_code == LOGIN_REFUSED:
            findings.append(_ok("bastion", f"{bastion} answers and its host key is known"))
        findings.append(_error(subject, str(failed), "Check the address, the user name and the password or key."))
        return findings
    findings.append(_ok("bastion", f"{bastion} answers and its host key is known"))
    findings.append(_ok("login", f"{hello.user} with the roles {', '.join(hello.roles) or 'none'}"))
    from bastion import __version__

    if hello.version != __version__:
        findings.append(
            _warning(
                "version",
                f"the bastion is {hello.version}, this program {__version__}",
                "Use the same version on both.",
            )
        )
    return findings

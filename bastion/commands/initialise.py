"""`casemate init`: everything that a bastion needs before its first start, made in one go or not at all."""

from __future__ import annotations

import base64
import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from bastion.configuration import FILE_NAME, Configuration, Endpoint, load, written

from .words import NOT_SO, WRONG_USAGE, CommandFailed

RSA_BITS = 3072


@dataclass(frozen=True, slots=True)
class Made:
    """What `init` has made. `fingerprints` are those of the host keys, as ssh prints them."""

    configuration: Configuration
    fingerprints: tuple[str, ...]


def check_empty(folder: Path) -> None:
    """Raises CommandFailed where there is something already: nothing is ever overwritten."""
    if (folder / FILE_NAME).exists():
        raise CommandFailed(
            f"There is a bastion in {folder} already ({FILE_NAME}). Its keys prove its record and are not made anew. "
            "Give another folder, or remove this one if you are sure."
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CommandFailed(f"{folder} is not empty. Give a new or empty folder.")


def initialise(
    folder: Path, administrator: str, password: str, listen: Endpoint, advertise: Endpoint | None, node: str | None
) -> Made:
    """Makes configuration, keys, authority, store and first administrator, or raises CommandFailed and leaves nothing.

    Folders get the mode 0700, files with keys 0600.
    """
    from bastion.access.passwords import weakness

    check_empty(folder)
    problem = weakness(password)
    if problem is not None:
        raise CommandFailed(f"The password is not good enough: {problem}.", WRONG_USAGE)
    existed = folder.exists()
    mask = os.umask(0o077)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        return _make(folder, administrator, password, listen, advertise, node or _node_name())
    except OSError as error:
        _remove(folder, whole=not existed)
        raise CommandFailed(f"{error.filename or folder} could not be made: {error.strerror or error}.") from error
    except BaseException:
        _remove(folder, whole=not existed)
        raise
    finally:
        os.umask(mask)


def _remove(folder: Path, *, whole: bool) -> None:
    if whole:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def _node_name() -> str:
    name = "".join(c for c in socket.gethostname().split(".")[0] if c.isascii() and (c.isalnum() or c in "-_"))
    return name[:64] or "bastion"


def _make(
    folder: Path, administrator: str, password: str, listen: Endpoint, advertise: Endpoint | None, node: str
) -> Made:
    from bastion.authority import Authority
    from bastion.vault import Vault

    text = written(listen, node)
    if advertise is not None:
        text += f'\n[advertise]\nhost = "{advertise.host}"\nport = {advertise.port}\n'
    file = folder / FILE_NAME
    _write(file, text.encode(), 0o600)
    configuration = load(file)
    for each in (configuration.state_folder, configuration.master_key.parent, configuration.ca_folder):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    public_keys = _host_keys(configuration)
    Vault.create(configuration.master_key)
    _signing_key(configuration)
    Authority.create(configuration.ca_folder)
    known_hosts = known_hosts_lines(configuration, configuration.listen, [line for line, _ in public_keys])
    _write(configuration.known_hosts, known_hosts.encode(), 0o644)
    _first_administrator(configuration, administrator, password)
    return Made(configuration, tuple(fingerprint for _, fingerprint in public_keys))


def _write(path: Path, content: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        out.write(content)


def _host_keys(configuration: Configuration) -> list[tuple[str, str]]:
    """Writes the host keys; gives each one's public line and fingerprint."""
    import asyncssh

    made = []
    for path, algorithm, options in zip(
        configuration.host_keys, ("ssh-ed25519", "ssh-rsa"), ({}, {"key_size": RSA_BITS}), strict=True
    ):
        key = asyncssh.generate_private_key(algorithm, comment=configuration.node, **options)
        _write(path, key.export_private_key(), 0o600)
        public = key.export_public_key().decode()
        _write(path.with_name(path.name + ".pub"), public.encode(), 0o644)
        made.append((" ".join(public.split()[:2]), key.get_fingerprint()))
    return made


def _signing_key(configuration: Configuration) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(configuration.signing_key, pem, 0o600)
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    _write(configuration.public_key, base64.b64encode(public) + b"\n", 0o644)


def known_hosts_lines(configuration: Configuration, listen: Endpoint, keys: list[str]) -> str:
    """Lines for every name under which the bastion is reached (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).

    Port 0 (any) gives entries without a port; `serve` adds those of the port that it gets.
    """
    anywhere = listen.host in ("0.0.0.0", "::")  # noqa: S104 - compared, not listened on
    hosts = ["localhost", "127.0.0.1", "::1", socket.gethostname() if anywhere else listen.host]
    names = [(host, listen.port) for host in hosts]
    if configuration.advertise is not None:
        names.append((configuration.advertise.host, configuration.advertise.port))
    lines = []
    for host, port in dict.fromkeys(names):
        name = host if port in (0, 22) else f"[{host}]:{port}"
        lines += [f"{name} {key}" for key in keys]
    return "".join(line + "\n" for line in lines)


def _first_administrator(configuration: Configuration, name: str, password: str) -> None:
    """The store, migrated, with its first administrator; made the way `apply` makes everybody, and on record."""
    import asyncio

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from bastion.access.declared import NotApplicable
    from bastion.access.door import Access
    from bastion.api import messages as m
    from bastion.audit.journal import Journal
    from bastion.store.store import Store
    from bastion.vault import Vault

    store = Store.open(configuration.store_url)
    try:
        store.migrate()
        key = load_pem_private_key(configuration.signing_key.read_bytes(), None)
        assert isinstance(key, Ed25519PrivateKey)
        journal = Journal.open(configuration.journal_folder, configuration.node, key, configuration.durability)
        try:
            access = Access(
                store, Vault.load(configuration.master_key), journal.append, advertise=m.Address(host="", port=0)
            )
            document = {"users": [{"name": name, "roles": ["administrator"], "password": {"env": "PASSWORD"}}]}
            asyncio.run(
                access.apply(
                    [document],
                    base=configuration.folder,
                    environment={"PASSWORD": password},
                    by="os:init",
                    source="local",
                )
            )
            access.close()
        except NotApplicable as error:
            raise CommandFailed(f"The first administrator could not be made: {error}", NOT_SO) from error
        finally:
            journal.close("initialised")
    finally:
        store.close()

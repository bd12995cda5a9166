"""`casemate serve`: builds the parts of a bastion, opens the door, and closes everything in order at the end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bastion.access.door import Access
from bastion.access.export_files import ExportFiles
from bastion.api import messages as m
from bastion.audit.audit import Audit
from bastion.audit.journal import Journal, JournalFailed
from bastion.audit.recorder import Recorder, RecordingLimits
from bastion.audit.records import Recording
from bastion.audit.shipping.service import Shipping
from bastion.authority import Authority
from bastion.commands.initialise import known_hosts_lines
from bastion.configuration import Configuration, ConfigurationError, Endpoint
from bastion.gateway.parts import Parts
from bastion.gateway.server import Gateway
from bastion.housekeeping import Housekeeping
from bastion.protocols.contract import Engine
from bastion.protocols.mysql.engine import MysqlEngine
from bastion.protocols.oracle.engine import OracleEngine
from bastion.protocols.postgres import PostgresEngine
from bastion.protocols.tds.engine import TdsEngine
from bastion.sessions.life import Limits
from bastion.sessions.registry import Sessions
from bastion.store.store import Store
from bastion.vault import Vault

ENGINES: dict[str, Engine] = {
    "mysql": MysqlEngine(), "postgresql": PostgresEngine(), "sqlserver": TdsEngine(), "oracle": OracleEngine(),
}  # fmt: skip

STATEMENT_SECRETS = "statement-secrets"
"""The vault's purpose for the digests of credentials that were taken out of statements."""

CHANGES_LOOKED_FOR = 5.0
"""Seconds between two looks whether another process or node has changed the declared state."""

EXPORTS_LOOKED_AT = 600.0
"""Seconds between two looks for exported results that are too old."""

DRAIN_SECONDS = 10.0

logger = logging.getLogger(__name__)


def read_signing_key(configuration: Configuration) -> Ed25519PrivateKey:
    """The key that signs the journal's checkpoints. Raises ConfigurationError."""
    path = configuration.signing_key
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigurationError(f"The journal's signing key {path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"The journal's signing key {path} is no PEM private key.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"The journal's signing key {path} is no Ed25519 key.")
    return key


@asynccontextmanager
async def parts_of(configuration: Configuration, reason: str, *, serving: bool = False) -> AsyncIterator[Parts]:
    """The parts of a bastion, opened in order and closed in reverse. The journal's lock makes this the only writer.

    `reason` is what the journal is told at the end. `serving`: for long, so the store is filled by a process of its
    own, beside the data path. Raises what the parts raise: StoreUnusable, VaultUnusable,
    AuthorityUnusable, JournalLocked and the like, each with a sentence.
    """
    configuration.state_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    vault = Vault.load(configuration.master_key)
    authority = Authority.load(configuration.ca_folder)
    signing_key = read_signing_key(configuration)
    async with contextlib.AsyncExitStack() as stack:
        store = Store.open(configuration.store_url)
        stack.callback(store.close)
        await asyncio.to_thread(store.migrate)
        shipping = _shipping(configuration) if serving else None
        if shipping is not None:  # ended behind the journal: its last records go out too
            stack.push_async_callback(shipping.stop)
        journal = Journal.open(configuration.journal_folder, configuration.node, signing_key, configuration.durability)
        stack.callback(journal.close, reason)
        audit = Audit(journal, store, apart=serving)
        await audit.start()
        stack.push_async_callback(audit.stop)
        if shipping is not None:
            shipping.start()
        address = configuration.advertised(configuration.listen.port)
        advertise = m.Address(host=address.host, port=address.port)
        access = Access(store, vault, journal.append, advertise=advertise, ca=authority.certificate_pem)
        stack.callback(access.close)
        recorder = _recorder(configuration, vault, journal) if serving else None
        if recorder is not None:
            stack.push_async_callback(recorder.stop)
        sessions = Sessions(
            journal,
            access.admit,
            ENGINES,
            node=configuration.node,
            digest=lambda secret: vault.digest(STATEMENT_SECRETS, secret),
            leaf=authority.leaf,
            limits=Limits(
                sessions=configuration.limits.sessions,
                sessions_per_person=configuration.limits.sessions_per_person,
                dial=configuration.limits.dial_timeout,
            ),
            recorder=recorder if configuration.recording.results else None,
        )
        exports = ExportFiles(
            configuration.exports_folder, vault, configuration.workstation.export_quota, time.time,
            total=configuration.workstation.exports_total, alone=serving,
        )  # fmt: skip
        screens = recorder if configuration.recording.screens else None
        housekeeping = Housekeeping(configuration, journal, store) if serving else None
        yield Parts(
            configuration, store, vault, authority, journal, audit, access, sessions, advertise, exports, screens,
            housekeeping=housekeeping,
        )  # fmt: skip


def _shipping(configuration: Configuration) -> Shipping:
    folder = configuration.state_folder / "shipping"
    return Shipping(configuration.journal_folder, configuration.node, folder, list(configuration.shipping))


def _recorder(configuration: Configuration, vault: Vault, journal: Journal) -> Recorder | None:
    """What keeps the results of sessions and the screens of workstations, begun; None where nothing is to be kept.

    Raises ConfigurationError where its folder cannot be made.
    """
    limits = configuration.recording
    if not (limits.results or limits.screens):
        return None

    def witness(record: Recording) -> None:
        # A journal that has failed ends the sessions by itself.
        with contextlib.suppress(JournalFailed):
            journal.append_soon(record)

    recorder = Recorder(
        configuration.recordings_folder,
        vault,
        configuration.node,
        witness,
        RecordingLimits(limits.per_statement, limits.per_session, limits.per_upload),
        sync=configuration.durability != "written",
    )
    try:
        recorder.start()
    except OSError as error:
        raise ConfigurationError(
            f"Results cannot be kept in {configuration.recordings_folder}: {error.strerror}. "
            "Make room there, or set recording.results to off."
        ) from error
    return recorder


async def serve(configuration: Configuration, listen: Endpoint | None) -> None:
    """Serves until SIGTERM or SIGINT. Prints one line once connections are accepted."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with parts_of(configuration, "stopped", serving=True) as parts:
        gateway = Gateway(parts)
        tending = _Tending(parts, gateway)
        loop.add_signal_handler(signal.SIGHUP, tending.reload)
        try:
            address = await gateway.start(listen or configuration.listen)
            _make_known(configuration, address)
            tending.start()
            spare_collections()
            print(f"casemate: listening on {address}", flush=True)
            await stopping.wait()
            logger.info("stopping")
        finally:
            loop.remove_signal_handler(signal.SIGHUP)
            await gateway.stop_listening()
            await parts.sessions.stop(DRAIN_SECONDS)
            await gateway.stop()
            await tending.stop()


def _make_known(configuration: Configuration, address: Endpoint) -> None:
    """Where another address is listened on than the configured one, the file for clients learns of it."""
    if address == configuration.listen:
        return
    try:
        text = configuration.known_hosts.read_text(encoding="utf-8")
        keys = [
            " ".join(path.with_name(path.name + ".pub").read_text().split()[:2]) for path in configuration.host_keys
        ]
        wanted = known_hosts_lines(configuration, address, keys).splitlines(keepends=True)
        missing = "".join(line for line in wanted if line not in text)
        if missing:
            with configuration.known_hosts.open("a", encoding="utf-8") as file:
                file.write(missing)
    except OSError as error:
        logger.warning("%s does not know the address %s: %s", configuration.known_hosts, address, error.strerror)


class _Tending:
    """What goes on beside the connections: live sessions follow what changes about tokens, people and grants."""

    def __init__(self, parts: Parts, gateway: Gateway) -> None:
        self._parts = parts
        self._gateway = gateway
        self._tasks: set[asyncio.Task[None]] = set()
        parts.access.on_token_change.append(parts.sessions.token_changed)
        parts.access.changed.append(lambda: self._run(parts.sessions.reconsider()))

    def start(self) -> None:
        self._run(self._look_for_changes())
        self._run(self._remove_old_exports())
        if self._parts.housekeeping is not None:
            self._parts.housekeeping.start()

    def reload(self) -> None:
        """SIGHUP: new host keys, and the declared state looked at again."""
        self._run(self._reload())

    async def _reload(self) -> None:
        try:
            self._gateway.reload()
        except Exception as error:  # noqa: BLE001 - a bad file must not stop a running bastion
            logger.error("not reloaded: %s", error)  # noqa: TRY400 - the sentence says it all
            return
        await self._parts.access.notice_changes()
        logger.info("reloaded")

    async def _look_for_changes(self) -> None:
        while True:
            try:
                await self._parts.access.notice_changes()
            except Exception:
                logger.exception("the declared state could not be looked at")
            await asyncio.sleep(CHANGES_LOOKED_FOR)

    async def _remove_old_exports(self) -> None:
        while True:
            await asyncio.to_thread(self._parts.exports.sweep)
            await asyncio.sleep(EXPORTS_LOOKED_AT)

    def _run(self, work: object) -> None:
        assert asyncio.iscoroutine(work)
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        if self._parts.housekeeping is not None:
            await self._parts.housekeeping.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def set_up_logging(*, verbose: bool) -> None:
    """Logs to standard error, without SQL and without what SSH libraries say of every packet."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # asyncssh logs the commands of exec requests at INFO, and those can hold SQL.
    for name in ("asyncssh", "sqlalchemy", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def spare_collections() -> None:
    """What is loaded now stays; the collector need not walk it again and again while statements pass."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


COLLECT_AFTER = (20_000, 20, 20)
"""Objects made before a collection of the young, and how many of those before one of the older."""

THREADS_SWITCH = 0.0005
"""Seconds that a worker thread may keep the interpreter while the event loop wants it (Python's default is 5 ms)."""


def run(configuration: Configuration, listen: Endpoint | None, *, verbose: bool) -> None:
    """`serve` on a loop of its own: uvloop's where it is installed."""
    set_up_logging(verbose=verbose)
    sys.setswitchinterval(THREADS_SWITCH)
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(configuration, listen))
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(configuration, listen))

"""The bastion's parts in this process: for `serve`, and for commands on its machine while none runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import sqlalchemy.exc

from bastion.audit.journal import JournalFailed, JournalForeign, JournalLocked
from bastion.audit.segments import JournalUnreadable
from bastion.authority import AuthorityUnusable
from bastion.commands.words import NOT_SO, UNREACHABLE, CommandFailed
from bastion.configuration import Configuration, ConfigurationError, Endpoint
from bastion.gateway.calls import Calls
from bastion.gateway.control import local_caller
from bastion.gateway.execution import CallsApi
from bastion.gateway.server import CannotListen, HostKeyUnusable
from bastion.serve import parts_of, run
from bastion.store.store import StoreUnusable
from bastion.vault import VaultUnusable


@contextmanager
def told() -> Iterator[None]:
    """What keeps a bastion from starting, as a sentence."""
    try:
        yield
    except JournalLocked as error:
        raise CommandFailed(f"{error} A bastion runs on this journal already.", UNREACHABLE) from error
    except (
        AuthorityUnusable,
        CannotListen,
        ConfigurationError,
        HostKeyUnusable,
        JournalFailed,
        JournalForeign,
        JournalUnreadable,
        StoreUnusable,
        VaultUnusable,
    ) as error:
        raise CommandFailed(str(error), NOT_SO) from error
    except sqlalchemy.exc.SQLAlchemyError as error:
        # The driver's own words without the SQL that SQLAlchemy adds.
        reason = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()[0]
        raise CommandFailed(
            f"The store cannot be used: {reason}. Check its address and that it runs.", NOT_SO
        ) from error


def serve_now(configuration: Configuration, listen: Endpoint | None, *, verbose: bool) -> None:
    """`casemate serve`. Raises CommandFailed where it cannot start."""
    with told():
        run(configuration, listen, verbose=verbose)


@asynccontextmanager
async def direct_api(configuration: Configuration) -> AsyncIterator[CallsApi]:
    """The control API on the state itself, as this machine's administrator, under the journal's lock."""
    caller = local_caller(os.geteuid())
    assert caller is not None
    with told():
        async with parts_of(configuration, "command done") as parts:
            await asyncio.sleep(0)
            yield CallsApi(Calls(parts), caller)

"""Exports of the record at work: each a process of its own, read at its reader's pace, on record at both ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sys
from time import monotonic
from typing import TYPE_CHECKING

import msgspec

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.refusals import RefusalData, Refused
from bastion.audit.export_formats import FORMATS
from bastion.audit.exporter import DATA, END, FRAME, Job
from bastion.audit.projection_apart import KEPT_ENVIRONMENT

from .exports import shown
from .looks import act_of
from .parts import Parts

if TYPE_CHECKING:
    from .caller import Caller

MOST = 4
"""Exports at work at one time; each is a process."""

IDLE_SECONDS = 120.0
"""An export that nobody reads, or asks about, for so long is given up."""

REMEMBERED = 100
"""Exports that have ended and can still be asked about."""

_PROGRAM = "bastion.audit.exporter"


class _Running:
    """One export."""

    def __init__(self, caller: Caller, params: methods.AuditExportBegin, text: str) -> None:
        self.id = f"a-{secrets.token_hex(8)}"
        self.user, self.key, self.source = caller.person.name, caller.person.key, caller.source
        self.params, self.text = params, text
        self.state, self.reason, self.digest = "running", "", ""
        self.rows = self.bytes = 0
        self.used_at = monotonic()
        self.file: m.ExportFile | None = None
        self.process: asyncio.subprocess.Process | None = None
        self.reading = asyncio.Lock()
        self.tasks: list[asyncio.Task[None]] = []

    def view(self) -> m.AuditExport:
        return m.AuditExport(
            id=self.id, what=self.params.what, format=self.params.format, state=self.state, rows=self.rows,
            bytes=self.bytes, reason=self.reason, digest=self.digest, file=self.file,
        )  # fmt: skip


class AuditExports:
    """All exports of a gateway. On the event loop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._exports: dict[str, _Running] = {}

    async def begin(self, caller: Caller, params: methods.AuditExportBegin, text: str) -> m.AuditExport:
        """Starts one; on record before anything is read. `text`: the filter, as it goes on record. Raises Refused."""
        if params.format not in FORMATS or params.what not in ("statements", "sessions"):
            raise Refused(
                "invalid-params", method="audit.export.begin", detail="what and format are as the manual has them"
            )
        if sum(each.state == "running" for each in self._exports.values()) >= MOST:
            raise Refused("audit-exports-busy", limit=MOST)
        running = _Running(caller, params, text)
        self._exports[running.id] = running
        try:
            await self._parts.audit.settle()
            await self._record(running, "audit-export-begun", filter=text, kept="yes" if params.keep else "no")
            running.process = await self._start(params)
        except BaseException:
            del self._exports[running.id]
            raise
        running.tasks.append(asyncio.create_task(self._look_after(running), name=f"export {running.id}"))
        if params.keep:
            running.tasks.append(asyncio.create_task(self._keep(running), name=f"export {running.id} kept"))
        self._forget_old()
        return running.view()

    async def read(self, caller: Caller, id: str) -> m.AuditExportPiece:
        """The next piece. Raises Refused, also where the export failed."""
        running = self._mine(caller, id)
        if running.params.keep or running.state != "running":
            raise Refused("audit-export-unknown", id=id[:40])
        data = await self._next(running)
        if data is None:
            await self._ended(running)
            if running.state != "whole":
                raise Refused("audit-export-failed", detail=running.reason or running.state)
            return m.AuditExportPiece(data=b"", rows=running.rows, done=True, digest=running.digest)
        return m.AuditExportPiece(data=data, rows=running.rows)

    def state(self, caller: Caller, id: str) -> m.AuditExport:
        """How far it is. Raises Refused."""
        running = self._mine(caller, id)
        running.used_at = monotonic()
        return running.view()

    async def cancel(self, caller: Caller, id: str) -> m.AuditExport:
        """Gives it up; one that has ended stays as it is. Raises Refused."""
        running = self._mine(caller, id)
        await self._give_up(running, "cancelled", "")
        return running.view()

    # --------------------------------------------------------------------------------------------------------- inside

    async def _start(self, params: methods.AuditExportBegin) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", _PROGRAM,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
            env={name: value for name, value in os.environ.items() if name.startswith(KEPT_ENVIRONMENT)},
        )  # fmt: skip
        job = Job(
            url=self._parts.store.engine.url.render_as_string(hide_password=False), parent=os.getpid(),
            what=params.what, format=params.format, statements=params.statements, sessions=params.sessions,
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        return process

    async def _next(self, running: _Running) -> bytes | None:
        """The next data; None at the end, which `running` knows then. One reader at a time."""
        process = running.process
        assert process is not None
        assert process.stdout is not None
        running.used_at = monotonic()
        async with running.reading:
            if running.state != "running":
                return None
            try:
                kind, rows, length = FRAME.unpack(await process.stdout.readexactly(FRAME.size))
                data = await process.stdout.readexactly(length)
            except asyncio.IncompleteReadError:
                if running.state == "running":
                    running.state, running.reason = "failed", "the process that wrote it ended"
                return None
            finally:
                running.used_at = monotonic()
            running.rows = rows
            if kind == DATA:
                running.bytes += length
                return data
            if kind == END:
                running.state, running.digest = "whole", data.decode()
            else:
                refusal = msgspec.json.decode(data, type=RefusalData)
                running.state, running.reason = "failed", str(Refused(refusal.code, **refusal.params))
            return None

    async def _keep(self, running: _Running) -> None:
        """Takes all of it into a file of the person's that waits to be fetched."""
        files, params = self._parts.exports, running.params
        name = "".join(c for c in params.name if c.isprintable() and c not in '/\\:*?"<>|')[:100] or params.what
        kept = None
        try:
            kept = await asyncio.to_thread(files.begin, running.key, "", None, "", params.format, name)
            number = 0
            while (data := await self._next(running)) is not None:
                await asyncio.to_thread(files.part, running.key, kept.id, number, data)
                number += 1
            if running.state == "whole":
                kept = await asyncio.to_thread(files.finish, running.key, kept.id, running.rows, running.digest)
                running.file = shown(kept)
            else:
                await asyncio.to_thread(files.abandon, running.key, kept.id)
        except Exception as error:  # noqa: BLE001 - whoever asks is told; the record has it too
            if kept is not None:
                with contextlib.suppress(Refused):
                    await asyncio.to_thread(files.abandon, running.key, kept.id)
            if running.state != "cancelled":
                running.state, running.file = "failed", None
                running.reason = str(error) if isinstance(error, Refused) else f"{type(error).__name__} at the bastion"
        await self._ended(running)

    async def _look_after(self, running: _Running) -> None:
        """Gives up what nobody reads any more. One that is kept is read by the bastion itself."""
        while running.state == "running":
            left = running.used_at + IDLE_SECONDS - monotonic()
            if left <= 0:
                await self._give_up(running, "cancelled", "nobody read it")
                return
            await asyncio.sleep(left)

    async def _give_up(self, running: _Running, state: str, reason: str) -> None:
        if running.state != "running":
            return
        running.state, running.reason = state, reason
        await self._ended(running)

    async def _ended(self, running: _Running) -> None:
        """On record, once; the process is gone then."""
        process, running.process = running.process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        for task in running.tasks:
            if task is not asyncio.current_task() and not running.params.keep:
                task.cancel()
        await self._record(
            running, "audit-exported", filter=running.text, state=running.state, rows=running.rows,
            bytes=running.bytes, sha256=running.digest, reason=running.reason,
            export=running.file.id if running.file is not None else "",
        )  # fmt: skip

    async def _record(self, running: _Running, act: str, **detail: str | int | None) -> None:
        params = running.params
        await self._parts.record(
            act_of(running.user, running.source, act, running.id, what=params.what, format=params.format, **detail)
        )

    def _mine(self, caller: Caller, id: str) -> _Running:
        running = self._exports.get(id)
        if running is None or running.key != caller.person.key or running.user != caller.person.name:
            raise Refused("audit-export-unknown", id=id[:40])
        return running

    def _forget_old(self) -> None:
        ended = [id for id, each in self._exports.items() if each.state != "running"]
        for id in ended[: max(len(self._exports) - REMEMBERED, 0)]:
            del self._exports[id]

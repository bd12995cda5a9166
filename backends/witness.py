"""The workstation as a witness: it keeps the bastion's signed checkpoints, and says when the record is not theirs.

Kept are the lines that `casemate audit verify --anchor` takes, in one file for each bastion and node. What a checkpoint
signs stands in docs/journal-format.md.
"""

from __future__ import annotations

import base64
import contextlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import msgspec
import platformdirs
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bastion.api import messages as m
from bastion.api import methods
from bastion.api.methods import Method
from bastion.api.witness import Checkpointed, CheckpointRequest

from .link import Target

MOST = 100
"""Checkpoints that are kept of a node, the newest."""

LONGEST_FILE = 256 * 1024
"""Bytes that are read of a file; one of ours is a tenth of it."""

SECONDS = 600.0
"""Seconds between looks while the workstation is open."""


class Asked(Protocol):
    """What is needed of a link."""

    target: Target
    hello: m.Hello

    async def call(self, method: Method, params: m.Message) -> object: ...


class Kept(msgspec.Struct, frozen=True):
    """A checkpoint as it is handed out: everything up to record `number`, whose hash is `hash`, is signed."""

    node: str
    number: int
    hash: str
    at: str
    public_key: str
    signature: str

    def holds(self) -> bool:
        """Whether its signature is that of its key."""
        head = b"casemate.journal.checkpoint.v1"
        try:
            fields = (head, self.node.encode(), struct.pack(">Q", self.number), bytes.fromhex(self.hash),
                      self.at.encode())  # fmt: skip
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(self.public_key, validate=True))
            signature = base64.b64decode(self.signature, validate=True)
            key.verify(signature, b"".join(struct.pack(">I", len(field)) + field for field in fields))
        except (InvalidSignature, ValueError, struct.error):
            return False
        return True


@dataclass(frozen=True)
class Broken:
    """The bastion's record is not the one of the checkpoint that was kept.

    why   `changed`: that record is another one now; `back`: the record ends before it; `key`: somebody else signs;
          `unsigned`: what the bastion shows is not signed as it should be
    last  the number of the last record that the bastion has now
    """

    why: str
    kept: Kept | None
    file: Path
    last: int


def default_folder() -> Path:
    """Beside what else the workstation remembers on this machine."""
    return Path(platformdirs.user_state_dir("casemate")) / "checkpoints"


class Witness:
    """Keeps checkpoints in a folder of the person's own. A folder that cannot be written is no reason not to work."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file_of(self, target: Target, node: str) -> Path:
        """The file with what is kept of a bastion's node; an anchor file."""
        return self._folder / f"{quote(target.host, safe='')}-{target.port}-{quote(node, safe='')[:100]}.anchor"

    @staticmethod
    def is_own_machine(target: Target) -> bool:
        """A bastion on this machine: whoever can write its record can write what is kept here."""
        return target.host in ("127.0.0.1", "::1", "localhost")

    async def look(self, link: Asked) -> Broken | None:
        """Asks the bastion for its newest checkpoint and keeps it, unless the one that is kept is not in its record.

        Raises what the call raises.
        """
        file = self.file_of(link.target, link.hello.node)
        lines = self._lines(file)
        kept = lines[-1] if lines else None
        said = await link.call(methods.CHECKPOINT, CheckpointRequest(number=0 if kept is None else kept.number))
        assert isinstance(said, Checkpointed)
        try:
            new = msgspec.json.decode(said.text, type=Kept)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return Broken("unsigned", kept, file, said.last)
        why = _what_is_wrong(kept, new, said, link.hello.node)
        if why:
            return Broken(why, kept, file, said.last)
        if kept is None or new.number > kept.number:
            self._keep(file, [*lines, new][-MOST:])
        return None

    def _lines(self, file: Path) -> list[Kept]:
        found: list[Kept] = []
        try:
            with file.open("rb") as opened:
                content = opened.read(LONGEST_FILE)
        except OSError:
            return []
        for line in content.splitlines():
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                found.append(msgspec.json.decode(line, type=Kept))
        return found

    def _keep(self, file: Path, lines: list[Kept]) -> None:
        with contextlib.suppress(OSError):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = file.with_suffix(".new")
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
                opened.write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
            fresh.replace(file)


def _what_is_wrong(kept: Kept | None, new: Kept, said: Checkpointed, node: str) -> str:
    """Why the record is not that of the checkpoint that was kept; '' when it is. See Broken.why."""
    if new.node != node or not new.holds():
        return "unsigned"
    if kept is None:
        return ""
    if new.public_key != kept.public_key:
        return "key"
    if new.number < kept.number or said.last < kept.number:
        return "back"
    if not said.hash and said.first > kept.number:
        return ""  # retention has deleted it since; what it was is in the record's tombstones
    return "" if said.hash == kept.hash else "changed"

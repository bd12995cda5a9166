"""The file of one session's recording: chunks of the server's bytes, compressed, encrypted and chained.

docs/auditors/recordings.md describes it for other readers. A file is a magic, a header and chunks:

    magic | u32 length, header (JSON) | chunk …        chunk = head (32 bytes) | body | chain (32 bytes)

    head   u32 length of the body, u32 number (from 1), u64 position of the first and behind the last byte of the
           stream that it speaks of, u32 least and greatest number of the statements that end in it, or of which it
           has data that were sent in (0: none)
    body   AES-256-GCM(data key, nonce = u32 0 || u64 number, associated data = session || head) of zstd of a `Chunk`
    chain  SHA-256(chain before || head || body); before the first: SHA-256(CHAIN || magic || length || header)

The data key is the session's own, sealed by the vault in the header. Who has no key can still follow the chain.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import msgspec
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bastion.vault import NotSealed, Vault

MAGIC = b"CASEMATE RECORDING 1\n"
CHAIN = b"casemate.recording.v1"
SUFFIX = ".recording"

LONGEST_HEADER = 64 * 1024
LONGEST_BODY = 64 * 1024 * 1024
"""Bytes of one chunk's body that a reader takes. A writer makes far smaller ones."""

CHAIN_BYTES = 32
HEAD = struct.Struct(">IIQQII")
_length = struct.Struct(">I")
_SESSION = re.compile(r"[0-9A-Za-z_-]{1,64}")


class RecordingDamaged(Exception):
    """A recording that is not what was written. `chunk` is the first one that does not hold; 0: the header."""

    def __init__(self, reason: str, chunk: int = 0) -> None:
        super().__init__(reason)
        self.chunk = chunk


class Header(msgspec.Struct, forbid_unknown_fields=False):
    """`key` is the session's data key in base64, sealed for `recording SESSION`."""

    version: int
    session: str
    engine: str
    node: str
    at: str
    key: str


class End(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Where a statement's bytes end, and how many they are. See protocols.contract.StatementEnds."""

    number: int
    position: int
    size: int
    described: int = 0
    formats: bytes = b""


class Gap(msgspec.Struct, array_like=True, frozen=True):
    """Bytes from `position` on that were not kept. `why`: `statement` or `session` (their limits), or `behind`."""

    position: int
    size: int
    why: str


class Sent(msgspec.Struct, array_like=True, frozen=True):
    """What a client streamed into a statement: `data` behind its first `offset` bytes, `total` bytes so far.

    `cut`: why data behind these are not kept, where it is not the limit of one statement's.
    """

    number: int
    offset: int
    data: bytes
    total: int
    cut: str = ""


class Chunk(msgspec.Struct, array_like=True):
    """Kept runs of the stream (position, length), whose bytes follow each other in `data`. `codec` is of their text.

    `sent` are data of the other direction; files of older versions have none.
    """

    codec: str
    runs: list[tuple[int, int]]
    gaps: list[Gap]
    ends: list[End]
    data: bytes
    sent: list[Sent] = []


@dataclass(frozen=True, slots=True)
class Frame:
    """A chunk's head and where its body is in the file."""

    offset: int
    head: bytes
    length: int
    number: int
    start: int
    end: int
    first: int
    last: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Chunk).decode


def path_of(folder: Path, session: str) -> Path:
    """Where the recording of a session is. Raises ValueError for what is no session's id."""
    if not _SESSION.fullmatch(session):
        raise ValueError("no session has such an id")
    return folder / f"{session}{SUFFIX}"


def first_link(head: bytes) -> bytes:
    """The chain before the first chunk; `head` is the file up to the end of its header."""
    return sha256(CHAIN + head).digest()


def _context(session: str) -> str:
    return f"recording {session}"


def _nonce(number: int) -> bytes:
    return struct.pack(">IQ", 0, number)


class RecordingWriter:
    """Writes one file. Nothing is open between two chunks, so a thousand idle sessions cost no file descriptor."""

    def __init__(self, folder: Path, session: str, engine: str, node: str, at: str, vault: Vault) -> None:
        """Makes the file. Raises OSError, also where there is one already."""
        self.session = session
        self._path = path_of(folder, session)
        key = secrets.token_bytes(32)
        self._cipher = AESGCM(key)
        sealed = vault.seal(base64.b64encode(key).decode(), _context(session))
        header = msgspec.json.encode(Header(1, session, engine, node, at, sealed))
        head = MAGIC + _length.pack(len(header)) + header
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            self.size = _write(descriptor, head, 0)
        finally:
            os.close(descriptor)
        self.chain = first_link(head)
        self.chunks = 0

    def append(self, chunk: Chunk, start: int, end: int, compressor: zstandard.ZstdCompressor, *, sync: bool) -> None:
        """Writes a chunk whole or, as far as the disk lets it, not at all. Raises OSError."""
        number = self.chunks + 1
        numbers = [each.number for each in chunk.ends] + [each.number for each in chunk.sent]
        packed = compressor.compress(_encode(chunk))
        head = HEAD.pack(
            len(packed) + 16, number, start, end, min(numbers, default=0), max(numbers, default=0)
        )  # GCM's tag has 16 bytes
        body = self._cipher.encrypt(_nonce(number), packed, self.session.encode() + head)
        link = sha256(self.chain + head + body).digest()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor).st_size
            if found != self.size:
                raise OSError(0, f"it has {found} bytes instead of {self.size}: somebody else changed it")
            size = _write(descriptor, head + body + link, self.size)
            if sync:
                os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        self.chunks, self.chain, self.size = number, link, size


def _write(descriptor: int, data: bytes, size: int) -> int:
    """Appends to a file of `size` bytes; its new size. What is written in part is taken back."""
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        os.ftruncate(descriptor, size)
        raise
    return size + len(data)


class RecordingReader:
    """Reads one file. Use it as a context manager; chunks are opened with the vault, the chain is followed without."""

    def __init__(self, path: Path) -> None:
        """Raises OSError (also FileNotFoundError) and RecordingDamaged."""
        self._file: BinaryIO = path.open("rb")
        try:
            self.size = os.fstat(self._file.fileno()).st_size
            self.header, self._begin, self.link = self._read_header()
        except BaseException:
            self._file.close()
            raise
        self._cipher: AESGCM | None = None

    def __enter__(self) -> RecordingReader:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._file.close()

    def _read_header(self) -> tuple[Header, int, bytes]:
        start = self._file.read(len(MAGIC) + 4)
        if len(start) != len(MAGIC) + 4 or not start.startswith(MAGIC):
            raise RecordingDamaged("it does not begin like a recording")
        length = _length.unpack_from(start, len(MAGIC))[0]
        if length > LONGEST_HEADER:
            raise RecordingDamaged("its header is longer than any")
        content = self._file.read(length)
        try:
            header = msgspec.json.decode(content, type=Header)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RecordingDamaged("its header cannot be read") from error
        return header, len(start) + length, first_link(start + content)

    def frames(self) -> Iterator[Frame]:
        """The chunks' heads in order; a torn chunk at the end is left out. Raises RecordingDamaged."""
        offset, number = self._begin, 0
        while offset + HEAD.size <= self.size:
            self._file.seek(offset)
            head = self._file.read(HEAD.size)
            length, found, start, end, first, last = HEAD.unpack(head)
            number += 1
            if length > LONGEST_BODY or found != number:
                raise RecordingDamaged("its head is not what was written", number)
            following = offset + HEAD.size + length + CHAIN_BYTES
            if following > self.size:
                return
            yield Frame(offset + HEAD.size, head, length, number, start, end, first, last)
            offset = following

    def links(self) -> Iterator[tuple[Frame, bytes]]:
        """The chunks with the chain behind each. Raises RecordingDamaged where a chunk is not the one of its chain."""
        link = self.link
        for frame in self.frames():
            self._file.seek(frame.offset)
            body, stored = self._file.read(frame.length), self._file.read(CHAIN_BYTES)
            link = sha256(link + frame.head + body).digest()
            if link != stored:
                raise RecordingDamaged("its bytes are not those that were written", frame.number)
            yield frame, link

    def unlock(self, vault: Vault) -> None:
        """Takes the data key. Raises RecordingDamaged where the vault does not open it."""
        try:
            key = base64.b64decode(vault.open(self.header.key, _context(self.header.session)), validate=True)
            self._cipher = AESGCM(key)
        except (NotSealed, ValueError) as error:
            raise RecordingDamaged(f"its key does not open: {error}") from error

    def chunk(self, frame: Frame) -> Chunk:
        """The content of a chunk, after `unlock`. Raises RecordingDamaged."""
        assert self._cipher is not None
        self._file.seek(frame.offset)
        body = self._file.read(frame.length)
        try:
            packed = self._cipher.decrypt(_nonce(frame.number), body, self.header.session.encode() + frame.head)
            return _decode(zstandard.ZstdDecompressor().decompress(packed, max_output_size=LONGEST_BODY))
        except (InvalidTag, zstandard.ZstdError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RecordingDamaged("it does not open: it was changed", frame.number) from error

"""Checks a bundle of evidence. It needs Python 3.11 or later and the package `cryptography`, nothing of Casemate.

    python3 verify.py BUNDLE.zip [--key node.pub] [--anchor FILE]

Casemate's own `audit verify --bundle` is this file, and a copy of it is in every bundle. Who must trust neither writes
another one from docs/journal-format.md. Exit codes: 0 the bundle holds, 1 it does not, 2 it cannot be looked at.
With the package `zstandard` (or Python 3.14) it also compares each screen with the recording that it was taken from.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import importlib
import json
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = 1
MANIFEST, SIGNATURE, LINES = "bundle.json", "bundle.sig", "journal.lines"
BUNDLE = b"casemate.bundle.v1"
GENESIS = b"casemate.journal.v1"
CHECKPOINT = b"casemate.journal.checkpoint.v1"
RECORDING_MAGIC = b"CASEMATE RECORDING 1\n"
RECORDING_CHAIN = b"casemate.recording.v1"

LONGEST_LINE = 256 * 1024 * 1024
LONGEST_MANIFEST = 64 * 1024 * 1024
LONGEST_HEADER = 64 * 1024
LONGEST_CHUNK = 64 * 1024 * 1024
MOST_MEMBERS = 10_000
MOST_BYTES = 0xFFFF_FFFF
READ = 1024 * 1024

_UNREADABLE = (
    zipfile.BadZipFile, RuntimeError, EOFError, ValueError, KeyError, IndexError, OverflowError, struct.error, OSError
)  # fmt: skip
"""What Python's own reader of ZIP files raises for one that was damaged; NotImplementedError is a RuntimeError."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_LINE = re.compile(rb"([1-9]\d{0,19}) ([0-9a-f]{64}) (?:([0-9a-f]{32}) (\{.*)|([0-9a-f]{64}))\n", re.DOTALL)
_HEAD = struct.Struct(">IIQQII")


class Broken(Exception):
    """The bundle is not what was made. `where` is the file in it, '' for the whole."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}" if where else reason)
        self.where = where
        self.reason = reason


class Unreadable(Exception):
    """There is nothing that could be looked at: no bundle, no key."""


@dataclass
class Findings:
    """What holds. `first` and `last` are the numbers of the lines; the last is a signed checkpoint at `proved_at`."""

    node: str = ""
    session: str = ""
    first: int = 0
    last: int = 0
    shown: int = 0
    withheld: int = 0
    statements: int = 0
    proved_at: str = ""
    key_from: str = "bundle"
    key: str = ""
    anchored_to: int | None = None
    recordings: int = 0
    notes: list[str] = field(default_factory=list)


def lengths(*values: bytes) -> bytes:
    """The values, each behind its length: what signatures cover."""
    return b"".join(struct.pack(">I", len(value)) + value for value in values)


# --------------------------------------------------------------------------------------------------------- the archive


def zip_parts(members: Iterable[tuple[str, Iterable[bytes]]]) -> Iterator[bytes]:
    """The bytes of a bundle: a ZIP (APPNOTE.TXT 6.3) without compression, times and attributes, so that the same
    members are always the same bytes. Raises ValueError beyond 4 GiB."""
    directory = b""
    count = offset = 0
    for name, content in members:
        encoded = name.encode("ascii")
        begun = offset
        head = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 8, 0, 0, 33, 0, 0, 0, len(encoded), 0) + encoded
        yield head
        offset += len(head)
        crc = size = 0
        for part in content:
            crc, size = zlib.crc32(part, crc), size + len(part)
            offset += len(part)
            if offset > MOST_BYTES - READ:
                raise ValueError("a bundle of more than 4 GiB")
            yield part
        yield struct.pack("<IIII", 0x08074B50, crc, size, size)
        offset += 16
        directory += struct.pack(
            "<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 8, 0, 0, 33, crc, size, size, len(encoded), 0, 0, 0, 0, 0, begun
        )
        directory += encoded
        count += 1
    yield directory
    yield struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(directory), offset, 0)


class _Archive:
    """The ZIP, of which every byte is accounted for, and the digests of its members."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digests: dict[str, str] = {}
        try:
            self.zip = zipfile.ZipFile(file)
        except _UNREADABLE as error:
            raise Broken("", f"it is not a whole ZIP file: {error}") from error
        self.names = [info.filename for info in self.zip.infolist()]
        if len(self.names) > MOST_MEMBERS or len(set(self.names)) < len(self.names):
            raise Broken("", "its table of contents is not one of a bundle")
        for name in self.names:
            if not _NAME.fullmatch(name):
                raise Broken("", f"it holds {name!r}, which no bundle does")

    def check(self) -> None:
        """Raises Broken unless the file is byte for byte the ZIP of its members."""
        position = 0
        for part in zip_parts((info.filename, self._digested(info)) for info in self.zip.infolist()):
            self._file.seek(position)
            if self._file.read(len(part)) != part:
                raise Broken("", f"the ZIP file itself was changed, near byte {position}")
            position += len(part)
        self._file.seek(position)
        if self._file.read(1):
            raise Broken("", "something was put behind the end of the ZIP file")

    def read(self, name: str, most: int) -> bytes:
        if name not in self.names:
            raise Broken(name, "it is missing")
        if self.zip.getinfo(name).file_size > most:
            raise Broken(name, "it is longer than any")
        return self.zip.read(name)

    def open(self, name: str) -> BinaryIO:
        if name not in self.names:
            raise Broken(name, "it is missing")
        return self.zip.open(name)  # type: ignore[return-value]

    def _digested(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        digest = sha256()
        try:
            if info.compress_type != zipfile.ZIP_STORED:
                raise Broken(info.filename, "it is compressed, which no bundle's files are")
            with self.zip.open(info) as content:
                while part := content.read(READ):
                    digest.update(part)
                    yield part
        except _UNREADABLE as error:
            raise Broken(info.filename, f"it cannot be read: {error}") from error
        self.digests[info.filename] = digest.hexdigest()


# --------------------------------------------------------------------------------------------------------------- keys


def read_key(content: bytes) -> bytes:
    """The 32 bytes of a public key as `node.pub` has it. Raises Unreadable."""
    try:
        key = base64.b64decode(content.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise Unreadable("This is no public key. Give the node's node.pub: 32 bytes in base64.")
    return key


def _decoded(text: object, where: str) -> bytes:
    """Base64 in its one right form: no other spelling of the same bytes passes."""
    try:
        raw = base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if base64.b64encode(raw).decode() != text:
        raise Broken(where, "it is no base64")
    return raw


def _holds(key: bytes, signature: bytes, signed: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


# -------------------------------------------------------------------------------------------------------------- bundle


def examine(path: Path, key: bytes | None = None, anchors: Iterable[dict[str, Any]] = ()) -> Findings:
    """Checks everything. Raises Broken at the first thing that does not hold, Unreadable, OSError."""
    with path.open("rb") as file:
        archive = _Archive(file)
        archive.check()
        return _Bundle(archive, key, list(anchors)).check()


class _Bundle:
    def __init__(self, archive: _Archive, key: bytes | None, anchors: list[dict[str, Any]]) -> None:
        self._archive = archive
        self._anchors = anchors
        self._given = key
        self._key = b""
        self._manifest: dict[str, Any] = {}
        self._subjects: set[str] = set()
        self._witnessed: dict[str, dict[str, Any]] = {}
        self._statements: set[int] = set()
        self._closed: dict[str, Any] | None = None
        self._found = Findings()

    def check(self) -> Findings:
        self._check_manifest()
        with self._archive.open(LINES) as lines:
            self._check_lines(lines)
        self._check_session()
        for recording in self._list("recordings"):
            self._check_recording(recording)
        return self._found

    def _list(self, name: str) -> list[Any]:
        value = self._manifest.get(name)
        if not isinstance(value, list):
            raise Broken(MANIFEST, f"it does not say which {name} there are")
        return value

    def _check_manifest(self) -> None:
        content = self._archive.read(MANIFEST, LONGEST_MANIFEST)
        try:
            manifest = json.loads(content)
            self._key = _decoded(manifest["public_key"], MANIFEST)
            version, files = manifest["bundle"], manifest["files"]
            self._found.node, self._found.session = str(manifest["node"]), str(manifest["session"])
            self._subjects = {str(one) for one in manifest["subjects"]}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Broken(MANIFEST, "it cannot be read") from error
        if version != VERSION:
            raise Unreadable(f"This is a bundle of version {version}; this verifier knows version {VERSION}.")
        if self._given is not None:
            if self._key != self._given:
                raise Broken(MANIFEST, "it is signed with another key than the one given")
            self._found.key_from = "given"
        self._found.key = base64.b64encode(self._key).decode()
        signature = self._archive.read(SIGNATURE, 1024).decode("latin-1")
        if not signature.endswith("\n") or not _holds(
            self._key, _decoded(signature[:-1], SIGNATURE), lengths(BUNDLE, content)
        ):
            raise Broken(MANIFEST, "its signature does not hold")
        self._manifest = manifest
        if not isinstance(files, dict) or {*files, MANIFEST, SIGNATURE} != set(self._archive.names):
            raise Broken(MANIFEST, "the files are not those that were signed")
        for name, digest in files.items():
            if self._archive.digests[name] != digest:
                raise Broken(name, "it was changed: it is not the file that was signed")

    # -- the journal's lines

    def _check_lines(self, lines: BinaryIO) -> None:
        found = self._found
        ranges = [(int(first), int(last)) for first, last in self._list("records")]
        shown = {number for first, last in ranges for number in range(first, min(last, first + 10**8) + 1)}
        previous, number, whole = b"", 0, b""
        while raw := lines.readline(LONGEST_LINE):
            match = _LINE.fullmatch(raw)
            if match is None:
                raise Broken(LINES, f"the line behind record {number} is not readable")
            if not number:
                number = int(match[1]) - 1
                previous = self._beginning(number, match[4])
                found.first = number + 1
            if int(match[1]) != number + 1:
                raise Broken(LINES, f"record {number + 1} is missing: record {int(match[1])} stands in its place")
            number += 1
            whole = match[4]
            leaf = sha256(b"\0" + match[3] + b" " + whole).digest() if whole else bytes.fromhex(match[5].decode())
            head = sha256(b"\1" + previous + leaf + struct.pack(">Q", number)).digest()
            if head.hex().encode() != match[2]:
                raise Broken(LINES, f"record {number} does not follow from the one before it")
            if whole:
                self._take(number, whole, previous, shown)
            elif number in shown:
                raise Broken(LINES, f"record {number} is one of the session's, and is not shown")
            else:
                found.withheld += 1
            self._compare_with_anchors(number, head)
            previous = head
        found.last = number
        if not whole or not whole.startswith(b'{"kind":"checkpoint"'):
            raise Broken(LINES, "the lines do not end with a checkpoint: the end was cut off")
        if found.shown != len(shown) or number != self._manifest.get("last") or found.first != self._manifest["first"]:
            raise Broken(LINES, "these are not the records that were signed")

    def _beginning(self, before: int, whole: bytes | None) -> bytes:
        if not before:
            return sha256(lengths(GENESIS, self._found.node.encode())).digest()
        try:
            return bytes.fromhex(json.loads(whole or b"")["hash"])
        except (ValueError, KeyError, TypeError) as error:
            raise Broken(LINES, "the lines do not begin with a checkpoint") from error

    def _take(self, number: int, whole: bytes, previous: bytes, shown: set[int]) -> None:
        try:
            record = json.loads(whole)
            kind = record["kind"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Broken(LINES, f"record {number} cannot be read") from error
        if kind == "checkpoint":
            self._checkpoint(number, record, previous)
            return
        if number not in shown:
            raise Broken(LINES, f"record {number} is shown, and is not one of the session's")
        self._found.shown += 1
        session = record.get("session")
        if kind == "recording":
            self._witnessed[session] = record
        if session != self._found.session:
            return
        if kind in ("statement-sent", "statement-refused"):
            self._statements.add(record["seq"])
        elif kind == "session-closed":
            self._closed = record

    def _checkpoint(self, number: int, record: dict[str, Any], previous: bytes) -> None:
        found = self._found
        try:
            signed = lengths(
                CHECKPOINT, record["node"].encode(), struct.pack(">Q", record["number"]), previous,
                record["at"].encode(),
            )  # fmt: skip
            good = (record["node"], record["number"], record["hash"]) == (found.node, number - 1, previous.hex())
            signature = _decoded(record["signature"], LINES)
        except (KeyError, TypeError, AttributeError, struct.error) as error:
            raise Broken(LINES, f"checkpoint {number} cannot be read") from error
        if not good or not _holds(self._key, signature, signed):
            raise Broken(LINES, f"checkpoint {number} is not one of the node's over the records before it")
        found.proved_at = record["at"]

    def _compare_with_anchors(self, number: int, head: bytes) -> None:
        for anchor in self._anchors:
            if anchor.get("number") == number and anchor.get("node") == self._found.node:
                if anchor.get("hash") != head.hex():
                    raise Broken(LINES, f"record {number} is not the one that the anchor witnessed")
                self._found.anchored_to = number

    def _check_session(self) -> None:
        count = len(self._statements)
        missing = next((seq for seq in range(1, count + 1) if seq not in self._statements), None)
        if missing is not None:
            raise Broken(LINES, f"statement {missing} of the session is missing")
        if self._closed is not None and self._closed["state"] == "closed" and self._closed["statements"] != count:
            raise Broken(LINES, f"the session had {self._closed['statements']} statements, and {count} are here")
        self._found.statements = count

    # -- recordings

    def _check_recording(self, recording: dict[str, Any]) -> None:
        try:
            name, id, key = recording["file"], recording["id"], _decoded(recording["key"], MANIFEST)
            cast = str(recording.get("cast", ""))
        except (KeyError, TypeError) as error:
            raise Broken(MANIFEST, "it does not say what the recordings are") from error
        witness = self._witnessed.get(id)
        if witness is None or not _NAME.fullmatch(name):
            raise Broken(name, "no record witnesses it")
        decompress = decompressor()
        shown = self._archive.open(cast) if cast else None
        if shown is not None and decompress is None:
            self._found.notes.append(f"{cast} was not compared with its recording: that needs the package zstandard.")
        with self._archive.open(name) as file:
            link, number, cipher = self._recording_head(name, id, file), 0, AESGCM(key)
            while head := file.read(_HEAD.size):
                number += 1
                if len(head) < _HEAD.size or _HEAD.unpack(head)[1] != number or _HEAD.unpack(head)[0] > LONGEST_CHUNK:
                    raise Broken(name, f"chunk {number} was altered")
                body, stored = file.read(_HEAD.unpack(head)[0]), file.read(32)
                link = sha256(link + head + body).digest()
                if link != stored:
                    raise Broken(name, f"chunk {number} was altered")
                try:
                    packed = cipher.decrypt(struct.pack(">IQ", 0, number), body, id.encode() + head)
                except InvalidTag as error:
                    raise Broken(name, f"chunk {number} does not open with the key given") from error
                if shown is not None and decompress is not None:
                    data = _chunk_data(decompress(packed))
                    if shown.read(len(data)) != data:
                        raise Broken(cast, f"it is not what chunk {number} of its recording says")
        if (number, link.hex()) != (witness["chunks"], witness["hash"]):
            raise Broken(name, "it is not the recording that the journal witnessed")
        if shown is not None and decompress is not None and shown.read(1):
            raise Broken(cast, "there is more in it than in its recording")
        self._found.recordings += 1

    def _recording_head(self, name: str, id: str, file: BinaryIO) -> bytes:
        start = file.read(len(RECORDING_MAGIC) + 4)
        length = int.from_bytes(start[-4:], "big")
        if not start.startswith(RECORDING_MAGIC) or length > LONGEST_HEADER:
            raise Broken(name, "it does not begin like a recording")
        header = file.read(length)
        try:
            if json.loads(header)["session"] != id:
                raise Broken(name, "it is the recording of another session")
        except (ValueError, KeyError, TypeError) as error:
            raise Broken(name, "its header cannot be read") from error
        return sha256(RECORDING_CHAIN + start + header).digest()


def decompressor() -> Callable[[bytes], bytes] | None:
    """What undoes zstd, if there is anything."""
    for module in ("compression.zstd", "zstandard"):
        try:
            found = importlib.import_module(module)
        except ImportError:
            continue
        if module == "zstandard":
            return lambda packed: bytes(found.ZstdDecompressor().decompress(packed, max_output_size=LONGEST_CHUNK))
        return lambda packed: bytes(found.decompress(packed))
    return None


def _chunk_data(packed: bytes) -> bytes:
    """The bytes of a chunk: the fifth of an array in MessagePack (docs/auditors/recordings.md)."""
    position = 1  # the array's own byte

    def take(size: int) -> bytes:
        nonlocal position
        position += size
        return packed[position - size : position]

    def value(depth: int = 0) -> bytes:
        kind = take(1)[0]
        if depth > 8:
            raise Broken(LINES, "a chunk cannot be read")
        if kind <= 0x7F or kind >= 0xE0 or kind in (0xC0, 0xC2, 0xC3):
            return b""
        if 0x80 <= kind <= 0x8F or 0x90 <= kind <= 0x9F:
            for _ in range((kind & 15) * (2 if kind < 0x90 else 1)):
                value(depth + 1)
            return b""
        if 0xA0 <= kind <= 0xBF:
            return take(kind & 31)
        sized = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}.get(kind)
        if sized is not None:
            return take(int.from_bytes(take(sized), "big"))
        if kind in (0xDC, 0xDD):
            for _ in range(int.from_bytes(take(2 if kind == 0xDC else 4), "big")):
                value(depth + 1)
            return b""
        return take({0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}[kind])

    for _ in range(4):
        value()
    return value()


# ------------------------------------------------------------------------------------------------------------- program


def sentences(found: Findings) -> list[str]:
    """What to tell a person."""
    whose = "the key given" if found.key_from == "given" else "the bundle's own key: compare it with the node's"
    lines = [
        f"The bundle holds. Session {found.session} of node {found.node}: {found.statements} statements in "
        f"{found.shown} records.",
        f"Records {found.first} to {found.last} of the journal, {found.withheld} of them others' and not shown, "
        f"proved by the checkpoint of {found.proved_at}.",
        f"Signed with {found.key} ({whose}).",
    ]
    if found.recordings:
        lines.append(f"{found.recordings} recordings are as the journal witnessed them.")
    if found.anchored_to is not None:
        lines.append(f"The anchor of record {found.anchored_to} agrees.")
    return lines + found.notes


def read_anchors(path: Path) -> list[dict[str, Any]]:
    """Checkpoints that were kept elsewhere: a JSON object a line. Raises Unreadable, OSError."""
    try:
        return [json.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
    except ValueError as error:
        raise Unreadable(f"{path} is no anchor: {error}") from error


def main() -> int:
    """The program. The exit code as above."""
    parser = argparse.ArgumentParser(description="Checks a bundle of evidence.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--key", type=Path, help="the node's public key, node.pub, from elsewhere than the bundle")
    parser.add_argument("--anchor", type=Path, help="checkpoints that were kept elsewhere")
    arguments = parser.parse_args()
    try:
        key = None if arguments.key is None else read_key(arguments.key.read_bytes())
        anchors = [] if arguments.anchor is None else read_anchors(arguments.anchor)
        found = examine(arguments.bundle, key, anchors)
    except Broken as broken:
        print(f"THE BUNDLE DOES NOT HOLD: {broken}")
        return 1
    except (Unreadable, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(sentences(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

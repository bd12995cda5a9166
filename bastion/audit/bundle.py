"""Makes a bundle of evidence: one session as a ZIP that can be verified without Casemate's store.

The journal's lines from the checkpoint before the session to the one behind it, those of others as leaves only; what
the store says of the statements, their results; recordings as the journal witnessed them, with their keys; all of it
signed with the node's key. `bundle_verifier` says what is checked, docs/journal-format.md what stands where.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastion import __version__
from bastion.api import messages as m
from bastion.api.refusals import Refused
from bastion.store.store import Store
from bastion.vault import Vault

from . import bundle_verifier, chain
from .bundle_readme import README
from .bundle_verifier import BUNDLE, LINES, MANIFEST, SIGNATURE, VERSION, lengths, zip_parts
from .journal import now
from .recording_file import HEAD, MAGIC, RecordingDamaged, RecordingReader, path_of
from .records import Recording
from .recovery import tag_of
from .screen_recording import ENDED, screen_of
from .screen_recording import ENGINE as SCREEN
from .search import find_statements
from .segments import Line, segments_of
from .session_search import find_sessions
from .shown_results import asked_for, shown

PIECE = 256 * 1024
MARGIN = timedelta(minutes=2)
"""How far the time of a record may be from its place among others."""


class BundleImpossible(Exception):
    """No bundle can be made of this session. The message says why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Of whom, for whom, with what. `written`: the journal's last record that may be read."""

    session: str
    made_by: str
    results: bool
    screens: bool
    written: int


class _Of(msgspec.Struct):
    kind: str
    at: str = ""
    session: str = ""
    subject: str = ""
    act: str = ""
    state: str = ""


_of = msgspec.json.Decoder(_Of).decode


@dataclass(slots=True)
class _Extract:
    """The journal's lines for a bundle, and what they say of whose records they are."""

    lines: IO[bytes]
    first: int = 0
    last: int = 0
    records: list[list[int]] = field(default_factory=list)
    witnesses: dict[str, Recording] = field(default_factory=dict)


class BundleMaker:
    """Makes one bundle. Everything here blocks: called in a thread."""

    def __init__(
        self, store: Store, vault: Vault, key: Ed25519PrivateKey, node: str, journal: Path, recordings: Path,
        scratch: Path, wanted: Wanted,
    ) -> None:  # fmt: skip
        self._store, self._vault, self._key, self._node = store, vault, key, node
        self._journal, self._recordings, self._scratch = journal, recordings, scratch
        self._wanted = wanted

    def parts(self) -> Iterator[bytes]:
        """The bytes of the bundle. Raises Refused for a session that there is not, BundleImpossible, OSError."""
        session = self._session()
        screens = self._screens_of(session) if self._wanted.screens else []
        with tempfile.TemporaryFile(dir=self._scratch) as file:
            extract = self._extract(session, [one.id for one in screens], file)
            yield from _in_pieces(zip_parts(self._members(session, screens, extract)))

    def _session(self) -> m.Session:
        found = self._store.read_now(
            lambda connection: find_sessions(connection, m.SessionFilter(id=self._wanted.session, limit=1))
        )
        if not found:
            raise Refused("session-unknown", session=self._wanted.session[:64])
        if found[0].node != self._node:
            raise BundleImpossible(
                f"The session was on the node {found[0].node}, whose journal is there. Ask that node for the bundle."
            )
        return found[0]

    def _screens_of(self, session: m.Session) -> list[m.Screen]:
        """The workstation that the session was opened in, where its screen is recorded."""
        found = self._store.read_now(screen_of(session.id, ""))
        if found is None or not path_of(self._recordings, found[0].id).exists():
            return []
        return [found[0]]

    # -- the journal

    def _extract(self, session: m.Session, screens: list[str], file: IO[bytes]) -> _Extract:
        """Copies the lines. They begin with a checkpoint, or with the journal itself, and end with a checkpoint."""
        extract = _Extract(file)
        own = {session.id, *screens}
        marks = [b'"%b"' % one.encode() for one in own]
        before: list[Line] = []
        begun = session_over = False
        screens_open = set(screens)
        late = _later(session.ended_at)
        number = 0
        for line in self._lines(session):
            if begun and line.number != number + 1:
                raise BundleImpossible(
                    f"Records {number + 1} to {line.number - 1} of the journal, which the chain goes through, were "
                    "deleted. Hold a session (audit legal-hold) before its time, to make bundles of it later."
                )
            number = line.number
            tag = tag_of(line.body)
            if not begun and tag == b"checkpoint":
                before = []
            record = None
            if line.shown and tag != b"checkpoint" and any(mark in line.body for mark in marks):
                record = _of(line.body)
            if record is not None and (record.session == session.id or (begun and _whose(record) in own)):
                if not begun:
                    begun = True
                    self._begin(extract, before, file)
                self._own(extract, line, file)
                if record.session == session.id and record.kind in ("session-closed", "session-refused"):
                    session_over = True
                if record.kind == "recording" and session_over:
                    screens_open.discard(record.session)
                if record.act == ENDED:
                    screens_open.discard(record.subject)
                continue
            if not begun:
                before.append(line)
                continue
            self._other(extract, line, file)
            if session_over and tag == b"checkpoint" and (not screens_open or _at(line) > late):
                extract.last = line.number
                break
            if tag == b"checkpoint":
                extract.last = line.number
        if not begun:
            raise BundleImpossible("The journal has no record of this session: they were deleted, or are elsewhere.")
        if not extract.last:
            raise BundleImpossible("No checkpoint follows the session's records yet. Try again in a minute.")
        self._cut(extract)
        return extract

    def _lines(self, session: m.Session) -> Iterator[Line]:
        """From before the session began to the last record that may be read."""
        begin = _earlier(session.started_at)
        segments = segments_of(self._journal)
        first = 0
        for index, segment in enumerate(segments):
            with segment.path.open("rb") as file:
                line = Line.parse(file.readline())
            if line is not None and line.shown and _at(line) > begin:
                break
            first = index
        for segment in segments[first:]:
            with segment.path.open("rb") as file:
                for raw in file:
                    line = Line.parse(raw)
                    if line is None or line.number > self._wanted.written:
                        return
                    yield line

    def _begin(self, extract: _Extract, before: list[Line], file: IO[bytes]) -> None:
        first = before[0] if before else None
        if first is None or (first.number != 1 and tag_of(first.body) != b"checkpoint"):
            raise BundleImpossible("The checkpoint before the session is not in the journal any more.")
        extract.first = first.number
        for line in before:
            self._other(extract, line, file)

    def _other(self, extract: _Extract, line: Line, file: IO[bytes]) -> None:
        if line.format != 2:
            raise BundleImpossible(
                f"Record {line.number} is of the journal's format 1, in which others' records cannot be left out. "
                "Bundles can be made of sessions since the journal goes on in format 2."
            )
        file.write((line if tag_of(line.body) == b"checkpoint" else line.withheld()).written())

    def _own(self, extract: _Extract, line: Line, file: IO[bytes]) -> None:
        if line.format != 2:
            self._other(extract, line, file)
        file.write(line.written())
        if extract.records and extract.records[-1][1] == line.number - 1:
            extract.records[-1][1] = line.number
        else:
            extract.records.append([line.number, line.number])
        if tag_of(line.body) == b"recording":
            record = chain.record_from(line.body)
            assert isinstance(record, Recording)
            extract.witnesses[record.session] = record

    def _cut(self, extract: _Extract) -> None:
        """What comes behind the last checkpoint has no witness yet, and is left out."""
        file = extract.lines
        file.seek(0)
        position = 0
        for raw in file:
            position += len(raw)
            if int(raw[: raw.index(b" ")]) == extract.last:
                break
        file.truncate(position)
        extract.records = [[first, min(last, extract.last)] for first, last in extract.records if first <= extract.last]

    # -- the files

    def _members(
        self, session: m.Session, screens: list[m.Screen], extract: _Extract
    ) -> Iterator[tuple[str, Iterator[bytes]]]:
        digests: dict[str, str] = {}

        def digested(name: str, content: Iterator[bytes]) -> tuple[str, Iterator[bytes]]:
            def passing() -> Iterator[bytes]:
                digest = sha256()
                for part in content:
                    digest.update(part)
                    yield part
                digests[name] = digest.hexdigest()

            return name, passing()

        source = Path(bundle_verifier.__file__).read_bytes()
        public = base64.b64encode(chain.public_bytes(self._key))
        yield digested("README.md", iter([README.encode()]))
        yield digested("verify.py", iter([source]))
        yield digested("node.pub", iter([public + b"\n"]))
        yield digested("session.json", iter([msgspec.json.format(msgspec.json.encode(session)) + b"\n"]))
        yield digested(LINES, _content(extract.lines))
        yield digested("statements.jsonl", self._statements(session.id))
        listed: list[dict[str, str]] = []
        if self._wanted.results:
            yield digested("results.jsonl", self._results(session.id))
        for id in [session.id] * self._wanted.results + [one.id for one in screens]:
            witness = extract.witnesses.get(id)
            if witness is None or not witness.chunks:
                continue
            recording = _RecordingCopy(path_of(self._recordings, id), witness, self._vault)
            name = f"recordings/{id}.recording"
            entry = {"file": name, "id": id, "engine": recording.engine, "key": recording.key}
            yield digested(name, recording.content())
            if recording.engine == SCREEN:
                entry["cast"] = f"screens/{id}.cast"
                yield digested(entry["cast"], recording.data())
            listed.append(entry)
        manifest = {
            "bundle": VERSION, "casemate": __version__, "node": self._node, "session": session.id,
            "subjects": [session.id, *(one.id for one in screens)], "made_at": now(), "made_by": self._wanted.made_by,
            "public_key": public.decode(), "first": extract.first, "last": extract.last, "records": extract.records,
            "recordings": listed, "files": digests,
        }  # fmt: skip
        content = msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"
        yield MANIFEST, iter([content])
        yield SIGNATURE, iter([base64.b64encode(self._key.sign(lengths(BUNDLE, content))) + b"\n"])

    def _statements(self, session: str) -> Iterator[bytes]:
        for page in self._pages(session):
            for statement in page.statements:
                yield msgspec.json.encode(statement) + b"\n"

    def _results(self, session: str) -> Iterator[bytes]:
        """A line for each page of each statement's result, as `audit show --json` has it."""
        for page in self._pages(session):
            for statement in page.statements:
                asked = self._store.read_now(asked_for(session, statement.seq))
                after: int | None = 0
                while after is not None:
                    result = shown(asked, self._recordings, self._vault, self._node, after, 0)
                    following = result.next if result.next is not None and result.next > after else None
                    body = {"seq": statement.seq, **msgspec.to_builtins(result)}
                    del body["statement"]
                    yield msgspec.json.encode(body) + b"\n"
                    after = following

    def _pages(self, session: str) -> Iterator[m.StatementPage]:
        wanted = m.StatementFilter(session=session)
        while True:
            page = self._store.read_now(lambda connection: find_statements(connection, wanted))
            yield page
            if page.cursor is None:
                return
            wanted.after = page.cursor


class _RecordingCopy:
    """A recording as far as the journal witnesses it."""

    def __init__(self, path: Path, witness: Recording, vault: Vault) -> None:
        self._path, self._witness, self._vault = path, witness, vault
        with self._reader() as reader:
            self.engine = reader.header.engine
            self.key = vault.open(reader.header.key, f"recording {witness.session}")

    def _reader(self) -> RecordingReader:
        try:
            return RecordingReader(self._path)
        except (FileNotFoundError, RecordingDamaged) as error:
            raise BundleImpossible(
                f"The recording of {self._witness.session} is missing or damaged. Run `casemate audit verify`, "
                "or make the bundle without results and screens."
            ) from error

    def content(self) -> Iterator[bytes]:
        """The file's bytes up to the last witnessed chunk, followed along its chain."""
        with self._reader() as reader, self._path.open("rb") as file:
            begin = _begin_of(file)
            yield file.read(begin)
            for frame, link in self._links(reader):
                yield file.read(HEAD.size + frame.length + len(link))
                if frame.number == self._witness.chunks:
                    if link.hex() != self._witness.hash:
                        raise self._altered()
                    return
        raise self._altered()

    def data(self) -> Iterator[bytes]:
        """What the chunks hold."""
        with self._reader() as reader:
            reader.unlock(self._vault)
            for frame, _link in self._links(reader):
                yield reader.chunk(frame).data
                if frame.number == self._witness.chunks:
                    return

    def _links(self, reader: RecordingReader) -> Iterator[tuple[Any, bytes]]:
        try:
            yield from reader.links()
        except RecordingDamaged as error:
            raise self._altered() from error

    def _altered(self) -> BundleImpossible:
        return BundleImpossible(
            f"The recording of {self._witness.session} is not the one that the journal witnessed. "
            "Run `casemate audit verify`."
        )


def _begin_of(file: IO[bytes]) -> int:
    start = file.read(len(MAGIC) + 4)
    file.seek(0)
    return len(start) + int.from_bytes(start[-4:], "big")


def _whose(record: _Of) -> str:
    return record.session or record.subject


def _at(line: Line) -> datetime:
    return datetime.fromisoformat(_of(line.body).at)


def _earlier(text: str) -> datetime:
    return datetime.fromisoformat(text) - MARGIN


def _later(text: str | None) -> datetime:
    return datetime.max.replace(tzinfo=UTC) if text is None else datetime.fromisoformat(text) + MARGIN


def _content(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while part := file.read(PIECE):
        yield part


def _in_pieces(parts: Iterator[bytes], size: int = PIECE) -> Iterator[bytes]:
    """The same bytes in pieces of one size."""
    held = bytearray()
    for part in parts:
        held += part
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)

"""A bundle of evidence shows one session and nothing of others, holds by itself, and no edit of it goes unnoticed."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import random
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from bastion.api.refusals import Refused
from bastion.audit import bundle_verifier, chain
from bastion.audit.audit import Audit
from bastion.audit.bundle import BundleImpossible, BundleMaker, Wanted
from bastion.audit.bundle_verifier import Broken, Findings, examine, lengths, zip_parts
from bastion.audit.records import Act
from bastion.audit.segments import Line, segments_of
from bastion.store.store import Store, sqlite_url

from .journal_samples import AT, KEY, OTHER_KEY, closed, done, logged_in, open_journal, opened, sent
from .recording_stage import Stage, stage_in

PUBLIC = chain.public_bytes(KEY)


@dataclasses.dataclass
class Evidence:
    """A journal with the sessions s1 of alice and s2 of bob among each other, their store and recordings."""

    folder: Path
    store: Store
    stage: Stage
    written: int = 0

    def make(self, session: str = "s1", results: bool = True, screens: bool = True) -> bytes:
        wanted = Wanted(session, "eve", results, screens, self.written)
        maker = BundleMaker(
            self.store, self.stage.vault, KEY, "n1", self.folder / "journal", self.stage.folder, self.folder, wanted
        )
        return b"".join(maker.parts())


@pytest.fixture
async def evidence(tmp_path: Path) -> AsyncIterator[Evidence]:
    store = Store.open(sqlite_url(tmp_path / "store.db"))
    store.migrate()
    journal = open_journal(tmp_path / "journal", segment_bytes=4000)
    audit = Audit(journal, store)
    await audit.start()
    async with stage_in(tmp_path) as stage:
        made = Evidence(tmp_path, store, stage)
        recorded = {name: stage.session(name) for name in ("s1", "s2")}
        journal.append(Act(at=AT, user="bob", source="10.0.0.8", act="token-issued", subject="t2"))
        for name, user in (("s1", "alice"), ("s2", "bob")):
            journal.append(opened(name, user), logged_in(name))
        for seq in range(1, 6):
            for name in ("s1", "s2"):
                journal.append(sent(seq, f"SELECT {seq} -- only of {name}", name), done(seq, name))
                recorded[name].answer(seq, f"C\0\0\0\x0dSELECT {seq}\0".encode() * 3)
                await recorded[name].recording.settled()
            journal.checkpoint()
        for name in ("s1", "s2"):
            record = await recorded[name].recording.close(recorded[name].position)
            assert record is not None
            journal.append(record, closed(name, 5))
        journal.checkpoint()
    await audit.settle()
    made.written = journal.number
    await audit.stop()
    journal.close("over")
    yield made
    store.close()


def kept(folder: Path, content: bytes) -> Path:
    path = folder / "evidence.zip"
    path.write_bytes(content)
    return path


def members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(files: dict[str, bytes]) -> bytes:
    return b"".join(zip_parts((name, iter([content])) for name, content in files.items()))


def verdict(folder: Path, content: bytes, key: bytes | None = PUBLIC) -> Findings | Broken:
    try:
        return examine(kept(folder, content), key)
    except Broken as broken:
        return broken


async def test_a_bundle_holds_and_shows_nothing_of_others(evidence: Evidence, tmp_path: Path) -> None:
    content = evidence.make()
    found = verdict(tmp_path, content)
    assert isinstance(found, Findings)
    assert (found.node, found.session, found.statements, found.recordings) == ("n1", "s1", 5, 1)
    assert (found.shown, found.key_from) == (14, "given")
    assert found.withheld >= 13
    assert b"bob" not in content
    assert b"only of s2" not in content
    files = members(content)
    statements = [json.loads(line) for line in files["statements.jsonl"].splitlines()]
    assert [each["text"] for each in statements] == [f"SELECT {seq} -- only of s1" for seq in range(1, 6)]
    assert [json.loads(line)["seq"] for line in files["results.jsonl"].splitlines()] == [1, 2, 3, 4, 5]
    assert json.loads(files["session.json"])["user"] == "alice"
    lines = [Line.parse(raw) for raw in files["journal.lines"].splitlines(keepends=True)]
    assert sum(1 for line in lines if line is not None and not line.shown) == found.withheld
    assert found.last == lines[-1].number if lines[-1] is not None else False


async def test_the_verifier_in_the_bundle_needs_nothing_of_casemate(evidence: Evidence, tmp_path: Path) -> None:
    content = evidence.make()
    script = tmp_path / "verify.py"
    script.write_bytes(members(content)["verify.py"])
    key = tmp_path / "node.pub"
    key.write_bytes(base64.b64encode(PUBLIC) + b"\n")

    def run(path: Path) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-I", str(script), str(path), "--key", str(key)]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)

    good = run(kept(tmp_path, content))
    assert (good.returncode, good.stderr) == (0, "")
    assert "The bundle holds. Session s1 of node n1: 5 statements" in good.stdout
    bad = run(kept(tmp_path, content.replace(b"SELECT 3 -- only", b"SELECT 8 -- only")))
    assert bad.returncode == 1
    assert "DOES NOT HOLD" in bad.stdout
    assert b"import bastion" not in script.read_bytes()


async def test_without_results_there_are_none(evidence: Evidence, tmp_path: Path) -> None:
    content = evidence.make(results=False)
    assert "results.jsonl" not in members(content)
    found = verdict(tmp_path, content)
    assert isinstance(found, Findings)
    assert found.recordings == 0


async def test_every_byte_counts(evidence: Evidence, tmp_path: Path) -> None:
    content = evidence.make()
    chance = random.Random(7)
    # Everything of the container's own, and of the files in it a byte here and there.
    places = set(range(120)) | set(range(len(content) - 900, len(content)))
    places |= {chance.randrange(len(content)) for _ in range(700)}
    for place in sorted(places):
        changed = bytearray(content)
        changed[place] ^= 1 << chance.randrange(8)
        assert isinstance(verdict(tmp_path, bytes(changed)), Broken), place
    for place in (0, 1, 500, len(content) // 2, len(content) - 1):
        assert isinstance(verdict(tmp_path, content[:place] + content[place + 1 :]), Broken)
        assert isinstance(verdict(tmp_path, content[:place] + b"\0" + content[place:]), Broken)
        assert isinstance(verdict(tmp_path, content[:place]), Broken)
    assert isinstance(verdict(tmp_path, content + b"\0"), Broken)
    assert isinstance(verdict(tmp_path, content), Findings)


def _signed_anew(files: dict[str, bytes], key: object = KEY) -> bytes:
    """What somebody with the node's key could make of changed files."""
    manifest = json.loads(files["bundle.json"])
    manifest["files"] = {
        name: sha256(content).hexdigest()
        for name, content in files.items()
        if name not in ("bundle.json", "bundle.sig")
    }
    manifest["public_key"] = base64.b64encode(chain.public_bytes(key)).decode()  # type: ignore[arg-type]
    files["bundle.json"] = json.dumps(manifest).encode()
    signature = key.sign(lengths(bundle_verifier.BUNDLE, files["bundle.json"]))  # type: ignore[attr-defined]
    files["bundle.sig"] = base64.b64encode(signature) + b"\n"
    return packed(files)


Lines = list[bytes]
EDITS: dict[str, Callable[[Lines], Lines]] = {
    "a record changed": lambda lines: [line.replace(b"SELECT 3 --", b"SELECT 8 --") for line in lines],
    "a record taken out": lambda lines: [line for line in lines if b"SELECT 3 --" not in line],
    "a record put in": lambda lines: [*lines[:6], lines[5], *lines[6:]],
    "two that changed places": lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]],
    "the end cut off": lambda lines: lines[:-3],
    "the beginning cut off": lambda lines: lines[1:],
    "one of the session's hidden": lambda lines: [
        line.withheld().written() if b"SELECT 3 --" in raw and (line := Line.parse(raw)) is not None else raw
        for raw in lines
    ],
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
async def test_an_edited_record_is_found_even_if_the_files_were_signed_anew(
    evidence: Evidence, tmp_path: Path, edit: Callable[[Lines], Lines]
) -> None:
    files = members(evidence.make())
    files["journal.lines"] = b"".join(edit(files["journal.lines"].splitlines(keepends=True)))
    found = verdict(tmp_path, _signed_anew(files))
    assert isinstance(found, Broken)
    assert found.where == "journal.lines"


async def test_a_statement_that_is_kept_back_by_whoever_makes_the_bundle_is_missed(
    evidence: Evidence, tmp_path: Path
) -> None:
    files = members(evidence.make())
    lines = files["journal.lines"].splitlines(keepends=True)
    hidden = next(line for raw in lines if b"SELECT 3 --" in raw and (line := Line.parse(raw)) is not None)
    files["journal.lines"] = b"".join(EDITS["one of the session's hidden"](lines))
    manifest = json.loads(files["bundle.json"])
    numbers = [n for first, last in manifest["records"] for n in range(first, last + 1) if n != hidden.number]
    manifest["records"] = [[n, n] for n in numbers]
    files["bundle.json"] = json.dumps(manifest).encode()
    found = verdict(tmp_path, _signed_anew(files))
    assert isinstance(found, Broken)
    assert found.reason == "statement 3 of the session is missing"


async def test_a_recording_is_the_one_that_the_journal_witnessed(evidence: Evidence, tmp_path: Path) -> None:
    files = members(evidence.make())
    name = "recordings/s1.recording"
    for change in (files[name][:-40], files[name] + b"x", files[name][:-100] + b"y" + files[name][-99:]):
        found = verdict(tmp_path, _signed_anew({**files, name: change}))
        assert isinstance(found, Broken)
        assert found.where == name


async def test_a_foreign_key_and_an_anchor_that_differs(evidence: Evidence, tmp_path: Path) -> None:
    content = evidence.make()
    forged = _signed_anew(members(content), OTHER_KEY)
    assert isinstance(verdict(tmp_path, forged), Broken)
    path = kept(tmp_path, forged)
    with pytest.raises(Broken, match="not one of the node's"):
        examine(path, None)
    found = examine(kept(tmp_path, content), PUBLIC)
    line = next(
        line for raw in members(content)["journal.lines"].splitlines(keepends=True)
        if (line := Line.parse(raw)) is not None and line.number == found.last - 2
    )  # fmt: skip
    anchor = {"node": "n1", "number": line.number, "hash": line.hash.hex()}
    path = kept(tmp_path, content)
    assert examine(path, PUBLIC, [anchor]).anchored_to == line.number
    with pytest.raises(Broken, match="the anchor witnessed"):
        examine(path, PUBLIC, [{**anchor, "hash": "00" * 32}])


async def test_of_a_session_that_there_is_not_or_of_format_1_there_is_no_bundle(evidence: Evidence) -> None:
    with pytest.raises(Refused) as refused:
        evidence.make("s9")
    assert refused.value.code == "session-unknown"
    for segment in segments_of(evidence.folder / "journal"):
        lines = [Line.parse(raw) for raw in segment.path.read_bytes().splitlines(keepends=True)]
        old = [dataclasses.replace(line, blind=b"").written() for line in lines if line is not None]
        segment.path.write_bytes(b"".join(old))
    with pytest.raises(BundleImpossible, match="format 1"):
        evidence.make()


def test_the_archive_is_one_that_others_read(tmp_path: Path) -> None:
    def parts(*content: bytes) -> Iterator[bytes]:
        yield from content

    data = b"".join(zip_parts([("a.txt", parts(b"one", b"two")), ("b/c.txt", parts())]))
    path = kept(tmp_path, data)
    assert members(data) == {"a.txt": b"onetwo", "b/c.txt": b""}
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-t", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert listed.returncode == 0

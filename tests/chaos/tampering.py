"""What somebody may do to a journal, a store or recordings, at random, and what a verifier must then say.

Three kinds of hand do it to a journal: one that only changes bytes, one that computes the chain anew behind what it
changed, and one that holds the node's key and signs anew as well.
"""

from __future__ import annotations

import dataclasses
import random
import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bastion.audit import chain
from bastion.audit.records import Checkpoint
from bastion.audit.recovery import tag_of
from bastion.audit.segments import Line, segment_path, segments_of
from tests.unit.journal_samples import KEY, lines_of
from tests.unit.test_bundle import _signed_anew, members, packed

NODE = "n1"
HANDS = ("bytes", "chain", "key")


@dataclass
class Tampered:
    """What was done to a journal. `first` is the number of the first record that is not what it was."""

    what: str
    hand: str
    first: int
    lines: list[Line] = field(default_factory=list)
    """Where a whole chain was made: what stands in the files now."""

    cut_to: int | None = None
    """Where nothing but the end was cut off, at a record's end: the last record that is left."""


def tamper_with_journal(folder: Path, chance: random.Random) -> Tampered:
    """Does one thing to the journal in `folder`."""
    hand = chance.choices(HANDS, (5, 3, 3))[0]
    return _change_bytes(folder, chance) if hand == "bytes" else _change_chain(folder, chance, hand)


# ------------------------------------------------------------------------------------------------------------- bytes


def _change_bytes(folder: Path, chance: random.Random) -> Tampered:
    before = b"".join(each.path.read_bytes() for each in segments_of(folder))
    lines = before.splitlines(keepends=True)
    what = chance.choice((
        "a byte", "bytes taken out", "bytes put in", "lines taken out", "a line put in", "a line doubled",
        "two lines swapped", "two files swapped", "a file taken out", "a file renamed", "cut anywhere", "cut at a line",
        "a record withheld",
    ))  # fmt: skip
    files = segments_of(folder)
    at = chance.choice(files)
    content = at.path.read_bytes()
    mine = content.splitlines(keepends=True)
    place, number = chance.randrange(len(content)), chance.randrange(len(mine))
    if what == "a byte":
        content = content[:place] + bytes([chance.randrange(256)]) + content[place + 1 :]
    elif what == "bytes taken out":
        content = content[:place] + content[place + chance.randrange(1, 40) :]
    elif what == "bytes put in":
        content = content[:place] + chance.randbytes(chance.randrange(1, 40)) + content[place:]
    elif what == "lines taken out":
        content = b"".join(mine[:number] + mine[number + chance.randrange(1, 4) :])
    elif what == "a line put in":
        content = b"".join([*mine[:number], chance.choice(lines), *mine[number:]])
    elif what == "a line doubled":
        content = b"".join([*mine[:number], mine[number], *mine[number:]])
    elif what == "two lines swapped":
        other = chance.randrange(len(mine))
        mine[number], mine[other] = mine[other], mine[number]
        content = b"".join(mine)
    elif what == "two files swapped":
        other_file = chance.choice(files)
        content = other_file.path.read_bytes()
        other_file.path.write_bytes(b"".join(mine))
    elif what == "cut anywhere":
        content = content[:place]
    elif what == "cut at a line":
        content = b"".join(mine[:number])
    elif what == "a record withheld":
        line = Line.parse(mine[number])
        assert line is not None
        if line.format == 2:
            mine[number] = line.withheld().written()
        content = b"".join(mine)
    if what == "a file taken out":
        at.path.unlink()
    elif what == "a file renamed":
        at.path.rename(segment_path(folder, at.first + chance.randrange(1, 4)))
        return Tampered(f"{what}: {at.path.name}", "bytes", at.first)
    else:
        at.path.write_bytes(content)
    after = b"".join(each.path.read_bytes() for each in segments_of(folder)).splitlines(keepends=True)
    first = _first_difference(lines, after)
    cut = len(after) if after == lines[: len(after)] and len(after) < len(lines) else None
    if what == "a file taken out" and at != files[-1]:
        first, cut = at.first, None
    if after == lines:
        first = 0  # chance put back what was there
    return Tampered(f"{what} in {at.path.name} at {place}, line {number}", "bytes", first, cut_to=cut)


def _first_difference(before: Sequence[object], after: Sequence[object]) -> int:
    """The number of the first that is another one, from 1."""
    for number, (one, other) in enumerate(zip(before, after, strict=False), 1):
        if one != other:
            return number
    return min(len(before), len(after)) + 1


# ------------------------------------------------------------------------------------------------------------- chain


def _change_chain(folder: Path, chance: random.Random, hand: str) -> Tampered:
    """Something else is said, and the chain made anew behind it; with the key the checkpoints too."""
    before = lines_of(folder)
    lines = list(before)
    # The first records name the node; whoever changes these does not even have a chain.
    at = chance.randrange(4, len(lines))
    what = chance.choice(("a record changed", "records taken out", "a record put in", "two records swapped", "cut"))
    if what == "a record changed":
        lines[at] = dataclasses.replace(lines[at], body=_altered(lines[at].body, chance))
    elif what == "records taken out":
        del lines[at : at + chance.randrange(1, 4)]
    elif what == "a record put in":
        lines.insert(at, chance.choice([line for line in lines[3:] if tag_of(line.body) != b"checkpoint"]))
    elif what == "two records swapped":
        other = chance.randrange(4, len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    else:
        del lines[at:]
    lines = _chained(lines, KEY if hand == "key" else None)
    first = _first_difference([line.written() for line in before], [line.written() for line in lines])
    cut = len(lines) if lines == before[: len(lines)] and len(lines) < len(before) else None
    for segment in segments_of(folder):
        segment.path.unlink()
    segment_path(folder, 1).write_bytes(b"".join(line.written() for line in lines))
    if lines == before:
        first = 0
    return Tampered(f"{what} at {at + 1}", hand, first, lines, cut)


def _altered(body: bytes, chance: random.Random) -> bytes:
    record = msgspec.json.decode(body)
    name = chance.choice([name for name in record if name not in ("kind", "node")])
    record[name] = _another(record[name], chance)
    return msgspec.json.encode(record)


def _another(value: Any, chance: random.Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + chance.randrange(1, 100)
    if isinstance(value, str):
        at = chance.randrange(len(value) + 1)
        return value[:at] + chance.choice("abcxyz019 ") + value[at:]
    if isinstance(value, list):
        return [*value, "more"]
    return {"n": 1} if isinstance(value, dict) else "something"


def _chained(lines: list[Line], key: Any) -> list[Line]:
    """The same with numbers and hashes as they are due; with the key every checkpoint signed anew where it has to."""
    made: list[Line] = []
    head = chain.genesis(NODE)
    for number, line in enumerate(lines, 1):
        body = line.body
        if key is not None and tag_of(body) == b"checkpoint":
            record = msgspec.json.decode(body)
            if (record["number"], record["hash"]) != (number - 1, head.hex()):
                body = chain.canonical_bytes(chain.sign_checkpoint(key, NODE, number - 1, head, record["at"]))
        line = dataclasses.replace(line, number=number, body=body)
        head = line.hash_after(head)
        made.append(dataclasses.replace(line, hash=head))
    return made


def anchors_of(folder: Path) -> list[Checkpoint]:
    """All checkpoints of a journal, as somebody elsewhere may have kept them."""
    records = [chain.record_from(line.body) for line in lines_of(folder) if tag_of(line.body) == b"checkpoint"]
    return [record for record in records if isinstance(record, Checkpoint)]


# ------------------------------------------------------------------------------------------------------------- store

STORED = {"sessions": ("session",), "statements": ("session", "seq"), "acts": ("number",), "texts": ("digest",)}
UNSAID = {("statements", "digest")}
"""What the journal does not say: it follows from the text, and is for finding only."""


def tamper_with_store(path: Path, chance: random.Random) -> tuple[str, str]:
    """Does one thing to the store in a file; what it was, and the key of the row that it was done to."""
    with sqlite3.connect(path) as store:
        store.row_factory = sqlite3.Row
        table = chance.choice(list(STORED))
        rows = store.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()
        row, other = chance.choice(rows), chance.choice(rows)
        what = chance.choice(("changed", "removed", "added", "swapped") if table != "texts" else ("changed", "removed"))
        keys = STORED[table]
        where = " AND ".join(f'"{name}" = ?' for name in keys)
        named = [row[name] for name in keys]
        columns = [
            name for name in row.keys() if name not in ("id", *keys) and (table, name) not in UNSAID  # noqa: SIM118
        ]  # fmt: skip
        if table == "acts":
            columns.remove("node")
        differing = [name for name in columns if row[name] != other[name]]
        if what == "swapped" and differing:
            name = chance.choice(differing)
            for mine, theirs in ((row, other), (other, row)):
                store.execute(
                    f'UPDATE {table} SET "{name}" = ? WHERE {where}',
                    (theirs[name], *(mine[key] for key in keys)),
                )
            first = min(tuple(one[key] for key in keys) for one in (row, other))
            named = list(first)
        elif what == "removed":
            store.execute(f"DELETE FROM {table} WHERE {where}", named)
        elif what == "added":
            values = {name: row[name] for name in row.keys() if name != "id"}  # noqa: SIM118
            last = keys[-1]
            values[last] = values[last] + (1000 if isinstance(values[last], int) else "0")
            named = [values[key] for key in keys]
            places = ", ".join("?" for _ in values)
            names = ", ".join(f'"{name}"' for name in values)
            store.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", list(values.values()))
        else:
            what, name = "changed", chance.choice([each for each in columns if each != "node"])
            store.execute(
                f'UPDATE {table} SET "{name}" = ? WHERE {where}',
                (_another_column(table, name, row[name], chance), *named),
            )
        key = " ".join(str(each) for each in named)
    store.close()
    return f"{table} {what}: {key}", key


def _another_column(table: str, name: str, value: Any, chance: random.Random) -> Any:
    if name in ("binds", "detail"):
        return chance.choice(('["something else"]', '{"something": "else"}', "no JSON", b"\xff"))
    if chance.random() < 0.1:
        return chance.choice((b"\xff\xfe", "\x00", "text where a number was", 10**18))
    if name in ("rows", "duration_ms") and value is None:
        return 3
    if name == "complete":
        return 1 - value
    if table == "texts":
        return value.replace("1", "2")
    return _another(value, chance)


# -------------------------------------------------------------------------------------------------------- recordings


def tamper_with_recordings(folder: Path, chance: random.Random) -> tuple[str, set[str], int]:
    """Does one thing to a folder of recordings; what, to whose, and the first byte that is another (of the first)."""
    files = sorted(folder.iterdir())
    path = chance.choice(files)
    content = path.read_bytes()
    place = chance.randrange(len(content))
    what = chance.choice(("a byte", "taken out", "put in", "cut", "added", "removed", "swapped"))
    whose = {path.stem}
    if what == "a byte":
        changed = content[:place] + bytes([content[place] ^ chance.randrange(1, 256)]) + content[place + 1 :]
    elif what == "taken out":
        changed = content[:place] + content[place + chance.randrange(1, 40) :]
    elif what == "put in":
        changed = content[:place] + chance.randbytes(chance.randrange(1, 40)) + content[place:]
    elif what == "cut":
        changed = content[:place]
    elif what == "added":
        changed, place = content + chance.randbytes(chance.randrange(1, 200)), len(content)
    elif what == "removed":
        path.unlink()
        return f"{path.stem} removed", whose, 0
    else:
        other = chance.choice([each for each in files if each != path])
        changed, place = other.read_bytes(), 0
        other.write_bytes(content)
        whose.add(other.stem)
    path.write_bytes(changed)
    place = next((at for at, (one, two) in enumerate(zip(content, changed, strict=False)) if one != two),
                 min(len(content), len(changed)))  # fmt: skip
    return f"{path.stem} {what} at {place}", whose if changed != content else set(), place


# ------------------------------------------------------------------------------------------------- bundles of evidence


def tamper_with_bundle(content: bytes, chance: random.Random) -> tuple[str, bytes]:
    """A bundle with its bytes, the lines of its journal or its recording changed; half of these signed anew."""
    what = chance.choice(("a byte", "bytes taken out", "bytes put in", "cut", "lines", "lines", "recording"))
    place = chance.randrange(len(content))
    if what == "a byte":
        return f"{what} at {place}", content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    if what == "bytes taken out":
        return f"{what} at {place}", content[:place] + content[place + chance.randrange(1, 40) :]
    if what == "bytes put in":
        return f"{what} at {place}", content[:place] + chance.randbytes(chance.randrange(1, 40)) + content[place:]
    if what == "cut":
        return f"{what} at {place}", content[:place]
    files = members(content)
    name = "journal.lines" if what == "lines" else "recordings/s1.recording"
    if what == "lines":
        lines = files[name].splitlines(keepends=True)
        at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        how = chance.choice(("taken out", "put in", "swapped", "withheld", "altered"))
        if how == "taken out":
            del lines[at : at + chance.randrange(1, 4)]
        elif how == "put in":
            lines.insert(at, lines[other])
        elif how == "swapped":
            lines[at], lines[other] = lines[other], lines[at]
        else:
            line = Line.parse(lines[at])
            assert line is not None
            if how == "withheld" or not line.shown:
                changed = dataclasses.replace(line.withheld(), leaf=bytes(32) if line.leaf else line.withheld().leaf)
            else:
                changed = dataclasses.replace(line, body=_altered(line.body, chance))
            lines[at] = changed.written()
        what = f"line {at} {how}"
        files[name] = b"".join(lines)
    else:
        at = chance.randrange(len(files[name]))
        files[name] = files[name][:at] + chance.randbytes(3) + files[name][at + chance.randrange(4) :]
        what = f"recording at {at}"
    if files[name] == members(content)[name]:
        return f"{what}: nothing", content
    if chance.random() < 0.5:
        return f"{what}, signed anew", _signed_anew(files)
    return what, packed(files)


def copied(source: Path, target: Path) -> Path:
    """A fresh copy of a folder."""
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(source, target)
    return target


def as_anchor(path: Path, checkpoint: Checkpoint) -> Path:
    """The checkpoint as a file that somebody kept."""
    path.write_text(chain.anchor_line(checkpoint) + "\n")
    return path

"""Whether the recordings in a folder are those that the journal witnessed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bastion.api import messages as m

from .recording_file import SUFFIX, RecordingDamaged, RecordingReader, path_of
from .records import Recording
from .tombstones import Gone


def with_recordings(
    proof: m.Proof, witnessed: Mapping[str, Recording], folder: Path, deleted: Mapping[str, Gone] | None = None
) -> m.Proof:
    """A proof of the journal, completed by what the folder of recordings holds.

    `witnessed` is the last record of each recording in the journal. A journal that is broken witnesses nothing. Chunks
    behind the last witnessed one (of a session that runs, or that a crash ended) are counted, not vouched for.
    `deleted` are those that tombstones say were deleted by rule. Raises OSError.
    """
    if not proof.intact or (not folder.is_dir() and not witnessed):
        return proof
    proof.recordings = 0
    for session, record in sorted(witnessed.items()):
        if not record.chunks:
            continue  # it failed before anything was kept
        if deleted and session in deleted and not path_of(folder, session).exists():
            fault = _deleted_fault(record, deleted[session])
            if fault is None:
                continue
        else:
            fault = _fault(folder, record, proof)
        if fault is not None:
            proof.intact = False
            proof.recording = f"session {session}: {fault}"
            proof.reason = proof.recording
            return proof
        proof.recordings += 1
    proof.recording = ""
    if folder.is_dir():
        for path in folder.iterdir():
            if path.suffix == SUFFIX and path.stem not in witnessed:
                proof.recordings_unwitnessed += 1
    return proof


def _deleted_fault(record: Recording, gone: Gone) -> str | None:
    """Why what was deleted is not the recording that was witnessed; None when it is."""
    if gone.chunks < record.chunks:
        return f"its recording had been cut off before it was deleted: {gone.chunks} of {record.chunks} chunks"
    if gone.chunks == record.chunks and gone.hash != record.hash:
        return "its recording had been altered before it was deleted"
    return None


def _fault(folder: Path, record: Recording, proof: m.Proof) -> str | None:
    """Why the recording is not the one that was witnessed; None when it is."""
    try:
        reader = RecordingReader(path_of(folder, record.session))
    except FileNotFoundError:
        return "its recording is missing"
    except RecordingDamaged as damaged:
        return f"its recording was altered: {damaged}"
    with reader:
        if reader.header.session != record.session:
            return f"its recording was replaced by that of session {reader.header.session}"
        last = 0
        # Of a recording that was cut, one more chunk may have been on its way when its record was written.
        closed = record.state == "closed" and not record.cut
        try:
            for frame, link in reader.links():
                last = frame.number
                if last == record.chunks and link.hex() != record.hash:
                    return f"its recording was altered: one of the chunks 1 to {last}, and the chain made anew"
        except RecordingDamaged as damaged:
            if damaged.chunk > record.chunks and not closed:
                # Not witnessed yet: it may be half written at this moment, or by a crash.
                proof.recordings_unwitnessed += 1
                return None
            return f"chunk {damaged.chunk} of its recording was altered: {damaged}"
        if last < record.chunks:
            return f"its recording was cut off: it ends with chunk {last}, the journal witnessed {record.chunks}"
        if closed and reader.size != record.bytes:
            return f"{reader.size - record.bytes} bytes were put behind the end of its recording"
        if last > record.chunks:
            proof.recordings_unwitnessed += 1
    return None

"""The shapes with which a workstation becomes a witness: it keeps signed checkpoints and asks whether they hold."""

from __future__ import annotations

from .messages import Message


class CheckpointRequest(Message):
    """number: of a record whose hash was kept; 0: there is none yet."""

    number: int = 0


class Checkpointed(Message):
    """text: the node's newest signed checkpoint, one line of JSON as `audit verify --anchor` takes it.

    hash   of the record that was asked for, in hexadecimal, as the journal's files have it; '' where it is not there
    first  the number of the first record that is there: retention has deleted what was before it
    last   the number of the last one
    """

    text: str
    hash: str = ""
    first: int = 1
    last: int = 0

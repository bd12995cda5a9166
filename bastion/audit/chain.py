"""The hash chain of a journal and the signatures on it. docs/journal-format.md describes both for other verifiers.

    hash_0 = SHA-256(len(GENESIS) as u32 BE || GENESIS || len(node) as u32 BE || node)
    leaf_n = SHA-256(0x00 || blind of record n || SP || canonical bytes of record n)
    hash_n = SHA-256(0x01 || hash_{n-1} || leaf_n || n as u64 BE)

The hashes, blinds and numbers have fixed lengths, so no two inputs can be split differently into the same bytes. A
chain belongs to one node from its genesis on: records of one node cannot be passed off as another's. The chain goes
on over a record of which there is only the leaf, and without the blind a leaf says nothing of its record. In format 1
    hash_n = SHA-256(hash_{n-1} || canonical bytes of record n || n as u64 BE)
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from .records import AnyRecord, Checkpoint

GENESIS = b"casemate.journal.v1"
CHECKPOINT = b"casemate.journal.checkpoint.v1"
HASH_BYTES = 32
KEY_BYTES = 32

_decode: Callable[[bytes], AnyRecord] = msgspec.json.Decoder(AnyRecord).decode


class KeyUnreadable(Exception):
    """A file that should hold an Ed25519 public key does not."""


class AnchorUnreadable(Exception):
    """A file that should hold handed-out checkpoints does not."""


def field(value: bytes) -> bytes:
    """A value behind its length, as signatures cover it."""
    return struct.pack(">I", len(value)) + value


def genesis(node: str) -> bytes:
    """The hash before the first record of `node`."""
    return sha256(field(GENESIS) + field(node.encode())).digest()


canonical_bytes: Callable[[AnyRecord], bytes] = msgspec.json.Encoder().encode
"""The record as it is hashed and stored: its JSON, fields in their order, no line break in it.

Raises UnicodeEncodeError for text with lone surrogates; see `encodable`.
"""


def record_from(body: bytes) -> AnyRecord:
    """The record of these canonical bytes. Raises msgspec.DecodeError for what no version of ours wrote."""
    return _decode(body)


def next_hash(previous: bytes, body: bytes, number: int) -> bytes:
    """In format 1, the hash of record `number`, whose canonical bytes are `body`."""
    return sha256(previous + body + number.to_bytes(8, "big")).digest()


def leaf_of(blind: bytes, body: bytes) -> bytes:
    """What stands for a record in the chain; `blind` as it stands in the line, in hexadecimal digits."""
    return sha256(b"\0%b %b" % (blind, body)).digest()


def link(previous: bytes, leaf: bytes, number: int) -> bytes:
    """The hash of record `number`, for which `leaf` stands."""
    return sha256(b"\1%b%b%b" % (previous, leaf, number.to_bytes(8, "big"))).digest()


def encodable(record: AnyRecord) -> AnyRecord:
    """The record with lone surrogates (bytes of a client that are not UTF-8) written out as `\\udc80`."""

    def clean(value: object) -> object:
        if isinstance(value, str):
            return value.encode("utf-8", "backslashreplace").decode()
        if isinstance(value, list):
            return [clean(one) for one in value]
        if isinstance(value, dict):
            return {clean(key): clean(one) for key, one in value.items()}
        return value

    return msgspec.structs.replace(record, **{name: clean(getattr(record, name)) for name in record.__struct_fields__})


# ------------------------------------------------------------------------------------------------------- checkpoints


def public_bytes(key: Ed25519PrivateKey | Ed25519PublicKey) -> bytes:
    """The 32 raw bytes of the public key."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def signed_bytes(node: str, number: int, head: bytes, at: str) -> bytes:
    """What a checkpoint's signature covers; every field has its length before it."""
    return b"".join(map(field, (CHECKPOINT, node.encode(), struct.pack(">Q", number), head, at.encode())))


def sign_checkpoint(key: Ed25519PrivateKey, node: str, number: int, head: bytes, at: str) -> Checkpoint:
    """Signs the chain of `node` up to and with record `number`, whose hash is `head`."""
    signature = key.sign(signed_bytes(node, number, head, at))
    return Checkpoint(
        at=at,
        node=node,
        number=number,
        hash=head.hex(),
        public_key=base64.b64encode(public_bytes(key)).decode(),
        signature=base64.b64encode(signature).decode(),
    )


def checkpoint_fault(checkpoint: Checkpoint, public_key: bytes) -> str | None:
    """Why the checkpoint is not one of the holder of `public_key`; None when its signature holds."""
    try:
        own_key = decode_key(checkpoint.public_key)
        signature = base64.b64decode(checkpoint.signature, validate=True)
        head = bytes.fromhex(checkpoint.hash)
    except ValueError:
        return "its key, signature or hash is not readable"
    if own_key != public_key:
        return "it is signed with another key"
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(
            signature, signed_bytes(checkpoint.node, checkpoint.number, head, checkpoint.at)
        )
    except (InvalidSignature, struct.error):
        return "its signature does not hold"
    return None


def anchor_line(checkpoint: Checkpoint) -> str:
    """A checkpoint as it is handed out to be kept elsewhere: one line of JSON."""
    return msgspec.json.encode(
        {name: getattr(checkpoint, name) for name in ("node", "number", "hash", "at", "public_key", "signature")}
    ).decode()


def read_anchors(path: Path) -> list[Checkpoint]:
    """The checkpoints of an anchor file (one JSON object a line), by number. Raises AnchorUnreadable, OSError."""
    anchors = []
    for index, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            anchors.append(msgspec.convert(msgspec.json.decode(line) | {"kind": "checkpoint"}, Checkpoint))
        except (msgspec.MsgspecError, TypeError, UnicodeDecodeError) as error:
            raise AnchorUnreadable(
                f"Line {index} of {path} is not a checkpoint of a journal. Give the file that was handed out as anchor."
            ) from error
    if not anchors:
        raise AnchorUnreadable(f"{path} holds no checkpoint. Give the file that was handed out as anchor.")
    return sorted(anchors, key=lambda one: one.number)


def decode_key(text: str | bytes) -> bytes:
    """The 32 bytes of a public key in base64. Raises ValueError."""
    raw = base64.b64decode(text, validate=True)
    if len(raw) != KEY_BYTES:
        raise ValueError(f"a key of {len(raw)} bytes")
    return raw


def parse_public_key(content: bytes) -> bytes:
    """The 32 bytes of an Ed25519 public key: raw, a line of base64 (as in `node.pub`), or PEM. Raises KeyUnreadable."""
    if len(content) == KEY_BYTES:
        return content
    try:
        if not content.startswith(b"-----BEGIN"):
            return decode_key(content.strip())
        key = load_pem_public_key(content)
        if isinstance(key, Ed25519PublicKey):
            return public_bytes(key)
    except (ValueError, UnsupportedAlgorithm):
        pass  # the same answer for every way of not being a key
    raise KeyUnreadable("This is no Ed25519 public key. Give the journal's node.pub, or the key in PEM.")


def read_public_key(path: Path) -> bytes:
    """The key of a file. Raises KeyUnreadable, OSError."""
    try:
        return parse_public_key(path.read_bytes())
    except KeyUnreadable as error:
        raise KeyUnreadable(f"{path}: {error}") from None

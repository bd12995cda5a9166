"""Secrets at rest: a ring of keys in one file, sealing with AES-256-GCM, and keyed digests.

The file is JSON, readable by its owner only: the key behind the digests, and the sealing keys, the current one first.
Rotation puts a new sealing key in front; what was sealed before still opens until its key is retired. The digest key
never changes, since digests are what tokens are found by.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .private_files import write_private

KEY_BYTES = 32
NONCE_BYTES = 12  # SP 800-38D section 8.2.2: random, at most 2**32 seals a key
_PREFIX = "s1"


class VaultUnusable(Exception):
    """The key file is missing, damaged or open to others. The message says what to do."""


class NotSealed(Exception):
    """A sealed text does not open: damaged, of another place, or its key is not in the ring. Tells nothing of it."""


class _SealingKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    key: bytes  # base64 in the file


class _Ring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    digest_key: bytes
    sealing_keys: list[_SealingKey]


class Vault:
    """The ring in memory. `seal` and `open` take a context, which must be the same for both: it names the place."""

    def __init__(self, path: Path, ring: _Ring) -> None:
        self._path = path
        self._take(ring)

    def _take(self, ring: _Ring) -> None:
        self._ring = ring
        self._ciphers = {key.id: AESGCM(key.key) for key in ring.sealing_keys}
        self._digest_keys: dict[str, bytes] = {}

    @classmethod
    def create(cls, path: Path) -> Vault:
        """Makes the key file (mode 0600). Raises FileExistsError where there is one: it is never overwritten."""
        ring = _Ring(1, secrets.token_bytes(KEY_BYTES), [_new_key()])
        write_private(path, msgspec.json.encode(ring) + b"\n", replace=False)
        return cls(path, ring)

    @classmethod
    def load(cls, path: Path) -> Vault:
        """Reads the key file. Raises VaultUnusable where it is missing, damaged, or readable by others."""
        return cls(path, _read(path))

    @property
    def key_ids(self) -> list[str]:
        """Ids of the sealing keys, the current one first."""
        return [key.id for key in self._ring.sealing_keys]

    def seal(self, secret: str, context: str) -> str:
        """`secret` sealed for that place: `s1.KEY.BASE64`."""
        key_id = self._ring.sealing_keys[0].id
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._ciphers[key_id].encrypt(nonce, secret.encode(), _bound(key_id, context))
        return f"{_PREFIX}.{key_id}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, context: str) -> str:
        """What `seal` was given. Raises NotSealed."""
        prefix, key_id, body = _parts(sealed)
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise NotSealed(f"it was sealed with the key {key_id}, which is not in the master key file {self._path}")
        try:
            data = base64.b64decode(body, altchars=b"-_", validate=True)
            return cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], _bound(key_id, context)).decode()
        except (InvalidTag, ValueError):
            raise NotSealed(f"a sealed value ({prefix}, key {key_id}) is damaged or stands in a wrong place") from None

    def digest(self, purpose: str, text: str) -> str:
        """HMAC-SHA256 of `text` as hex, with a key of that purpose's own (HKDF, RFC 5869). Outlives every rotation."""
        key = self._digest_keys.get(purpose)
        if key is None:
            info = b"casemate digest " + purpose.encode()
            key = HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=info).derive(self._ring.digest_key)
            self._digest_keys[purpose] = key
        return hmac.new(key, text.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()

    def rotate(self) -> str:
        """Puts a new current sealing key into the file and this ring; answers with its id. Old keys still open."""
        key = _new_key()
        self._write([key, *self._ring.sealing_keys])
        return key.id

    def is_current(self, sealed: str) -> bool:
        """Whether it was sealed with the current key."""
        return _parts(sealed)[1] == self._ring.sealing_keys[0].id

    def reseal(self, sealed: str, context: str) -> str:
        """The same secret under the current key; `sealed` itself where it is already. Raises NotSealed."""
        return sealed if self.is_current(sealed) else self.seal(self.open(sealed, context), context)

    def retire(self) -> list[str]:
        """Drops all keys but the current one, once everything is resealed; answers with their ids."""
        retired = self.key_ids[1:]
        self._write(self._ring.sealing_keys[:1])
        return retired

    def _write(self, keys: list[_SealingKey]) -> None:
        ring = _Ring(1, self._ring.digest_key, keys)
        write_private(self._path, msgspec.json.encode(ring) + b"\n", replace=True)
        self._take(ring)

    def __repr__(self) -> str:
        return f"Vault({str(self._path)!r}, keys {', '.join(self.key_ids)})"


def _new_key() -> _SealingKey:
    return _SealingKey(secrets.token_hex(4), AESGCM.generate_key(bit_length=KEY_BYTES * 8))


def _bound(key_id: str, context: str) -> bytes:
    return f"casemate\0{_PREFIX}\0{key_id}\0{context}".encode()


def _parts(sealed: str) -> tuple[str, str, str]:
    parts = sealed.split(".")
    if len(parts) != 3 or parts[0] != _PREFIX:
        raise NotSealed("a value that should be sealed is not in the sealed form")
    return parts[0], parts[1], parts[2]


def _read(path: Path) -> _Ring:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            content = file.read(1024 * 1024)
    except FileNotFoundError:
        raise VaultUnusable(
            f"There is no master key at {path}. Restore it from your backup: no secret can be read without it."
        ) from None
    except OSError as error:
        raise VaultUnusable(f"The master key {path} cannot be read: {error.strerror}.") from None
    if mode & 0o077:
        raise VaultUnusable(f"The master key {path} is open to others (mode {mode:04o}). Run: chmod 600 {path}")
    try:
        ring = msgspec.json.decode(content, type=_Ring)
    except msgspec.DecodeError:
        raise VaultUnusable(f"The master key {path} is damaged. Restore it from your backup.") from None
    keys = [ring.digest_key, *(key.key for key in ring.sealing_keys)]
    if ring.version != 1 or not ring.sealing_keys or any(len(key) != KEY_BYTES for key in keys):
        raise VaultUnusable(f"The master key {path} is damaged or of a newer version. Restore it from your backup.")
    return ring

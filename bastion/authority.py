"""The bastion's own certificate authority: made once, signs a leaf for every database that clients reach by TLS.

ECDSA on P-256 throughout: Ed25519 certificates are refused by too many database clients.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .private_files import write_private
from .store.moments import now

CERTIFICATE_FILE = "ca.pem"
KEY_FILE = "ca.key"
YEARS = 10
LEAF_DAYS = 397
RENEW_BEFORE = timedelta(days=30)
"""A cached leaf that ends sooner is minted anew."""
CLOCK_SKEW = timedelta(hours=1)
"""Certificates start this much earlier, for clients whose clocks are behind."""
LEAVES_KEPT = 1024

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
"""In every leaf: clients dial the near end of their tunnel."""


class AuthorityUnusable(Exception):
    """The authority's files are missing, damaged or open to others. The message says what to do."""


class Authority:
    """The authority's key and certificate, and the leaves minted so far. Safe to use from any thread."""

    def __init__(
        self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, clock: Callable[[], datetime] = now
    ) -> None:
        self._certificate = certificate
        self._key = key
        self._clock = clock
        self._leaves: OrderedDict[tuple[str, ...], tuple[datetime, str, str]] = OrderedDict()
        self._lock = threading.Lock()
        self.certificate_pem = certificate.public_bytes(Encoding.PEM).decode()

    @classmethod
    def create(cls, folder: Path, clock: Callable[[], datetime] = now) -> Authority:
        """Makes `ca.key` (mode 0600) and `ca.pem` in the folder. Raises FileExistsError where there is one already."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Casemate bastion CA")])
        start = clock() - CLOCK_SKEW
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=365 * YEARS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(ca=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_private(folder / KEY_FILE, _key_pem(key).encode(), replace=False)
        (folder / CERTIFICATE_FILE).write_bytes(certificate.public_bytes(Encoding.PEM))
        return cls(certificate, key, clock)

    @classmethod
    def load(cls, folder: Path, clock: Callable[[], datetime] = now) -> Authority:
        """Reads what `create` made. Raises AuthorityUnusable."""
        key_path, certificate_path = folder / KEY_FILE, folder / CERTIFICATE_FILE
        try:
            mode = key_path.stat().st_mode & 0o777
            key = load_pem_private_key(key_path.read_bytes(), password=None)
            certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        except OSError as error:
            raise AuthorityUnusable(
                f"The authority's file {error.filename} cannot be read: {error.strerror}."
            ) from None
        except (ValueError, TypeError):
            raise AuthorityUnusable(f"The authority in {folder} is damaged. Restore it from your backup.") from None
        if mode & 0o077:
            raise AuthorityUnusable(
                f"The key {key_path} is open to others (mode {mode:04o}). Run: chmod 600 {key_path}"
            )
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise AuthorityUnusable(f"{key_path} is not the key of {certificate_path}. Restore both from one backup.")
        return cls(certificate, key, clock)

    def leaf(self, names: Sequence[str]) -> tuple[str, str]:
        """The chain (leaf, then authority) and the leaf's key, as PEM, for a server of those names or addresses.

        localhost, 127.0.0.1 and ::1 are always in. Names that no certificate can carry are left out.
        """
        wanted = tuple(dict.fromkeys([*names, *LOCAL_NAMES]))
        moment = self._clock()
        with self._lock:
            kept = self._leaves.get(wanted)
            if kept is not None and kept[0] - RENEW_BEFORE > moment:
                self._leaves.move_to_end(wanted)
                return kept[1], kept[2]
            ends, chain, key = self._mint(wanted, moment)
            self._leaves[wanted] = (ends, chain, key)
            self._leaves.move_to_end(wanted)
            while len(self._leaves) > LEAVES_KEPT:
                self._leaves.popitem(last=False)
            return chain, key

    def _mint(self, names: tuple[str, ...], moment: datetime) -> tuple[datetime, str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [general for name in names if (general := _general_name(name)) is not None]
        ends = min(moment + timedelta(days=LEAF_DAYS), self._certificate.not_valid_after_utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64] or "casemate")]))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(moment - CLOCK_SKEW)
            .not_valid_after(ends)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return ends, certificate.public_bytes(Encoding.PEM).decode() + self.certificate_pem, _key_pem(key)


def _general_name(name: str) -> x509.GeneralName | None:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        text = name.encode("idna").decode()
    except UnicodeError:
        return None
    return x509.DNSName(text) if text else None


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

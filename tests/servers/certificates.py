"""Certificate authorities of tests' own, with leaves for servers and for clients, valid from yesterday for ten days."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .processes import own


@dataclass(frozen=True)
class Certificates:
    authority: Path
    certificate: Path
    key: Path


LOCAL = ("localhost", "127.0.0.1")


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(host: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)


class Authority:
    """Issues certificates; writes its own as `ca.pem` into `folder`."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _name(name)
        self.certificate = folder / "ca.pem"
        whole = self._begun(self._subject, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        signed = whole.sign(self._key, hashes.SHA256())
        self.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        own(self.certificate)

    def _begun(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder(self._subject, subject, key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=10))
        )

    def issue(self, file: str, common_name: str, hosts: Sequence[str] = ()) -> Certificates:
        """A leaf as `FILE.pem` and `FILE.key`: a server's for `hosts`, or a client's where there are none."""
        key = ec.generate_private_key(ec.SECP256R1())
        whole = self._begun(_name(common_name), key)
        if hosts:
            names = [_alternative(host) for host in hosts]
            whole = whole.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = whole.sign(self._key, hashes.SHA256())
        made = Certificates(self.certificate, self._folder / f"{file}.pem", self._folder / f"{file}.key")
        made.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        made.key.touch(mode=0o600)
        made.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        for path in (made.certificate, made.key):
            own(path)
        return made


def make(folder: Path, hosts: Sequence[str] = LOCAL) -> Certificates:
    """Writes `ca.pem`, `server.pem` and `server.key` of an authority and a server of its own into `folder`."""
    return Authority(folder).issue("server", hosts[0], hosts)

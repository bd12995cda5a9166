"""The bastion's certificates, judged by OpenSSL as a database client does."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from bastion.authority import LEAF_DAYS, Authority, AuthorityUnusable
from tests.unit.bastion_state import Clock


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path)


def handshake(authority: Authority, leaf: tuple[str, str], name: str, folder: Path) -> None:
    """TLS between a server with that leaf and a client that trusts the authority and checks everything."""
    (folder / "leaf.pem").write_text(leaf[0])
    (folder / "leaf.key").write_text(leaf[1])
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "leaf.pem", folder / "leaf.key")
    asking = ssl.create_default_context(cadata=authority.certificate_pem)
    asking.verify_flags |= ssl.VERIFY_X509_STRICT
    near, far = socket.socketpair()
    near.settimeout(60)
    far.settimeout(60)

    def serve() -> None:
        try:
            with serving.wrap_socket(far, server_side=True) as secured:
                secured.recv(1)
        except OSError:
            far.close()  # the client has said no

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with asking.wrap_socket(near, server_hostname=name) as secured:
            secured.send(b"x")
    finally:
        near.close()
        thread.join(10)


@pytest.mark.parametrize("name", ["orders", "localhost", "127.0.0.1", "::1", "rm-1.mysql.example", "192.0.2.9"])
def test_clients_accept_a_leaf_for_its_names_and_the_near_end(authority: Authority, tmp_path: Path, name: str) -> None:
    handshake(authority, authority.leaf(["orders", "rm-1.mysql.example", "192.0.2.9"]), name, tmp_path)


def test_clients_refuse_it_for_other_names(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="billing"):
        handshake(authority, authority.leaf(["orders"]), "billing", tmp_path)


def test_clients_refuse_a_leaf_of_another_authority(authority: Authority, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(authority, Authority.create(folder).leaf(["orders"]), "orders", tmp_path)


def test_a_loaded_authority_signs_for_the_same_clients(authority: Authority, tmp_path: Path) -> None:
    again = Authority.load(tmp_path)
    assert again.certificate_pem == authority.certificate_pem
    handshake(authority, again.leaf(["orders"]), "orders", tmp_path)


def test_leaves_are_minted_once_and_again_before_they_end(tmp_path: Path) -> None:
    clock = Clock()
    authority = Authority.create(tmp_path, clock)
    first = authority.leaf(["orders"])
    assert authority.leaf(["orders"]) == first
    assert authority.leaf(["billing"]) != first
    clock.advance(days=LEAF_DAYS - 31)
    assert authority.leaf(["orders"]) == first
    clock.advance(days=2)
    assert authority.leaf(["orders"]) != first


def test_the_authority_lasts_ten_years(authority: Authority) -> None:
    certificate = x509.load_pem_x509_certificate(authority.certificate_pem.encode())
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=3650)


def test_names_that_no_certificate_carries_are_left_out(authority: Authority, tmp_path: Path) -> None:
    handshake(authority, authority.leaf(["a..b", "订单", "x" * 300]), "localhost", tmp_path)


def test_key_files_are_the_owners_alone_and_never_overwritten(authority: Authority, tmp_path: Path) -> None:
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        Authority.create(tmp_path)
    Authority.load(tmp_path)
    (tmp_path / "ca.key").chmod(0o644)
    with pytest.raises(AuthorityUnusable, match="chmod 600"):
        Authority.load(tmp_path)


def test_files_that_do_not_belong_together_are_refused(authority: Authority, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    Authority.create(folder)
    (folder / "ca.key").replace(tmp_path / "ca.key")
    with pytest.raises(AuthorityUnusable, match="not the key of"):
        Authority.load(tmp_path)
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(AuthorityUnusable, match="damaged"):
        Authority.load(tmp_path)
    (tmp_path / "ca.pem").unlink()
    with pytest.raises(AuthorityUnusable, match=r"ca\.pem cannot be read"):
        Authority.load(tmp_path)

"""Secrets at rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bastion.vault import NotSealed, Vault, VaultUnusable


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault.create(tmp_path / "master.key")


def test_a_sealed_secret_opens_in_its_place_only(vault: Vault) -> None:
    sealed = vault.seal("пароль ", "account:orders:app")
    assert vault.open(sealed, "account:orders:app") == "пароль "
    assert "пароль" not in sealed
    with pytest.raises(NotSealed, match="wrong place"):
        vault.open(sealed, "account:orders:root")


def test_the_same_secret_never_looks_the_same(vault: Vault) -> None:
    assert vault.seal("a", "c") != vault.seal("a", "c")


@pytest.mark.parametrize("position", [12, 20, -1])
def test_a_changed_seal_does_not_open(vault: Vault, position: int) -> None:
    sealed = vault.seal("secret", "c")
    changed = list(sealed)
    changed[position] = "A" if changed[position] != "A" else "B"
    with pytest.raises(NotSealed):
        vault.open("".join(changed), "c")


@pytest.mark.parametrize("text", ["", "plain", "s1.key", "s2.a.b", "s1.00000000.AAAA"])
def test_what_is_no_seal_does_not_open(vault: Vault, text: str) -> None:
    with pytest.raises(NotSealed):
        vault.open(text, "c")


def test_the_key_file_is_the_owners_alone_and_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    Vault.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        Vault.create(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["master.key"]


def test_a_loaded_vault_opens_what_was_sealed(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    first = Vault.create(path)
    sealed, digest = first.seal("secret", "c"), first.digest("token", "text")
    again = Vault.load(path)
    assert again.open(sealed, "c") == "secret"
    assert again.digest("token", "text") == digest


def test_another_vaults_secrets_do_not_open(tmp_path: Path) -> None:
    one, other = Vault.create(tmp_path / "one"), Vault.create(tmp_path / "other")
    with pytest.raises(NotSealed, match="not in the master key file"):
        other.open(one.seal("secret", "c"), "c")
    assert one.digest("token", "text") != other.digest("token", "text")


def test_rotation_keeps_old_secrets_and_all_digests(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    vault = Vault.create(path)
    old, digest = vault.seal("secret", "c"), vault.digest("token", "text")
    vault.rotate()
    assert path.stat().st_mode & 0o777 == 0o600
    for each in (vault, Vault.load(path)):
        assert each.open(old, "c") == "secret"
        assert each.digest("token", "text") == digest
        assert not each.is_current(old)
        assert each.is_current(each.seal("new", "c"))


def test_after_resealing_the_old_key_can_go(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    vault = Vault.create(path)
    old = vault.seal("secret", "c")
    vault.rotate()
    new = vault.reseal(old, "c")
    assert new != old
    assert vault.reseal(new, "c") == new
    assert len(vault.retire()) == 1
    again = Vault.load(path)
    assert again.open(new, "c") == "secret"
    with pytest.raises(NotSealed):
        again.open(old, "c")


def test_digests_of_different_purposes_differ(vault: Vault) -> None:
    assert vault.digest("token", "text") != vault.digest("statement", "text")
    assert len(vault.digest("token", "text")) == 64


def test_a_key_file_that_others_may_read_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    Vault.create(path)
    path.chmod(0o640)
    with pytest.raises(VaultUnusable, match="chmod 600"):
        Vault.load(path)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"version":1,"digest_key":"AA==","sealing_keys":[]}', b"\xff\xfe"])
def test_a_damaged_key_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(VaultUnusable, match="damaged"):
        Vault.load(path)


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(VaultUnusable, match=r"no master key at .*master\.key"):
        Vault.load(tmp_path / "master.key")


def test_repr_shows_no_key(vault: Vault, tmp_path: Path) -> None:
    keys = json.loads((tmp_path / "master.key").read_text())
    shown = repr(vault)
    assert keys["digest_key"] not in shown
    assert keys["sealing_keys"][0]["key"] not in shown

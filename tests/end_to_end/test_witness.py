"""A workstation's kept checkpoint against a real bastion whose record was put back to an older copy."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from backends.host_keys import HostKeys
from backends.link import Credentials, Link, Target
from backends.witness import Broken, Witness
from tests.servers.bastion_process import BastionProcess, CommandFailed


def look(bastion: BastionProcess, witness: Witness, person: str) -> tuple[Broken | None, Path]:
    """What the workstation of that person finds, and the file in which it keeps."""
    target = Target(person, *bastion.address)
    credentials = Credentials(password=bastion.password_of(person), agent=False)
    link = Link.connect_now(target, credentials, HostKeys([bastion.known_hosts]))
    try:
        return asyncio.run(witness.look(link)), witness.file_of(target, link.hello.node)
    finally:
        link.close()


def test_a_record_that_was_put_back_is_noticed_by_whoever_was_there(
    own_bastion: BastionProcess, tmp_path: Path
) -> None:
    witness = Witness(tmp_path / "kept")
    own_bastion.stop()
    shutil.copytree(own_bastion.home / "journal", tmp_path / "older")
    own_bastion.start()
    own_bastion.casemate("alice", "databases", "--json")
    # Anybody's workstation keeps checkpoints, not only an auditor's.
    broken, file = look(own_bastion, witness, "alice")
    assert broken is None
    assert len(file.read_text().splitlines()) == 1
    own_bastion.stop()
    own_bastion.start()
    assert look(own_bastion, witness, "alice")[0] is None
    [first, second] = [json.loads(line) for line in file.read_text().splitlines()]
    assert first["number"] < second["number"]
    verify = ("audit", "verify", "--json", "--anchor", str(file), "--config", str(own_bastion.configuration))
    proof = json.loads(own_bastion.run(*verify))
    assert (proof["intact"], proof["anchored_to"]) == (True, second["number"])

    own_bastion.stop()
    shutil.rmtree(own_bastion.home / "journal")
    shutil.copytree(tmp_path / "older", own_bastion.home / "journal")
    (own_bastion.home / "state" / "casemate.sqlite3").unlink()  # the store would say so too
    shutil.rmtree(own_bastion.home / "state", ignore_errors=True)
    own_bastion.apply({"users": [{"name": "alice", "roles": ["operator"], "password": {"env": "P"}}]},
                      {"P": own_bastion.password_of("alice")})  # fmt: skip
    own_bastion.start()
    broken, _ = look(own_bastion, witness, "alice")
    assert broken is not None
    assert broken.why in ("back", "changed")
    assert broken.kept is not None
    assert broken.kept.number == second["number"]
    with pytest.raises(CommandFailed) as failed:
        own_bastion.run(*verify)
    assert failed.value.exit_code == 1

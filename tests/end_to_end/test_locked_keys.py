"""Somebody who is locked for a time and comes with a key is told so, like somebody with a password; others are not."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.servers.bastion_process import HOST, BastionProcess


def make_key(file: Path) -> str:
    """A new key pair; the public half as one declares it."""
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "somebody", "-f", str(file)]
    subprocess.run(words, check=True, timeout=60)
    return file.with_suffix(".pub").read_text().strip()


def log_in(bastion: BastionProcess, user: str, identity: Path) -> subprocess.CompletedProcess[str]:
    """OpenSSH with this key alone."""
    return subprocess.run(
        ["ssh", "-F", "none", "-i", str(identity), "-p", str(bastion.address[1]), "-o", "IdentitiesOnly=yes",
         "-o", "IdentityAgent=none", "-o", "BatchMode=yes", "-o", "PreferredAuthentications=publickey",
         "-o", f"UserKnownHostsFile={bastion.known_hosts}", "-o", "StrictHostKeyChecking=no", f"{user}@{HOST}",
         "databases", "--json"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_reason_is_told_to_who_proves_the_key_and_to_nobody_else(bastion: BastionProcess, tmp_path: Path) -> None:
    hers, another = tmp_path / "hers", tmp_path / "another"
    public = make_key(hers)
    make_key(another)
    bastion.apply({"users": [{"name": "alice", "roles": ["operator"], "keys": [public]}]})
    assert log_in(bastion, "alice", hers).returncode == 0
    bastion.casemate("auditor", "lock", "alice", "--for", "2h", "--reason", "an inquiry")

    told = log_in(bastion, "alice", hers)
    assert told.returncode == 255
    assert "alice is locked until" in told.stderr
    assert "an inquiry" in told.stderr
    refused = [record for record in bastion.journal() if record["kind"] == "login-refused"]
    assert [(each["user"], each["method"], each["code"]) for each in refused] == [
        ("alice", "publickey", "user-locked-until")
    ]

    # Who has but the public half, or another key, hears what everybody hears.
    half = tmp_path / "half.pub"
    half.write_text(public + "\n")
    for identity in (half, another):
        outside = log_in(bastion, "alice", identity)
        assert outside.returncode == 255
        assert "locked" not in outside.stderr
        assert "inquiry" not in outside.stderr
    assert len([record for record in bastion.journal() if record["kind"] == "login-refused"]) == 1

    bastion.casemate("auditor", "unlock", "alice", "--reason", "over")
    assert log_in(bastion, "alice", hers).returncode == 0

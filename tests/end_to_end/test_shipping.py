"""A bastion whose record goes to a file as it is written, also over crashes of the process that brings it there."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from bastion.audit.segments import Line
from tests.servers.bastion_process import BastionProcess, CommandFailed
from tests.servers.processes import wait_for


def journal(bastion: BastionProcess) -> list[Line]:
    raw = [line for path in sorted((bastion.home / "journal").glob("*.journal")) for line in path.open("rb")]
    lines = [Line.parse(line) for line in raw]
    return [line for line in lines if line is not None]


def events(path: Path) -> list[int]:
    if not path.exists():
        return []
    return [json.loads(line)["journal"]["number"] for line in path.read_bytes().splitlines(keepends=True)
            if line.endswith(b"\n")]  # fmt: skip


def shipping_process(bastion: BastionProcess) -> int | None:
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                command = (process / "cmdline").read_bytes()
                parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if b"bastion.audit.shipping.program" in command and parent == bastion.pid:
                return int(process.name)
    return None


def test_every_record_is_at_the_destination_whatever_was_killed(own_bastion: BastionProcess, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with own_bastion.configuration.open("a") as file:
        file.write(f'\n[[shipping]]\nname = "archive"\nkind = "file"\npath = "{path}"\n')
    own_bastion.stop()
    own_bastion.start()
    own_bastion.casemate("alice", "databases", "--json")
    wait_for("the login", lambda: b'"login"' in path.read_bytes() if path.exists() else False)

    process = shipping_process(own_bastion)
    assert process is not None
    os.kill(process, signal.SIGKILL)
    own_bastion.casemate("bob", "databases", "--json")
    wait_for("bob's login", lambda: b'"kind":"login"' in path.read_bytes().rpartition(b'"user":"bob"')[0][-200:])
    assert shipping_process(own_bastion) not in (None, process)

    own_bastion.kill()
    own_bastion.start()
    own_bastion.stop()
    lines = journal(own_bastion)
    seen = events(path)
    assert list(dict.fromkeys(seen)) == [line.number for line in lines]
    assert json.loads(lines[-1].body)["kind"] == "checkpoint"
    last = json.loads(path.read_bytes().splitlines()[-1])
    assert (last["kind"], last["journal"]["hash"]) == ("checkpoint", lines[-1].hash.hex())

    # What the destination has is what the journal is held against.
    anchor = tmp_path / "anchor"
    anchor.write_bytes(b"".join(each for each in path.read_bytes().splitlines(True) if b'"kind":"checkpoint"' in each))
    verify = ("audit", "verify", "--anchor", str(anchor), "--config", str(own_bastion.configuration))
    assert "Proved to record" in own_bastion.run(*verify)
    segment = max((own_bastion.home / "journal").glob("*.journal"))
    segment.write_bytes(b"".join(segment.read_bytes().splitlines(True)[:-3]))
    with pytest.raises(CommandFailed) as cut:
        own_bastion.run(*verify)
    assert cut.value.exit_code == 1

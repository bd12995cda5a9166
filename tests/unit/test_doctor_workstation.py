"""What `casemate doctor` says of the user that served workstations run as."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from bastion.api import messages as m
from bastion.commands.doctor import _workstation
from bastion.configuration import load


def finding(folder: Path, text: str) -> m.Finding:
    file = folder / "casemate.toml"
    file.write_text(f"[workstation]\n{text}")
    (found,) = _workstation(load(file))
    return found


def test_a_shared_user_is_warned_about(tmp_path: Path) -> None:
    found = finding(tmp_path, "")
    assert (found.level, found.subject) == ("warning", "workstation")
    assert "the bastion's own user" in found.message


def test_not_served_is_fine(tmp_path: Path) -> None:
    assert finding(tmp_path, 'served = "off"').level == "ok"


def test_a_service_that_does_not_run(tmp_path: Path) -> None:
    found = finding(tmp_path, 'socket = "none.sock"')
    assert found.level == "error"
    assert "casemate-ui" in (found.next or "")


def test_whose_the_service_is(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "ui.sock"))
        assert finding(tmp_path, 'socket = "ui.sock"').level == "warning"
        if os.geteuid() == 0:
            os.chown(tmp_path / "ui.sock", 65534, 65534)
            assert finding(tmp_path, 'socket = "ui.sock"').level == "ok"


@pytest.mark.parametrize("user", ["no-such-user-here", "nobody"])
def test_a_user_for_a_bastion_of_root(tmp_path: Path, user: str) -> None:
    found = finding(tmp_path, f'user = "{user}"')
    if user == "nobody" and tmp_path.stat().st_uid == 0:
        assert found.level == "ok"
    else:
        assert found.level == "error"

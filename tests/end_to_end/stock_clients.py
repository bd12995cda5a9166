"""OpenSSH's `ssh -N -L` as operators use it, the token as the password, nothing of ours on the client's side."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.servers import excuses
from tests.servers.bastion_process import BastionProcess
from tests.servers.processes import ServerFailed, ServerProcess, free_port


@dataclass(frozen=True)
class SshTunnel:
    """A standing tunnel: `host`:`port` on this side. `log` is what ssh says."""

    host: str
    port: int
    log: Path
    process: ServerProcess
    opened_at: datetime
    token: str
    database: str = ""


class TunnelRefused(Exception):
    """ssh ended before the tunnel stood; the message is what it said, `exit_code` how it ended."""

    def __init__(self, said: str, exit_code: int) -> None:
        super().__init__(said)
        self.exit_code = exit_code


def client_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment for a stock client, without anything of the developer's own that would steer it."""
    return {"PATH": os.environ["PATH"] + ":/usr/sbin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", **(more or {})}


def ssh_program() -> str:
    """OpenSSH's client, or a skip."""
    found = shutil.which("ssh")
    if found is None:
        excuses.skip("no-openssh")
    return found


def askpass(place: Path, password: str) -> dict[str, str]:
    """An environment in which `ssh` takes `password` without a terminal, and without it in a process list."""
    script = place / "askpass"
    script.touch(mode=0o700)
    script.write_text('#!/bin/sh\nprintf "%s\\n" "$TEST_SSH_PASSWORD"\n')
    return client_environment(
        {"SSH_ASKPASS": str(script), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0", "TEST_SSH_PASSWORD": password}
    )


def ssh_command(user: str, host: str, port: int, known_hosts: Path, options: Mapping[str, str]) -> list[str]:
    """`ssh` with every setting that matters given here, none from files of this machine."""
    settings = {
        "UserKnownHostsFile": f'"{known_hosts}"',
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "PubkeyAuthentication": "no",
        "NumberOfPasswordPrompts": "1",
        "ConnectTimeout": "60",
        **options,
    }
    words = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    return [ssh_program(), "-F", "none", "-p", str(port), *words, f"{user}@{host}"]


@contextmanager
def ssh_tunnel(
    *,
    user: str,
    token: str,
    bastion: tuple[str, int],
    known_hosts: Path,
    to: tuple[str, int],
    options: Mapping[str, str] | None = None,
    words: Sequence[str] = (),
) -> Iterator[SshTunnel]:
    """`ssh -N -L port:TO user@bastion`. Raises TunnelRefused where ssh ends before the tunnel stands."""
    with tempfile.TemporaryDirectory(prefix="casemate-ssh-") as folder:
        place = Path(folder)
        up, log, port = place / "up", place / "ssh.log", free_port()
        settings = {
            "ExitOnForwardFailure": "yes",
            "PermitLocalCommand": "yes",
            "LocalCommand": f"touch {shlex.quote(str(up))}",
            **(options or {}),
        }
        command = ssh_command(user, bastion[0], bastion[1], known_hosts, settings)
        forward = ["-N", "-L", f"127.0.0.1:{port}:{to[0]}:{to[1]}", *words]
        opened_at = datetime.now(UTC)
        process = ServerProcess([*command[:-1], *forward, command[-1]], log, environment=askpass(place, token))
        try:
            try:
                process.wait_until("the ssh tunnel", up.exists, limit=60)
            except ServerFailed:
                if process.process.poll() is None:
                    raise
                raise TunnelRefused(log.read_text(errors="replace"), process.process.returncode) from None
            yield SshTunnel("127.0.0.1", port, log, process, opened_at, token)
        finally:
            process.stop()


def run_client(command: Sequence[str], environment: Mapping[str, str] | None = None, stdin: str | None = None,
               limit: float = 60) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Runs a stock client to its end."""
    return subprocess.run(
        list(command),
        env=client_environment(environment),
        input=stdin if stdin is not None else "",
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
    )


# ------------------------------------------------------------------------------------------------------ the record


def token_of(bastion: BastionProcess, person: str, database: str, *words: str) -> dict[str, Any]:
    """The person's token for that database, as `casemate token --json` prints it."""
    [token] = bastion.casemate(person, "token", database, *words, "--json")
    return token


@contextmanager
def open_tunnel(bastion: BastionProcess, person: str, database: str) -> Iterator[SshTunnel]:
    """What an operator does: asks for a token, then `ssh -N -L` with it."""
    token = token_of(bastion, person, database)
    with ssh_tunnel(
        user=person, token=token["token"], bastion=bastion.address, known_hosts=bastion.known_hosts,
        to=(token["host"], token["port"]),
    ) as tunnel:  # fmt: skip
        yield replace(tunnel, database=database)


def session_of(bastion: BastionProcess, tunnel: SshTunnel) -> dict[str, Any]:
    """The first session through the tunnel, once it is over."""

    def over(sessions: list[dict[str, Any]]) -> dict[str, Any] | None:
        ours = [
            each
            for each in sessions
            if each["database"] == tunnel.database and datetime.fromisoformat(each["started_at"]) >= tunnel.opened_at
        ]
        return ours[0] if ours and ours[0]["state"] not in ("opening", "live") else None

    found: dict[str, Any] = bastion.wait_for_sessions(f"the end of the session on {tunnel.database}", over)
    return found


def record_of(bastion: BastionProcess, session: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The session's statements in order, without what differs from run to run, and the digest; these are checked."""
    statements = bastion.statements(session["id"])
    assert [each["seq"] for each in statements] == list(range(1, len(statements) + 1))
    moments = [datetime.fromisoformat(each["at"]) for each in statements]
    assert moments == sorted(moments)
    varying = ("session", "seq", "at", "duration_ms", "bytes_down", "digest")
    for each in statements:
        assert each["session"] == session["id"]
        # A text of comments has neither kind nor shape.
        assert len(each["digest"]) == 32 or not each["kind"]
        assert each["duration_ms"] is None if each["state"] == "sent" else each["duration_ms"] >= 0
    return [{name: value for name, value in each.items() if name not in varying} for each in statements]

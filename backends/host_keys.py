"""The known_hosts files: which key a bastion is known by, and how a new one is added.

sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh


def default_files(given: Path | None = None) -> tuple[Path, ...]:
    """The files that are asked: the one given, the one in CASEMATE_KNOWN_HOSTS, and the person's own."""
    named = [given] if given is not None else []
    from_environment = os.environ.get("CASEMATE_KNOWN_HOSTS")
    if from_environment:
        named.append(Path(from_environment))
    named.append(Path.home() / ".ssh" / "known_hosts")
    return tuple(dict.fromkeys(named))


def entry_name(host: str, port: int) -> str:
    """The name of a host in the file: bare on port 22, else `[host]:port`."""
    return host if port == 22 else f"[{host}]:{port}"


@dataclass(frozen=True)
class OfferedKey:
    """A host key that a server showed."""

    host: str
    port: int
    algorithm: str
    fingerprint: str
    """`SHA256:…`, as ssh(1) prints it."""
    line: str
    """The known_hosts line that would trust it."""


@dataclass
class HostKeys:
    """The keys that are known, from several files; the first file is where a new one is written."""

    files: Sequence[Path]
    accepted: set[str] = field(default_factory=set)
    """Lines trusted for this run only, beside the files."""

    def trusted(self, host: str, port: int) -> tuple[list[asyncssh.SSHKey], list[asyncssh.SSHKey]]:
        """The keys that `host`:`port` may show, and the revoked ones. An unreadable file counts as empty."""
        text = "".join(line + "\n" for line in self.accepted)
        for file in self.files:
            try:
                text += file.read_text(encoding="utf-8", errors="replace") + "\n"
            except OSError:
                continue
        known = asyncssh.import_known_hosts(_readable_lines(text))
        result = known.match(entry_name(host, port), "", None)
        return list(result[0]), list(result[2])

    def remember(self, key: OfferedKey) -> Path:
        """Writes `key` into the first file. Raises OSError."""
        file = self.files[0]
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = file.read_bytes() if file.exists() else b""
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as out:
            if before and not before.endswith(b"\n"):
                out.write(b"\n")
            out.write(key.line.encode() + b"\n")
        return file


def _readable_lines(text: str) -> str:
    """The lines that parse: one bad line must not hide the others."""
    kept = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            asyncssh.import_known_hosts(line)
        except (ValueError, asyncssh.Error):
            continue
        kept.append(line)
    return "\n".join(kept) + "\n"


def describe(host: str, port: int, key: asyncssh.SSHKey) -> OfferedKey:
    """The facts of `key` for the person who decides."""
    exported = key.export_public_key("openssh").decode().split()
    return OfferedKey(
        host=host,
        port=port,
        algorithm=exported[0],
        fingerprint=key.get_fingerprint(),
        line=f"{entry_name(host, port)} {exported[0]} {exported[1]}",
    )

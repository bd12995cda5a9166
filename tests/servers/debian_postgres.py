"""PostgreSQL 18 from Debian sid, with TLS, in a tree of its own that `make test` fetches with debootstrap.

The server runs inside the tree (chroot), so it brings its own libraries; that takes root. The tree's clients (`psql`,
`pg_basebackup`, …) run from outside through the tree's own loader, which takes nothing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

from .certificates import Authority
from .mysql import cache_folder
from .postgres import PostgresServer
from .processes import ServerProcess, own, remove, run_to_end, server_user

TREE_NAME = "postgresql-18"
PROGRAMS = Path("/usr/lib/postgresql/18/bin")

_HBA = """\
local all all trust
hostssl all +by_certificate 127.0.0.1/32 cert
hostssl all +by_certificate_and_password 127.0.0.1/32 scram-sha-256 clientcert=verify-full
host all +by_certificate 127.0.0.1/32 reject
host all +by_certificate_and_password 127.0.0.1/32 reject
hostnossl all +by_tls_only 127.0.0.1/32 reject
host all +by_cleartext 127.0.0.1/32 password
host all +by_trust 127.0.0.1/32 trust
host replication all 127.0.0.1/32 md5
host all all 127.0.0.1/32 md5
"""


def tree() -> Path | None:
    """The folder with PostgreSQL 18 in it; None where it was not fetched."""
    folder = cache_folder() / TREE_NAME
    return folder if (folder / PROGRAMS.relative_to("/") / "postgres").exists() else None


def client(found: Path, name: str) -> list[str]:
    """The beginning of a command line that runs the tree's own client `name` (`psql`, `pg_receivewal`, …)."""
    loader = next((found / "usr/lib").glob("*/ld-linux-*.so.*"))
    return [str(loader), "--library-path", str(loader.parent), str(found / PROGRAMS.relative_to("/") / name)]


class TlsPostgresServer(PostgresServer):
    """PostgreSQL 18 with TLS. Its certificate is for `localhost`, not for 127.0.0.1, so that a name can be wrong.

    `plugin` of create_user: `scram-sha-256`, `md5` or one of `ways`. `authority` issues clients' certificates:
    the server takes one for the role that is its common name.
    """

    ways = ("cleartext", "trust", "certificate", "certificate_and_password", "tls_only")
    certified_host = "localhost"

    def __init__(self, found: Path, settings: Mapping[str, str] | None = None) -> None:
        self.tree = found
        state = found / "var/lib/casemate"
        state.mkdir(exist_ok=True)
        for folder in state.glob("[0-9]*-[0-9]*"):
            if not Path(f"/proc/{folder.name.split('-')[0]}").exists():
                remove(folder)
        super().__init__(settings)

    def _make_folder(self) -> Path:
        folder = self.tree / "var/lib/casemate" / f"{os.getpid()}-{self.port}"
        folder.mkdir()
        own(folder)
        return folder

    def _reachable_programs(self) -> Path:
        return PROGRAMS

    def client(self, name: str) -> list[str]:
        """The beginning of a command line that runs a client of PostgreSQL 18 out of the tree."""
        return client(self.tree, name)

    def _inside(self, path: Path) -> Path:
        return Path("/") / path.relative_to(self.tree)

    def _create(self) -> None:
        self.authority = Authority(self.folder)
        self.certificates = self.authority.issue("server", self.certified_host, [self.certified_host])
        password_file = self.folder / "password"
        password_file.write_text(self.admin_password)
        own(password_file)
        run_to_end(
            [PROGRAMS / "initdb", "-D", self._inside(self.data), "-U", self.admin_user,
             "--pwfile", self._inside(password_file), "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8",
             "--no-sync", "--no-instructions"],
            user=server_user(),
            root=self.tree,
        )  # fmt: skip
        password_file.unlink()
        (self.data / "pg_hba.conf").write_text(_HBA)

    def _run(self, settings: Mapping[str, object]) -> ServerProcess:
        settings = {
            **settings,
            "unix_socket_directories": self._inside(self.folder),
            "ssl": "on",
            "ssl_ca_file": self._inside(self.certificates.authority),
            "ssl_cert_file": self._inside(self.certificates.certificate),
            "ssl_key_file": self._inside(self.certificates.key),
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return ServerProcess(
            [PROGRAMS / "postgres", "-D", self._inside(self.data), *options],
            self.statements_log,
            user=server_user(),
            root=self.tree,
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGQUIT,
        )

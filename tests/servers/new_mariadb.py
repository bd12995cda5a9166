"""MariaDB 11.8 from Debian sid, in a tree of its own that `make test` fetches with debootstrap.

The server runs inside the tree (chroot), so it brings its own libraries; that takes root. The tree's clients run from
outside through the tree's own loader, which takes nothing. It writes a binary log, for clients that read one.
"""

from __future__ import annotations

import os
from pathlib import Path

from . import certificates
from .mariadb import MariadbServer
from .mysql import cache_folder
from .mysql_family import MysqlFamilyServer, literal
from .processes import ServerProcess, free_port, own, remove, run_to_end, server_user

TREE_NAME = "mariadb-sid"


def tree() -> Path | None:
    """The folder with MariaDB 11.8 in it; None where it was not fetched."""
    folder = cache_folder() / TREE_NAME
    return folder if (folder / "usr/lib/mysql/plugin/auth_parsec.so").exists() else None


def client(found: Path, name: str) -> list[str]:
    """The beginning of a command line that runs the tree's own client `name` (`mariadb`, `mariadb-binlog`, …)."""
    loader = next((found / "usr/lib").glob("*/ld-linux-*.so.*"))
    words = [str(loader), "--library-path", str(loader.parent), str(found / "usr/bin" / name), "--no-defaults"]
    return [*words, f"--plugin-dir={loader.parent / 'libmariadb3/plugin'}"]


class NewMariadbServer(MysqlFamilyServer):
    """Its certificate is for `localhost`, not 127.0.0.1, so that a name can be wrong; `authority` issues clients'."""

    default_plugin = "mysql_native_password"
    plugins = {
        **MariadbServer.plugins,
        "parsec": "IDENTIFIED VIA parsec USING PASSWORD({})",
        "caching_sha2_password": "IDENTIFIED VIA caching_sha2_password USING PASSWORD({})",
    }

    def __init__(self, found: Path) -> None:
        super().__init__()
        self.tree = found
        self.port = free_port()
        state = found / "var/lib/casemate"
        state.mkdir(parents=True, exist_ok=True)
        self._sweep(state)
        self.folder = state / f"{os.getpid()}-{self.port}"
        self.folder.mkdir()
        own(self.folder)
        inside = Path("/") / self.folder.relative_to(found)
        self.socket = self.folder / "socket"
        self.statements_log = self.folder / "general.log"
        self.authority = certificates.Authority(self.folder)
        self.certificates = made = self.authority.issue("server", "localhost", ["localhost"])
        self.certificate_authority = made.authority
        run_to_end(
            ["/usr/bin/mariadb-install-db", "--no-defaults", f"--datadir={inside}/data",
             "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve", "--force"],
            user=server_user(),
            root=found,
        )  # fmt: skip
        first_words = self.folder / "first.sql"
        how = self.plugins["mysql_native_password"].format(literal(self.admin_password))
        first_words.write_text(f"ALTER USER 'root'@'localhost' {how};\n")
        own(first_words)
        self.process = ServerProcess(
            ["/usr/sbin/mariadbd", "--no-defaults", f"--datadir={inside}/data", f"--socket={inside}/socket",
             f"--port={self.port}", f"--bind-address={self.host}", f"--pid-file={inside}/pid", f"--tmpdir={inside}",
             f"--init-file={inside}/first.sql", "--skip-name-resolve", "--general-log",
             f"--general-log-file={inside}/general.log", "--plugin-load-add=auth_ed25519",
             "--plugin-load-add=auth_parsec", "--plugin-load-add=auth_mysql_sha2", f"--ssl-ca={inside}/ca.pem",
             f"--ssl-cert={inside}/{made.certificate.name}", f"--ssl-key={inside}/{made.key.name}",
             "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M", "--local-infile",
             "--max-allowed-packet=64M", "--secure-file-priv=", "--log-bin=binlog", "--server-id=1"],
            self.folder / "mariadbd.log",
            user=server_user(),
            root=found,
        )  # fmt: skip
        self.process.wait_until("MariaDB 11.8", self._ready)
        first_words.unlink()

    @staticmethod
    def _sweep(state: Path) -> None:
        for folder in state.glob("[0-9]*-[0-9]*"):
            if not Path(f"/proc/{folder.name.split('-')[0]}").exists():
                remove(folder)

    def client_command(self, name: str = "mariadb") -> list[str]:
        """The beginning of a command line of MariaDB 11.8's own client of that name."""
        return client(self.tree, name)

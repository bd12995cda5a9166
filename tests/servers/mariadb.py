"""MariaDB from Debian's mariadb-server package, as a server for tests: own folder, port and user, no system service."""

from __future__ import annotations

import shutil

from . import certificates
from .mysql_family import CONNECTION_ATTRIBUTES, MysqlFamilyServer, literal
from .processes import ServerProcess, free_port, own, run_to_end, server_folder, server_user


def program(name: str) -> str | None:
    """Where a program of MariaDB is; Debian keeps the server in /usr/sbin, which is not on everybody's PATH."""
    return shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")


class MariadbServer(MysqlFamilyServer):
    default_plugin = "mysql_native_password"
    plugins = {
        "mysql_native_password": "IDENTIFIED VIA mysql_native_password USING PASSWORD({})",
        "ed25519": "IDENTIFIED VIA ed25519 USING PASSWORD({})",
    }

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()
        self.folder = server_folder("mariadb")
        self.socket = self.folder / "socket"
        self.statements_log = self.folder / "general.log"
        self._certificates = certificates.make(self.folder)
        self.certificate_authority = self._certificates.authority
        data = self.folder / "data"
        run_to_end(
            [program("mariadb-install-db") or "mariadb-install-db", "--no-defaults", f"--datadir={data}",
             "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"],
            user=server_user(),
        )  # fmt: skip
        first_words = self.folder / "first.sql"
        how = self.plugins["mysql_native_password"].format(literal(self.admin_password))
        first_words.write_text(f"ALTER USER 'root'@'localhost' {how};\n")
        own(first_words)
        self.process = ServerProcess(
            [program("mariadbd") or "mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={self.socket}",
             f"--port={self.port}", f"--bind-address={self.host}", f"--pid-file={self.folder / 'pid'}",
             f"--init-file={first_words}", "--skip-name-resolve", "--general-log",
             f"--general-log-file={self.statements_log}", "--plugin-load-add=auth_ed25519",
             f"--ssl-ca={self._certificates.authority}", f"--ssl-cert={self._certificates.certificate}",
             f"--ssl-key={self._certificates.key}", "--innodb-flush-log-at-trx-commit=0",
             "--innodb-buffer-pool-size=64M", "--skip-log-bin", "--local-infile", "--max-allowed-packet=64M",
             "--secure-file-priv=", *CONNECTION_ATTRIBUTES],
            self.folder / "mariadbd.log",
            user=server_user(),
        )  # fmt: skip
        self.process.wait_until("MariaDB", self._ready)
        first_words.unlink()

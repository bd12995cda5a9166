"""MySQL 9.7 from Debian sid, in a tree of its own that `make test` fetches with debootstrap.

The server runs inside the tree (chroot), so it brings its own libraries; that takes root. The tree's `mysql` client
runs from outside through the tree's own loader, which takes nothing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

from .mysql_family import CONNECTION_ATTRIBUTES, MysqlFamilyServer, literal
from .processes import ServerProcess, free_port, own, remove, run_to_end, server_user

TREE_NAME = "mysql-9.7"


def cache_folder() -> Path:
    """Where large things that tests need are kept between runs."""
    return Path(os.environ.get("CASEMATE_TEST_CACHE") or Path.home() / ".cache" / "casemate-tests")


def tree() -> Path | None:
    """The folder with MySQL 9.7 in it; None where it was not fetched."""
    folder = cache_folder() / TREE_NAME
    return folder if (folder / "usr/sbin/mysqld").exists() and (folder / "usr/bin/mysql").exists() else None


def client_command(found: Path) -> list[str]:
    """The beginning of a command line that runs MySQL 9.7's own `mysql` client out of the tree."""
    loader = next((found / "usr/lib").glob("*/ld-linux-*.so.*"))
    return [str(loader), "--library-path", str(loader.parent), str(found / "usr/bin/mysql"), "--no-defaults"]


class MysqlServer(MysqlFamilyServer):
    default_plugin = "caching_sha2_password"
    plugins = {
        "caching_sha2_password": "IDENTIFIED WITH caching_sha2_password BY {}",
        "sha256_password": "IDENTIFIED WITH sha256_password BY {}",
    }

    def __init__(self, found: Path) -> None:
        super().__init__()
        self.tree = found
        self.port = free_port()
        state = found / "var/lib/casemate"
        state.mkdir(exist_ok=True)
        self._sweep(state)
        self.folder = state / f"{os.getpid()}-{self.port}"
        self._copy_fresh_data(state)
        inside = Path("/") / self.folder.relative_to(found)
        self.socket = self.folder / "socket"
        self.statements_log = self.folder / "general.log"
        self.certificate_authority = self.folder / "data/ca.pem"
        first_words = self.folder / "first.sql"
        first_words.write_text(f"ALTER USER 'root'@'localhost' IDENTIFIED BY {literal(self.admin_password)};\n")
        own(first_words)
        self.process = ServerProcess(
            ["/usr/sbin/mysqld", "--no-defaults", f"--datadir={inside}/data", f"--socket={inside}/socket",
             f"--port={self.port}", f"--bind-address={self.host}", f"--pid-file={inside}/pid", f"--tmpdir={inside}",
             f"--init-file={inside}/first.sql", "--mysqlx=OFF", "--secure-file-priv=NULL", "--skip-name-resolve",
             "--general-log", f"--general-log-file={inside}/general.log", "--skip-log-bin", "--local-infile=ON",
             "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=OFF", "--innodb-buffer-pool-size=64M",
             "--max-allowed-packet=64M", *CONNECTION_ATTRIBUTES],
            self.folder / "mysqld.log",
            user=server_user(),
            root=found,
        )  # fmt: skip
        self.process.wait_until("MySQL", self._ready)
        first_words.unlink()

    def _copy_fresh_data(self, state: Path) -> None:
        """An empty data folder. Making one takes MySQL several seconds, so it is made once and copied."""
        fresh = state / "fresh"
        with (state / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not fresh.exists():
                unfinished = state / "unfinished"
                remove(unfinished)
                unfinished.mkdir()
                own(unfinished)
                inside = Path("/") / unfinished.relative_to(self.tree)
                run_to_end(
                    ["/usr/sbin/mysqld", "--no-defaults", "--initialize-insecure", f"--datadir={inside}/data"],
                    user=server_user(),
                    root=self.tree,
                )
                # Each copy is to be a server of its own, not a twin.
                (unfinished / "data/auto.cnf").unlink(missing_ok=True)
                unfinished.rename(fresh)
        shutil.copytree(fresh, self.folder)
        for path in [self.folder, *self.folder.rglob("*")]:
            own(path)

    @staticmethod
    def _sweep(state: Path) -> None:
        for folder in state.glob("[0-9]*-[0-9]*"):
            if not Path(f"/proc/{folder.name.split('-')[0]}").exists():
                remove(folder)

    def client_command(self) -> list[str]:
        """The beginning of a command line of MySQL 9.7's own client."""
        return client_command(self.tree)

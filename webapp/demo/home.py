"""Where a demo keeps its state: `var/` of the checkout, with the secrets it made for itself."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from webapp.demo.embedded import Postgres, Valkey, reachable

LONGEST_SOCKET = 107
"""Bytes that fit into `sockaddr_un` on Linux."""


class Occupied(RuntimeError):
    """The state cannot be used; the message says why."""


@dataclass(frozen=True)
class Login:
    """What the demo's user signs in with."""

    username: str
    password: str
    token: str


def _write_secret(path: Path, text: str) -> None:
    """Write `text` where only this user reads it; a reader never sees half of it."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.rename(path)


class Home:
    """The folders of one checkout's demo; made when missing, kept between starts."""

    def __init__(self, checkout: Path) -> None:
        self.state = checkout / "var"
        self.logs = self.state / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.servers = self.state if self._fits(self.state) else self._elsewhere(checkout)

    @staticmethod
    def _fits(folder: Path) -> bool:
        """Whether PostgreSQL can run in `folder`: short enough for its socket, open to `nobody` where we are root."""
        servers = (Postgres(folder / "pg"), Valkey(folder / "valkey"))
        longest = max(len(os.fsencode(server.socket)) for server in servers)
        return longest <= LONGEST_SOCKET and (os.geteuid() != 0 or reachable(folder / "pg"))

    @staticmethod
    def _elsewhere(checkout: Path) -> Path:
        """A short folder of our own for the servers; refused when somebody else made it first."""
        folder = Path("/var/tmp") / f"flopwise-{hashlib.sha256(os.fsencode(checkout)).hexdigest()[:12]}"  # noqa: S108
        folder.mkdir(mode=0o755, exist_ok=True)
        if folder.lstat().st_uid != os.geteuid() or folder.is_symlink():
            raise Occupied(f"{folder} belongs to somebody else; move the checkout to a shorter, open path")
        return folder

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One demo at a time."""
        with (self.state / "demo.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Occupied(f"a demo of this checkout is already running (it holds {file.name})") from None
            yield

    def secret_key(self) -> str:
        """Django's key, made once."""
        path = self.state / "secret_key"
        if not path.exists():
            _write_secret(path, secrets.token_urlsafe(64))
        return path.read_text()

    def login(self) -> Login | None:
        path = self.state / "credentials.json"
        return Login(**json.loads(path.read_text())) if path.exists() else None

    def keep(self, login: Login) -> None:
        _write_secret(self.state / "credentials.json", json.dumps(asdict(login), indent=2))

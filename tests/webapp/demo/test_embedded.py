"""The embedded servers are the real thing, and survive what happens to a person's machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import environ
import psutil
import psycopg
import pytest
import redis
from django.db import connection

from webapp.demo.embedded import Postgres, Valkey, reachable

STARTER = """
import sys, time
from pathlib import Path
from webapp.demo.embedded import Postgres
print(Postgres(Path(sys.argv[1])).start().process.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A short folder that everybody may pass, with a name that a URL must quote."""
    with tempfile.TemporaryDirectory(prefix="flop wise%20+", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def running(home: Path) -> Iterator[psycopg.Connection]:
    """A connection to a server on `home`, by its URL as Django reads it."""
    server = Postgres(home / "pg", durable=False).start()
    parts = environ.Env.db_url_config(server.url)
    try:
        with psycopg.connect(host=parts["HOST"], dbname=parts["NAME"], user=parts["USER"], autocommit=True) as client:
            yield client
    finally:
        server.stop()


@pytest.mark.django_db
def test_postgres_is_18() -> None:
    with connection.cursor() as cursor:
        cursor.execute("show server_version_num")
        assert int(cursor.fetchone()[0]) >= 180000


def test_second_start_keeps_the_rows(home: Path) -> None:
    with running(home) as client:
        client.execute("CREATE TABLE kept AS SELECT 7 AS value")
    with running(home) as client:
        assert client.execute("SELECT value FROM kept").fetchone() == (7,)


def test_a_cluster_that_was_half_made_is_made_again(home: Path) -> None:
    unfinished = home / "pg" / "data-unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    with running(home) as client:
        assert client.execute("SELECT current_database()").fetchone() == ("flopwise",)


def test_nobody_else_reaches_the_socket_that_asks_no_password(home: Path) -> None:
    with running(home):
        assert (home / "pg").stat().st_mode & 0o007 == 0


def test_a_killed_parent_takes_its_server_along_and_the_next_start_works(home: Path) -> None:
    command = [sys.executable, "-c", STARTER, str(home / "pg")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    with running(home) as client:
        assert client.execute("SELECT 1").fetchone() == (1,)
    server.wait(10)
    assert not server.is_running()


def test_a_folder_closed_to_others_is_not_reachable(home: Path) -> None:
    (home / "open").mkdir()
    before = reachable(home / "open" / "pg")
    (home / "open").chmod(0o700)
    assert (before, reachable(home / "open" / "pg")) == (True, False)


def test_valkey_keeps_its_keys_over_a_crash(home: Path) -> None:
    server = Valkey(home / "valkey").start()
    client = redis.Redis.from_url(server.url)
    client.set("hint", "7")
    client.execute_command("WAITAOF", 1, 0, 1000)  # type: ignore[no-untyped-call]
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    server.start()
    try:
        assert redis.Redis.from_url(server.url).get("hint") == b"7"
    finally:
        server.stop()

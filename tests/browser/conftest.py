"""A real Chromium on a real ASGI server on the test database."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.visitor import Visitor

HERE = Path(__file__).resolve().parents[2]
PASSWORD = "a long enough secret"


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Headless; Django may be used beside Playwright's event loop, which runs in this thread while browser tests do."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert path, (
        "the browser tests need chromium: apt-get install -y --no-install-recommends chromium fonts-dejavu-core"
    )
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


def _environment() -> dict[str, str]:
    """What makes a process of ours use the test database."""
    from django.db import connection

    database = connection.settings_dict
    return os.environ | {"DATABASE_URL": f"postgres://{database['USER']}@:5432/{database['HOST']}/{database['NAME']}"}


@pytest.fixture(scope="session")
def site(django_db_setup: None) -> Iterator[str]:
    """The address of the web process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "uvicorn", "webapp.asgi:application", "--port", port, "--log-level", "error"]
    server = subprocess.Popen(command, cwd=HERE, env=_environment())
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{address}/health/", server)
        yield address
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture
def workers(transactional_db: None) -> Iterator[None]:
    """The dispatcher and one CPU worker, brisk; both gone before the tables are emptied."""
    pace = {"HEARTBEAT_SECONDS": "1", "REAP_SECONDS": "1", "DISPATCH_SECONDS": "0.5", "OMP_NUM_THREADS": "1"}
    celery = [sys.executable, "-m", "celery", "-A"]
    with tempfile.TemporaryDirectory() as home:
        commands = (
            [*celery, "webapp.celery", "worker", "-Q", "sweep", "-n", "sweep@browser", "--beat", "-s", f"{home}/beat"],
            [*celery, "worker.app", "worker", "-Q", "cpu", "-n", "cpu-0@browser"],
        )
        with (Path(home) / "log").open("wb") as log:
            processes = [
                subprocess.Popen(
                    [*command, "--pool", "solo"],
                    cwd=HERE, env=_environment() | pace, stdout=log, stderr=log, start_new_session=True,
                )
                for command in commands
            ]  # fmt: skip
            yield
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(60)
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # beat outlives its worker


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert server.poll() is None, "the web process ended"
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(url)


@pytest.fixture
def visitor(chromium: Browser, site: str, transactional_db: None) -> Iterator[Visitor]:
    """Somebody with a browser, an account and a project, not signed in yet."""
    from django.contrib.auth.models import User

    from webapp.teams.models import Membership, Project, Role

    user = User.objects.create_user("ada", password=PASSWORD)
    project = Project.objects.create(name="Vision lab", slug="vision-lab")
    Membership.objects.create(project=project, user=user, role=Role.ADMIN)
    visitor = Visitor(chromium, site, "ada", PASSWORD)
    yield visitor
    visitor.leave()
    _let_go()


def _let_go() -> None:
    """End the web process's connections, so that the tables can be emptied."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND state <> 'idle'"
        )

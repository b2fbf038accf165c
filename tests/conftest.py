"""One PostgreSQL and one Valkey for each process that runs tests, from the same wheels as the demo."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from pathlib import Path

import django
import pytest

from webapp.demo.embedded import Postgres, Valkey

_home = Path(tempfile.mkdtemp(prefix="flopwise-", dir="/tmp"))
_home.chmod(0o755)
_postgres = Postgres(_home / "pg", durable=False)
_valkey = Valkey(_home / "valkey")


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers before Django reads its settings; where workers run the tests, each has its own."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe(64))
    os.environ["DATABASE_URL"] = _postgres.start().url
    os.environ["REDIS_URL"] = _valkey.start().url
    for name in ("ARTIFACT_ROOT", "DATA_ROOT", "CACHE_ROOT"):
        os.environ[name] = str(_home / name.lower())
        Path(os.environ[name]).mkdir()
    django.setup()


def pytest_unconfigure(config: pytest.Config) -> None:
    _valkey.stop()
    _postgres.stop()
    shutil.rmtree(_home, ignore_errors=True)

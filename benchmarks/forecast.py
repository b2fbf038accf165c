"""Forecast against actual: runs of different shapes on one worker, each held against what was forecast at its launch.

Starts the embedded servers and one worker, waits until it has measured itself, launches the runs at once, so that none
of them learns from another, and prints the table and its medians. The wall clock suffers from whatever else the
machine does, so the trainers' own CPU time stands beside it, start-up, evaluation and scoring included.

    python -m benchmarks.forecast                # 14 runs, about 6 minutes on one thread
    python -m benchmarks.forecast --seconds 4    # shorter runs
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from webapp.demo.embedded import Postgres, Valkey

if TYPE_CHECKING:  # models need the settings, which `servers` makes
    from training.spec import RunSpec
    from webapp.experiments.forecast import Bench
    from webapp.experiments.models import Experiment, Forecast
    from webapp.runs.models import Run

HERE = Path(__file__).resolve().parents[1]
SHAPES = (
    ("gpt2-nano", 16, 128, 512, "dense"),
    ("gpt2-nano", 32, 64, 2048, "est"),
    ("gpt2-tiny", 4, 64, 1024, "dense"),
    ("gpt2-tiny", 16, 128, 2048, "dense"),
    ("gpt2-tiny", 16, 128, 2048, "est"),
    ("gpt2-tiny", 4, 256, 4096, "dense"),
    ("gpt2-mini", 8, 128, 4096, "dense"),
    ("gpt2-mini", 8, 128, 4096, "est"),
    ("gpt2-mini", 4, 256, 1024, "dense"),
    ("llama-nano", 8, 256, 1024, "dense"),
    ("llama-tiny", 16, 64, 1024, "dense"),
    ("llama-tiny", 8, 128, 2048, "est"),
    ("llama-mini", 4, 128, 2048, "dense"),
    ("llama-mini", 8, 256, 4096, "est"),
)
"""Preset, batch, context, vocabulary and method."""


@contextmanager
def servers() -> Iterator[None]:
    """A migrated database and Valkey, and one worker on one thread."""
    home = Path(tempfile.mkdtemp(prefix="flopwise-forecast-", dir="/tmp"))  # a socket path must be short
    home.chmod(0o755)
    postgres, valkey = Postgres(home / "pg"), Valkey(home / "valkey")
    os.environ |= {"SECRET_KEY": secrets.token_urlsafe(64), "DJANGO_SETTINGS_MODULE": "webapp.settings"}
    os.environ |= {"DATABASE_URL": postgres.start().url, "REDIS_URL": valkey.start().url}
    os.environ["ARTIFACT_ROOT"] = str(home / "artifacts")
    try:
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=HERE, check=True)
        yield
    finally:
        valkey.stop()
        postgres.stop()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def worker() -> Iterator[psutil.Process]:
    command = [sys.executable, "-m", "celery", "-A", "worker.app", "worker", "-Q", "cpu", "-n", "cpu-0@benchmark"]
    process = subprocess.Popen([*command, "--pool", "solo", "--loglevel", "WARNING"], cwd=HERE)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def measured() -> Bench:
    """The queue, once its worker has measured itself."""
    from webapp.experiments.forecast import Bench

    while not (bench := Bench.of("cpu")).workers:
        time.sleep(0.5)
    return bench


def specs(bench: Bench, seconds: float) -> list[RunSpec]:
    """The shapes, with as many steps as should fill so many seconds of training."""
    from training.spec import Budget, DataSpec, ModelSpec, RunSpec

    found = []
    for preset, batch, context, vocabulary, method in SHAPES:
        spec = RunSpec(
            model=ModelSpec(preset=preset),
            data=DataSpec(context=context, vocab_size=vocabulary),
            batch_size=batch,
            methods=(method,),
            budget=Budget(steps=1000),
            eval_points=2,
            evals=(),
        )
        span = bench.forecast(spec).training
        assert span is not None
        found.append(spec.model_copy(update={"budget": Budget(steps=max(20, round(1000 * seconds / span.mid)))}))
    return found


def launched(wanted: list[RunSpec]) -> Experiment:
    """All shapes as arms of one experiment, on a worker that is woken once."""
    from django.contrib.auth.models import User

    from webapp.celery import app
    from webapp.experiments import services
    from webapp.runs import queue
    from webapp.teams.models import Membership, Project

    user = User.objects.create_user("forecaster")
    project = Project.objects.create(name="Forecast", slug="forecast")
    Membership.objects.create(project=project, user=user, role="admin")
    names = [
        f"{preset} {batch}x{context} v{vocabulary} {method}" for preset, batch, context, vocabulary, method in SHAPES
    ]
    arms = [services.ArmRequest(name, spec, name == names[0]) for name, spec in zip(names, wanted, strict=True)]
    experiment = services.launch(project=project, owner=user, title="Shapes", arms=arms, seeds=[0], queue="cpu")
    app.send_task(queue.WAKE, ["cpu"], queue="cpu")
    return experiment


def followed(experiment: Experiment, supervisor: psutil.Process) -> dict[int, float]:
    """CPU seconds of each run's trainer, read until all runs have ended."""
    from webapp.runs.models import ACTIVE, TERMINAL, Run

    spent: dict[int, float] = {}
    runs = Run.objects.filter(arm__experiment=experiment)
    while runs.exclude(state__in=TERMINAL).exists():
        holding = runs.filter(state__in=ACTIVE).values_list("pk", flat=True).first()
        for child in supervisor.children():
            with suppress(psutil.NoSuchProcess):
                times = child.cpu_times()
                if holding is not None and "worker.trainer" in child.cmdline():
                    spent[holding] = times.user + times.system
        time.sleep(0.1)
    return spent


def row(run: Run, kept: Forecast, cpu: float) -> dict[str, Any]:
    assert kept.seconds
    assert kept.low
    assert kept.high
    whole = kept.seconds + (kept.evaluation or 0.0) + (kept.startup or 0.0)
    return {
        "run": run.arm.label,
        "flops_error": run.executed_flops / kept.flops - 1,
        "forecast": kept.seconds,
        "wall": run.wall_seconds,
        "wall_error": run.wall_seconds / kept.seconds - 1,
        "inside": kept.low <= run.wall_seconds <= kept.high,
        "whole_forecast": whole,
        "cpu": cpu,
        "cpu_error": cpu / whole - 1,
    }


def report(rows: list[dict[str, Any]]) -> None:
    print(f"{'run':34} {'FLOPs':>7} {'forecast':>9} {'wall':>8} {'error':>7} in  {'whole':>8} {'CPU':>8} {'error':>7}")
    for found in rows:
        print(
            f"{found['run']:34} {found['flops_error']:7.2%} {found['forecast']:8.1f}s {found['wall']:7.1f}s "
            f"{found['wall_error']:7.1%} {'yes' if found['inside'] else 'no ':3} {found['whole_forecast']:7.1f}s "
            f"{found['cpu']:7.1f}s {found['cpu_error']:7.1%}"
        )
    for name in ("flops_error", "wall_error", "cpu_error"):
        print(f"median |{name}| of {len(rows)} runs: {statistics.median(abs(found[name]) for found in rows):.2%}")
    print(f"inside the 90 % interval: {statistics.fmean(found['inside'] for found in rows):.0%}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15.0, help="training time of each run, by its forecast")
    options = parser.parse_args()
    with servers():
        import django

        django.setup()
        from webapp.runs.models import Run, State

        with worker() as supervisor:
            experiment = launched(specs(measured(), options.seconds))
            spent = followed(experiment, supervisor)
        runs = Run.objects.filter(arm__experiment=experiment).select_related("arm", "forecast").order_by("pk")
        lost = [run for run in runs if run.state != State.SUCCEEDED]
        report([row(run, run.forecast, spent[run.pk]) for run in runs if run.state == State.SUCCEEDED])
        for run in lost:
            print(f"{run.arm.label} ended {run.state}: {run.failure_text}")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())

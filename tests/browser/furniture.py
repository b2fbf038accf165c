"""A project in which things have happened: an experiment with runs in every state, workers, a text, a log."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from tests.webapp.results import planted
from tests.webapp.runs.test_studies import KNOBS, OTHERS, finish, runs
from training import catalog
from training.records import Purpose
from training.spec import Budget, RunSpec
from webapp.datasets.models import Dataset
from webapp.experiments import services, studies
from webapp.experiments.models import Experiment
from webapp.results.comparison import Line, SeedRun, Test, TestScore
from webapp.reviews import services as reviews
from webapp.reviews.composing import draft
from webapp.reviews.models import Report
from webapp.runs import lifecycle, port
from webapp.runs.models import CostLine, Point, Run, Series, Worker
from webapp.runs.studies import advance
from webapp.teams.models import Project

VIEWS = {
    "curves": "",
    "savings": "",
    "savings-early": "&goal=50&unit=seconds",
    "frontier": "",
    "frontier-sunk": "&sources=sunk&overheads=without",
    "ledger": "",
    "ledger-absolute": "&scale=absolute&sources=sunk",
    "evaluation": "",
    "evaluation-sorted": "&sort=-mean of accuracies",
    "configuration": "",
}
"""Views of the judged experiment: the tab, and what else its address says."""


def pages() -> dict[str, str]:
    """Fill the project of the only user; the addresses of its pages by name."""
    user, project = User.objects.get(), Project.objects.get()
    experiment = _experiment(user, project)
    Dataset.objects.create(project=project, name="Letters of the archive", sha256="a" * 64, bytes=1_234_567, owner=user)
    running = _running()
    _halved(user, project)
    _finished(user, project)
    judged = _judged(project)
    return {
        "home": "/",
        "experiments": "/experiments/",
        "archived": "/experiments/?archived=1",
        "new": f"/experiments/new/?clone={experiment.code}",
        "new-images": "/experiments/new/?method=fractrain",
        "studies": "/studies/",
        "study-about": "/studies/dcpt/",
        "study-new": "/studies/dcpt/new/",
        "study": f"/experiments/{_studied(user, project).code}/study/",
        "study-open": f"/experiments/{_asked(user, project).code}/study/",
        "compare": f"/experiments/{experiment.code}/",
        **{view: f"/experiments/{judged.code}/?tab={view.partition('-')[0]}{rest}" for view, rest in VIEWS.items()},
        "report": f"/reports/{_report(user, experiment).code}/",
        "reports": "/reports/",
        "queue": "/queue/",
        "calibration": "/calibration/",
        "run": f"/runs/{running.code}/",
        "run-ended": f"/runs/{Run.objects.filter(arm__experiment=judged)[0].code}/?scale=percent",
        "methods": "/methods/",
        "method": "/methods/est/",
        "method-images": "/methods/fractrain/",
        "records": "/records/",
        "data": "/data/",
        "projects": "/projects/",
        "project": "/projects/vision-lab/",
        "tokens": "/tokens/",
    }


def _experiment(user: User, project: Project) -> Experiment:
    est = (catalog.card("est").presets or {})["est-gpt2"]
    return services.launch(
        project=project,
        owner=user,
        title="Does EST save compute on <b>tiny</b> GPT?",
        question="The same small GPT-2 and the same text: what does EST save, and what does it cost?",
        arms=[
            services.ArmRequest("Dense", RunSpec(budget=Budget(steps=600)), is_baseline=True),
            services.ArmRequest("EST", RunSpec(budget=Budget(steps=600), methods=("est",), knobs={"est": est})),
        ],
        seeds=range(3),
        queue="cpu",
    )


def _studied(user: User, project: Project) -> Experiment:
    """A study that has concluded."""
    law, music, chess = OTHERS
    domains = {"domains": [law, music], "probed": [chess], "check": False}
    knobs, base = studies.judged("dcpt", {**KNOBS, **domains}, {"data": {"vocab_size": 257}})
    title = "Which share of code?"
    experiment = studies.launch("dcpt", knobs, base, project=project, owner=user, title=title, seeds=(3,))
    for run in runs(experiment):
        finish(run)
    assert advance() == 1
    return experiment


def _asked(user: User, project: Project) -> Experiment:
    """A study none of whose runs has begun."""
    knobs, base = studies.judged("dcpt", {**KNOBS, "ratios": [0, 0.5, 1]}, {})
    return studies.launch("dcpt", knobs, base, project=project, owner=user, title="Which share of code, again?")


def _judged(project: Project) -> Experiment:
    """A finished experiment with an arm for every verdict: they scatter, miss the target, or are no match."""
    experiment = Experiment.objects.create(project=project, title="Four ways to save on tiny GPT")
    seeds, specs = range(5), [RunSpec(methods=("est",), knobs={"est": {"heads": at / 10}}) for at in (5, 6, 7, 8)]
    specs[3] = specs[3].model_copy(update={"batch_size": 32})
    dense = planted.arm("Dense", [planted.run(seed) for seed in seeds])
    planted.store(experiment, replace(dense, scores=(_score("cloze", 0), _score("choice", 0))))
    ways = {"EST, half": (0.9, 0.8), "EST, scattered": (0.95, 0.93), "EST, cheap": (0.7, 1.0), "EST, other": (0.9, 0.8)}
    for index, ((label, (share, lag)), spec) in enumerate(zip(ways.items(), specs, strict=True), start=1):
        runs = [planted.run(seed, share=share, lag=lag * (1 + 0.08 * index * (seed % 3 - 1))) for seed in seeds]
        inherited = [_inheriting(run) for run in runs] if label == "EST, cheap" else runs
        result = planted.arm(label, inherited, index=index, spec=spec)
        planted.store(experiment, replace(result, scores=(_score("cloze", index), _score("choice", index))))
    for run in Run.objects.filter(arm__experiment=experiment).select_related("arm"):
        _account(run)
    return experiment


def _inheriting(run: SeedRun) -> SeedRun:
    """The same from weights that had cost something."""
    source = Line("teacher", Purpose.SOURCE, 4e10, 4e10, 4.0, 0)
    points = tuple(replace(at, executed=at.executed + 4e10, seconds=at.seconds + 4.0) for at in run.evaluations)
    return replace(run, evaluations=points, lines=(*run.lines, source))


def _account(run: Run) -> None:
    """One attempt with its log, clock and uncounted operators; the runs of two arms were interrupted."""
    seconds = {
        "starting": 2.5,
        "preparing": 1.0,
        "training": 55.0,
        "evaluating": 3.0,
        "checkpointing": 0.8,
        "scoring": 4.0,
    }
    kinds = {"aten._softmax": "other", "aten.gelu": "elementwise", "aten.view": "free", "aten._grouped_mm": "product"}
    told = [
        {"phase": "train", "part": "step", "operator": name, "kind": kind, "calls": 12, "elements": 98304}
        for name, kind in kinds.items()
    ]
    body = {"clock": seconds, "signatures": {"train": 3}, "uncounted": told}
    now = timezone.now()
    run.attempts.create(
        n=1, fence=1, worker="cpu-0@lab", body=body, started_at=now - timedelta(seconds=67), ended_at=now
    )
    log = run.attempts.get().log
    log.parent.mkdir(parents=True)
    log.write_text("attempt 1, resumes from the start\nstep 600 loss 3.39\n")
    Run.objects.filter(pk=run.pk).update(
        attempt=1, event_seq=20, step=600, progress=1.0, phase="train", executed_flops=6e11, effective_flops=6e11
    )
    if run.arm.label in ("Dense", "EST, half"):
        run.costs.create(phase="train", purpose=Purpose.REDONE, executed=2e10, effective=2e10, wall_seconds=2.0)


def _score(task: str, index: int) -> TestScore:
    """Higher or lower with the arm's place, and scattered over the seeds."""
    level = 0.3 + 0.02 * index * (1 if task == "cloze" else -1)
    by_seed = {seed: level + 0.004 * ((seed * (index + 2)) % 5 - 2) for seed in range(5)}
    return TestScore(Test(task, "acc", "heldout", 1, 0), by_seed, 200, 0.25, True, 0.03)


def _finished(user: User, project: Project) -> None:
    """Five runs that ended near their forecasts, made by a worker that had measured itself."""
    Worker.objects.update(pace=[1e-4, 1e-11, 5e-9, 2e-9, 2e-9], startup_seconds=2.5)
    specs = [(f"{steps} steps", RunSpec(budget=Budget(steps=steps))) for steps in (50, 100, 200, 400, 800)]
    arms = [services.ArmRequest(label, spec, label == "50 steps") for label, spec in specs]
    services.launch(project=project, owner=user, title="How long?", arms=arms, seeds=[0], queue="cpu")
    for place, run in enumerate(Run.objects.filter(arm__experiment__title="How long?").select_related("forecast")):
        Run.objects.filter(pk=run.pk).update(
            state="succeeded",
            finished_at=timezone.now(),
            wall_seconds=(run.forecast.seconds or 0.0) * (0.9 + 0.08 * place),
            executed_flops=run.forecast.flops,
            environment={"device": "2 x Xeon"},
        )


def _halved(user: User, project: Project) -> None:
    """A matched comparison that has ended, for records and method pages."""
    experiment = Experiment.objects.create(project=project, title="EST at half the price", owner=user)
    for index, (label, lag) in enumerate((("Dense", 1.0), ("EST", 0.6))):
        spec = RunSpec(methods=("est",)) if index else RunSpec()
        runs = [planted.run(seed, lag=lag) for seed in range(5)]
        arm = planted.store(experiment, planted.arm(label, runs, index=index, spec=spec))
        arm.runs.update(environment={"device": "Intel Xeon @ 2.10GHz", "threads": 1})


def _report(user: User, experiment: Experiment) -> Report:
    return reviews.create(experiment, user, title="What <b>EST</b> saves", body=draft(experiment))


def _running() -> Run:
    """One run under way with curves and costs, one cancelled, the others waiting behind one busy slot."""
    Worker.objects.create(
        name="cpu-0@lab", queue="cpu", device="2 x Xeon", memory_bytes=8 * 2**30, flops_per_second=4e10
    )
    Worker.objects.create(name="cpu-1@lab", queue="cpu", device="2 x Xeon", memory_bytes=8 * 2**30, draining=True)
    lifecycle.cancel(Run.objects.order_by("pk")[2], "ada")
    lease = port.claim("cpu", "cpu-0@lab")
    assert lease is not None
    port.start(lease, {"git": "1f3c9ab", "python": "3.11.7", "torch": "2.13.0", "device": "cpu, 1 thread"})
    run = Run.objects.get(pk=lease.run_id)
    _curves(run)
    log = run.attempts.get().log
    log.parent.mkdir(parents=True)
    log.write_text("attempt 1, resumes from the start\nstep 380 loss 3.26\n")
    Run.objects.filter(pk=run.pk).update(
        step=380, progress=0.63, phase="train", executed_flops=3.1e12, effective_flops=3.1e12, wall_seconds=101.0
    )
    for purpose, flops in ((Purpose.TRAIN, 3.1e12), (Purpose.EVAL, 2.2e11), (Purpose.REDONE, 4e10)):
        CostLine.objects.create(
            run=run, phase="train", purpose=purpose, executed=flops, effective=flops, wall_seconds=flops / 3e10
        )
    return run


def _curves(run: Run) -> None:
    event = run.event_seq
    for name, every in (("train/loss", 10), ("val/loss", 40), ("method/active", 10)):
        series = Series.objects.create(run=run, phase="train", name=name)
        Point.objects.bulk_create(
            Point(
                series=series,
                step=step,
                value=0.75 if name == "method/active" else 3.2 + 4 * math.exp(-step / 90),
                flops=step * 8e9,
                tokens=step * 2048,
                seconds=step * 0.27,
                fence=run.fence,
                event=event,
                at=timezone.now(),
            )
            for step in range(every, 381, every)
        )

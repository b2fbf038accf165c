"""An experiment with planted results, people in its project, and a report about it."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.test import Client

from tests.webapp.results import planted
from training.spec import RunSpec
from webapp.experiments.models import Arm, Experiment
from webapp.reviews import services
from webapp.reviews.composing import draft
from webapp.reviews.models import Report
from webapp.runs.models import Run
from webapp.teams.models import Membership, Project, Role

EST = RunSpec(methods=("est",))
SEEDS = (1, 2, 3)


def experiment(title: str = "EST on tiny GPT", label: str = "EST", seeds: tuple[int, ...] = SEEDS) -> Experiment:
    """Dense against EST; the closed form disagrees with the planted bills, so that its checklist has open items."""
    found = planted.experiment(title)
    planted.store(found, planted.arm("Dense", [planted.run(seed) for seed in seeds]))
    runs = [planted.run(seed, share=0.9, lag=0.8) for seed in seeds]
    planted.store(found, planted.arm(label, runs, index=1, spec=EST))
    return found


def person(name: str, role: Role | None, project: Project) -> User:
    user = User.objects.create_user(name)
    if role:
        Membership.objects.create(project=project, user=user, role=role)
    return user


def client(user: User) -> Client:
    found = Client()
    found.force_login(user)
    return found


def report(about: Experiment, author: User, body: str = "") -> Report:
    return services.create(about, author, title="EST saves a tenth", body=body or draft(about))


def more_runs(about: Experiment, seeds: tuple[int, ...] = (8, 9)) -> None:
    """What arrives after a report was frozen: more seeds of every arm."""
    for arm in Arm.objects.filter(experiment=about):
        for seed in seeds:
            other = planted.store(planted.experiment(), planted.arm("spare", [planted.run(seed, share=0.5)]))
            Run.objects.filter(arm=other).update(arm=arm)

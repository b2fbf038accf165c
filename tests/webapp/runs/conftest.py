"""A project with an experiment, and runs to claim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest

from training.spec import RunSpec

if TYPE_CHECKING:  # models need the settings, which the session makes after it loaded this file
    from webapp.runs import port
    from webapp.runs.models import Run


class NewRun(Protocol):
    """Makes a queued run; each project name is a project of its own."""

    def __call__(self, project: str = "atlas", seed: int = 0, **fields: Any) -> Run: ...


@pytest.fixture
def new_run(db: None) -> NewRun:
    from webapp.experiments.models import Arm, Experiment
    from webapp.runs.models import Run
    from webapp.teams.models import Project

    def make(project: str = "atlas", seed: int = 0, **fields: Any) -> Run:
        owner, _ = Project.objects.get_or_create(slug=project, defaults={"name": project})
        experiment, _ = Experiment.objects.get_or_create(project=owner, title="Does EST save?")
        spec = RunSpec()
        arm, _ = Arm.objects.get_or_create(
            experiment=experiment,
            digest=spec.digest(),
            defaults={"label": "Dense", "body": spec.model_dump(mode="json")},
        )
        return Run.objects.create(arm=arm, seed=seed, **fields)

    return make


@pytest.fixture
def lease(new_run: NewRun) -> port.Lease:
    """A run that a worker holds and trains."""
    from webapp.runs import port

    new_run()
    held = port.claim("cpu", "cpu-0@here")
    assert held is not None
    port.start(held, {"torch": "2.13.0"})
    return held

"""Adding a method is adding files: a toy in a folder of its own reaches the product with no edit anywhere.

Its three files are below; beside them lies the empty `__init__.py` that makes the folder a package.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CARD = '''"""Shrinks every gradient by a constant factor before the update. It saves nothing; it exists to be found."""

from pydantic import Field

from training.catalog import Card, Claim, Stage
from training.knobs import Knobs
from training.models.shape import Shape


class ToyKnobs(Knobs):
    """One factor."""

    factor: float = Field(0.5, gt=0, le=1, title="Shrinking factor", description="what gradients are multiplied by")


def stages(knobs: ToyKnobs, shape: Shape, context: int) -> tuple[Stage, ...]:
    return (Stage("train", 1.0, shape.train_flops(context)),)


CARD = Card(
    title="Shrunk gradients",
    family="toy",
    paper="https://example.org/toy",
    knobs=ToyKnobs,
    tasks=("language_modelling",),
    claims=(Claim("saves nothing", 0.0, "any", "no paper"),),
    stages=stages,
    owns=("step",),
)
'''
METHOD = '''"""Toy: a hook that shrinks gradients."""

from training.lab import Lab
from training.loop import Hook, Learner, Loop, Until
from training.methods.shrunk.card import ToyKnobs


class Shrink(Hook):
    """Multiplies whatever gradients there are."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def before_update(self, loop: Loop) -> None:
        for weight in loop.learner.model.parameters():
            if weight.grad is not None:
                weight.grad.mul_(self.factor)


def attach(lab: Lab, phase: str, learner: Learner, until: Until, knobs: ToyKnobs) -> list[Hook]:
    return [Shrink(knobs.factor)]
'''
TEST = '''"""What the product makes of the toy."""

from pathlib import Path

import pytest
from django.test import Client
from pydantic import ValidationError

from tests.training.workbench import make_workbench
from training import catalog
from training.spec import RunSpec, problems


def test_shrunk_is_in_the_catalogue() -> None:
    assert catalog.card("shrunk").title == "Shrunk gradients"


def test_shrunk_knobs_are_judged_by_their_own_class() -> None:
    with pytest.raises(ValidationError) as failure:
        RunSpec.model_validate({"methods": ["shrunk"], "knobs": {"shrunk": {"factor": 2}}})
    assert list(problems(failure.value)) == ["knobs.shrunk.factor"]


def test_shrunk_trains_twenty_steps(tmp_path: Path) -> None:
    bench = make_workbench(tmp_path)
    done = bench.train(bench.spec("shrunk", budget={"steps": 20}))
    assert [step for step, _ in done.series("val/loss")][-1] == 20


@pytest.mark.django_db
def test_shrunk_is_in_the_form_with_its_bounds() -> None:
    from webapp.experiments.forms import ExperimentForm
    from webapp.teams.models import Project

    form = ExperimentForm(projects=Project.objects.none(), initial={"arms.0.methods": ["shrunk"]})
    field = str(form["arms.0.knobs.shrunk.factor"])
    assert 'max="1' in field
    assert 'value="0.5"' in field


@pytest.mark.django_db
def test_shrunk_has_a_page_and_is_in_the_schema(client: Client, django_user_model: type) -> None:
    client.force_login(django_user_model.objects.create_user("mia"))
    assert "Shrunk gradients" in client.get("/methods/").content.decode()
    assert "Shrinking factor" in client.get("/api/v1/spec").content.decode()
'''
SITE = """
from pathlib import Path
import training.methods
training.methods.__path__.append(str(Path(__file__).parent / "methods"))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of methods outside the tree; Python's start-up file stands for putting it inside."""
    home = tmp_path_factory.mktemp("addition")
    toy = home / "methods" / "shrunk"
    toy.mkdir(parents=True)
    (toy / "__init__.py").touch()
    (toy / "card.py").write_text(CARD)
    (toy / "method.py").write_text(METHOD)
    (home / "test_shrunk.py").write_text(TEST)
    (home / "sitecustomize.py").write_text(SITE)
    return home


def passed(folder: Path, *tests: str | Path) -> str:
    """Run tests about the toy, with the toy in the catalogue and servers of their own; their output, asserted green."""
    own = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--rootdir", ROOT, "-vv", *tests, "-k", "shrunk"],
        cwd=ROOT, env={**own, "PYTHONPATH": f"{folder}:{ROOT}"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    return done.stdout


def test_a_new_method_reaches_catalogue_spec_form_page_and_training(folder: Path) -> None:
    said = passed(folder, ROOT / "tests" / "conftest.py", folder / "test_shrunk.py")
    assert " 5 passed" in said


def test_conformance_suite_holds_a_new_method_to_everything(folder: Path) -> None:
    said = passed(folder, ROOT / "tests" / "training" / "test_conformance.py")
    assert "test_interruption_changes_nothing[steps-shrunk-language_modelling] PASSED" in said

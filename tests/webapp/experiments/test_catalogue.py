"""Method pages say what was claimed and what was measured, and launch the card's reproduction."""

from __future__ import annotations

import pytest

from tests.webapp.people import member
from training import catalog, composition
from training.evidence import evidence
from webapp.experiments import replication
from webapp.experiments.models import Experiment
from webapp.results.matching import missing_baselines
from webapp.results.selectors import comparison
from webapp.runs.models import Run
from webapp.teams.models import Role

pytestmark = pytest.mark.django_db
CARD = catalog.card("est")


def launched() -> Experiment:
    member().post("/methods/est/replicate/", {"project": "lab", "queue": "cpu"})
    return Experiment.objects.get()


def test_the_button_launches_the_arms_of_the_card_with_seeds_that_nobody_has_used() -> None:
    asked, experiment = CARD.reproduction, launched()
    assert asked is not None
    assert [arm.label for arm in experiment.arms.order_by("pk")] == [arm.label for arm in asked.arms]
    assert Run.objects.count() == len(asked.arms) * len(asked.seeds)
    assert set(Run.objects.values_list("seed", flat=True)) == {3, 4, 5}
    assert replication.fresh_seeds(CARD, experiment.owner) == (6, 7, 8)


def test_the_dense_arm_of_equal_flops_costs_what_the_method_costs() -> None:
    launched()
    specs = {arm.label: arm.spec for arm in replication.arms(CARD.reproduction)} if CARD.reproduction else {}
    assert specs["Dense, equal FLOPs"].train_flops() == pytest.approx(specs["EST"].train_flops(), rel=0.01)


def test_the_reproduction_lacks_no_matched_baseline() -> None:
    found = comparison(launched())
    judged = next(arm for arm in found.arms if arm.label == "EST")
    assert missing_baselines(judged, found.arms) == ()


def test_a_viewer_cannot_launch_it() -> None:
    answer = member(Role.VIEWER).post("/methods/est/replicate/", {"project": "lab"})
    assert (answer.status_code, Experiment.objects.count()) == (404, 0)


@pytest.mark.parametrize("name", ["dense", "nothing"])
def test_what_asks_for_no_reproduction_launches_none(name: str) -> None:
    assert member().post(f"/methods/{name}/replicate/", {"project": "lab"}).status_code == 404


@pytest.mark.parametrize("name", [name for name in catalog.names() if evidence(name)])
def test_the_page_shows_the_verdict_the_runs_the_command_and_every_bar(name: str) -> None:
    found, page = evidence(name), member().get(f"/methods/{name}/").content.decode()
    assert found is not None
    assert found.words[0] in page
    assert all(run.code in page and run.weights[:12] in page for arm in found.arms for run in arm.runs)
    assert "e-17" not in page
    assert "e-09" not in page
    assert found.command in page
    assert found.revision in page
    assert page.count("not passed</span>") == len(found.bars) - len(found.passed)


def test_a_method_that_nobody_measured_says_so() -> None:
    assert "Measured" not in member().get("/methods/dense/").content.decode()


@pytest.mark.parametrize("name", [name for name in catalog.names() if name != "dense"])
def test_the_page_says_what_a_method_is_for_what_it_decides_and_what_it_combines_with(name: str) -> None:
    card, page = catalog.card(name), member().get(f"/methods/{name}/").content.decode()
    fits = page.partition("<h2>Where it fits</h2>")[2].partition("</section>")[0]
    assert all(catalog.task(task).title in fits for task in card.tasks)
    decided = {aspect for aspect, words in catalog.ASPECTS.items() if words in fits}
    assert decided == set(card.owns)
    offered = {other for other in catalog.names() if f'href="/methods/{other}/"' in fits}
    sharing = {
        other
        for other in catalog.names()
        if other not in ("dense", name)
        and not composition.clash(name, other)
        and set(card.tasks) & set(catalog.card(other).tasks)
    }
    assert offered == sharing


def test_the_baseline_decides_nothing() -> None:
    page = member().get("/methods/dense/").content.decode()
    assert "Where it fits" in page
    assert "Decides" not in page

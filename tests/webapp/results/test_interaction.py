"""Methods together are held against the product of what each leaves alone, and called no more than the seeds say."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.webapp.results.planted import arm, comparison, experiment, run, store
from training.spec import Budget, RunSpec
from webapp.results.comparison import Comparison, SeedRun
from webapp.results.interaction import Interaction, in_numbers, interactions

RUN, LOSS = "executed FLOPs, whole run", "executed FLOPs to its final loss"
SPARE = "effective FLOPs, whole run"
EST, SPFDE = ("est",), ("spfde",)
BOTH = (*EST, *SPFDE)


def spec(*methods: str, **changes: object) -> RunSpec:
    return RunSpec.model_validate({"methods": methods, **changes})


def runs(share: float, lag: float = 1.0, *, seeds: int = 3, jitter: float = 0.0) -> list[SeedRun]:
    """Seeds whose cost scatters around the share by so much."""
    return [run(seed, share=share * (1 + jitter * (seed - 1)), lag=lag) for seed in range(seeds)]


def plan(together: Sequence[SeedRun], **changes: object) -> Comparison:
    """Dense, EST at 0.8 of its cost, freezing at 0.7, and both."""
    seeds = len(together)
    return comparison(
        arm("Dense", runs(1.0, seeds=seeds), spec=spec("dense", **changes)),
        arm("EST", runs(0.8, 0.6, seeds=seeds), index=1, spec=spec(*EST, **changes)),
        arm("Freezing", runs(0.7, 0.5, seeds=seeds), index=2, spec=spec(*SPFDE, **changes)),
        arm("Both", together, index=3, spec=spec(*BOTH, **changes)),
    )


def of(found: Comparison, cost: str = RUN) -> Interaction:
    (one,) = [each for each in interactions(found) if each.cost == cost]
    return one


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.56, "costs as the parts"), (0.5, "saves more than the parts"), (0.6, "saves less than the parts")],
)
def test_what_two_methods_save_together_is_held_against_the_product(share: float, words: str) -> None:
    found = of(plan(runs(share)))
    assert 1 - (found.together.value or 0) == pytest.approx(share)
    assert 1 - (found.product.value or 0) == pytest.approx(0.8 * 0.7)
    assert found.words == words
    assert f"needs {share:.3f}" in found.sentence
    assert words in found.sentence


def test_a_difference_within_the_interval_is_none() -> None:
    assert of(plan(runs(0.54, jitter=0.1))).words == "costs as the parts, within the interval"
    assert of(plan(runs(0.54, jitter=0.001))).words == "saves more than the parts"


def test_below_three_seeds_nothing_is_said_but_the_shares() -> None:
    found = of(plan(runs(0.5, seeds=2)))
    assert "0.500" in found.sentence
    assert found.words == "not judged: no interval: 2 of 3 seeds needed"


def test_effective_flops_stand_apart() -> None:
    sparse = [replace(r, lines=tuple(replace(each, effective=0.5 * each.effective) for each in r.lines))
              for r in runs(0.56)]  # fmt: skip
    found = plan(sparse)
    assert of(found).words == "costs as the parts"
    assert of(found, SPARE).words == "saves more than the parts"
    assert 1 - (of(found, SPARE).together.value or 0) == pytest.approx(0.28)


@pytest.mark.parametrize(("lag", "words"), [(0.2, "saves more"), (0.45, "saves less")])
def test_at_equal_loss_the_cost_to_reach_it_counts(lag: float, words: str) -> None:
    found = of(plan(runs(0.56, lag)), LOSS)
    assert 1 - (found.together.value or 0) == pytest.approx(lag, rel=0.05)
    assert 1 - (found.product.value or 0) == pytest.approx(0.6 * 0.5, rel=0.05)
    assert found.words.startswith(words)


def test_a_seed_that_did_not_reach_the_loss_leaves_no_figure() -> None:
    found = of(plan(runs(0.56, 1.0)), LOSS)
    assert found.together.value is None
    assert found.words.startswith("not shown: not every seed reached it")


def test_an_unmatched_comparison_withholds_equal_loss() -> None:
    slow = plan(runs(0.56, 0.2), optim={"floor": 0.5})
    assert of(slow, LOSS).words.startswith("not shown: ")
    assert of(slow).words == "costs as the parts"


def test_a_part_with_other_knobs_settings_or_budget_is_no_part() -> None:
    found = plan(runs(0.56))
    for changes in ({"knobs": {"est": {"heads": 0.25}}}, {"batch_size": 32}, {"budget": {"steps": 601}}):
        other = replace(found.arms[1], spec=spec(*EST, **changes))
        assert interactions(replace(found, arms=(found.arms[0], other, *found.arms[2:]))) == ()
    assert interactions(replace(found, arms=found.arms[1:])) == ()
    both = replace(found.arms[3], spec=spec(*BOTH, knobs={"est": {"heads": 0.25}}))
    assert interactions(replace(found, arms=(*found.arms[:3], both))) == ()


def test_a_budget_in_flops_makes_whole_runs_alike_and_is_judged_at_equal_loss_alone() -> None:
    found = interactions(plan(runs(0.56), budget=Budget(flops=1e12).model_dump()))
    assert {each.cost for each in found} == {LOSS, LOSS.replace("executed", "effective")}


def test_the_export_has_the_numbers_of_the_words() -> None:
    (row,) = [row for row in in_numbers(interactions(plan(runs(0.5)))).rows if row[2] == RUN]
    assert row[3] == pytest.approx(0.5)
    assert row[6] == pytest.approx(0.56)
    assert row[9] == pytest.approx(0.5 / 0.56)


@pytest.mark.django_db
def test_the_savings_tab_shows_it_with_its_export() -> None:
    user, client = User.objects.create_user("ada"), Client()
    client.force_login(user)
    found = experiment(user=user)
    for each in plan(runs(0.5)).arms:
        store(found, each)
    page = client.get(f"/experiments/{found.code}/?tab=savings").content.decode()
    assert "Methods together" in page
    assert "saves more than the parts" in page
    sheet = client.get(reverse("experiment-export", args=[found.code, "interaction", "csv"])).content.decode()
    rows = list(csv.DictReader(io.StringIO(sheet)))
    assert [float(row["together"]) for row in rows if row["cost"] == RUN] == [pytest.approx(0.5)]


@pytest.mark.django_db
def test_without_a_combination_there_is_no_such_panel() -> None:
    user, client = User.objects.create_user("ada"), Client()
    client.force_login(user)
    found = experiment(user=user)
    for each in plan(runs(0.5)).arms[:3]:
        store(found, each)
    assert "Methods together" not in client.get(f"/experiments/{found.code}/?tab=savings").content.decode()

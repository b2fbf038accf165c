"""What a reviewer would ask first, computed from the results: no item can be ticked by hand."""

from __future__ import annotations

from collections.abc import Callable

from django.urls import reverse

from webapp.results import closed_forms, matching
from webapp.results.ask import Tab
from webapp.results.comparison import Comparison, SeedRun, Unit
from webapp.results.statistics import FEWEST
from webapp.reviews.document import Item


def checklist(comparison: Comparison) -> tuple[Item, ...]:
    """Five items, each with its evidence and where to see it."""
    return tuple(
        Item(title=title, is_met=not faults, evidence="; ".join(faults) or fine, link=_link(comparison, tab))
        for title, tab, judge in ITEMS
        for faults, fine in [judge(comparison)]
    )


Judged = tuple[list[str], str]
"""What stands against an item, and what to say where nothing does."""


def _seeds(comparison: Comparison) -> Judged:
    counts = {arm.label: len(arm.finished) for arm in comparison.arms}
    faults = [f"{label}: {count} finished, {FEWEST} needed" for label, count in counts.items() if count < FEWEST]
    told = ", ".join(f"{label} {count}" for label, count in counts.items())
    return (faults if counts else ["there are no arms"]), f"finished seeds: {told}"


def _baselines(comparison: Comparison) -> Judged:
    methods = [arm for arm in comparison.rivals if not arm.is_dense]
    faults = [
        f"{arm.label}: {problem}" for arm in methods for problem in matching.problems(arm, comparison.baseline)
    ] + [
        f"{arm.label}: no dense baseline at {kind}"
        for arm in methods
        for kind in matching.missing_baselines(arm, comparison.arms)
    ]
    fine = "every method has a dense baseline in its own setting at equal steps and at equal FLOPs"
    return (faults if methods else ["there is no method to compare with a baseline"]), fine


def _ledger(comparison: Comparison) -> Judged:
    """Each arm against its closed form, and each run's bill against the total its curve counted."""
    near = closed_forms.TOLERANCE
    forms = closed_forms.checks(comparison)
    faults = [
        f"{form.arm.label}: counted {form.error:+.1%} off its formula" for form in forms if abs(form.error) > near
    ]
    runs = [(arm.label, run) for arm in comparison.arms for run in arm.finished]
    gaps = [(label, run.seed, _gap(run)) for label, run in runs]
    faults += [f"{label}, seed {seed}: bill and curve differ by {gap:.1%}" for label, seed, gap in gaps if gap > near]
    if not forms:
        return ["no finished run has a bill"], ""
    worst = max(abs(form.error) for form in forms)
    return (
        faults,
        f"largest difference from a closed form {worst:.2%}, between bill and curve {max(g for *_, g in gaps):.2%}",
    )


def _gap(run: SeedRun) -> float:
    """By which share of the larger one bill and curve differ; 1 where either is missing."""
    billed = run.total(Unit.EXECUTED) or 0.0
    drawn = run.evaluations[-1].executed if run.evaluations else 0.0
    return abs(billed - drawn) / max(billed, drawn) if billed and drawn else 1.0


def _evaluations(comparison: Comparison) -> Judged:
    """Every arm has every test, in the same version: scores of another version are another test."""
    tests = comparison.tests
    faults = [
        f"{arm.label} lacks {test.title}"
        for arm in comparison.arms
        for test in tests
        if test not in {score.test for score in arm.scores}
    ]
    titles = ", ".join(test.title for test in tests)
    return faults, f"the same in all arms: {titles or 'validation loss, no downstream test was asked for'}"


def _endings(comparison: Comparison) -> Judged:
    """Every run that was launched has succeeded with a finite loss; those that did not are named."""
    runs = [(arm.label, run) for arm in comparison.arms for run in arm.runs]
    faults = [
        f"{label}, seed {run.seed}: {'no finite final loss' if run.succeeded else run.state}"
        for label, run in runs
        if not run.succeeded or run.final_loss is None
    ]
    return (faults if runs else ["no run was launched"]), f"all {len(runs)} runs that were launched succeeded"


ITEMS: tuple[tuple[str, Tab | None, Callable[[Comparison], Judged]], ...] = (
    ("At least 3 seeds in every arm", Tab.CURVES, _seeds),
    ("Matched baselines are present", Tab.SAVINGS, _baselines),
    ("The ledger is complete", Tab.LEDGER, _ledger),
    ("Evaluation versions are equal across arms", Tab.EVALUATION, _evaluations),
    ("No run failed silently", None, _endings),
)


def _link(comparison: Comparison, tab: Tab | None) -> str:
    page = reverse("experiment", args=[comparison.code])
    return f"{page}?tab={tab.value}" if tab else f"{page}#title-arms"

"""A finished reproduction as evidence: every bar of the card measured, every number with its runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np

from training.catalog import Card
from training.evidence import Evidence, MeasuredArm, MeasuredBar, MeasuredRun, MeasuredSaving
from training.records import Purpose
from training.reproduction import Bar, Gap
from webapp.experiments.models import Experiment
from webapp.results import selectors
from webapp.results.comparison import ArmResult, Comparison, SeedRun, Unit
from webapp.results.savings import Finding, final_losses, findings
from webapp.results.statistics import paired_difference
from webapp.results.wording import answer
from webapp.runs.models import Artifact, Run, State


class Unfinished(ValueError):
    """The experiment is no evidence: a run did not succeed, or an arm of the card is missing."""


class Results:
    """The answers to the bars' questions, from a comparison; `training.reproduction.Measured`."""

    def __init__(self, comparison: Comparison) -> None:
        self.arms = {arm.label: arm for arm in comparison.arms}

    def loss_at(self, arm: str, progress: float) -> float:
        asked = progress * self.arms[arm].spec.steps()
        losses = [_loss_from(run, asked) for run in self.arms[arm].finished]
        return float(np.mean(losses))

    def gap(self, arm: str, against: str) -> Gap:
        found = paired_difference(final_losses(self.arms[arm]), final_losses(self.arms[against]))
        if found.value is None or found.interval is None:
            raise Unfinished(f"{arm} against {against}: {found.note}")
        return Gap(found.value, found.interval.low, found.interval.high)

    def block_flops(self, arm: str) -> float:
        head = float(self.arms[arm].spec.shape.head_train_flops)
        lines = [line for run in self.arms[arm].finished for line in run.lines if line.purpose is Purpose.TRAIN]
        return sum(line.executed - head * line.tokens for line in lines) / len(self.arms[arm].finished)

    def cost(self, arm: str, unit: str) -> float:
        found = self.arms[arm].totals(Unit(unit))
        if found is None:
            raise Unfinished(f"{arm} has no {Unit(unit).label}")
        return found.value

    def score(self, arm: str, test: str) -> float:
        return float(np.mean(list(self._by_seed(arm, test).values())))

    def score_gap(self, arm: str, test: str, against: str, other: str = "") -> Gap:
        found = paired_difference(self._by_seed(arm, test), self._by_seed(against, other or test))
        if found.value is None or found.interval is None:
            raise Unfinished(f"{test} of {arm} against {against}: {found.note}")
        return Gap(found.value, found.interval.low, found.interval.high)

    def _by_seed(self, arm: str, test: str) -> Mapping[int, float]:
        found = [score for score in self.arms[arm].scores if f"{score.test.task} {score.test.metric}" == test]
        if not found:
            raise Unfinished(f"{arm} has no score {test!r}")
        return found[0].by_seed


def _loss_from(run: SeedRun, steps: float) -> float:
    """The loss at the first evaluation from this step on; evaluations lie on whole steps."""
    losses = [at.loss for at in run.evaluations if at.steps >= steps - 0.5 and at.loss is not None]
    if not losses:
        raise Unfinished(f"run {run.code} has no finite evaluation from step {steps:.0f} on")
    return losses[0]


def gathered(card: Card, experiment: Experiment, *, command: str) -> Evidence:
    """The evidence of an experiment that ran this card's reproduction to its end; Unfinished if it did not."""
    asked = card.reproduction
    rows = list(Run.objects.filter(arm__experiment=experiment).order_by("pk"))
    if asked is None or not rows or any(row.state != State.SUCCEEDED for row in rows):
        raise Unfinished(f"not every run of {experiment.code} succeeded")
    comparison, environment = selectors.comparison(experiment), rows[0].environment
    finding = _judged(comparison, asked.judged)
    said, measured = answer(finding), Results(comparison)
    return Evidence(
        method=card.name, measured=max(_day(row) for row in rows), command=command,
        revision=environment["revision"], device=environment["device"], threads=environment["threads"],
        experiment=experiment.code, judged=asked.judged,
        arms=tuple(_arm(arm, _weights(experiment)) for arm in comparison.arms),
        saving=_saving(finding), verdict=finding.judgement.verdict.value, words=(said.strong, *said.sentences),
        bars=tuple(_bar(bar, bar.measure(measured)) for bar in asked.bars),
    )  # fmt: skip


def _bar(bar: Bar, value: float) -> MeasuredBar:
    return MeasuredBar(
        text=bar.text, value=value, at_least=bar.at_least, at_most=bar.at_most, passed=bar.passes(value)
    )  # fmt: skip


def _judged(comparison: Comparison, label: str) -> Finding:
    found = [finding for finding in findings(comparison) if finding.arm.label == label]
    if not found:
        raise Unfinished(f"{comparison.code} has no arm {label}")
    return found[0]


def _day(row: Run) -> date:
    assert row.finished_at is not None, "a run that succeeded has finished"
    return row.finished_at.date()


def _weights(experiment: Experiment) -> dict[str, str]:
    """SHA-256 of the newest weights by run."""
    rows = Artifact.objects.filter(run__arm__experiment=experiment, kind="weights").order_by("fence")
    return dict(rows.values_list("run__code", "sha256"))


def _arm(arm: ArmResult, weights: dict[str, str]) -> MeasuredArm:
    loss, executed = arm.final_loss, arm.totals(Unit.EXECUTED)
    if loss is None or loss.stderr is None or executed is None:
        raise Unfinished(f"{arm.label} has too few finite losses")
    return MeasuredArm(
        label=arm.label, spec=arm.spec, digest=arm.spec.digest(), loss=loss.value, stderr=loss.stderr,
        executed_flops=executed.value, runs=tuple(_run(run, weights[run.code]) for run in arm.runs),
    )  # fmt: skip


def _run(run: SeedRun, weights: str) -> MeasuredRun:
    return MeasuredRun(
        code=run.code, seed=run.seed, weights=weights, executed_flops=run.total(Unit.EXECUTED) or 0.0,
        effective_flops=run.total(Unit.EFFECTIVE) or 0.0, wall_seconds=run.total(Unit.SECONDS) or 0.0,
        evaluations=tuple((at.steps, at.executed, at.loss) for at in run.evaluations if at.loss is not None),
    )  # fmt: skip


def _saving(finding: Finding) -> MeasuredSaving:
    if finding.headline is None:
        raise Unfinished("the baseline has no final loss to reach")
    target, found = finding.headline
    span = found.interval
    return MeasuredSaving(
        target=target.loss, value=found.value, n=found.n, bound=found.bound, note=found.note,
        low=span.low if span else None, high=span.high if span else None, interval=span.method if span else "",
    )  # fmt: skip

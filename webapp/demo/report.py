"""The demo's tables on a terminal: runs while they go, and the comparison at the end."""

from __future__ import annotations

from collections.abc import Sequence

from webapp.experiments.models import Experiment
from webapp.results import savings, selectors
from webapp.results.comparison import Comparison, Mean, Unit
from webapp.results.statistics import Estimate
from webapp.runs.models import Run


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first is text, the others are aligned right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(line))
        for line in ([*zip(row, widths, strict=True)] for row in lines)
    )


def amount(flops: float) -> str:
    """`1.25e13` as `12.5 T`."""
    for prefix in ("", "k", "M", "G", "T", "P"):
        if abs(flops) < 1000:
            return f"{flops:.3g} {prefix}"
        flops /= 1000
    return f"{flops:.3g} E"


def progress(experiment: Experiment) -> str:
    """One line per run."""
    rows = [
        (
            f"{run.arm.label}, seed {run.seed}", run.state, f"{run.progress:.0%}", str(run.step),
            f"{amount(run.executed_flops)}FLOPs", "" if run.final_loss is None else f"{run.final_loss:.3f}",
        )
        for run in Run.objects.filter(arm__experiment=experiment).select_related("arm").order_by("arm", "seed")
    ]  # fmt: skip
    return table(("run", "state", "done", "step", "executed", "val loss"), rows)


def comparison(experiment: Experiment) -> str:
    """What the compare page says, in two tables."""
    found = selectors.comparison(experiment)
    parts = [table(("arm", "seeds", "executed FLOPs", "val loss", *_tests(found)), _arms(found))]
    for finding in savings.findings(found, Unit.EXECUTED):
        budget, headline = finding.budget, finding.headline
        parts += [
            f"{finding.arm.label} against the baseline: {finding.judgement.verdict}, "
            f"because {'; '.join(finding.judgement.reasons)}.",
            f"  FLOPs saved at equal {budget.kind}: {_percent(budget.saving)}; validation loss {_nats(budget.loss)}."
            if budget
            else "  No equal budget.",
            f"  FLOPs saved at equal loss {headline[0].loss:.3f}: {_percent(headline[1])}."
            if headline
            else "  No target loss that every seed of the baseline reaches.",
        ]
    return "\n".join(parts)


def _tests(found: Comparison) -> list[str]:
    return [f"{test.task} {test.metric}" for test in found.tests]


def _arms(found: Comparison) -> list[list[str]]:
    rows = []
    for arm in found.arms:
        scores = {score.test: score.mean for score in arm.scores}
        flops = arm.totals(Unit.EXECUTED)
        cells = [amount(flops.value) if flops else "-", _mean(arm.final_loss)]
        rows.append([arm.label, str(len(arm.finished)), *cells, *(_mean(scores.get(test)) for test in found.tests)])
    return rows


def _mean(mean: Mean | None) -> str:
    if mean is None:
        return "-"
    return f"{mean.value:.3f}" + ("" if mean.stderr is None else f" ± {mean.stderr:.3f}")


def _percent(estimate: Estimate) -> str:
    return _estimate(estimate, 100, ".1f", " %")


def _nats(estimate: Estimate) -> str:
    return _estimate(estimate, 1, "+.3f", " nats")


def _estimate(estimate: Estimate, scale: float, form: str, unit: str) -> str:
    if estimate.value is None:
        return f"unknown ({estimate.note})"
    text = f"{estimate.bound} {scale * estimate.value:{form}}{unit}".strip()
    span = estimate.interval
    return f"{text} [{scale * span.low:{form}}, {scale * span.high:{form}}; {span.method}]" if span else text

"""The demo's tables on a terminal: runs while they go, and the comparison at the end."""

from __future__ import annotations

from collections.abc import Sequence

from webapp.experiments.models import Experiment
from webapp.results import closed_forms, notation, selectors, summary
from webapp.results.comparison import Unit
from webapp.results.savings import findings
from webapp.results.wording import answers
from webapp.runs.models import TERMINAL, Run, State


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first is text, the others are aligned right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = (head, ["-" * width for width in widths], *rows)
    return "\n".join("  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines)


def progress(experiment: Experiment) -> str:
    """One line per run."""
    runs = Run.objects.filter(arm__experiment=experiment).select_related("arm").order_by("arm", "seed")
    rows = [
        (
            f"{run.arm.label}, seed {run.seed}",
            run.state,
            f"{run.progress:.0%}",
            notation.quantity(run.executed_flops, Unit.EXECUTED) if run.executed_flops else notation.NONE,
            notation.NONE if run.final_loss is None else f"{run.final_loss:.3f}",
        )
        for run in runs
    ]
    return table(("run", "state", "done", "executed", "val/loss"), rows)


def failures(experiment: Experiment) -> str:
    """Why runs ended without success, a line each; empty if none did."""
    ended = Run.objects.filter(arm__experiment=experiment, state__in=TERMINAL).exclude(state=State.SUCCEEDED)
    return "\n".join(
        f"{run.arm.label}, seed {run.seed} {run.state}: {run.failure}. {run.failure_text}"
        for run in ended.select_related("arm").order_by("arm", "seed")
    )


def comparison(experiment: Experiment) -> str:
    """What the compare page says: a column per arm, then the answer in words."""
    found = selectors.comparison(experiment)
    arms = summary.comparison_table(found)
    names = list(arms[0])[1:]
    lines = table(("", *(arm["arm"] for arm in arms)), [(name, *(arm[name] for arm in arms)) for name in names])
    formulas = closed_forms.table(found)
    checked = table(formulas.headings, [[str(cell) for cell in row] for row in formulas.rows])
    said = answers(findings(found))
    return "\n\n".join([lines, checked, *(" ".join((answer.strong, *answer.sentences)) for answer in said)])

"""The downstream tasks of language models by name. All are offline, on real held-out text, the same for every arm."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from training.evaluation import choice, cloze, probe
from training.evaluation.finished import Finished
from training.records import Score

TASKS: dict[str, Callable[[Finished], list[Score]]] = {
    "cloze": cloze.score,
    "choice": choice.score,
    "probe": probe.score,
}


def judge(finished: Finished, evals: Sequence[str]) -> list[Score]:
    """The scores of the named tasks; a task with too few items in the held-out text gives none."""
    return [score for name in evals for score in TASKS[name](finished)]

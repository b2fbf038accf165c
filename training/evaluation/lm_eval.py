"""Scores in the shape of lm-evaluation-harness's results file, for tools that read it. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from training.records import Score

FILTER = "none"
"""lm-eval names a filter after each metric; nothing is filtered here."""


def lm_eval_json(scores: Iterable[Score], *, model: str = "", revision: str = "") -> dict[str, Any]:
    """`results_<date>.json` of lm-eval 0.4; chance levels stand in `configs`, which lm-eval leaves open."""
    tasks: dict[str, list[Score]] = {}
    for score in scores:
        tasks.setdefault(score.task, []).append(score)
    return {
        "results": {task: _metrics(task, found) for task, found in tasks.items()},
        "group_subtasks": {task: [] for task in tasks},
        "configs": {task: _config(task, found) for task, found in tasks.items()},
        "versions": {task: found[0].version for task, found in tasks.items()},
        "n-shot": {task: found[0].shots for task, found in tasks.items()},
        "higher_is_better": {task: {s.metric: s.higher_is_better for s in found} for task, found in tasks.items()},
        "n-samples": {task: {"original": found[0].n, "effective": found[0].n} for task, found in tasks.items()},
        "config": {"model": model},
        "git_hash": revision,
    }


def _metrics(task: str, scores: list[Score]) -> dict[str, Any]:
    """`acc,none` with its twin `acc_stderr,none`; lm-eval writes N/A for an unknown error."""
    metrics: dict[str, Any] = {"alias": task}
    for score in scores:
        metrics[f"{score.metric},{FILTER}"] = score.value
        metrics[f"{score.metric}_stderr,{FILTER}"] = "N/A" if score.stderr is None else score.stderr
    return metrics


def _config(task: str, scores: list[Score]) -> dict[str, Any]:
    first = scores[0]
    chance = {score.metric: score.chance for score in scores if score.chance is not None}
    return {
        "task": task,
        "test_split": first.split,
        "num_fewshot": first.shots,
        "metric_list": [{"metric": score.metric, "higher_is_better": score.higher_is_better} for score in scores],
        "metadata": {"version": first.version, "chance": chance},
    }

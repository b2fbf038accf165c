from __future__ import annotations

import json

from training.evaluation.finished import Finished
from training.evaluation.lm_eval import lm_eval_json
from training.evaluation.suite import judge
from training.records import Score

SCORES = [
    Score("cloze", "acc", "test", 0.05, 0.01, 400, 1, True, chance=0.02),
    Score("choice", "acc", "test", 0.40, 0.03, 250, 2, True, chance=0.25),
    Score("choice", "acc_norm", "test", 0.45, 0.03, 250, 2, True, chance=0.25),
    Score("language_modelling", "bits_per_byte", "test", 1.9, None, 1, 1, False),
]


def test_metrics_stand_beside_their_errors_under_lm_evals_keys() -> None:
    results = lm_eval_json(SCORES)["results"]
    assert results["cloze"] == {"alias": "cloze", "acc,none": 0.05, "acc_stderr,none": 0.01}
    assert results["choice"]["acc_norm,none"] == 0.45
    assert results["language_modelling"]["bits_per_byte_stderr,none"] == "N/A"


def test_the_file_has_lm_evals_top_level_keys() -> None:
    document = lm_eval_json(SCORES, model="gpt2-tiny", revision="abc")
    keys = {"results", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better", "n-samples", "git_hash"}
    assert keys <= document.keys()
    assert document["git_hash"] == "abc"


def test_versions_shots_samples_and_directions_are_kept_per_task() -> None:
    document = lm_eval_json(SCORES)
    assert document["versions"] == {"cloze": 1, "choice": 2, "language_modelling": 1}
    assert document["n-shot"]["choice"] == 0
    assert document["n-samples"]["choice"] == {"original": 250, "effective": 250}
    assert document["higher_is_better"]["choice"] == {"acc": True, "acc_norm": True}
    assert document["higher_is_better"]["language_modelling"] == {"bits_per_byte": False}


def test_chance_levels_are_kept_in_the_configs() -> None:
    assert lm_eval_json(SCORES)["configs"]["choice"]["metadata"]["chance"] == {"acc": 0.25, "acc_norm": 0.25}


def test_real_scores_survive_a_json_round_trip(finished: Finished) -> None:
    document = lm_eval_json(judge(finished, ("cloze", "choice", "probe")))
    assert json.loads(json.dumps(document)) == document
    assert list(document["results"]) == ["cloze", "choice", "probe"]

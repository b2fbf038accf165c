from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.workbench import CPU
from training import catalog
from training.data import sotu
from training.data.prepare import prepare
from training.evaluation import suite
from training.evaluation.finished import Finished
from training.models.build import build
from training.outcome import Outcome
from training.spec import DataSpec, ModelSpec, RunSpec
from training.tasks.language_modelling.task import LanguageModelling


@pytest.fixture
def small(tmp_path: Path) -> LanguageModelling:
    """A text whose test part is some sentences long."""
    (tmp_path / "small.txt").write_text(sotu.addresses()[0].text[:6000], encoding="utf-8")
    spec = RunSpec(
        data=DataSpec(source="text:small.txt", vocab_size=300, context=16), model=ModelSpec(preset="gpt2-nano")
    )
    return LanguageModelling(spec, prepare(spec.data, cache_root=tmp_path / "cache", data_root=tmp_path), CPU)


def test_every_task_that_a_spec_may_name_is_here() -> None:
    assert set(suite.TASKS) == set(catalog.task("language_modelling").evals)


def test_scores_come_in_the_order_asked_for(finished: Finished) -> None:
    assert [score.task for score in suite.judge(finished, ("choice", "cloze"))] == ["choice"] * 2 + ["cloze"] * 2


def test_every_accuracy_states_its_chance_level(finished: Finished) -> None:
    scores = suite.judge(finished, ("cloze", "choice", "probe"))
    assert all(score.chance is not None and 0 < score.chance < 0.5 for score in scores if score.metric != "perplexity")


def test_held_out_text_too_short_for_a_task_gives_no_score_rather_than_a_zero(small: LanguageModelling) -> None:
    model = build(small.spec.shape).eval()
    assert {score.task for score in small.score(Outcome(model), ("cloze", "choice"))} == {"language_modelling"}


def test_the_probe_reads_the_shipped_addresses_whatever_was_trained_on(small: LanguageModelling) -> None:
    model = build(small.spec.shape).eval()
    *_, probe = small.score(Outcome(model), ("probe",))
    assert (probe.task, probe.n) == ("probe", 376)

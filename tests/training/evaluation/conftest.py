"""One small network, trained for some steps on the shipped corpus."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.training.workbench import CPU
from training.data.prepare import prepare
from training.evaluation.finished import Finished
from training.models.build import build
from training.spec import DataSpec, ModelSpec, RunSpec
from training.tasks.language_modelling.task import LanguageModelling

SPEC = RunSpec(data=DataSpec(vocab_size=512, context=64), model=ModelSpec(preset="gpt2-nano"))


@pytest.fixture(scope="package")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    place = tmp_path_factory.mktemp("corpus")
    corpus = prepare(SPEC.data, cache_root=place, data_root=place)
    task = LanguageModelling(SPEC, corpus, CPU)
    torch.manual_seed(0)
    model = build(SPEC.shape)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(100):
        optimizer.zero_grad()
        task.loss(model, task.batch(torch.arange(step * 16, step * 16 + 16))).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    model.eval()
    return Finished(model, model, corpus, context=64, vocabulary=512, device=CPU)


@pytest.fixture(autouse=True)
def without_gradients(finished: Finished) -> Iterator[None]:
    with torch.no_grad():
        yield

"""Two texts in one task: numbered one after the other, cut by one tokenizer, judged apart."""

from __future__ import annotations

import hashlib
import lzma
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from tests.training.workbench import Workbench
from training.data import stdlib
from training.data.check import DataError
from training.data.mixture import prepare
from training.spec import DataSpec, RunSpec


def test_both_texts_share_a_tokenizer(bench: Workbench) -> None:
    task = bench.task(bench.spec(task="text_mixture"))
    general, domain = task.general.corpus, task.domain.corpus
    assert (general.folder / "tokenizer.json").read_text() == (domain.folder / "tokenizer.json").read_text()
    assert "Congress" in "".join(general.documents("train"))
    assert "def __init__" in "".join(domain.documents("train"))


def test_a_batch_keeps_the_order_that_was_asked_for(bench: Workbench) -> None:
    task = bench.task(bench.spec(task="text_mixture"))
    index = torch.tensor([task.general.size, 0, task.size - 1, 5])
    rows = task.batch(index)["tokens"]
    assert torch.equal(rows[1], task.general.batch(torch.tensor([0]))["tokens"][0])
    assert torch.equal(rows[0], task.domain.batch(torch.tensor([0]))["tokens"][0])
    assert torch.equal(rows[2], task.domain.batch(torch.tensor([task.domain.size - 1]))["tokens"][0])
    assert torch.equal(rows[3], task.general.batch(torch.tensor([5]))["tokens"][0])


def test_a_network_that_ends_is_judged_on_each_text(bench: Workbench) -> None:
    done = bench.train(bench.spec(task="text_mixture"))
    found = {(score.task, score.metric) for score in done.lab.score(done.outcome)}
    assert {("general", "loss"), ("domain", "loss"), ("validation", "loss")} <= found


def test_the_shipped_source_code_is_the_one_described() -> None:
    described = Path(stdlib.FILE).with_name("PYTHON-STDLIB.md").read_text()
    assert hashlib.sha256(lzma.decompress(stdlib.FILE.read_bytes())).hexdigest() in described
    texts = stdlib.read()
    assert [len(part) for part in texts.parts().values()] == [267, 34, 34]
    assert not set(texts.train) & {*texts.validation, *texts.test}


def test_a_domain_is_a_text_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="names no text"):
        RunSpec.model_validate({"task": "text_mixture", "data": {"domain": "nowhere"}})
    with pytest.raises(ValidationError, match="the same text twice"):
        RunSpec.model_validate({"task": "text_mixture", "data": {"source": "sotu", "domain": "sotu"}})
    with pytest.raises(DataError, match=r"data\.domain: no file"):
        prepare(DataSpec(domain="text:absent"), cache_root=tmp_path, data_root=tmp_path)

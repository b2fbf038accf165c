from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.training.workbench import Memory, Workbench
from training import catalog
from training.data.spans import lengths
from training.data.tokens import END
from training.flops import counted
from training.outcome import Outcome
from training.spec import DataSpec, RunSpec
from training.tasks.span_corruption.corruption import END_ID, corrupt, missing_spans

VOCABULARY = 512


def draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def text(rows: int, context: int) -> Tensor:
    return torch.randint(1, VOCABULARY, (rows, context), generator=draw(0))


@pytest.mark.parametrize("context", [8, 17, 64, 128, 568])
def test_source_and_target_together_are_the_text(context: int) -> None:
    tokens, sizes = text(20, context), lengths(context)
    source, target = corrupt(tokens, VOCABULARY, draw(1))
    assert source.shape == (20, sizes.source)
    assert target.shape == (20, sizes.target)
    for read, written, whole in zip(source.tolist(), target.tolist(), tokens.tolist(), strict=True):
        assert read.pop() == written.pop() == END_ID
        spans: dict[int, list[int]] = {}
        for token in written:
            spans.setdefault(token, []) if token >= VOCABULARY else spans[max(spans)].append(token)
        assert list(spans) == list(range(VOCABULARY, VOCABULARY + sizes.spans))
        assert all(spans.values())
        assert [piece for token in read for piece in spans.pop(token, [token])] == whole
        assert not spans


@pytest.mark.parametrize("context", [8, 17, 64, 568])
def test_every_row_loses_equally_many_tokens_in_equally_many_spans(context: int) -> None:
    missing = missing_spans(50, context, draw(2)).long()
    sizes = lengths(context)
    assert set(missing.sum(1).tolist()) == {sizes.corrupted}
    assert set((missing.diff(dim=1) == 1).sum(1).tolist()) == {sizes.spans}
    assert not missing[:, 0].any()


def test_spans_are_about_15_percent_and_3_tokens_long_and_lie_everywhere() -> None:
    missing = missing_spans(4000, 128, draw(3))
    assert lengths(128)[:2] == (19, 6)
    share = missing.float().mean(0)
    assert share[20:120].min() > 0.11
    assert share[20:120].max() < 0.19
    sizes = {len(span) for row in missing[:200].long().tolist() for span in "".join(map(str, row)).split("0") if span}
    assert {1, 2, 3, 4, 5, 6} <= sizes


def test_the_text_is_left_as_it_was() -> None:
    tokens = text(4, 64)
    before = tokens.clone()
    corrupt(tokens, VOCABULARY, draw(1))
    assert torch.equal(tokens, before)


def test_the_end_is_the_tokenizers_end(bench: Workbench) -> None:
    corpus = bench.corpus(bench.spec(task="span_corruption").data)
    assert corpus.tokenizer.token_to_id(END) == END_ID


def test_a_batch_is_a_function_of_torchs_generator(bench: Workbench) -> None:
    task = bench.task(bench.spec(task="span_corruption"))
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(task.batch(torch.arange(4))["source"])
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_held_out_text_is_corrupted_the_same_way_for_every_run(bench: Workbench) -> None:
    first = bench.task(bench.spec(task="span_corruption")).held_out("validation")
    torch.manual_seed(7)
    other = bench.task(bench.spec(task="span_corruption", batch_size=8)).held_out("validation")
    assert all(torch.equal(first[name], other[name]) for name in ("source", "target"))


def test_the_decoder_reads_nothing_of_what_it_has_yet_to_write(bench: Workbench) -> None:
    task = bench.task(bench.spec(task="span_corruption"))
    seen: list[Tensor] = []

    def predict(source: Tensor, written: Tensor) -> Tensor:
        seen.append(written)
        return torch.zeros(*written.shape, task.spec.shape.vocab)

    assert task.validate(predict)["loss"] == pytest.approx(math.log(task.spec.shape.vocab), rel=1e-5)
    target = task.held_out("validation")["target"]
    assert torch.equal(torch.cat(seen)[:, 1:], target[:, :-1])
    assert set(torch.cat(seen)[:, 0].tolist()) == {END_ID}


def test_a_step_costs_what_the_shape_says_per_token_of_text(bench: Workbench) -> None:
    spec = bench.spec(task="span_corruption")
    lab = bench.lab(spec, Memory())
    batch, model = lab.task.batch(torch.arange(4)), lab.build()
    with counted() as counter:
        torch.autograd.backward(lab.task.loss(model, batch))
    tokens = 4 * lab.task.tokens_per_example
    assert lab.task.tokens_per_example == spec.length == 32
    assert counter.get_total_flops() == pytest.approx(tokens * spec.shape.train_flops(spec.length), rel=1e-9)


def test_the_vocabulary_has_a_sentinel_per_span() -> None:
    for context in (8, 64, 568):
        data = DataSpec(context=context, vocab_size=1000)
        assert catalog.task("span_corruption").shape(data, "t5-tiny").vocab == 1000 + lengths(context).spans


def test_a_spec_that_names_the_task_alone_is_complete() -> None:
    spec = RunSpec.model_validate({"task": "span_corruption"})
    assert (spec.model.preset, spec.evals) == ("t5-tiny", ())


def test_the_loss_falls_and_the_test_part_is_scored(bench: Workbench) -> None:
    spec = bench.spec(task="span_corruption", budget={"steps": 60}, batch_size=16)
    done = bench.train(spec)
    losses = [value for _, value in done.series("val/loss")]
    assert losses[-1] < losses[0] < math.log(spec.shape.vocab) + 1
    tested = [score for score in done.lab.score(done.outcome) if score.split == "test"]
    assert [score.metric for score in tested] == ["loss"]
    assert tested[0].value == pytest.approx(losses[-1], abs=1)
    assert tested[0].n > 1
    again = done.lab.task.score(replace(done.outcome, predict=None), ())
    assert again[0].value == pytest.approx(tested[0].value, rel=1e-6)
    assert done.lab.task.score(Outcome(done.lab.build()), ())[0].value > tested[0].value

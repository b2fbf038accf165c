from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.training.workbench import Workbench
from training.data.corpus import Corpus
from training.data.prepare import prepare
from training.outcome import Outcome
from training.spec import DataSpec, ModelSpec, RunSpec
from training.tasks.language_modelling.task import HELD_OUT_SEQUENCES, LanguageModelling

SPEC = RunSpec(data=DataSpec(vocab_size=512, context=32), model=ModelSpec(preset="gpt2-nano"))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    place = tmp_path_factory.mktemp("corpus")
    return prepare(SPEC.data, cache_root=place, data_root=place)


@pytest.fixture(scope="module")
def task(corpus: Corpus) -> LanguageModelling:
    torch.manual_seed(0)
    return LanguageModelling(SPEC, corpus, CPU)


def test_sequences_follow_each_other_and_share_one_token(task: LanguageModelling) -> None:
    first, second = task.batch(torch.tensor([0, 1]))["tokens"]
    assert first[-1] == second[0]
    stream = torch.from_numpy(task.stream[:65].astype("int64"))
    assert torch.equal(torch.cat([first, second[1:]]), stream)


def test_the_last_sequence_ends_within_the_stream(task: LanguageModelling) -> None:
    last = task.batch(torch.tensor([task.size - 1]))["tokens"]
    assert last.shape == (1, 33)
    assert task.size == (len(task.stream) - 1) // 32


def test_loss_is_the_mean_negative_log_probability_of_the_next_token(task: LanguageModelling) -> None:
    model, batch = task.build(), task.batch(torch.arange(3))
    chances = model(batch["tokens"][:, :-1]).log_softmax(-1)
    expected = -chances.gather(-1, batch["tokens"][:, 1:, None]).mean()
    assert task.loss(model, batch).item() == pytest.approx(expected.item(), rel=1e-6)


def test_validation_reads_the_same_spread_out_tokens_every_time(task: LanguageModelling) -> None:
    seen: list[torch.Tensor] = []
    model = task.build()

    def predict(tokens: torch.Tensor) -> torch.Tensor:
        seen.append(tokens)
        logits: torch.Tensor = model(tokens)
        return logits

    for _ in range(2):
        task.validate(predict)
    half = len(seen) // 2
    assert torch.equal(torch.cat(seen[:half]), torch.cat(seen[half:]))
    assert len({tuple(row) for row in torch.cat(seen[:half]).tolist()}) == HELD_OUT_SEQUENCES


def test_validation_is_the_cross_entropy_of_its_stream(task: LanguageModelling) -> None:
    model, tokens = task.build(), task.held_out("validation")
    logits = model(tokens[:, :-1])
    expected = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).item()
    assert task.validate(model)["loss"] == pytest.approx(expected, rel=1e-5)


def test_a_uniform_guess_costs_the_bits_of_the_vocabulary_per_byte(task: LanguageModelling, corpus: Corpus) -> None:
    tokens = task.held_out("validation")
    text = [corpus.tokenizer.decode(row.tolist(), skip_special_tokens=False) for row in tokens[:, 1:]]
    length = sum(len(piece.replace("<|endoftext|>", "\0").encode()) for piece in text)
    loss = torch.tensor(512.0).log().item()
    assert task.bits_per_byte(loss, tokens) == pytest.approx(9 * tokens[:, 1:].numel() / length, rel=1e-3)


def test_training_on_it_lowers_the_validation_loss(task: LanguageModelling) -> None:
    torch.manual_seed(0)
    model = task.build()
    before = task.validate(model)["loss"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(30):
        optimizer.zero_grad()
        task.loss(model, task.batch(torch.arange(step * 8, step * 8 + 8))).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert task.validate(model)["loss"] < before - 0.5


def test_the_test_part_is_scored_with_a_standard_error(task: LanguageModelling) -> None:
    loss, bits = task.score(Outcome(task.build()), [])
    assert (loss.metric, loss.split, loss.n, loss.higher_is_better) == ("loss", "test", HELD_OUT_SEQUENCES, False)
    assert bits.value == pytest.approx(task.bits_per_byte(loss.value, task.held_out("test")))
    assert loss.stderr is not None
    assert 0 < loss.stderr < loss.value


def test_a_lab_scores_its_outcome_in_deterministic_mode_twice_alike(bench: Workbench) -> None:
    trained = bench.train(bench.spec(budget={"steps": 5}, evals=["cloze", "choice", "probe"]))
    scores = trained.lab.score(trained.outcome)
    assert [score.task for score in scores if score.metric == "acc"] == ["cloze", "choice", "probe"]
    assert trained.lab.score(trained.outcome) == scores

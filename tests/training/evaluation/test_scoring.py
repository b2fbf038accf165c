from __future__ import annotations

import pytest
import torch

from tests.training.workbench import CPU
from training.evaluation import scoring
from training.evaluation.finished import Finished
from training.evaluation.scoring import continuations, log_likelihoods

ITEMS = [("The people of the United", " States of America"), ("I", " have the honor"), ("In the year", " past")]


def pairs(finished: Finished) -> list[tuple[list[int], list[int]]]:
    prompts, endings = (finished.encode(texts) for texts in zip(*ITEMS, strict=True))
    return list(zip(prompts, endings, strict=True))


def brute_force(finished: Finished, prompt: list[int], ending: list[int]) -> tuple[float, bool]:
    """Token by token, each from its own unpadded forward pass."""
    total, exact = 0.0, True
    for done, token in enumerate(ending):
        logits = finished.predict(torch.tensor([prompt + ending[:done]]))[0, -1].double()
        total += logits.log_softmax(0)[token].item()
        exact = exact and logits.argmax().item() == token
    return total, exact


def test_summed_log_likelihoods_are_those_of_single_passes(finished: Finished) -> None:
    total, _ = continuations(finished.predict, pairs(finished), vocabulary=512, device=CPU)
    expected = [brute_force(finished, *pair)[0] for pair in pairs(finished)]
    assert total.tolist() == pytest.approx(expected, rel=1e-5)


def test_an_ending_is_exact_where_greedy_decoding_writes_it(finished: Finished) -> None:
    prompt, written = finished.encode(["The people of the"])[0], list[int]()
    for _ in range(4):
        written.append(int(finished.predict(torch.tensor([prompt + written]))[0, -1].argmax()))
    wrong = [*written[:3], (written[3] + 1) % 512]
    _, exact = continuations(finished.predict, [(prompt, written), (prompt, wrong)], vocabulary=512, device=CPU)
    assert exact.tolist() == [True, False]
    assert [brute_force(finished, prompt, ending)[1] for ending in (written, wrong)] == [True, False]


def test_the_order_of_items_and_the_size_of_batches_change_nothing(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, _ = continuations(finished.predict, pairs(finished), vocabulary=512, device=CPU)
    monkeypatch.setattr(scoring, "LOGITS", 1)
    apart, _ = continuations(finished.predict, pairs(finished)[::-1], vocabulary=512, device=CPU)
    assert together.tolist() == pytest.approx(apart.tolist()[::-1], rel=1e-5)


def test_log_likelihoods_are_log_probabilities_of_the_next_token(finished: Finished) -> None:
    tokens = torch.tensor(finished.encode(["The people of the United States"]))
    chances, greedy = log_likelihoods(finished.predict, tokens, vocabulary=512)
    logits = finished.predict(tokens[:, :-1])
    expected = logits.log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
    assert torch.allclose(chances, expected, atol=1e-5)
    assert torch.equal(greedy, logits.argmax(-1) == tokens[:, 1:])

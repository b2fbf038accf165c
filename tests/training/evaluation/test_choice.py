from __future__ import annotations

import dataclasses

import pytest
import torch

from training.evaluation import choice
from training.evaluation.finished import Finished


def places(finished: Finished) -> list[tuple[str, str]]:
    return [place for text in finished.corpus.documents("test") for place in choice.places(text)]


def test_the_true_continuation_follows_its_passage_in_the_text(finished: Finished) -> None:
    documents = finished.corpus.documents("test")
    for item in choice.items(places(finished))[:40]:
        assert any(item.passage + item.endings[item.answer] in document for document in documents)


def test_wrong_continuations_follow_other_passages(finished: Finished) -> None:
    documents = finished.corpus.documents("test")
    for item in choice.items(places(finished))[:40]:
        wrong = [ending for number, ending in enumerate(item.endings) if number != item.answer]
        assert not any(item.passage + ending in document for ending in wrong for document in documents)


def test_no_continuation_crosses_the_end_of_a_sentence() -> None:
    text = "word " * 19 + "stop. " + "more " * 20 + "goes on. " + "last " * 19 + "words stand here"
    assert [ending for _, ending in choice.places(text)] == [" goes on.", " last words"]


def test_every_place_of_an_answer_is_used_equally(finished: Finished) -> None:
    answers = [item.answer for item in choice.items(places(finished))]
    assert max(map(answers.count, range(4))) - min(map(answers.count, range(4))) <= 1


def test_items_are_the_same_every_time(finished: Finished) -> None:
    assert choice.items(places(finished)) == choice.items(places(finished))


def test_both_accuracies_are_those_of_a_brute_force_search(finished: Finished) -> None:
    plain = normed = 0
    found = choice.items(places(finished))
    for item in found:
        likelihoods = []
        for ending in item.endings:
            (prompt,), (tail,) = finished.encode([item.passage]), finished.encode([ending])
            room = finished.context + 1 - max(map(len, finished.encode(item.endings)))
            prompt = prompt[-room:]
            chances = finished.predict(torch.tensor([prompt + tail]))[0].double().log_softmax(-1)
            likelihoods.append(sum(chances[len(prompt) + n - 1, token].item() for n, token in enumerate(tail)))
        per_byte = [total / len(ending.encode()) for total, ending in zip(likelihoods, item.endings, strict=True)]
        plain += max(range(4), key=likelihoods.__getitem__) == item.answer
        normed += max(range(4), key=per_byte.__getitem__) == item.answer
    acc, acc_norm = choice.score(finished)
    assert (acc.metric, acc_norm.metric) == ("acc", "acc_norm")
    assert acc.value == pytest.approx(plain / len(found))
    assert acc_norm.value == pytest.approx(normed / len(found))


def test_chance_is_one_in_four_with_a_binomial_error(finished: Finished) -> None:
    for score in choice.score(finished):
        assert (score.chance, score.n >= 390, score.version, score.higher_is_better) == (0.25, True, 1, True)
        assert score.stderr == pytest.approx((score.value * (1 - score.value) / score.n) ** 0.5)


def test_only_items_that_fit_a_short_context_are_asked(finished: Finished) -> None:
    short = choice.score(dataclasses.replace(finished, context=5))
    assert 0 < short[0].n < choice.score(finished)[0].n
    assert choice.score(dataclasses.replace(finished, context=1)) == []

from __future__ import annotations

import dataclasses
import math
from collections import Counter

import pytest
import torch
import torch.nn.functional as F

from training.evaluation import cloze
from training.evaluation.finished import Finished, spread


def oracle(finished: Finished, texts: list[str]) -> Finished:
    """The same, but predicting what follows in `texts`: every token sequence is continued as it stands there."""
    rows = finished.encode(texts)
    longest = max(map(len, rows))
    known = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    following = F.pad(known, (0, 1))[:, 1:]

    def predict(tokens: torch.Tensor) -> torch.Tensor:
        length = tokens.shape[1]
        same = (known[None, :, :48] == tokens[:, None, :48]).all(2).int().argmax(1)
        return F.one_hot(following[same, :length], finished.vocabulary).float()

    return dataclasses.replace(finished, predict=predict, context=longest)


def test_the_word_before_a_full_stop_is_asked_for_after_a_long_passage() -> None:
    text = " ".join(f"word{number}" for number in range(100)) + " before the final answer. And more"
    (passage, word), *others = cloze.passages(text)
    assert (word, others) == ("answer", [])
    assert passage.endswith("word99 before the final")
    assert len(passage.split()) == cloze.WORDS


def test_a_sentence_too_near_to_the_beginning_is_not_asked() -> None:
    assert list(cloze.passages("Only five words stand before.")) == []


@pytest.mark.parametrize("end", ["met Mr. Lincoln yesterday", "in the year 1850. After", "and so on.2 After"])
def test_abbreviations_and_numbers_are_not_last_words(end: str) -> None:
    assert list(cloze.passages("word " * 50 + end)) == []


def test_words_before_a_spaced_full_stop_count_too() -> None:
    assert [word for _, word in cloze.passages("word " * 50 + "lobster . \n Next")] == ["lobster"]


def test_chance_is_the_rate_of_the_most_frequent_last_word(finished: Finished) -> None:
    score, _ = cloze.score(finished)
    items = [item for text in finished.corpus.documents("test") for item in cloze.passages(text)]
    asked = [items[position * len(items) // 400][1] for position in range(400)]
    assert score.chance == Counter(asked).most_common(1)[0][1] / 400


def test_the_score_has_all_that_a_reader_needs(finished: Finished) -> None:
    score, _ = cloze.score(finished)
    assert (score.task, score.metric, score.split, score.n, score.version) == ("cloze", "acc", "test", 400, 1)
    assert score.higher_is_better
    assert score.stderr == pytest.approx((score.value * (1 - score.value) / 400) ** 0.5)


def test_who_knows_the_text_gets_every_word(finished: Finished) -> None:
    texts = [
        f"{passage} {word}" for text in finished.corpus.documents("test") for passage, word in cloze.passages(text)
    ]
    score, _ = cloze.score(oracle(finished, spread(texts, cloze.ITEMS)))
    assert score.value == 1.0


def test_the_same_model_gets_the_same_score(finished: Finished) -> None:
    assert cloze.score(finished) == cloze.score(finished)


def test_perplexity_is_that_of_whole_words(finished: Finished) -> None:
    _, score = cloze.score(finished)
    items = [item for text in finished.corpus.documents("test") for item in cloze.passages(text)]
    losses = []
    for passage, word in spread(items, cloze.ITEMS):
        (prompt,), (ending,) = finished.encode([passage]), finished.encode([f" {word}"])
        prompt = cloze.cut(prompt, ending, finished.context)
        chances = finished.predict(torch.tensor([prompt + ending]))[0].double().log_softmax(-1)
        losses.append(-sum(chances[len(prompt) + n - 1, token].item() for n, token in enumerate(ending)))
    assert score.value == pytest.approx(math.exp(sum(losses) / len(losses)), rel=1e-5)
    assert (score.metric, score.higher_is_better, score.chance) == ("perplexity", False, None)


def test_only_words_that_fit_a_short_context_are_asked(finished: Finished) -> None:
    short = cloze.score(dataclasses.replace(finished, context=3))
    assert 0 < short[0].n < cloze.ITEMS
    assert cloze.score(dataclasses.replace(finished, context=0)) == []

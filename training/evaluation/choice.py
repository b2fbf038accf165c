"""Choice: which of four continuations follows a passage of held-out text, by summed log-likelihood.

As lm-eval scores multiple choice: `acc` takes the most likely continuation, `acc_norm` the most likely per byte. The
passage breaks off inside a sentence; the wrong continuations are as many words of other sentences of the same text, so
that they are as good English as the true one and only the fit to the passage tells them apart.

They are short, because a small network's likelihood of a long one tells how common its words are rather than how well
it fits. Measured with gpt2-tiny after 600 steps (validation loss 4.71), 1,000 items: acc 0.42, 0.37, 0.35, 0.31 and
0.28 for 1, 2, 3, 6 and 20 words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from training.evaluation.cloze import cut
from training.evaluation.finished import ENOUGH, Finished, binomial_stderr, spread
from training.evaluation.scoring import continuations
from training.records import Score

VERSION = 1
ITEMS = 400
"""Most items, evenly spread over the test part."""
CHOICES = 4
WORDS, PASSAGE = 2, 20
"""Words of a continuation and of the passage before it."""
END_OF_SENTENCE = re.compile(r"[.!?]\W*$")


@dataclass(frozen=True)
class Item:
    """A passage, four continuations that begin with a space, and the number of the true one."""

    passage: str
    endings: tuple[str, ...]
    answer: int


def score(finished: Finished) -> list[Score]:
    """Both accuracies on at most ITEMS items; chance is one in four."""
    asked = items([place for text in finished.corpus.documents("test") for place in places(text)])
    encoded = [(item, finished.encode([item.passage])[0], finished.encode(item.endings)) for item in asked]
    fitting = [found for found in encoded if max(map(len, found[2])) <= finished.context]
    if len(fitting) < ENOUGH:
        return []
    pairs = [
        (cut(prompt, max(endings, key=len), finished.context), ending)
        for _, prompt, endings in fitting
        for ending in endings
    ]
    total, _ = continuations(finished.predict, pairs, vocabulary=finished.vocabulary, device=finished.device)
    likelihoods = total.view(-1, CHOICES)
    lengths = torch.tensor([[len(ending.encode()) for ending in item.endings] for item, _, _ in fitting])
    answers = torch.tensor([item.answer for item, _, _ in fitting])
    return [
        _accuracy("acc", likelihoods.argmax(1) == answers),
        _accuracy("acc_norm", (likelihoods / lengths).argmax(1) == answers),
    ]


def places(text: str) -> Iterator[tuple[str, str]]:
    """Pairs of a passage and the words that follow it in the same sentence, one pair per PASSAGE words."""
    words = [match.span() for match in re.finditer(r"\S+", text)]
    for number in range(PASSAGE, len(words) - WORDS, PASSAGE):
        around = words[number - 1 : number + WORDS - 1]
        if not any(END_OF_SENTENCE.search(text[start:end]) for start, end in around):
            passage = text[words[number - PASSAGE][0] : words[number - 1][1]]
            yield passage, text[words[number - 1][1] : words[number + WORDS - 1][1]]


def items(found: list[tuple[str, str]]) -> list[Item]:
    """One item per evenly spread place; the wrong continuations stand a quarter, half and three quarters further on."""
    made: list[Item] = []
    for position in spread(range(len(found)), ITEMS):
        answer = len(made) % CHOICES
        turned = [(position + (choice - answer) * len(found) // CHOICES) % len(found) for choice in range(CHOICES)]
        endings = tuple(found[place][1] for place in turned)
        if len(set(endings)) == CHOICES:
            made.append(Item(found[position][0], endings, answer))
    return made


def _accuracy(metric: str, hits: torch.Tensor) -> Score:
    value, n = hits.double().mean().item(), len(hits)
    return Score("choice", metric, "test", value, binomial_stderr(value, n), n, VERSION, True, chance=1 / CHOICES)

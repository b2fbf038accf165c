"""Cloze: the last word of a sentence, after a long passage of held-out text.

In the manner of LAMBADA (Paperno et al., arXiv:1606.06031, and lm-eval's task of that name): a hit is a word all of
whose tokens greedy decoding writes. Our passages are not filtered for needing their long context, so figures compare
between our runs and not with LAMBADA's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from training.evaluation.finished import Finished, binomial_stderr, spread
from training.evaluation.scoring import continuations
from training.records import Score

VERSION = 1
ITEMS = 400
"""Most passages, evenly spread over the test part."""
WORDS, FEWEST = 60, 30
"""Words before the last one: at most, and at least. What exceeds the network's context is cut on the left."""
LAST_WORD = re.compile(r"(?<=\s)[^\W\d_]{4,}(?= ?[.!?](?:\s|$))")
"""A word of four letters or more before a full stop, so that few abbreviations (Mr., Gen.) end a sentence."""


def score(finished: Finished) -> list[Score]:
    """Accuracy on at most ITEMS passages; chance is the rate of the most frequent last word."""
    items = spread([item for text in finished.corpus.documents("test") for item in passages(text)], ITEMS)
    if not items:
        return []
    endings = finished.encode([f" {word}" for _, word in items])
    prompts = finished.encode([passage for passage, _ in items])
    pairs = [(cut(prompt, ending, finished.context), ending) for prompt, ending in zip(prompts, endings, strict=True)]
    _, exact = continuations(finished.predict, pairs, vocabulary=finished.vocabulary, device=finished.device)
    accuracy = exact.double().mean().item()
    chance = Counter(word for _, word in items).most_common(1)[0][1] / len(items)
    stderr = binomial_stderr(accuracy, len(items))
    return [Score("cloze", "acc", "test", accuracy, stderr, len(items), VERSION, True, chance=chance)]


def passages(text: str) -> Iterator[tuple[str, str]]:
    """Every (passage, last word) of a document whose passage is long enough."""
    starts = [match.start() for match in re.finditer(r"\S+", text)]
    words = {start: number for number, start in enumerate(starts)}
    for last in LAST_WORD.finditer(text):
        number = words[last.start()]
        if number >= FEWEST:
            yield text[starts[max(0, number - WORDS)] : last.start()].rstrip(), last.group()


def cut(prompt: list[int], ending: list[int], context: int) -> list[int]:
    """The end of the prompt that leaves room for the ending; at least one token."""
    return prompt[-max(1, context + 1 - len(ending)) :]

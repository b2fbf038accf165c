"""Cloze: the last word of a sentence, after a long passage of held-out text.

In the manner of LAMBADA (Paperno et al., arXiv:1606.06031, and lm-eval's task of that name): a hit is a word all of
whose tokens greedy decoding writes. Our passages are not filtered for needing their long context, so figures compare
between our runs and not with LAMBADA's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from training.evaluation.finished import ENOUGH, Finished, binomial_stderr, spread
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
    """Accuracy on at most ITEMS passages, whose chance is the rate of the most frequent last word, and perplexity.

    Perplexity is that of whole words, so it compares between tokenizers; its error is by the delta method.
    """
    items = spread([item for text in finished.corpus.documents("test") for item in passages(text)], ITEMS)
    prompts, endings = finished.encode([text for text, _ in items]), finished.encode([f" {word}" for _, word in items])
    fitting = [number for number, ending in enumerate(endings) if len(ending) <= finished.context]
    if (n := len(fitting)) < ENOUGH:
        return []
    pairs = [(cut(prompts[number], endings[number], finished.context), endings[number]) for number in fitting]
    total, exact = continuations(finished.predict, pairs, vocabulary=finished.vocabulary, device=finished.device)
    accuracy, perplexity = exact.double().mean().item(), (-total.mean()).exp().item()
    chance = Counter(items[number][1] for number in fitting).most_common(1)[0][1] / n
    error = perplexity * total.std().item() / n**0.5
    return [
        Score("cloze", "acc", "test", accuracy, binomial_stderr(accuracy, n), n, VERSION, True, chance=chance),
        Score("cloze", "perplexity", "test", perplexity, error, n, VERSION, False),
    ]


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

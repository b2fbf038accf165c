"""Probe: does the network's inner state tell when a passage was spoken?

A logistic regression on the mean of the final hidden states of a passage, to one of four eras of State of the Union
addresses. The regression learns on passages of the training addresses and is judged on addresses that neither it nor
a language model trained on the shipped corpus has seen; no address is on both sides. Passages of one address are not
independent, so the standard error is a lower bound.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from training.data import sotu
from training.evaluation.finished import Finished, binomial_stderr, spread
from training.evaluation.scoring import rows_at_once
from training.records import Score

VERSION = 1
ERAS = (1861, 1901, 1946)
"""First years of the second, third and fourth era."""
WORDS = 40
LEARNT, JUDGED = 5, 8
"""Passages of each training address, and of each held-out one."""


def score(finished: Finished) -> list[Score]:
    """Accuracy over four eras; chance is the rate of the most frequent one."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    learnt, judged = labelled(held_out=False), labelled(held_out=True)
    features = pooled(finished, [text for text, _ in learnt + judged])
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    probe.fit(features[: len(learnt)], [era for _, era in learnt])
    answers = [era for _, era in judged]
    accuracy = float((probe.predict(features[len(learnt) :]) == np.array(answers)).mean())
    chance, n = Counter(answers).most_common(1)[0][1] / len(answers), len(answers)
    return [Score("probe", "acc", "test", accuracy, binomial_stderr(accuracy, n), n, VERSION, True, chance=chance)]


def labelled(*, held_out: bool) -> list[tuple[str, int]]:
    """Passages with their era: of the training addresses, or of those held out for validation and testing."""
    chosen = [address for address in sotu.addresses() if (address.split != "train") == held_out]
    count = JUDGED if held_out else LEARNT
    return [
        (passage, bisect_right(ERAS, address.year))
        for address in chosen
        for passage in spread(list(passages(address.text)), count)
    ]


def passages(text: str) -> Iterator[str]:
    """The text in passages of WORDS words."""
    words = [match.span() for match in re.finditer(r"\S+", text)]
    for first in range(0, len(words) - WORDS + 1, WORDS):
        yield text[words[first][0] : words[first + WORDS - 1][1]]


def pooled(finished: Finished, texts: Sequence[str]) -> NDArray[np.float64]:
    """Mean of the final hidden states over each text's tokens, [N, D]."""
    rows = [ids[: finished.context] for ids in finished.encode(texts)]
    order = sorted(range(len(rows)), key=lambda row: -len(rows[row]))
    features: list[NDArray[np.float64]] = [np.empty(0)] * len(rows)
    start = 0
    while start < len(order):
        longest = len(rows[order[start]])
        chosen = order[start : start + rows_at_once(longest, finished.vocabulary)]
        tokens, mask = torch.zeros(len(chosen), longest, dtype=torch.long), torch.zeros(len(chosen), longest, 1)
        for place, row in enumerate(chosen):
            tokens[place, : len(rows[row])] = torch.tensor(rows[row])
            mask[place, : len(rows[row])] = 1
        with torch.no_grad():
            hidden = finished.model.hidden(tokens.to(finished.device)).float().cpu()  # type: ignore[operator]
        for row, mean in zip(chosen, ((hidden * mask).sum(1) / mask.sum(1)).double().numpy(), strict=True):
            features[row] = mean
        start += len(chosen)
    return np.stack(features)

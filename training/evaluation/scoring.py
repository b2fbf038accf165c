"""How likely a predictor finds given tokens: the one place where downstream tasks ask it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from training.outcome import Predictor

LOGITS = 1 << 23
"""Most logits held at once."""


def rows_at_once(length: int, vocabulary: int) -> int:
    """Sequences of this length that fit into LOGITS."""
    return max(1, LOGITS // (length * vocabulary))


def log_likelihoods(predict: Predictor, tokens: Tensor, *, vocabulary: int) -> tuple[Tensor, Tensor]:
    """Of tokens[N, T + 1]: the log-probability [N, T] of each token after the first, and whether greedy picks it."""
    chances, greedy = [], []
    rows = rows_at_once(tokens.shape[1] - 1, vocabulary)
    for start in range(0, len(tokens), rows):
        inputs, targets = tokens[start : start + rows, :-1], tokens[start : start + rows, 1:]
        logits = predict(inputs).float()
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        chances.append(-losses.view_as(targets))
        greedy.append(logits.argmax(-1) == targets)
    return torch.cat(chances), torch.cat(greedy)


def continuations(
    predict: Predictor, items: Sequence[tuple[list[int], list[int]]], *, vocabulary: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """For each (prompt, continuation): the summed log-likelihood of the continuation, and whether greedy writes it.

    Sequences are padded on the right, which a causal network does not see; sorted by length, so that little is padded.
    """
    lengths = torch.tensor([len(prompt) + len(ending) for prompt, ending in items])
    endings = torch.tensor([len(ending) for _, ending in items])
    order = lengths.argsort(descending=True, stable=True)
    total, exact = torch.empty(len(items), dtype=torch.float64), torch.empty(len(items), dtype=torch.bool)
    start = 0
    while start < len(items):
        longest = int(lengths[order[start]])
        chosen = order[start : start + rows_at_once(longest, vocabulary)]
        rows = torch.zeros(len(chosen), longest, dtype=torch.long)
        for row, index in zip(rows, chosen.tolist(), strict=True):
            row[: lengths[index]] = torch.tensor(items[index][0] + items[index][1])
        chances, greedy = log_likelihoods(predict, rows.to(device), vocabulary=vocabulary)
        place = torch.arange(1, longest)
        scored = (place >= (lengths - endings)[chosen, None]) & (place < lengths[chosen, None])
        total[chosen] = (chances.cpu().double() * scored).sum(1)
        exact[chosen] = (greedy.cpu() | ~scored).all(1)
        start += len(chosen)
    return total, exact

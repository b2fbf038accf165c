"""Taking spans out of token sequences, as T5 does (Raffel et al. 2020, section 3.1.4; `random_spans_noise_mask`)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from training.data.spans import lengths

END_ID = 0
"""`training.data.tokens.END`, which also ends a source and a target, and which the decoder reads first."""


class Corrupted(NamedTuple):
    """Token ids, int64; sentinel number i is `vocabulary` + i."""

    source: Tensor
    """[B, S]: the text with a sentinel for each span, and an end."""
    target: Tensor
    """[B, T]: each sentinel and what stood there, and an end."""


def corrupt(tokens: Tensor, vocabulary: int, generator: torch.Generator) -> Corrupted:
    """Take random spans out of tokens[B, context], which stays as it is."""
    missing = missing_spans(len(tokens), tokens.shape[1], generator)
    end = torch.full((len(tokens), 1), END_ID)
    source = torch.cat((_kept(tokens, ~missing, vocabulary), end), dim=1)
    return Corrupted(source, torch.cat((_kept(tokens, missing, vocabulary), end), dim=1))


def missing_spans(rows: int, context: int, generator: torch.Generator) -> Tensor:
    """Which tokens are taken out, bool [rows, context]: equally many in every row, in equally many spans.

    Spans that stay and spans that go take turns, beginning with one that stays; each way to cut is equally likely.
    """
    sizes = lengths(context)
    stay = _segments(rows, context - sizes.corrupted, sizes.spans, generator)
    go = _segments(rows, sizes.corrupted, sizes.spans, generator)
    ends = torch.stack((stay, go), dim=2).flatten(1).cumsum(1)
    starts = torch.zeros(rows, context + 1, dtype=torch.int64).scatter_(1, ends, 1)[:, :-1]
    return starts.cumsum(1) % 2 == 1


def _segments(rows: int, total: int, parts: int, generator: torch.Generator) -> Tensor:
    """Lengths of `parts` segments of at least one token that sum to `total`, int64 [rows, parts]."""
    places = torch.rand(rows, total - 1, generator=generator).argsort(dim=1)[:, : parts - 1]
    cuts = places.sort(dim=1).values + 1
    borders = torch.cat((torch.zeros(rows, 1).long(), cuts, torch.full((rows, 1), total)), dim=1)
    return borders.diff(dim=1)


def _kept(tokens: Tensor, kept: Tensor, vocabulary: int) -> Tensor:
    """The tokens that are kept, in their order, with a sentinel in place of each span that is not."""
    before = torch.cat((torch.ones(len(kept), 1, dtype=torch.bool), kept[:, :-1]), dim=1)
    first = ~kept & before
    sentinels = vocabulary + first.cumsum(1) - 1
    return torch.where(first, sentinels, tokens)[kept | first].view(len(tokens), -1)

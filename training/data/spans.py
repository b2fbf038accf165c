"""How many tokens span corruption takes out, and how long what is left is. Torch-free.

Raffel et al. 2020, section 3.1.4 and table 3: 15 % of the tokens, in spans of 3 on average.
"""

from __future__ import annotations

from math import floor
from typing import NamedTuple

CORRUPTED = 0.15
"""Share of the tokens that is taken out."""
MEAN_SPAN = 3.0
"""Mean length of what is taken out at one place, in tokens."""


class Lengths(NamedTuple):
    """Of one example of so many tokens of text; equal for every draw, so that nothing is padded."""

    corrupted: int
    """Tokens of text that are taken out."""
    spans: int
    """Places they are taken from; each has a sentinel of its own."""
    source: int
    """What the encoder reads: the rest of the text, a sentinel per span, an end."""
    target: int
    """What the decoder writes: each sentinel and what stood there, an end."""


def lengths(context: int) -> Lengths:
    """The lengths for `context` tokens of text."""
    corrupted = min(context - 1, max(1, floor(context * CORRUPTED + 0.5)))
    spans = max(1, floor(corrupted / MEAN_SPAN + 0.5))
    return Lengths(corrupted, spans, context - corrupted + spans + 1, corrupted + spans + 1)

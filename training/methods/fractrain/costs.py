"""Closed forms of what the simulation executes, and of what the chosen options would cost. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence

from training.models.images import ImageShape
from training.parts.bits import Bits

POOLED, EMBEDDED, REMEMBERED = 32, 16, 16
"""Sizes of a gate: of its hidden layer, of what the LSTM reads, of what the LSTM remembers."""


def widths(shape: ImageShape) -> tuple[int, ...]:
    """Channels at the input of each block: what its gate reads."""
    return tuple(block.inputs for block in shape.blocks)


def gate_train_flops(shape: ImageShape, options: int) -> float:
    """Training FLOPs per image of all gates: an embedding, a step of the LSTM and a choice for each block."""
    embeddings = sum(width * POOLED + POOLED * EMBEDDED for width in widths(shape))
    each = 4 * REMEMBERED * (EMBEDDED + REMEMBERED) + REMEMBERED * options
    without = 4 * REMEMBERED * REMEMBERED + (widths(shape)[0] * POOLED if shape.frozen else 0)
    return 6.0 * (embeddings + len(shape.blocks) * each) - 2.0 * without


def dynamic_train_flops(shape: ImageShape, options: int) -> float:
    """Training FLOPs per image as simulated: each block once per option, stem and head once, and the gates.

    Gates learn in frozen blocks too: from the second block on each passes on the gradient of what it reads.
    """
    first, *others = shape.blocks
    behind = max(0, shape.frozen - 1)
    blocks = first.forward_flops if shape.frozen else first.train_flops
    blocks += sum(block.attack_flops for block in others[:behind]) + sum(block.train_flops for block in others[behind:])
    stem, *_, head = shape.part_flops()
    return stem + float(options) * blocks + head + gate_train_flops(shape, options)


def least_percent(options: Sequence[Bits]) -> float:
    """The cheapest choice for every block: no target below it can be reached."""
    return 100 * min(option.step for option in options)


def chosen_percent(shape: ImageShape, options: int, *, effective: float, executed: float) -> float:
    """cp of a run of gates from its FLOPs per image: percent of 32-bit cost that its blocks took, weighted by products.

    What effective FLOPs lack of the executed ones is what rounding would save: only blocks are rounded.
    """
    blocks = sum(block.train_flops for block in shape.blocks)
    return 100 * (options - (executed - effective) / blocks)

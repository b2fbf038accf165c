"""Uniform affine quantisation, simulated: fp32 values rounded to the grid that an integer of so few bits spans.

A grid of b bits has 2^b levels from the least to the greatest value, `step = max(span / (2^b - 1), 1e-8)`. Nothing is
saved here: the products still run in fp32. As in `modules/quantize.py` of the code of FracTrain (Fu et al., NeurIPS
2020, arXiv 2012.13113). Bits of 0 or of 32 and more leave a tensor as it is; a grid of 32 bits would round fp32.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from training.parts.bits import is_full

SMALLEST_STEP = 1e-8


class Extent(NamedTuple):
    """Where a grid begins and how far it reaches; the shapes broadcast against what is quantised."""

    low: Tensor
    span: Tensor


def of_batch(x: Tensor, *, clip: bool = False) -> Extent:
    """One extent for x[B, ...]: from the least of the samples' minima to the greatest of their maxima.

    With `clip` to the smallest of their maxima instead, so that greater values are cut off.
    """
    low, high = x.detach().flatten(1).aminmax(dim=1)
    least = low.min()
    return Extent(least, (high.min() if clip else high.max()) - least)


def of_channels(weight: Tensor, dim: int = 0) -> Extent:
    """An extent for each channel of a weight; its channels lie along `dim`."""
    others = [other for other in range(weight.dim()) if other != dim % weight.dim()]
    low = weight.detach().amin(others, keepdim=True)
    return Extent(low, weight.detach().amax(others, keepdim=True) - low)


def rounded(x: Tensor, bits: int, extent: Extent, *, stochastic: bool = False) -> Tensor:
    """x on the grid of so many bits, cut to its extent; the same tensor if the bits are full. No gradient.

    Stochastic rounding adds noise from U(-1/2, 1/2) steps before the cut: its mean is x strictly inside the extent,
    not beyond its ends.
    """
    if is_full(bits):
        return x
    levels = 2**bits - 1
    step = (extent.span / levels).clamp(min=SMALLEST_STEP)
    place = (x - extent.low) / step
    if stochastic:
        place += torch.rand_like(place) - 0.5
    on_grid: Tensor = place.clamp_(0, levels).round_() * step + extent.low
    return on_grid


class _Forward(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: int, low: Tensor, span: Tensor) -> Tensor:
        return rounded(x, bits, Extent(low, span))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0], None, None, None


class _Backward(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: int, clip: bool, stochastic: bool) -> Tensor:
        ctx.bits, ctx.clip, ctx.stochastic = bits, clip, stochastic
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        error = gradients[0]
        return rounded(error, ctx.bits, of_batch(error, clip=ctx.clip), stochastic=ctx.stochastic), None, None, None


def quantize(x: Tensor, bits: int, extent: Extent) -> Tensor:
    """`rounded`, with the straight-through gradient: that of x is the one that arrives, cut-off values included."""
    quantized: Tensor = x if is_full(bits) else _Forward.apply(x, bits, *extent)  # type: ignore[no-untyped-call]
    return quantized


def quantize_error(x: Tensor, bits: int, *, clip: bool = False, stochastic: bool = True) -> Tensor:
    """x itself; its gradient is quantised on the way back, over the extent of the batch's own."""
    marked: Tensor = x if is_full(bits) else _Backward.apply(x, bits, clip, stochastic)  # type: ignore[no-untyped-call]
    return marked

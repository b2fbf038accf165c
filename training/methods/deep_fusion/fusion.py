"""The fusion operator (Eq. 5): networks side by side in one wider network that averages their logits.

Matrices that read the shared input are joined along the features, inner matrices are block-diagonal, the head is
joined and divided by the number of networks. Where weights are stacked (queries, keys, values; gates and ups) each
section is block-diagonal by itself, so that heads and neurons keep their meaning and their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.models.decoder import Decoder
from training.models.t5 import T5

Network = Decoder | T5

SHARED_ROWS = ("embedding.weight", "positions", "_bias.table")
"""Tables whose rows (tokens, positions, distances) all networks share: they are joined along the features or heads."""
LAST_NORMS = ("norm.weight", "norm.bias", "decoder_norm.weight", "decoder_norm.bias")
"""What a head reads; whole names."""


def joined(pieces: Sequence[Tensor], sections: Sequence[int]) -> Tensor:
    """Vectors [n_i] end to end, section by section, [sum of n_i]; `sections` are those of one piece."""
    return torch.cat([part for row in _by_section(pieces, sections) for part in row])


def diagonal(pieces: Sequence[Tensor], sections: Sequence[int]) -> Tensor:
    """Matrices [n_i, m_i] as blocks of [sum of n_i, sum of m_i], zero elsewhere; section by section of rows."""
    return torch.cat([_blocks(row) for row in _by_section(pieces, sections)])


def _by_section(pieces: Sequence[Tensor], sections: Sequence[int]) -> list[tuple[Tensor, ...]]:
    return list(zip(*(torch.split(piece, list(sections)) for piece in pieces), strict=True))


def _blocks(pieces: Sequence[Tensor]) -> Tensor:
    blocks: Tensor = torch.block_diag(*pieces)  # type: ignore[no-untyped-call]
    return blocks


def stacked(part: Network, name: str, rows: int) -> list[int]:
    """How many rows of a parameter belong to each of what is stacked in it: queries, keys, values; gates, ups."""
    if name.endswith((".kv", ".gate_up")):
        return [rows // 2] * 2
    if not name.endswith((".qkv", ".qkv_bias")):
        return [rows]
    heads = part.shape.heads
    groups = part.shape.kv_heads if isinstance(part, Decoder) else heads
    return [rows * count // (heads + 2 * groups) for count in (heads, groups, groups)]


def averaging(whole: Network, count: int) -> tuple[tuple[str, ...], float]:
    """Which parameters the 1/k of the head goes into, and the factor.

    An untied head takes it itself. A tied one is the embedding, so the last norm's gain and bias take it: the logits
    are linear in them, and the network stays of its family. T5's tied head multiplies by width ** -0.5, which the
    wider network has shrunk by k ** -0.5 already.
    """
    if whole.head is not None:
        return ("head.weight",), 1 / count
    return LAST_NORMS, count**-0.5 if isinstance(whole, T5) else 1 / count


@torch.no_grad()
def fuse(parts: Sequence[Network], whole: Network, *, off_diagonal: float = 0.0) -> dict[str, Tensor]:
    """Write the parts into `whole`, a fresh network as wide as all of them, and return where they are not.

    What lies off the diagonal is `off_diagonal` times the fresh value: 0 are zeros, 1 the full random scale. Returned
    are masks [n, m], by name, of the elements of block-diagonal matrices that belong to no part.
    """
    names, factor = averaging(whole, len(parts))
    outside: dict[str, Tensor] = {}
    for name, weight in whole.named_parameters():
        pieces: list[Tensor] = [part.get_parameter(name) for part in parts]
        if name.endswith(SHARED_ROWS) or name == "head.weight":
            value = torch.cat(pieces, dim=-1)
        elif weight.dim() == 1:
            value = joined(pieces, stacked(parts[0], name, len(pieces[0])))
        else:
            sections = stacked(parts[0], name, len(pieces[0]))
            outside[name] = diagonal([torch.ones_like(piece) for piece in pieces], sections) == 0
            value = diagonal(pieces, sections) + off_diagonal * weight * outside[name]
        weight.copy_(value * factor if name in names else value)
    return outside


@torch.no_grad()
def copies(model: Network, count: int, *, noise: float, seed: int) -> list[Network]:
    """Copies of a model whose matrices differ by noise, which sums to zero over the copies.

    `noise` is its size as a share of each matrix's deviation. Because it sums to zero, what the fused network computes
    changes in second order only.
    """
    made = [deepcopy(model) for _ in range(count)]
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if weight.dim() > 1:
            drawn = torch.randn(count, *weight.shape, generator=generator).to(weight)
            for copy, amount in zip(made, (drawn - drawn.mean(0)) * noise * weight.std(), strict=True):
                copy.get_parameter(name).add_(amount)
    return made


class GroupedNorm(nn.Module):
    """LayerNorm or RMSNorm with statistics of each of `groups` equal parts of the features, and one gain for all.

    Its parameters have the names of the norm it replaces.
    """

    def __init__(self, norm: nn.LayerNorm | nn.RMSNorm, groups: int) -> None:
        super().__init__()
        assert norm.eps is not None
        self.groups, self.eps, self.centred = groups, norm.eps, isinstance(norm, nn.LayerNorm)
        self.weight = norm.weight
        self.bias = norm.bias if isinstance(norm, nn.LayerNorm) else None

    def forward(self, x: Tensor) -> Tensor:
        parts = x.view(*x.shape[:-1], self.groups, -1)
        size = parts.shape[-1:]
        normed = (F.layer_norm if self.centred else F.rms_norm)(parts, size, eps=self.eps)
        scaled = normed.flatten(-2) * self.weight
        return scaled if self.bias is None else scaled + self.bias


def group_norms(model: nn.Module, groups: int) -> None:
    """Replace every norm of a model by one that keeps statistics per group."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.LayerNorm | nn.RMSNorm):
                setattr(parent, name, GroupedNorm(child, groups))


def squares(model: nn.Module, outside: dict[str, Tensor]) -> tuple[float, float]:
    """Sums of the squared gradients: outside of the blocks, and of all parameters that have one."""
    gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    off = [gradients[name].square()[mask].sum() for name, mask in outside.items() if name in gradients]
    return _total(off), _total([gradient.square().sum() for gradient in gradients.values()])


def _total(terms: list[Tensor]) -> float:
    return float(torch.stack(terms).sum()) if terms else 0.0


def deviation(fused: Tensor, parts: Sequence[Tensor]) -> tuple[float, float]:
    """Largest difference between fused logits and the mean of the parts' logits, and the size (rms) of that mean."""
    mean = torch.stack(list(parts)).mean(0)
    return float((fused - mean).abs().max()), float(mean.square().mean().sqrt())

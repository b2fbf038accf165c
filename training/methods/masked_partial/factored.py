"""A matrix that is a product of two, and stays two where it is applied."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Factored(Tensor):
    """Stands for `left[out, r] @ right[r, in]`. Applying it costs r (in + out) multiply-adds a row, not in x out."""

    left: Tensor
    right: Tensor

    @classmethod
    def of(cls, left: Tensor, right: Tensor) -> Factored:
        made = torch.empty(left.shape[0], right.shape[1], dtype=left.dtype, device="meta").as_subclass(cls)
        made.left, made.right = left, right
        return made

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """`F.linear(x, W, b)`, `x @ W` and `addmm(b, x, W)` with W factored; anything else is refused."""
        if func is F.linear:
            x, weight, *bias = args
            return F.linear(F.linear(x, weight.right), weight.left, *bias)
        if func in (Tensor.matmul, torch.matmul, Tensor.__matmul__):
            x, weight = args
            return (x @ weight.left) @ weight.right
        if func is torch.addmm:
            bias, x, weight = args
            return torch.addmm(bias, x @ weight.left, weight.right)
        if func in (Tensor.shape.__get__, Tensor.requires_grad.__get__):  # type: ignore[attr-defined]
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args)
        raise TypeError(f"{func} does not take a factored matrix")


class PlusProduct(nn.Module):
    """A parametrisation: the residual plus `left @ right`, so that the full network is an ordinary dense one.

    Whatever the residual is replaced by, `left` and `right` are the core's.
    """

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        u, s, v = torch.linalg.svd(weight.detach(), full_matrices=False)
        root = s[:rank].sqrt()
        # row by row, as checkpoints store moments: fused optimisers pair a weight's entries with those of its state as
        # they lie in memory, and the decomposition gives columns
        self.left = nn.Parameter((u[:, :rank] * root).contiguous())
        self.right = nn.Parameter((root[:, None] * v[:rank]).contiguous())

    def forward(self, residual: Tensor) -> Tensor:
        return residual + self.left @ self.right

"""Low precision without changing a network: a context that quantises the operands of its products as they are called.

Inside it every product with a weight (linear, convolution, `x @ weight`, `addmm`) gets a quantised input and weight,
and, while it trains, its output quantises the error that comes back. Norms, biases, attention scores, look-ups and the
optimiser stay fp32. The products still execute in fp32: the context books what they would cost at their bits beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from training.parts.bits import Bits, is_full
from training.parts.quantize import Extent, of_batch, of_channels, quantize, quantize_error

Function = Callable[..., Any]
FP32 = Bits(0, 0, 0)


class Operands(NamedTuple):
    """Where the arguments of a product stand: its left one, the weight after it, the weight's output channels."""

    left: int
    channels: int


PRODUCTS: dict[Function, Operands] = {
    F.linear: Operands(0, 0),
    torch.conv2d: Operands(0, 0),
    torch.matmul: Operands(0, -1),
    torch.Tensor.matmul: Operands(0, -1),
    torch.addmm: Operands(1, -1),
}


class Bill:
    """FLOPs of a step's products as they run and as their bits would have it; a backward is two more products.

    Fused attention recomputes its scores on the way back: five products for the forward's two.
    """

    def __init__(self) -> None:
        self.executed = 0.0
        self.effective: float | Tensor = 0.0

    @property
    def share(self) -> float:
        """Effective / executed."""
        return float(self.effective) / self.executed if self.executed else 1.0

    def product(self, flops: float, left: Tensor, right: Tensor, bits: Bits, part: float | Tensor = 1.0) -> None:
        """A product and what its backward will run; `part` is the share of it that is kept."""
        backward = (torch.is_grad_enabled() and left.requires_grad, torch.is_grad_enabled() and right.requires_grad)
        self.executed += flops * (1 + sum(backward))
        self.effective = self.effective + part * flops * (
            bits.forward + backward[0] * bits.backward + backward[1] * bits.gradient
        )

    def attention(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        """Fused attention, in fp32."""
        flops = 2.0 * query.numel() * key.shape[-2] * (1 + value.shape[-1] / query.shape[-1])
        flops *= 3.5 if torch.is_grad_enabled() and query.requires_grad else 1
        self.executed += flops
        self.effective = self.effective + flops

    def memory(self, x: Tensor, state: tuple[Tensor, Tensor], weights: tuple[Tensor, Tensor]) -> None:
        """The two products of an LSTM cell, in fp32."""
        for left, weight in zip((x, state[0]), weights, strict=True):
            self.product(2.0 * left.numel() * weight.shape[0], left, weight, FP32)


class Simulation(TorchFunctionMode):
    """Quantises the products of a network that is called inside it, at the bits that stand in `bits`.

    Activations are ranged by batch while the network trains; each layer keeps a running mean of it, and that is used
    in evaluation. A layer whose weight is not one of the network's own, such as a slice of it, has no running mean, so
    its batch ranges it there too. Evaluation is not billed, and its gradient passes unrounded: an attacker's is exact.
    """

    def __init__(
        self, model: nn.Module, *, exempt: Iterable[Tensor], momentum: float, clip: bool, stochastic: bool
    ) -> None:
        super().__init__()
        self.model, self.momentum, self.clip, self.stochastic = model, momentum, clip, stochastic
        self.names = {id(weight): name for name, weight in model.named_parameters()}
        self.exempt = {id(weight) for weight in exempt}
        self.ranges: dict[str, Tensor] = {}
        self.densities: Mapping[str, float] | None = None
        """Where weights are held at zero in part: of the network's own by name, those at full left out."""
        self.bits, self.bill = FP32, Bill()
        self.part: float | Tensor = 1.0
        """Share of the batch that keeps what is computed now."""

    def __torch_function__(
        self, function: Function, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in PRODUCTS:
            return self._product(function, PRODUCTS[function], list(args), kwargs)
        if function is F.scaled_dot_product_attention and self.model.training:
            self.bill.attention(*args[:3])
        elif function is torch.lstm_cell and self.model.training:
            self.bill.memory(args[0], args[1], args[2:4])
        return function(*args, **kwargs)

    def _product(self, function: Function, where: Operands, args: list[Any], kwargs: dict[str, Any]) -> Tensor:
        x, weight = args[where.left : where.left + 2]
        bits = FP32 if self._stays(weight, where) else self.bits
        if not (is_full(bits.activation) and is_full(bits.weight)):
            args[where.left] = quantize(x, bits.activation, self._extent(x, weight))
            args[where.left + 1] = quantize(weight, bits.weight, of_channels(weight, where.channels))
        out: Tensor = function(*args, **kwargs)
        if not self.model.training:
            return out
        inner = weight.shape[max(-2, -weight.dim())] if where.channels else weight[0].numel()
        self.bill.product(2.0 * out.numel() * inner, x, weight, bits, self.part * self._there(weight))
        return quantize_error(out, bits.error, clip=self.clip, stochastic=self.stochastic)

    def _there(self, weight: Tensor) -> float | Tensor:
        """Share of a weight's values that are not held at zero: as told of the network's own, counted in any other."""
        if self.densities is None:
            return 1.0
        name = self.names.get(id(weight))
        return weight.count_nonzero() / weight.numel() if name is None else self.densities.get(name, 1.0)

    def _stays(self, weight: Tensor, where: Operands) -> bool:
        """Whether it stays fp32: a layer that was named, or a product of two activations."""
        return id(weight) in self.exempt or (where.channels != 0 and weight.dim() != 2)

    def _extent(self, x: Tensor, weight: Tensor) -> Extent:
        """Of the batch in training, and of those before in evaluation."""
        name = self.names.get(id(weight))
        known = None if name is None else self.ranges.get(name)
        if not self.model.training and known is not None:
            return Extent(*known.unbind())
        extent = of_batch(x, clip=self.clip)
        if self.model.training and name is not None:
            now = torch.stack(extent)
            self.ranges[name] = now if known is None else self.momentum * known + (1 - self.momentum) * now
        return extent

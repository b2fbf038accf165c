"""Counting the FLOPs that kernels execute, with the formulas that torch lacks.

torch's counter knows operators by formula; one without a formula counts zero, silently. So the products that torch
forgets are registered here, fused attention on CPU among them (forward 2 products, backward 5: the scores are
recomputed), and every other operator without a formula is listed by name. The fused attention kernels of CUDA (flash,
memory-efficient, cuDNN) are in torch's own registry.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry, sdpa_backward_flop_count, sdpa_flop_count
from torch.utils.module_tracker import ModuleTracker

from training.account import Kind

aten = torch.ops.aten


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def _attention_backward(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_backward_flop_count(grad, query, key, value))  # type: ignore[no-untyped-call]


def _product(a: Any, b: Any, *_: Any, **__: Any) -> int:
    """Of a matrix, or vector, and a matrix or vector: 2 per element of `a` and column of `b`."""
    return int(2 * prod(a) * (b[1] if len(b) > 1 else 1))


def _added_product(_: Any, a: Any, b: Any, *__: Any, **___: Any) -> int:
    """A product added to something; a batch of products in `a` and `b` counts each."""
    return int(2 * prod(a) * (b[-1] if len(b) > 1 else 1))


MISSING = {
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    aten._scaled_dot_product_fused_attention_overrideable: _attention,
    aten._scaled_dot_product_fused_attention_overrideable_backward: _attention_backward,
    aten.mv: _product,
    aten.dot: _product,
    aten.vdot: _product,
    aten._int_mm: _product,
    aten.addmv: _added_product,
    aten.addmv_: _added_product,
    aten.addmm_: _added_product,
    aten.addbmm: _added_product,
    aten.addbmm_: _added_product,
    aten.baddbmm_: _added_product,
    aten._addmm_activation: _added_product,
}
PRODUCTS = re.compile(r"mm(_|$)|matmul|conv(olution|_|\d)|attention|rnn|lstm|gru|linear(_|$)|cdist|trilinear")
"""Names of operators that multiply matrices: one of these without a formula makes the count wrong."""
GATES = "_thnn_fused_"
"""In the names of fused kernels for a recurrent cell's gates: named like a product, but its products run apart."""
RESHAPES = frozenset({aten._unsafe_view})
"""Views whose schema does not say so."""


class Total(ModuleTracker):
    """Stands where torch attributes FLOPs to modules: its hooks there refuse `autograd.grad` of a network's input."""

    def __enter__(self) -> Total:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Tally(FlopCounterMode):
    """Counts, and keeps what ran without a formula: calls and elements written, by operator."""

    def __init__(self) -> None:
        super().__init__(display=False, custom_mapping=MISSING)
        self.mod_tracker = Total()
        self.uncounted: dict[Any, tuple[int, int]] = {}

    def _count_flops(self, func_packet: Any, out: Any, args: Any, kwargs: Any) -> Any:
        if func_packet not in self.flop_registry:
            written = [leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]
            written = written or [leaf for leaf in tree_leaves(args[:1]) if isinstance(leaf, torch.Tensor)]
            calls, elements = self.uncounted.get(func_packet, (0, 0))
            self.uncounted[func_packet] = calls + 1, elements + sum(tensor.numel() for tensor in written)
        return super()._count_flops(func_packet, out, args, kwargs)  # type: ignore[no-untyped-call]


def kind(packet: Any) -> Kind:
    """What an operator without a formula does, by its name, schema and tags."""
    name = str(packet)
    if PRODUCTS.search(name) and GATES not in name:
        return "product"
    if not isinstance(packet, torch._ops.OpOverloadPacket):
        return "other"
    overload = getattr(packet, packet.overloads()[0])  # type: ignore[no-untyped-call]
    returns, takes = overload._schema.returns, overload._schema.arguments
    is_view = bool(returns) and all(value.alias_info and not value.alias_info.is_write for value in returns)
    if is_view or packet in RESHAPES or not any("Tensor" in str(argument.type) for argument in takes):
        return "free"
    return "elementwise" if torch.Tag.pointwise in overload.tags else "other"


def formulas() -> frozenset[str]:
    """Names of all operators that are counted."""
    return frozenset(str(packet) for packet in [*flop_registry, *MISSING])


@contextmanager
def counted() -> Iterator[Tally]:
    """Count what runs inside; compiled graphs run eagerly meanwhile, since the counter cannot see into them."""
    with Tally() as counter, torch.compiler.set_stance("force_eager"):
        yield counter

"""Counting the FLOPs that kernels execute, with the formulas that torch lacks.

torch's counter knows operators by formula; one without a formula counts zero, silently. Fused attention on CPU is such
a case, so its formulas are registered here: forward 2 products, backward 5 (the scores are recomputed).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

aten = torch.ops.aten


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def _attention_backward(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_backward_flop_count(grad, query, key, value))  # type: ignore[no-untyped-call]


MISSING = {
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}


@contextmanager
def counted() -> Iterator[FlopCounterMode]:
    """Count what runs inside; compiled graphs run eagerly meanwhile, since the counter cannot see into them."""
    with FlopCounterMode(display=False, custom_mapping=MISSING) as counter, torch.compiler.set_stance("force_eager"):
        yield counter

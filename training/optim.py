"""Optimisers with decay groups, and schedules as functions of progress.

A schedule sees the share of the budget that is spent, not a step count, so that a budget in steps, tokens or FLOPs
decays fully whatever the method costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from training.spec import OptimSpec

STEPS = (0.5, 0.75)
"""Where the step schedule divides the rate by ten."""

Schedule = Callable[[float], float]
"""Progress in [0, 1] to a factor of the peak learning rate."""


def optimizer(model: nn.Module, spec: OptimSpec) -> torch.optim.Optimizer:
    """Weight decay acts on matrices and kernels only: biases, norms and other vectors are left alone."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": spec.weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if spec.name == "sgd":
        return torch.optim.SGD(groups, lr=spec.learning_rate, momentum=spec.momentum)
    betas = (spec.beta1, spec.beta2)
    return torch.optim.AdamW(groups, lr=spec.learning_rate, betas=betas, fused=True)


def schedule(spec: OptimSpec) -> Schedule:
    """Linear warm-up, then cosine or linear decay to the floor, a plateau and a linear decay (WSD), or two steps."""

    def decayed(share: float) -> float:
        """From 1 at share 0 to the floor at share 1."""
        left = 0.5 * (1 + math.cos(math.pi * share)) if spec.schedule == "cosine" else 1 - share
        return spec.floor + (1 - spec.floor) * left

    def factor(progress: float) -> float:
        if progress < spec.warmup:
            return progress / spec.warmup
        if spec.schedule == "step":
            return float(0.1 ** sum(progress >= turn for turn in STEPS))
        start = spec.warmup if spec.schedule != "wsd" else max(spec.warmup, 1 - spec.decay)
        return decayed(min(1.0, max(0.0, progress - start) / (1 - start))) if start < 1 else 1.0

    return factor

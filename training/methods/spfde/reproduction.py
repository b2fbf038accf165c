"""The shape of the paper's result at the size of handwritten digits. Torch-free.

Forty epochs, an interval of two; a sparsity of 0.8, since there are few weights. Random rotation is a control: it is
reported, no bar asks for it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from training.methods.spfde.knobs import SpfdeKnobs
from training.methods.spfde.plan import stages
from training.models.images import IMAGE_PRESETS
from training.reproduction import Bar, Measured, Reproduction, Variant

SHAPE = replace(IMAGE_PRESETS["resnet14"], side=8, channels=1)
ACCURACY = "image_classification acc"
STEPS, BATCH = 800, 64
SPARSE, FREEZE, SIEVE, BOTH = "Sparse", "Freezing 20 %", "Leaving out 20 %", "20 % + 20 %"
KNOBS: dict[str, dict[str, Any]] = {
    SPARSE: {"freeze": 0},
    FREEZE: {"freeze": 0.2},
    SIEVE: {"freeze": 0, "sieve": 0.2},
    BOTH: {"freeze": 0.2, "sieve": 0.2},
    "20 % + 20 % by lot": {"freeze": 0.2, "sieve": 0.2, "leave_out": "random"},
}
ALWAYS: dict[str, Any] = {"sparsity": 0.8, "intervals": 20}


def _off_plan(measured: Measured) -> float:
    """How far counted training FLOPs lie from the closed form; the farthest arm, relative."""
    return max(abs(measured.cost(arm, "executed") / _planned(knobs) - 1) for arm, knobs in KNOBS.items())


def _planned(knobs: dict[str, Any]) -> float:
    parts = stages(SpfdeKnobs.model_validate(ALWAYS | knobs), SHAPE, 1)
    return STEPS * BATCH * sum(stage.share * stage.flops_per_token for stage in parts)


def _realised(measured: Measured, arm: str) -> float:
    """Saved share of the sparse arm's time, as a share of what is saved of its FLOPs."""
    time, flops = (1 - measured.cost(arm, unit) / measured.cost(SPARSE, unit) for unit in ("seconds", "executed"))
    return time / flops


REPRODUCTION = Reproduction(
    spec={
        "task": "image_classification",
        "data": {"source": "digits"},
        "model": {"preset": "resnet14"},
        "budget": {"steps": STEPS},
        "batch_size": BATCH,
        "optim": {"name": "sgd", "learning_rate": 0.1, "weight_decay": 5e-4, "warmup": 0.05, "clip_norm": 0.0},
        "eval_points": 20,
        "evals": [],
    },
    arms=(
        Variant("Dense"),
        *(Variant(arm, {"methods": ["spfde"], "knobs": {"spfde": ALWAYS | knobs}}) for arm, knobs in KNOBS.items()),
        Variant("Dense, equal FLOPs", flops_of=BOTH),
    ),
    judged=BOTH,
    bars=(
        Bar("counted FLOPs lie within 1 % of the plan, in every arm", _off_plan, at_most=0.01),
        Bar(
            "20 % + 20 % executes 0.64 of what sparse training executes, to 0.02",
            lambda measured: abs(measured.cost(BOTH, "executed") / measured.cost(SPARSE, "executed") - 0.64),
            at_most=0.02,
        ),
        Bar(
            "freezing 20 % loses at most 1.0 points of accuracy to sparse training",
            lambda measured: measured.score_gap(FREEZE, ACCURACY, SPARSE).mean,
            at_least=-0.010,
        ),
        Bar(
            "20 % + 20 % loses at most 1.5 points of accuracy to sparse training",
            lambda measured: measured.score_gap(BOTH, ACCURACY, SPARSE).mean,
            at_least=-0.015,
        ),
        Bar(
            "freezing saves at least half as much time as FLOPs",
            lambda measured: _realised(measured, FREEZE),
            at_least=0.5,
        ),
        Bar(
            "leaving out saves at least half as much time as FLOPs",
            lambda measured: _realised(measured, SIEVE),
            at_least=0.5,
        ),
    ),
)

"""The shape of the paper's result at the size of handwritten digits. Torch-free.

Scaled down with the run: forty looks at the loss and a window of three, targets that the options can reach, a price
for 3 blocks and batches of 64 instead of 18 and 128. Thresholds are those of the code: of its README for PFQ, of its
parser for FracTrain.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from training.methods.fractrain.costs import chosen_percent
from training.models.images import IMAGE_PRESETS
from training.reproduction import Bar, Measured, Reproduction, Variant

SHAPE = replace(IMAGE_PRESETS["resnet8"], side=8, channels=1)
ACCURACY = "image_classification acc"
INDICATOR: dict[str, Any] = {"epoch": 1 / 40, "window": 3}
GATES: dict[str, Any] = {"beta": 0.01, "target": 3.0}
OPTIONS = 5


def _arm(label: str, **knobs: Any) -> Variant:
    return Variant(label, {"methods": ["fractrain"], "knobs": {"fractrain": knobs}})


def _chosen(measured: Measured, arm: str) -> float:
    """Mean percent of 32-bit cost that the arm's blocks chose over the whole run."""
    per_image = [measured.cost(arm, unit) / measured.cost(arm, "tokens") for unit in ("effective", "executed")]
    return chosen_percent(SHAPE, OPTIONS, effective=per_image[0], executed=per_image[1])


REPRODUCTION = Reproduction(
    spec={
        "task": "image_classification",
        "data": {"source": "digits"},
        "model": {"preset": "resnet8"},
        "budget": {"steps": 600},
        "batch_size": 64,
        "optim": {
            "name": "sgd", "learning_rate": 0.1, "weight_decay": 1e-4, "schedule": "step", "warmup": 0.0,
            "clip_norm": 0.0,
        },
        "eval_points": 12,
        "evals": [],
    },
    arms=(
        Variant("FP32"),
        _arm("Static 8/8", bits="8", error_bits="8"),
        _arm("Static 3/6", bits="3", error_bits="6"),
        _arm("PFQ", eps=0.05, alpha=0.3, **INDICATOR),
        _arm("DFQ", mode="dfq", **GATES),
        _arm("FracTrain", mode="fractrain", range_momentum=0.1, **INDICATOR, **(GATES | {"target": 2.0})),
        Variant("FP32, equal FLOPs", flops_of="PFQ"),
    ),
    judged="PFQ",
    bars=(
        Bar(
            "PFQ takes at most 0.75 of the effective FLOPs of static 8/8",
            lambda measured: measured.cost("PFQ", "effective") / measured.cost("Static 8/8", "effective"),
            at_most=0.75,
        ),
        Bar(
            "PFQ is at most one point less accurate than static 8/8",
            lambda measured: measured.score_gap("PFQ", ACCURACY, "Static 8/8").mean,
            at_least=-0.01,
        ),
        Bar(
            "PFQ is more accurate than static 3/6",
            lambda measured: measured.score_gap("PFQ", ACCURACY, "Static 3/6").mean,
            at_least=1e-9,
        ),
        Bar(
            "what DFQ chooses over the run costs within 0.3 points of its target of 3 %",
            lambda measured: abs(_chosen(measured, "DFQ") - 3.0),
            at_most=0.3,
        ),
        Bar(
            "FracTrain takes fewer effective FLOPs than DFQ",
            lambda measured: measured.cost("FracTrain", "effective") / measured.cost("DFQ", "effective"),
            at_most=1.0,
        ),
        Bar(
            "simulation saves nothing: PFQ executes what FP32 does",
            lambda measured: measured.cost("PFQ", "executed") / measured.cost("FP32", "executed"),
            at_least=1.0,
            at_most=1.0,
        ),
    ),
)  # fmt: skip

"""Decay groups and schedules."""

from __future__ import annotations

import pytest
from torch import nn

from training.optim import adamw, schedule
from training.spec import OptimSpec


def test_only_matrices_decay() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    decayed, spared = adamw(model, OptimSpec(weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], [p.dim() for p in decayed["params"]]) == (0.1, [2])
    assert (spared["weight_decay"], {p.dim() for p in spared["params"]}) == (0.0, {1})


@pytest.mark.parametrize("name", ["cosine", "wsd", "linear"])
def test_a_schedule_warms_up_peaks_and_decays_to_its_floor(name: str) -> None:
    factor = schedule(OptimSpec.model_validate({"schedule": name, "warmup": 0.1, "floor": 0.05}))
    assert factor(0.0) == 0.0
    assert factor(0.05) == pytest.approx(0.5)
    assert factor(0.1) == pytest.approx(1.0)
    assert factor(1.0) == pytest.approx(0.05)


def test_wsd_is_flat_until_its_decay() -> None:
    factor = schedule(OptimSpec(schedule="wsd", decay=0.25))
    assert factor(0.7) == 1.0
    assert factor(0.875) == pytest.approx(0.5)


def test_cosine_is_half_way_down_in_the_middle() -> None:
    assert schedule(OptimSpec(warmup=0.0))(0.5) == pytest.approx(0.5)

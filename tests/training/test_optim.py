"""Decay groups and schedules."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from training.optim import optimizer, schedule
from training.spec import OptimSpec


def test_only_matrices_decay() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    decayed, spared = optimizer(model, OptimSpec(weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], [p.dim() for p in decayed["params"]]) == (0.1, [2])
    assert (spared["weight_decay"], {p.dim() for p in spared["params"]}) == (0.0, {1})


def test_sgd_has_momentum_and_the_same_groups() -> None:
    sgd = optimizer(nn.Linear(3, 2), OptimSpec(name="sgd", learning_rate=0.1, momentum=0.8, weight_decay=0.01))
    assert isinstance(sgd, torch.optim.SGD)
    assert [(g["lr"], g["momentum"], g["weight_decay"]) for g in sgd.param_groups] == [(0.1, 0.8, 0.01), (0.1, 0.8, 0)]


def test_the_step_schedule_divides_twice_by_ten() -> None:
    factor = schedule(OptimSpec(schedule="step", warmup=0.1))
    assert [factor(at) for at in (0.05, 0.3, 0.5, 0.74, 0.75, 1.0)] == pytest.approx([0.5, 1, 0.1, 0.1, 0.01, 0.01])


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

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from training.evaluation import calibration


def confident(share: float, count: int) -> Tensor:
    """Logits of two classes that give class 0 this probability."""
    return torch.tensor([[share, 1 - share]]).log().expand(count, 2)


def test_confidence_that_comes_true_is_calibrated() -> None:
    labels = (torch.arange(100) >= 80).long()
    assert calibration.score(confident(0.8, 100), labels)[0].value == pytest.approx(0, abs=1e-6)


def test_the_error_is_the_mean_gap_over_the_bins() -> None:
    """Of 100 images said with 0.9, 70 are right; of 300 said with 0.6, 210: (100 * 0.2 + 300 * 0.1) / 400."""
    logits = torch.cat((confident(0.9, 100), confident(0.6, 300)))
    labels = torch.cat(((torch.arange(100) >= 70).long(), (torch.arange(300) >= 210).long()))
    assert calibration.score(logits, labels)[0].value == pytest.approx(0.125, abs=1e-6)


def test_gaps_within_a_bin_cancel_and_between_bins_do_not() -> None:
    """0.81 and 0.86 share the bin up to 13/15; 0.86 and 0.87 do not."""
    hits = torch.tensor([1.0, 0.0])
    assert calibration.ece(torch.tensor([0.81, 0.86]), hits).item() == pytest.approx(abs(0.19 - 0.86) / 2)
    assert calibration.ece(torch.tensor([0.86, 0.87]), hits).item() == pytest.approx((0.14 + 0.87) / 2)


def test_full_confidence_has_a_bin() -> None:
    assert calibration.ece(torch.ones(4), torch.ones(4)).item() == 0


def test_the_error_of_the_error_shrinks_with_the_number_of_images() -> None:
    generator = torch.Generator().manual_seed(0)
    errors = []
    for count in (100, 10_000):
        logits = torch.randn(count, 5, generator=generator)
        score = calibration.score(logits, torch.randint(5, (count,), generator=generator))[0]
        assert score.n == count
        assert score.stderr is not None
        errors.append(score.stderr)
    assert errors[0] == pytest.approx(10 * errors[1], rel=0.5)

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from training.parts.quantize import Extent, of_batch, of_channels, quantize, quantize_error, rounded

FULL = pytest.mark.parametrize("bits", [0, 32, 40])


def drawn(*sizes: int) -> Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(1))


def error_of(gradient: Tensor, bits: int, **how: bool) -> Tensor:
    """What the quantiser makes of a gradient that arrives at a layer's output."""
    x = torch.zeros_like(gradient, requires_grad=True)
    return torch.autograd.grad(quantize_error(x, bits, **how), x, gradient)[0]


def values(x: Tensor) -> set[float]:
    return set(x.flatten().tolist())


@FULL
def test_full_precision_is_the_same_tensor(bits: int) -> None:
    x = drawn(3, 4)
    assert rounded(x, bits, of_batch(x)) is x
    assert quantize(x, bits, of_batch(x)) is x
    assert quantize_error(x, bits) is x


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_a_tensor_has_no_more_values_than_its_bits_can_tell_apart(bits: int) -> None:
    x = drawn(8, 500)
    assert 2**bits / 2 < len(values(rounded(x, bits, of_batch(x)))) <= 2**bits
    assert len(values(error_of(x, bits))) <= 2**bits


@pytest.mark.parametrize("dim", [0, 1])
def test_each_channel_of_a_weight_has_its_own_grid(dim: int) -> None:
    weight = drawn(4, 4, 50)
    weight.select(dim, 2).mul_(100)
    channels = rounded(weight, 3, of_channels(weight, dim)).movedim(dim, 0)
    assert all(len(values(channel)) == 8 for channel in channels)


def test_a_finer_grid_is_nearer() -> None:
    x = drawn(8, 500)
    errors = [float((rounded(x, bits, of_batch(x)) - x).abs().max()) for bits in (3, 4, 6, 8)]
    span = float(x.max() - x.min())
    assert errors == [pytest.approx(span / (2**bits - 1) / 2, rel=0.1) for bits in (3, 4, 6, 8)]


def test_the_ends_of_the_extent_lie_on_the_grid() -> None:
    x = drawn(8, 500)
    on_grid = rounded(x, 3, of_batch(x))
    assert float(on_grid.min()) == pytest.approx(float(x.min()), rel=1e-6)
    assert float(on_grid.max()) == pytest.approx(float(x.max()), rel=1e-6)


def test_the_batch_reaches_to_the_greatest_maximum_unless_it_is_clipped() -> None:
    x = torch.tensor([[-1.0, 2.0], [0.0, 5.0]])
    assert of_batch(x) == (torch.tensor(-1.0), torch.tensor(6.0))
    assert of_batch(x, clip=True) == (torch.tensor(-1.0), torch.tensor(3.0))
    assert float(rounded(x, 8, of_batch(x, clip=True)).max()) == pytest.approx(2.0)


def test_a_constant_tensor_stays_what_it_is() -> None:
    x = torch.full((2, 3), 0.7)
    assert torch.equal(rounded(x, 4, of_batch(x)), x)
    assert error_of(x, 4).isfinite().all()


def test_deterministic_rounding_goes_to_the_nearest_level() -> None:
    x, extent = torch.tensor([[0.0, 0.4, 0.6, 3.0]]), Extent(torch.tensor(0.0), torch.tensor(3.0))
    assert rounded(x, 2, extent).tolist() == [[0.0, 0.0, 1.0, 3.0]]


def test_stochastic_rounding_keeps_the_mean_inside_the_extent() -> None:
    torch.manual_seed(0)
    extent, count = Extent(torch.tensor(0.0), torch.tensor(3.0)), 100_000
    for value in (0.6, 1.3, 2.4):
        found = rounded(torch.full((1, count), value), 2, extent, stochastic=True)
        share = value % 1
        assert values(found) == {math.floor(value), math.ceil(value)}
        assert float(found.mean()) == pytest.approx(value, abs=5 * math.sqrt(share * (1 - share) / count))


def test_values_beyond_the_extent_are_cut_and_so_biased() -> None:
    torch.manual_seed(0)
    extent = Extent(torch.tensor(0.0), torch.tensor(3.0))
    found = rounded(torch.tensor([[-0.2] * 1000 + [3.4] * 1000]), 2, extent, stochastic=True)
    assert values(found[0, :1000]) == {0.0}
    assert values(found[0, 1000:]) == {3.0}


def test_the_gradient_passes_straight_through() -> None:
    x = drawn(4, 6).requires_grad_()
    narrow = Extent(torch.tensor(-0.1), torch.tensor(0.2))
    (passed,) = torch.autograd.grad(quantize(x, 3, narrow), x, arriving := drawn(4, 6))
    assert torch.equal(passed, arriving)


def test_quantising_errors_changes_gradients_only() -> None:
    x, weight = drawn(4, 6), drawn(5, 6).requires_grad_()
    plain = F.linear(x, weight)
    marked = quantize_error(plain, 3)
    assert torch.equal(marked, plain)
    arriving = drawn(4, 5)
    (exact,) = torch.autograd.grad(plain, weight, arriving, retain_graph=True)
    torch.manual_seed(3)
    (coarse,) = torch.autograd.grad(marked, weight, arriving)
    torch.manual_seed(3)
    assert not torch.equal(exact, coarse)
    assert torch.equal(coarse, error_of(arriving, 3).T @ x)


def test_one_quantised_error_feeds_input_and_weight() -> None:
    x, weight = drawn(4, 6).requires_grad_(), drawn(5, 6).requires_grad_()
    torch.manual_seed(3)
    of_x, of_weight = torch.autograd.grad(quantize_error(F.linear(x, weight), 2), (x, weight), arriving := drawn(4, 5))
    torch.manual_seed(3)
    error = error_of(arriving, 2)
    assert torch.equal(of_x, error @ weight)
    assert torch.equal(of_weight, error.T @ x)


def test_errors_rounded_to_the_nearest_need_no_chance() -> None:
    gradient = drawn(4, 6)
    assert torch.equal(error_of(gradient, 3, stochastic=False), rounded(gradient, 3, of_batch(gradient)))
    assert not torch.equal(error_of(gradient, 3), error_of(gradient, 3))

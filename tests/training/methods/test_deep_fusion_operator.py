"""The operator: what a fused network computes, of every family that can be fused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.methods.deep_fusion.card import narrowed
from training.methods.deep_fusion.fusion import Network, copies, deviation, diagonal, fuse, group_norms, joined
from training.models.build import build
from training.models.encoder_decoder import ENCODER_DECODER_PRESETS, EncoderDecoderShape
from training.models.shape import PRESETS, Shape
from training.models.t5 import T5

pytestmark = pytest.mark.usefixtures("bench")  # one thread
SHAPES: dict[str, Shape | EncoderDecoderShape] = {
    "gpt2": PRESETS["gpt2-nano"],
    "gpt2 untied": replace(PRESETS["gpt2-nano"], tied=False),
    "llama": PRESETS["llama-nano"],
    "llama tied": replace(PRESETS["llama-nano"], tied=True),
    "t5": ENCODER_DECODER_PRESETS["t5-nano"],
    "t5 tied": replace(ENCODER_DECODER_PRESETS["t5-nano"], tied=True),
}
"""Of the fused networks."""
every = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def made(shape: Shape | EncoderDecoderShape, seed: int) -> Network:
    """A network whose biases and gains are not those of a fresh one."""
    torch.manual_seed(seed)
    model = T5(shape) if isinstance(shape, EncoderDecoderShape) else build(shape)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 1:
                weight.add_(0.3 * torch.randn_like(weight))
    return model.eval()


def filled(shape: Shape | EncoderDecoderShape, value: float) -> Network:
    """A network all of whose parameters have this value."""
    model = made(shape, 0)
    for weight in model.parameters():
        nn.init.constant_(weight, value)
    return model


def fused(parts: list[Network], shape: Any, **how: Any) -> tuple[Network, dict[str, Tensor]]:
    whole = made(shape, 99)
    groups = how.pop("groups", 1)
    if groups > 1:
        group_norms(whole, groups)
    return whole, fuse(parts, whole, **how)


@torch.no_grad()
def logits(model: Network) -> Tensor:
    tokens = torch.randint(0, 512, (3, 24), generator=torch.Generator().manual_seed(5))
    result: Tensor = model(tokens, tokens[:, :10]) if isinstance(model, T5) else model(tokens)
    return result


def loss(model: Network, seed: int = 0) -> Tensor:
    tokens = torch.randint(0, 512, (4, 25), generator=torch.Generator().manual_seed(seed))
    inputs = (tokens, tokens[:, :-1]) if isinstance(model, T5) else (tokens[:, :-1],)
    return F.cross_entropy(model(*inputs).flatten(0, 1), tokens[:, 1:].flatten())


def mlp(weights: list[tuple[Tensor, Tensor]], x: Tensor) -> Tensor:
    for weight, bias in weights[:-1]:
        x = F.linear(x, weight, bias).relu()
    return F.linear(x, *weights[-1])


def test_a_fused_mlp_computes_the_mean_of_its_parts() -> None:
    torch.manual_seed(0)
    nets = [[(torch.randn(n, m) / m, torch.randn(n)) for m, n in pairwise((5, 6, 7, 3))] for _ in range(3)]
    (first, one), (hidden, two), (last, three) = ([*zip(*layer, strict=True)] for layer in zip(*nets, strict=True))
    whole = [
        (joined(first, [6]), joined(one, [6])),
        (diagonal(hidden, [7]), joined(two, [7])),
        (torch.cat(last, dim=1) / 3, torch.stack(three).mean(0)),
    ]
    x = torch.randn(8, 5)
    mean = torch.stack([mlp(net, x) for net in nets]).mean(0)
    torch.testing.assert_close(mlp(whole, x), mean, atol=1e-6, rtol=0)


def test_blocks_and_sections_lie_where_they_belong() -> None:
    a, b = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[5.0, 6.0], [7.0, 8.0], [9.0, 10.0]])
    assert diagonal([a, b], [1, 2]).tolist() == [
        [1, 0, 0], [0, 5, 6], [2, 0, 0], [3, 0, 0], [0, 7, 8], [0, 9, 10],
    ]  # fmt: skip
    assert joined([a[:, 0], b[:, 0]], [2, 1]).tolist() == [1, 2, 5, 7, 3, 9]


@every
@pytest.mark.parametrize("count", [2, 4])
def test_with_grouped_norms_the_logits_are_the_mean_of_the_parts(shape: Any, count: int) -> None:
    if getattr(shape, "kv_heads", count) % count:
        shape = replace(shape, kv_heads=4)
    parts = [made(narrowed(shape, count), seed) for seed in range(count)]
    whole, _ = fused(parts, shape, groups=count)
    torch.testing.assert_close(logits(whole), torch.stack([logits(part) for part in parts]).mean(0), atol=2e-5, rtol=0)


@every
def test_a_tree_of_grouped_norms_keeps_the_mean_too(shape: Any) -> None:
    shape = replace(shape, kv_heads=4) if hasattr(shape, "kv_heads") else shape
    leaves = [made(narrowed(shape, 4), seed) for seed in range(4)]
    middle = [fused(leaves[:2], narrowed(shape, 2), groups=2)[0], fused(leaves[2:], narrowed(shape, 2), groups=2)[0]]
    whole, _ = fused(middle, shape, groups=4)
    torch.testing.assert_close(logits(whole), torch.stack([logits(leaf) for leaf in leaves]).mean(0), atol=2e-5, rtol=0)


@every
def test_self_fusion_keeps_the_function_with_ordinary_norms(shape: Any) -> None:
    source = made(narrowed(shape, 2), 1)
    whole, _ = fused([source, source], shape)
    torch.testing.assert_close(logits(whole), logits(source), atol=1e-5, rtol=0)
    assert loss(whole).item() == pytest.approx(loss(source).item(), abs=1e-6)


@every
def test_two_networks_with_ordinary_norms_deviate_measurably(shape: Any) -> None:
    parts = [made(narrowed(shape, 2), seed) for seed in (1, 2)]
    parts[1].get_parameter("embedding.weight").data.mul_(3)
    whole, _ = fused(parts, shape)
    largest, size = deviation(logits(whole), [logits(part) for part in parts])
    assert largest > 1e-2 * size


@every
def test_fused_matrices_have_their_full_size_and_zeros_off_the_diagonal(shape: Any) -> None:
    parts = [made(narrowed(shape, 2), seed) for seed in (1, 2)]
    whole, outside = fused(parts, shape)
    assert sum(weight.numel() for weight in whole.parameters()) == shape.parameters
    named = {name.split(".")[-1] for name in outside}
    assert named <= {"qkv", "out", "up", "down", "gate_up", "query", "kv"}
    for name, mask in outside.items():
        (n, m), weight = parts[0].get_parameter(name).shape, whole.get_parameter(name)
        assert weight.shape == mask.shape == (2 * n, 2 * m)
        assert mask.sum() == 2 * n * m
        assert not weight[mask].any()


@every
def test_different_networks_fill_the_off_diagonal_in_one_step(shape: Any) -> None:
    whole, outside = fused([made(narrowed(shape, 2), seed) for seed in (1, 2)], shape)
    torch.autograd.backward(loss(whole))
    torch.optim.SGD(whole.parameters(), lr=0.1).step()
    assert all(whole.get_parameter(name)[mask].ne(0).float().mean() > 0.9 for name, mask in outside.items())


@every
def test_off_diagonal_blocks_are_a_share_of_fresh_ones(shape: Any) -> None:
    parts = [made(narrowed(shape, 2), seed) for seed in (1, 2)]
    fresh = made(shape, 99)
    for scale in (0.1, 1.0):
        whole, outside = fused(parts, shape, off_diagonal=scale)
        for name, mask in outside.items():
            torch.testing.assert_close(whole.get_parameter(name)[mask], scale * fresh.get_parameter(name)[mask])


@torch.no_grad()
def halves(model: Network) -> float:
    """The largest difference between the two halves of a self-fused network, with their couplings."""
    apart = 0.0
    for name, weight in model.named_parameters():
        if name.endswith(("mlp.up", "mlp.down", "attention.out")):
            first, second = weight.chunk(2)
            apart = max(apart, float((first - second.roll(weight.shape[1] // 2, dims=1)).abs().max()))
    return apart


SGD = partial(torch.optim.SGD, lr=0.5)
ADAM = partial(torch.optim.Adam, lr=3e-3)


def after_ten_steps(noise: float, optimizer: Callable[..., torch.optim.Optimizer]) -> tuple[float, float]:
    """How far the halves of a self-fused network are apart, before and after."""
    source = made(narrowed(PRESETS["gpt2-nano"], 2), 1)
    whole, _ = fused(copies(source, 2, noise=noise, seed=3), PRESETS["gpt2-nano"])
    start, steps = halves(whole), optimizer(whole.parameters())
    for _ in range(10):
        steps.zero_grad()
        torch.autograd.backward(loss(whole))
        steps.step()
    return start, halves(whole)


def test_without_noise_the_halves_of_a_self_fused_network_stay_equal() -> None:
    assert max(after_ten_steps(0.0, SGD)) < 1e-6
    assert max(after_ten_steps(0.0, ADAM)) < 1e-6


def test_with_noise_the_halves_separate() -> None:
    start, apart = after_ten_steps(1e-3, ADAM)
    assert apart > 10 * start > 1e-4


@every
def test_noise_changes_the_function_in_second_order(shape: Any) -> None:
    source = made(narrowed(shape, 2), 1)
    found = []
    for noise in (1e-1, 1e-2):
        twins = copies(source, 2, noise=noise, seed=3)
        first, second = (twin.get_parameter("embedding.weight") for twin in twins)
        assert (first - second).std().item() == pytest.approx(noise * 2**0.5 * first.std().item(), rel=0.1)
        torch.testing.assert_close((first + second) / 2, source.get_parameter("embedding.weight"), atol=1e-6, rtol=0)
        found.append(float((logits(fused(twins, shape)[0]) - logits(source)).abs().max()))
    assert found[1] < found[0] / 40
    assert found[1] < 1e-2 * float(logits(source).abs().max())


@every
def test_the_order_of_the_parts_permutes_the_fused_network(shape: Any) -> None:
    parts = [made(narrowed(shape, 2), seed) for seed in (1, 2)]
    (ab, _), (ba, _) = fused(parts, shape), fused(parts[::-1], shape)
    torch.testing.assert_close(logits(ab), logits(ba), atol=1e-5, rtol=0)
    for name, weight in ab.named_parameters():
        assert torch.equal(weight.flatten().sort().values, ba.get_parameter(name).flatten().sort().values)


@every
def test_a_block_is_the_part_it_came_from(shape: Any) -> None:
    """Fused with a network of zeros, what is left of the whole is one part, its head halved."""
    source, empty = made(narrowed(shape, 2), 1), filled(narrowed(shape, 2), 0.0)
    whole, outside = fused([source, empty], shape, groups=2)
    torch.testing.assert_close(2 * logits(whole), logits(source), atol=1e-5, rtol=0)
    ones, _ = fused([filled(narrowed(shape, 2), 1.0), empty], shape, groups=2)
    for name in outside:
        block = whole.get_parameter(name)[ones.get_parameter(name).bool()]
        assert torch.equal(block, source.get_parameter(name).flatten())

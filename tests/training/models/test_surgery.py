from __future__ import annotations

from itertools import combinations, product

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter
from torch.func import functional_call

from training.flops import counted
from training.models.build import build
from training.models.decoder import Decoder, Layer
from training.models.shape import Shape
from training.models.surgery import Gate, gated, open_all, zero_gradients

SMALL = {
    "gpt2": Shape("gpt2", layers=3, width=32, heads=4, kv_heads=4, mlp=8, vocab=64, context=32),
    "llama": Shape("llama", layers=3, width=32, heads=4, kv_heads=2, mlp=8, vocab=64, context=32, tied=False),
}
both = pytest.mark.parametrize("family", SMALL)
NEURONS = torch.tensor([0, 3, 4, 7])
HALF = {
    "gpt2": Gate(torch.tensor([1, 2]), torch.tensor([1, 2]), NEURONS, heads_scale=2.0, neurons_scale=2.0),
    "llama": Gate(torch.tensor([1, 2]), None, NEURONS, heads_scale=2.0, neurons_scale=2.0),
    "whole groups": Gate(torch.tensor([2, 3]), torch.tensor([1]), NEURONS, heads_scale=2.0, neurons_scale=2.0),
}
GATES = [("gpt2", "gpt2"), ("llama", "llama"), ("llama", "whole groups")]
every_gate = pytest.mark.parametrize(("family", "gate"), GATES)


def lively(family: str) -> Decoder:
    """A small network in training mode whose every parameter, biases included, is random and large enough to show."""
    model, generator = build(SMALL[family]), torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
    return model.train()


def tokens() -> Tensor:
    return torch.randint(0, 64, (2, 16), generator=torch.Generator().manual_seed(2))


def narrowed(family: str, gate: str, *, skip: int | None = 1) -> Decoder:
    """Every layer at half, one layer left out."""
    model = lively(family)
    for i, layer in enumerate(gated(model)):
        half = HALF[gate]
        layer.gate = Gate(half.heads, half.groups, half.neurons, i != skip, half.heads_scale, half.neurons_scale)
    return model


def masked(model: Decoder, inputs: Tensor) -> Tensor:
    """The twin that masks: the whole network computes, and what is inactive is multiplied by zero."""
    weights: dict[str, Tensor] = dict(model.named_parameters())
    gates = [layer.gate for layer in gated(model)]
    for i, gate in enumerate(gates):
        for name, index, unit, scale in (
            ("attention.out", gate.heads, SMALL["gpt2"].head_width, gate.heads_scale),
            ("mlp.down", gate.neurons, 1, gate.neurons_scale),
        ):
            weight = weights[f"layers.{i}.{name}"]
            mask = torch.zeros(len(weight) // unit)
            mask[index] = scale
            weights[f"layers.{i}.{name}"] = weight * (mask.repeat_interleave(unit)[:, None] * gate.runs)
        for name in (f"layers.{i}.attention.out_bias", f"layers.{i}.mlp.down_bias"):
            if name in weights:
                weights[name] = weights[name] * float(gate.runs)
    open_all(model)
    logits: Tensor = functional_call(model, weights, (inputs,))
    for layer, gate in zip(gated(model), gates, strict=True):
        layer.gate = gate
    return logits


def gradients(model: nn.Module, logits: Tensor) -> dict[str, Tensor]:
    torch.autograd.backward(logits.square().mean())
    zero_gradients(model)
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    return {name: grad for name, grad in found.items() if grad is not None}


@every_gate
def test_slicing_computes_what_masking_computes(family: str, gate: str) -> None:
    model = narrowed(family, gate)
    torch.testing.assert_close(model(tokens()), masked(model, tokens()), atol=1e-5, rtol=1e-5)


@every_gate
def test_slicing_has_the_gradients_of_masking(family: str, gate: str) -> None:
    model = narrowed(family, gate)
    sliced, twin = gradients(model, model(tokens())), gradients(model, masked(model, tokens()))
    assert sliced.keys() == twin.keys() == dict(model.named_parameters()).keys()
    for name, grad in sliced.items():
        torch.testing.assert_close(grad, twin[name], atol=1e-5, rtol=1e-5, msg=name)


def test_masking_saves_no_executed_flops_and_slicing_does() -> None:
    model = narrowed("gpt2", "gpt2", skip=None)
    with counted() as twin:
        masked(model, tokens())
    with counted() as sliced:
        model(tokens())
    open_all(model)
    with counted() as whole:
        model(tokens())
    head = 2 * tokens().numel() * SMALL["gpt2"].head_macs
    assert twin.get_total_flops() == whole.get_total_flops()
    assert sliced.get_total_flops() - head == (whole.get_total_flops() - head) / 2


@every_gate
def test_inactive_slices_have_a_gradient_of_exactly_zero(family: str, gate: str) -> None:
    model = narrowed(family, gate, skip=None)
    grads = gradients(model, model(tokens()))
    out = grads["layers.0.attention.out"].view(4, -1)
    assert out.any(dim=1).tolist() == [head in HALF[gate].heads for head in range(4)]  # type: ignore[operator]
    down = grads["layers.0.mlp.down"]
    assert down.any(dim=1).tolist() == [neuron in NEURONS for neuron in range(8)]


@both
def test_a_layer_left_out_passes_its_input_on(family: str) -> None:
    model = lively(family)
    gated(model)[1].gate = Gate(runs=False)
    without = model(tokens())
    del model.layers[1]
    assert torch.equal(without, model(tokens()))


def test_a_layer_left_out_has_gradients_of_zeros_and_not_none() -> None:
    model = narrowed("gpt2", "gpt2", skip=1)
    model(tokens()).square().mean().backward()
    left_out = list(model.layers[1].parameters())
    assert all(parameter.grad is None for parameter in left_out)
    zero_gradients(model)
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in left_out)


@every_gate
def test_evaluation_runs_the_whole_network_unscaled(family: str, gate: str) -> None:
    model = narrowed(family, gate).eval()
    during = model(tokens())
    open_all(model)
    assert torch.equal(during, model(tokens()))


@both
def test_no_position_sees_a_later_token_when_heads_are_left_out(family: str) -> None:
    model = narrowed(family, family)
    changed = tokens()
    changed[:, 9] = (changed[:, 9] + 1) % 64
    before, after = model(tokens()), model(changed)
    assert torch.equal(before[:, :9], after[:, :9])
    assert not torch.equal(before[:, 9], after[:, 9])


def in_double(family: str) -> tuple[Layer, Tensor, Tensor | None]:
    """One layer in float64, an input for it and its rotation."""
    model = lively(family).double()
    layer = model.layers[0]
    assert isinstance(layer, Layer)
    x = torch.randn(2, 6, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return layer, x, model.rotation(6)


def subsets(of: int, count: int) -> list[Tensor]:
    return [torch.tensor(subset) for subset in combinations(range(of), count)]


HEAD_SUBSETS = {
    "gpt2": [Gate(heads, heads, heads_scale=2.0) for heads in subsets(4, 2)],
    "llama": [Gate(torch.tensor(pair), heads_scale=2.0) for pair in product((0, 1), (2, 3))],
    "whole groups": [Gate(torch.tensor([2 * g, 2 * g + 1]), torch.tensor([g]), heads_scale=2.0) for g in (0, 1)],
}


@every_gate
@torch.no_grad()
def test_attention_is_unbiased_over_all_subsets_of_heads(family: str, gate: str) -> None:
    layer, x, rotation = in_double(family)
    mean = sum(layer.attention(x, rotation, subset) for subset in HEAD_SUBSETS[gate]) / len(HEAD_SUBSETS[gate])
    torch.testing.assert_close(mean, layer.attention(x, rotation, Gate()), atol=1e-12, rtol=0)


@both
@torch.no_grad()
def test_the_mlp_is_unbiased_over_all_subsets_of_neurons(family: str) -> None:
    layer, x, _ = in_double(family)
    means = [layer.mlp(x, Gate(neurons=neurons, neurons_scale=8 / 3)) for neurons in subsets(8, 3)]
    torch.testing.assert_close(sum(means) / len(means), layer.mlp(x, Gate()), atol=1e-12, rtol=0)


@both
@torch.no_grad()
def test_a_scaled_layer_is_unbiased_over_running_and_not_running(family: str) -> None:
    layer, x, rotation = in_double(family)
    whole = layer(x, rotation)
    layer.gate = Gate(layer_scale=3.0)
    torch.testing.assert_close((layer(x, rotation) + 2 * x) / 3, whole, atol=1e-12, rtol=0)


def test_all_key_and_value_heads_learn_when_only_queries_are_left_out() -> None:
    model = narrowed("llama", "llama", skip=None)
    grads = gradients(model, model(tokens()))["layers.0.attention.qkv"].view(8, -1)
    assert grads.any(dim=1).tolist() == [False, True, True, False, True, True, True, True]


def test_gates_add_nothing_to_what_is_saved() -> None:
    model = narrowed("gpt2", "gpt2")
    assert model.state_dict().keys() == build(SMALL["gpt2"]).state_dict().keys()


def test_a_compiled_network_follows_its_gates_without_compiling_again() -> None:
    counter = CompileCounter()
    model, twin = lively("gpt2"), lively("gpt2")
    model.compile(backend=counter, fullgraph=True)
    compiled = []
    for skipped, heads in enumerate(subsets(4, 2)[:3]):
        for layer in (*gated(model), *gated(twin)):
            layer.gate = Gate(heads, heads, NEURONS, True, 2.0, 2.0)
        gated(model)[skipped].gate.runs = gated(twin)[skipped].gate.runs = False
        torch.testing.assert_close(model(tokens()), twin(tokens()))
        compiled.append(counter.frame_count)
    assert compiled[0] == compiled[-1] > 0

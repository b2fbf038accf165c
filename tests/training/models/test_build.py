from __future__ import annotations

import math

import pytest
import torch

from training.models.build import build
from training.models.decoder import Attention
from training.models.gpt2 import GeluMlp
from training.models.llama import SwiGlu
from training.models.shape import PRESETS

PUBLISHED = {"gpt2": 124_439_808, "gpt2-medium": 354_823_168, "tinyllama-1.1b": 1_100_048_384}
nano = pytest.mark.parametrize("preset", ["gpt2-nano", "llama-nano"])


@pytest.mark.parametrize("preset", PRESETS)
def test_the_network_has_as_many_parameters_as_its_shape_says(preset: str) -> None:
    with torch.device("meta"):
        model = build(PRESETS[preset])
    assert sum(parameter.numel() for parameter in model.parameters()) == PRESETS[preset].parameters


@pytest.mark.parametrize("preset", PUBLISHED)
def test_published_presets_have_their_published_size(preset: str) -> None:
    assert PRESETS[preset].parameters == PUBLISHED[preset]


@nano
def test_no_position_sees_a_later_token(preset: str) -> None:
    model = build(PRESETS[preset]).eval()
    tokens = torch.randint(0, 512, (1, 12))
    changed = tokens.clone()
    changed[0, 7] = (changed[0, 7] + 1) % 512
    before, after = model(tokens), model(changed)
    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.equal(before[:, 7], after[:, 7])


@nano
def test_order_of_earlier_tokens_matters(preset: str) -> None:
    model = build(PRESETS[preset]).eval()
    logits = model(torch.tensor([[1, 2, 3], [2, 1, 3]]))
    assert (logits[0, 2] - logits[1, 2]).abs().max() > 1e-4


@nano
def test_hidden_states_are_what_the_head_reads(preset: str) -> None:
    model = build(PRESETS[preset]).eval()
    tokens = torch.randint(0, 512, (2, 9))
    head = model.embedding.weight if model.head is None else model.head.weight
    assert model.hidden(tokens).shape == (2, 9, 64)
    torch.testing.assert_close(model(tokens), model.hidden(tokens) @ head.T)


@nano
def test_every_parameter_gets_a_gradient(preset: str) -> None:
    model = build(PRESETS[preset])
    model(torch.randint(0, 512, (2, 16))).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


@nano
def test_an_untrained_network_is_close_to_the_uniform_guess(preset: str) -> None:
    torch.manual_seed(0)
    tokens, targets = torch.randint(0, 512, (2, 8, 64))
    loss = torch.nn.functional.cross_entropy(build(PRESETS[preset])(tokens).flatten(0, 1), targets.flatten())
    assert loss.item() == pytest.approx(math.log(512), abs=0.3)


def test_gpt2_starts_with_smaller_projections_onto_the_residual_stream() -> None:
    torch.manual_seed(0)
    attention, mlp = build(PRESETS["gpt2-mini"]).layers[0].attention, build(PRESETS["gpt2-mini"]).layers[0].mlp
    assert isinstance(attention, Attention)
    assert isinstance(mlp, GeluMlp)
    assert attention.qkv.std().item() == pytest.approx(0.02, rel=0.02)
    assert attention.out.std().item() == pytest.approx(0.02 / math.sqrt(12), rel=0.02)
    assert mlp.down.std().item() == pytest.approx(0.02 / math.sqrt(12), rel=0.02)


def test_llama_starts_as_tinyllama_did() -> None:
    torch.manual_seed(0)
    layer = build(PRESETS["llama-mini"]).layers[0]
    assert isinstance(layer.mlp, SwiGlu)
    assert layer.mlp.gate_up.std().item() == pytest.approx(math.sqrt(2 / (5 * 256)), rel=0.02)
    assert layer.mlp.down.std().item() == pytest.approx(1 / (math.sqrt(688) * 6), rel=0.02)


@nano
def test_bf16_autocast_stays_close_to_fp32(preset: str) -> None:
    torch.manual_seed(0)
    model, tokens = build(PRESETS[preset]).eval(), torch.randint(0, 512, (2, 32))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = model(tokens)
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), model(tokens), atol=0.05, rtol=0.05)

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import T5Config, T5ForConditionalGeneration

from training.data.spans import lengths
from training.flops import counted
from training.models.encoder_decoder import ENCODER_DECODER_PRESETS, EncoderDecoderShape
from training.models.t5 import T5, buckets

pytestmark = pytest.mark.usefixtures("bench")  # one thread
NANO = ENCODER_DECODER_PRESETS["t5-nano"]
TIED = replace(NANO, tied=True)


def made(shape: EncoderDecoderShape = NANO) -> T5:
    torch.manual_seed(0)
    return T5(shape)


def example(source: int = 40, target: int = 12, *, vocab: int = NANO.vocab) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    read, written = (torch.randint(0, vocab, (3, length), generator=generator) for length in (source, target))
    return read, written


def theirs(model: T5) -> Any:
    """The same network in transformers, our weights under their names."""
    shape, heads = model.shape, model.shape.attention_width
    config: Any = T5Config(  # type: ignore[call-arg]
        vocab_size=shape.vocab, d_model=shape.width, d_kv=shape.head_width, d_ff=shape.mlp, num_layers=shape.layers,
        num_heads=shape.heads, dropout_rate=0.0, feed_forward_proj="gated-gelu", tie_word_embeddings=shape.tied,
    )  # fmt: skip
    other: Any = T5ForConditionalGeneration(config)
    if model.head is not None:  # transformers ties always; whether it scales the logits is what it takes from the flag
        other.lm_head = nn.Linear(shape.width, shape.vocab, bias=False)
    ours, found = model.state_dict(), {"shared.weight": model.embedding.weight}
    found["lm_head.weight"] = model.embedding.weight if model.head is None else model.head.weight
    for stack, cross in (("encoder", False), ("decoder", True)):
        found[f"{stack}.embed_tokens.weight"] = model.embedding.weight
        found[f"{stack}.final_layer_norm.weight"] = ours[f"{stack}_norm.weight"]
        table = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        found[table] = ours[f"{stack}_bias.table"]
        for layer in range(shape.layers):
            here, there = f"{stack}.{layer}", f"{stack}.block.{layer}.layer"
            for name, part in zip("qkv", ours[f"{here}.attention.qkv"].split(heads), strict=True):
                found[f"{there}.0.SelfAttention.{name}.weight"] = part
            found[f"{there}.0.SelfAttention.o.weight"] = ours[f"{here}.attention.out"].T
            found[f"{there}.0.layer_norm.weight"] = ours[f"{here}.attention_norm.weight"]
            if cross:
                found[f"{there}.1.EncDecAttention.q.weight"] = ours[f"{here}.cross.query"]
                for name, part in zip("kv", ours[f"{here}.cross.kv"].split(heads), strict=True):
                    found[f"{there}.1.EncDecAttention.{name}.weight"] = part
                found[f"{there}.1.EncDecAttention.o.weight"] = ours[f"{here}.cross.out"].T
                found[f"{there}.1.layer_norm.weight"] = ours[f"{here}.cross_norm.weight"]
            mlp = f"{there}.{2 if cross else 1}"
            gate, up = ours[f"{here}.mlp.gate_up"].chunk(2)
            found |= {f"{mlp}.DenseReluDense.wi_0.weight": gate, f"{mlp}.DenseReluDense.wi_1.weight": up}
            found[f"{mlp}.DenseReluDense.wo.weight"] = ours[f"{here}.mlp.down"].T
            found[f"{mlp}.layer_norm.weight"] = ours[f"{here}.mlp_norm.weight"]
    other.load_state_dict(found)
    return other.eval()


@pytest.mark.parametrize("shape", [NANO, TIED, replace(NANO, heads=3, head_width=24)], ids=["untied", "tied", "wide"])
@torch.no_grad()
def test_logits_are_those_of_transformers(shape: EncoderDecoderShape) -> None:
    model, (source, written) = made(shape), example(200, 150)
    reference = theirs(model)(input_ids=source, decoder_input_ids=written).logits
    torch.testing.assert_close(model(source, written), reference, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("preset", ENCODER_DECODER_PRESETS)
def test_the_network_has_as_many_parameters_as_its_shape_says(preset: str) -> None:
    for shape in (ENCODER_DECODER_PRESETS[preset], replace(ENCODER_DECODER_PRESETS[preset], tied=True)):
        with torch.device("meta"):
            model = T5(shape)
        assert sum(parameter.numel() for parameter in model.parameters()) == shape.parameters


@pytest.mark.parametrize("preset", ["t5-nano", "t5-tiny"])
@pytest.mark.parametrize("context", [8, 64, 200])
def test_the_closed_form_is_what_the_counter_counts(preset: str, context: int) -> None:
    shape, sizes = ENCODER_DECODER_PRESETS[preset], lengths(context)
    source, written = example(sizes.source, sizes.target, vocab=shape.vocab)
    model = made(shape)
    with counted() as counter:
        torch.autograd.backward(model(source, written).square().mean())
    assert counter.get_total_flops() == pytest.approx(3 * context * shape.train_flops(context), rel=1e-9)
    assert not [packet for packet in counter.uncounted if "attention" in str(packet)]


def test_what_the_head_costs_is_what_leaving_it_out_saves() -> None:
    sizes, model = lengths(NANO.context), made()
    source, written = example(sizes.source, sizes.target)
    with counted() as counter:
        torch.autograd.backward(model.hidden(source, written).square().mean())
    rest = counter.get_total_flops() / (3 * NANO.context)
    assert NANO.train_flops(NANO.context) - NANO.head_train_flops == pytest.approx(rest, rel=1e-9)


@torch.no_grad()
def test_a_target_sees_no_later_target_and_the_whole_source() -> None:
    model, (source, written) = made(), example()
    before = model(source, written)
    later, last = written.clone(), source.clone()
    later[:, 7] = (later[:, 7] + 1) % NANO.vocab
    last[:, -1] = (last[:, -1] + 1) % NANO.vocab
    assert torch.equal(before[:, :7], model(source, later)[:, :7])
    assert not torch.equal(before[:, 7], model(source, later)[:, 7])
    assert (before[:, 0] != model(last, written)[:, 0]).any()


def test_near_distances_have_buckets_of_their_own_and_far_ones_share() -> None:
    both, back = buckets(300, 300, both_ways=True), buckets(300, 300, both_ways=False)
    assert both[150, 143:158].tolist() == [7, 6, 5, 4, 3, 2, 1, 0, 17, 18, 19, 20, 21, 22, 23]
    assert back[150, 135:151].tolist() == list(range(15, -1, -1))
    assert set(back[10, 11:].tolist()) == {0}
    assert set(both[0, 128:].tolist()) == {31}
    assert set(back[299, :172].tolist()) == {31}


def test_every_parameter_gets_a_gradient() -> None:
    model = made()
    model(*example()).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize("shape", [NANO, TIED], ids=["untied", "tied"])
def test_an_untrained_network_guesses_little_worse_than_uniformly(shape: EncoderDecoderShape) -> None:
    (source, written), targets = example(), (example()[1] + 1) % NANO.vocab
    loss = torch.nn.functional.cross_entropy(made(shape)(source, written).flatten(0, 1), targets.flatten())
    assert math.log(512) - 0.1 < loss.item() < math.log(512) + 1.5


@torch.no_grad()
def test_bf16_autocast_stays_close_to_fp32() -> None:
    model, inputs = made(), example()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = model(*inputs)
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), model(*inputs), atol=0.15, rtol=0.1)


def test_lengths_are_those_of_t5s_own_setting() -> None:
    assert lengths(568) == (85, 28, 512, 114)
    assert lengths(8) == (1, 1, 9, 3)

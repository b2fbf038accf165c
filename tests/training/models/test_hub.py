from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Model, LlamaConfig, LlamaForCausalLM

from training.models import hub
from training.models.build import build
from training.models.config import config, shape_of
from training.models.decoder import Decoder
from training.models.encoder_decoder import ENCODER_DECODER_PRESETS
from training.models.shape import PRESETS
from training.models.t5 import T5

THEIRS: dict[str, Any] = {"gpt2-nano": GPT2LMHeadModel, "llama-nano": LlamaForCausalLM}
both = pytest.mark.parametrize("preset", THEIRS)


@pytest.fixture
def tokens() -> Tensor:
    return torch.randint(0, 512, (2, 24), generator=torch.Generator().manual_seed(3))


def lively(preset: str) -> Decoder:
    """A network whose every parameter, biases and norms included, is random."""
    model = build(PRESETS[preset])
    generator = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    return model.eval()


def theirs(preset: str, **changes: Any) -> Any:
    torch.manual_seed(7)
    if preset == "gpt2-nano":
        return THEIRS[preset](GPT2Config(vocab_size=512, n_positions=256, n_embd=64, n_layer=2, n_head=4)).eval()
    sizes = {"hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    rest = {"vocab_size": 512, "max_position_embeddings": 256, "rms_norm_eps": 1e-5}
    return THEIRS[preset](LlamaConfig(**{**sizes, **heads, **rest, **changes})).eval()


@both
@torch.no_grad()
def test_transformers_computes_the_same_logits_from_what_we_save(preset: str, tokens: Tensor, tmp_path: Path) -> None:
    ours = lively(preset)
    hub.save(ours, tmp_path)
    loaded, report = THEIRS[preset].from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    torch.testing.assert_close(loaded.eval()(tokens).logits, ours(tokens), atol=1e-5, rtol=1e-5)


@both
@torch.no_grad()
def test_we_compute_the_same_logits_from_what_transformers_saves(preset: str, tokens: Tensor, tmp_path: Path) -> None:
    model = theirs(preset)
    model.save_pretrained(tmp_path)
    ours = hub.load(tmp_path).eval()
    torch.testing.assert_close(ours(tokens), model(tokens).logits, atol=1e-5, rtol=1e-5)


@both
def test_saving_and_loading_keeps_every_bit(preset: str, tmp_path: Path) -> None:
    ours = lively(preset)
    hub.save(ours, tmp_path)
    back = hub.load(tmp_path).state_dict()
    assert all(torch.equal(back[name], value) for name, value in ours.state_dict().items())


@torch.no_grad()
def test_a_file_of_the_bare_model_without_prefix_is_read_too(tokens: Tensor, tmp_path: Path) -> None:
    model = theirs("gpt2-nano")
    bare: GPT2Model = model.transformer
    bare.save_pretrained(tmp_path)
    torch.testing.assert_close(hub.load(tmp_path).eval()(tokens), model(tokens).logits, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_sharded_checkpoint_is_read_too(tokens: Tensor, tmp_path: Path) -> None:
    model = theirs("llama-nano")
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    torch.testing.assert_close(hub.load(tmp_path).eval()(tokens), model(tokens).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_survives_its_config(preset: str) -> None:
    assert shape_of(json.loads(json.dumps(config(PRESETS[preset])))) == PRESETS[preset]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "opt"}, "model_type 'opt'"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"rms_norm_eps": 1e-6}, "rms_norm_eps"),
        ({"rope_parameters": {"rope_type": "llama3", "factor": 8.0}}, "rope_scaling"),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}, "rope_theta"),
        ({"head_dim": 64}, "head_dim is 64"),
    ],
)
def test_an_architecture_that_is_not_ours_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shape_of({**config(PRESETS["llama-nano"]), **change})


def test_a_config_without_a_size_names_what_is_missing() -> None:
    found = config(PRESETS["gpt2-nano"])
    del found["n_layer"]
    with pytest.raises(ValueError, match="n_layer"):
        shape_of(found)


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    hub.save(lively("gpt2-nano"), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config(PRESETS["gpt2-tiny"])))
    with pytest.raises(ValueError, match=r"the weights lack transformer\.h\.2"):
        hub.load(tmp_path)


def test_weights_without_a_place_are_refused(tmp_path: Path) -> None:
    model = theirs("llama-nano", attention_bias=True)
    model.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config(PRESETS["llama-nano"])))
    with pytest.raises(ValueError, match=r"no place for: .*bias"):
        hub.load(tmp_path)


def test_a_network_that_is_neither_keeps_our_names_and_says_its_sizes(tmp_path: Path) -> None:
    model = T5(ENCODER_DECODER_PRESETS["t5-nano"])
    hub.save(model, tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    assert saved.keys() == model.state_dict().keys()
    assert all(torch.equal(weight, saved[name]) for name, weight in model.state_dict().items())
    assert json.loads((tmp_path / "shape.json").read_text())["family"] == "t5"
    assert not (tmp_path / "config.json").exists()


def test_a_decoder_with_other_modules_is_not_passed_off_as_a_public_one(tmp_path: Path) -> None:
    model = lively("gpt2-nano")
    assert hub.is_public(model)
    model.norm = torch.nn.Identity()
    hub.save(model, tmp_path)
    assert not (tmp_path / "config.json").exists()
    assert "Identity" in json.loads((tmp_path / "shape.json").read_text())["modules"]

"""Our shapes as Hugging Face `config.json` and back. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.models.shape import NORM_EPSILON, ROPE_THETA, Family, Shape

ARCHITECTURE: dict[Family, str] = {"gpt2": "GPT2LMHeadModel", "llama": "LlamaForCausalLM"}

BUILT_IN: dict[Family, dict[str, Any]] = {
    "gpt2": {
        "activation_function": "gelu_new",
        "layer_norm_epsilon": NORM_EPSILON,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
    },
    "llama": {
        "hidden_act": "silu",
        "rms_norm_eps": NORM_EPSILON,
        "rope_theta": ROPE_THETA,
        "rope_scaling": None,
        "attention_bias": False,
        "mlp_bias": False,
    },
}
"""What our networks have built in. A config that says otherwise is refused; one that is silent is trusted."""


def config(shape: Shape) -> dict[str, Any]:
    """The `config.json` of this shape, in fp32 and without dropout."""
    sizes: dict[Family, dict[str, Any]] = {
        "gpt2": {
            "n_layer": shape.layers,
            "n_embd": shape.width,
            "n_head": shape.heads,
            "n_inner": shape.mlp,
            "n_positions": shape.context,
            "attn_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "resid_pdrop": 0.0,
        },
        "llama": {
            "num_hidden_layers": shape.layers,
            "hidden_size": shape.width,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.kv_heads,
            "head_dim": shape.head_width,
            "intermediate_size": shape.mlp,
            "max_position_embeddings": shape.context,
        },
    }
    return {
        "architectures": [ARCHITECTURE[shape.family]],
        "model_type": shape.family,
        "vocab_size": shape.vocab,
        "tie_word_embeddings": shape.tied,
        "bos_token_id": None,
        "eos_token_id": None,
        "torch_dtype": "float32",
        **sizes[shape.family],
        **BUILT_IN[shape.family],
    }


def shape_of(found: Mapping[str, Any]) -> Shape:
    """The shape that a `config.json` describes; ValueError if our networks cannot be it."""
    family = found.get("model_type")
    if family not in ARCHITECTURE:
        raise ValueError(f"model_type {family!r}: only {', '.join(ARCHITECTURE)} are read")
    for name, ours in BUILT_IN[family].items():
        if (theirs := _said(found, name, ours)) != ours:
            raise ValueError(f"{name} is {theirs!r}; our {family} has {ours!r}")
    try:
        shape = _gpt2(found) if family == "gpt2" else _llama(found)
    except KeyError as missing:
        raise ValueError(f"config.json lacks {missing}") from missing
    if (head := found.get("head_dim")) not in (None, shape.head_width) or shape.width % shape.heads:
        raise ValueError(f"head_dim is {head!r}; our heads share the width of {shape.width} among {shape.heads}")
    return shape


def _said(found: Mapping[str, Any], name: str, default: Any) -> Any:
    """What a config says; newer ones nest the rotary settings in `rope_parameters`."""
    if nested := found.get("rope_parameters"):
        if name == "rope_theta":
            return nested.get("rope_theta", default)
        if name == "rope_scaling":
            return None if nested.get("rope_type", "default") == "default" else nested
    return found.get(name, default)


def _gpt2(found: Mapping[str, Any]) -> Shape:
    width, heads = found["n_embd"], found["n_head"]
    return Shape(
        family="gpt2",
        layers=found["n_layer"],
        width=width,
        heads=heads,
        kv_heads=heads,
        mlp=found.get("n_inner") or 4 * width,
        vocab=found["vocab_size"],
        context=found["n_positions"],
        tied=found.get("tie_word_embeddings", True),
    )


def _llama(found: Mapping[str, Any]) -> Shape:
    heads = found["num_attention_heads"]
    return Shape(
        family="llama",
        layers=found["num_hidden_layers"],
        width=found["hidden_size"],
        heads=heads,
        kv_heads=found.get("num_key_value_heads") or heads,
        mlp=found["intermediate_size"],
        vocab=found["vocab_size"],
        context=found["max_position_embeddings"],
        tied=found.get("tie_word_embeddings", False),
    )

"""Weights as safetensors beside a `config.json`, under the Hugging Face names of the same architecture.

What `save` writes, `transformers` loads as GPT2LMHeadModel or LlamaForCausalLM; what those save, `load` reads. A
network that is neither is written under our own names, beside its sizes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, TypeGuard

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.models.build import build
from training.models.classifier import Classifier
from training.models.config import config, shape_of
from training.models.decoder import Decoder
from training.models.images import ImageShape
from training.models.shape import Family, Shape

Names = dict[str, tuple[str, ...]]

OUTER: dict[Family, Names] = {
    "gpt2": {
        "embedding.weight": ("transformer.wte.weight",),
        "positions": ("transformer.wpe.weight",),
        "norm.weight": ("transformer.ln_f.weight",),
        "norm.bias": ("transformer.ln_f.bias",),
        "head.weight": ("lm_head.weight",),
    },
    "llama": {
        "embedding.weight": ("model.embed_tokens.weight",),
        "norm.weight": ("model.norm.weight",),
        "head.weight": ("lm_head.weight",),
    },
}
"""Our names outside the layers, to theirs."""

INNER: dict[Family, Names] = {
    "gpt2": {
        "attention_norm.weight": ("ln_1.weight",),
        "attention_norm.bias": ("ln_1.bias",),
        "attention.qkv": ("attn.c_attn.weight",),
        "attention.qkv_bias": ("attn.c_attn.bias",),
        "attention.out": ("attn.c_proj.weight",),
        "attention.out_bias": ("attn.c_proj.bias",),
        "mlp_norm.weight": ("ln_2.weight",),
        "mlp_norm.bias": ("ln_2.bias",),
        "mlp.up": ("mlp.c_fc.weight",),
        "mlp.up_bias": ("mlp.c_fc.bias",),
        "mlp.down": ("mlp.c_proj.weight",),
        "mlp.down_bias": ("mlp.c_proj.bias",),
    },
    "llama": {
        "attention_norm.weight": ("input_layernorm.weight",),
        "attention.qkv": ("self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"),
        "attention.out": ("self_attn.o_proj.weight",),
        "mlp_norm.weight": ("post_attention_layernorm.weight",),
        "mlp.gate_up": ("mlp.gate_proj.weight", "mlp.up_proj.weight"),
        "mlp.down": ("mlp.down_proj.weight",),
    },
}
"""Our names inside a layer, to theirs; several of theirs are stacked along the rows of ours."""

PREFIX: dict[Family, str] = {"gpt2": "transformer.h", "llama": "model.layers"}

TRANSPOSED: dict[Family, frozenset[str]] = {
    "gpt2": frozenset({"attention.qkv", "mlp.up"}),
    "llama": frozenset({"attention.out", "mlp.down"}),
}
"""Where ours is theirs transposed: GPT-2's Conv1D weights are [in, out], Llama's linear ones [out, in]."""

BUFFERS = (".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq")
"""Endings of constants that older files carry beside the weights."""


def save(model: nn.Module, folder: Path) -> None:
    """Write `model.safetensors` and `config.json`, or `shape.json`, into a folder, made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    if not is_public(model):
        save_file(_contiguous(model.state_dict()), folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "shape.json").write_text(json.dumps(_sizes(model), indent=2) + "\n")
        return
    ours, theirs = model.state_dict(), dict[str, Tensor]()
    for name, names, transposed in _pairs(model.shape):
        tensor = ours[name].detach().t() if transposed else ours[name].detach()
        sizes = _rows(model.shape, name) or [len(tensor)]
        theirs |= {name: part.contiguous() for name, part in zip(names, tensor.split(sizes), strict=True)}
    save_file(theirs, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config(model.shape), indent=2) + "\n")


def is_public(model: nn.Module) -> TypeGuard[Decoder]:
    """Whether it is a GPT-2 or Llama as others know it: a method may have put other modules in place of some."""
    if not isinstance(model, Decoder):
        return False
    with torch.device("meta"):
        plain = build(model.shape)
    return [type(module) for module in model.modules()] == [type(module) for module in plain.modules()]


def load(folder: Path) -> Decoder:
    """Read such a folder. ValueError for an architecture that is not ours or weights that do not fit it."""
    shape = shape_of(json.loads((folder / "config.json").read_text()))
    theirs = _read(folder, shape)
    model = build(shape)
    ours: dict[str, Tensor] = {}
    for name, names, transposed in _pairs(shape):
        if absent := [part for part in names if part not in theirs]:
            raise ValueError(f"the weights lack {', '.join(absent)}")
        tensor = torch.cat([theirs.pop(part) for part in names])
        ours[name] = tensor.t() if transposed else tensor
    if theirs:
        raise ValueError(f"weights that this architecture has no place for: {', '.join(sorted(theirs)[:5])}")
    try:
        model.load_state_dict(ours)
    except RuntimeError as mismatch:
        raise ValueError(f"the weights do not fit config.json: {mismatch}") from mismatch
    return model


def load_classifier(folder: Path) -> Classifier:
    """Read an image classifier that `save` wrote. ValueError if a method put other modules in it, or it is none."""
    found: dict[str, Any] = json.loads((folder / "shape.json").read_text())
    modules = found.pop("modules", None)
    try:
        sizes: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in found.items()}
        model = build(ImageShape(**sizes))
    except (TypeError, KeyError, ValueError) as fault:
        raise ValueError(f"shape.json describes no image classifier: {fault}") from fault
    if modules != _sizes(model)["modules"]:
        raise ValueError(f"shape.json names other modules than a {model.shape.family} has: {modules}")
    try:
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except RuntimeError as mismatch:
        raise ValueError(f"the weights do not fit shape.json: {mismatch}") from mismatch
    return model


def _pairs(shape: Shape) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Every parameter: our name, theirs, and whether one is the other transposed."""
    for ours, theirs in OUTER[shape.family].items():
        if not (shape.tied and ours == "head.weight"):
            yield ours, theirs, False
    for i in range(shape.layers):
        for ours, theirs in INNER[shape.family].items():
            names = tuple(f"{PREFIX[shape.family]}.{i}.{name}" for name in theirs)
            yield f"layers.{i}.{ours}", names, ours in TRANSPOSED[shape.family]


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}


def _sizes(model: nn.Module) -> dict[str, Any]:
    """The shape of a network that has one, and the class of its modules."""
    shape: Any = getattr(model, "shape", None)
    sizes = asdict(shape) if is_dataclass(shape) and not isinstance(shape, type) else {}
    sizes.pop("frozen", None)  # a way of training, not a size
    return {**sizes, "modules": sorted({type(module).__name__ for module in model.modules()})}


def _rows(shape: Shape, name: str) -> list[int] | None:
    """How many rows of a stacked parameter belong to each of theirs; None if it is not stacked."""
    if shape.family == "llama" and name.endswith("attention.qkv"):
        return [shape.heads * shape.head_width, *[shape.kv_heads * shape.head_width] * 2]
    return [shape.mlp, shape.mlp] if name.endswith("mlp.gate_up") else None


def _read(folder: Path, shape: Shape) -> dict[str, Tensor]:
    """All weights of a folder, sharded or not, as fp32 and with the prefix that bare-model files leave out."""
    tensors: dict[str, Tensor] = {}
    for path in sorted(folder.glob("model*.safetensors")):
        tensors |= load_file(path)
    if not tensors:
        raise ValueError(f"{folder.name} holds no model.safetensors")
    prefix = PREFIX[shape.family].split(".")[0] + "."
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        tied = shape.tied and name == "lm_head.weight"
        if not name.endswith(BUFFERS) and not tied:
            found[name if name.startswith((prefix, "lm_head.")) else prefix + name] = tensor.float()
    return found

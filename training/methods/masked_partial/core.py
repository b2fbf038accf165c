"""A core: a network within a network, run on tensors that are cut out of the larger one's parameters.

The core's architecture is a skeleton without numbers of its own; every run gives it tensors made from the full
network's parameters, so that gradients reach exactly the entries that the core is made of.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from contextlib import suppress

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrize

from training.methods.masked_partial.card import MaskedPartialKnobs, core_layers, core_units, image_core
from training.methods.masked_partial.factored import Factored, PlusProduct
from training.models.build import build
from training.models.classifier import Classifier
from training.models.decoder import Attention, Decoder
from training.models.surgery import rows
from training.seeds import derive

Cut = Callable[[], Tensor]
"""Makes one tensor of the core from the full network as it stands."""
FACTORS = ("left_of__", "right_of__")
"""Where a core that stands alone keeps the factors of a matrix."""
NORMS = (nn.LayerNorm, nn.RMSNorm, nn.BatchNorm2d)


class Core(nn.Module):
    """The core of a network, itself a network. Of its own it has norms, where they are switchable; no other weights."""

    def __init__(self, skeleton: nn.Module, cuts: Mapping[str, Cut], own: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._within: tuple[nn.Module, Mapping[str, Cut]] = skeleton, cuts
        for name, tensor in own.items():
            place = name.replace(".", "__")
            if tensor.is_floating_point() and tensor.requires_grad:
                self.register_parameter(place, nn.Parameter(tensor.detach().clone()))
            else:
                self.register_buffer(place, tensor.detach().clone())

    def tensors(self) -> dict[str, Tensor]:
        """What the skeleton runs on, by name."""
        own = dict([*self.named_parameters(), *self.named_buffers()])
        return {name: cut() for name, cut in self._within[1].items()} | {
            name.replace("__", "."): tensor for name, tensor in own.items() if not name.startswith(FACTORS)
        }

    def forward(self, *inputs: Tensor) -> Tensor:
        answer: Tensor = functional_call(self._within[0], self.tensors(), inputs)
        return answer

    def train(self, mode: bool = True) -> Core:
        self._within[0].train(mode)
        return super().train(mode)

    def standalone(self) -> Core:
        """A copy that holds its own numbers and needs the full network no more; factors stay factors."""
        own: dict[str, Tensor] = {}
        factored: list[str] = []
        for name, tensor in self.tensors().items():
            if isinstance(tensor, Factored):
                factored.append(name)
                own |= {f"{FACTORS[0]}{name}": tensor.left, f"{FACTORS[1]}{name}": tensor.right}
            else:
                own[name] = tensor
        cuts: dict[str, Cut] = {}
        alone = Core(copy.deepcopy(self._within[0]), cuts, own)
        cuts |= {name: _product_of(alone, name.replace(".", "__")) for name in factored}
        return alone.eval()

    def members(self, model: nn.Module) -> dict[str, Tensor | bool]:
        """Which entries of each parameter of the full network are the core's: True all, False none, else a mask."""
        with torch.enable_grad():
            total = sum((part.sum() for part in map(_dense, self.tensors().values()) if part.requires_grad), start=0.0)
            parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
            found = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)  # type: ignore[arg-type]
        inside: dict[str, Tensor | bool] = {}
        for name, gradient in zip(parameters, found, strict=True):
            if gradient is None or name.startswith("core."):
                inside[name] = gradient is not None
            else:
                mask = gradient != 0
                inside[name] = True if isinstance(_owner(model, name), PlusProduct) or mask.all() else mask
        return inside


def _owner(model: nn.Module, name: str) -> nn.Module:
    return model.get_submodule(name.rpartition(".")[0])


def _dense(tensor: Tensor) -> Tensor:
    return tensor.left.sum() + tensor.right.sum() if isinstance(tensor, Factored) else tensor


def _product_of(home: nn.Module, place: str) -> Cut:
    left, right = FACTORS
    return lambda: Factored.of(getattr(home, left + place), getattr(home, right + place))


def make_core(model: nn.Module, knobs: MaskedPartialKnobs, *, seed: int) -> Core:
    """The core of this network, and for a low rank the network's matrices parametrised as residual plus factors."""
    makers = {"width": _width, "depth": _depth, "low_rank": _low_rank, "sparse": _sparse}
    skeleton, cuts = makers[knobs.core](model, knobs, seed)
    own: dict[str, Tensor] = {}
    if knobs.norm == "switchable":
        for path, module in skeleton.named_modules():
            if isinstance(module, NORMS):
                held = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
                own |= {f"{path}.{name}": cuts.pop(f"{path}.{name}")() for name, _ in held}
    return Core(skeleton.to("meta"), cuts, own)


def _names(model: nn.Module) -> list[str]:
    return [name for name, _ in [*model.named_parameters(), *model.named_buffers()]]


def _whole(model: nn.Module, name: str) -> Cut:
    """The full network's own tensor, whatever it is parametrised by."""
    path, _, leaf = name.rpartition(".")
    module = model.get_submodule(path)
    return lambda: getattr(module, leaf)


def _width(model: nn.Module, knobs: MaskedPartialKnobs, seed: int) -> tuple[nn.Module, dict[str, Cut]]:
    """The first channels, or heads and neurons."""
    if isinstance(model, Decoder):
        return _narrow_decoder(model, knobs)
    assert isinstance(model, Classifier)
    skeleton = build(image_core(knobs, model.shape))
    sizes = {name: tensor.shape for name, tensor in skeleton.state_dict(keep_vars=True).items()}
    return skeleton, {name: _leading(_whole(model, name), size) for name, size in sizes.items()}


def _leading(cut: Cut, size: torch.Size) -> Cut:
    return lambda: cut()[tuple(slice(length) for length in size)]


def _narrow_decoder(model: Decoder, knobs: MaskedPartialKnobs) -> tuple[nn.Module, dict[str, Cut]]:
    shape, units = model.shape, core_units(knobs, model.shape)
    skeleton = copy.deepcopy(model)
    for module in skeleton.modules():
        if isinstance(module, Attention):
            module.heads, module.groups = units.heads, units.groups
    heads, neurons = torch.arange(units.heads), torch.arange(units.neurons)
    groups = torch.arange(units.groups)
    stacked = torch.cat((heads, groups + shape.heads, groups + shape.heads + shape.kv_heads))
    index = {
        "qkv": (stacked, shape.head_width), "qkv_bias": (stacked, shape.head_width), "out": (heads, shape.head_width),
        "up": (neurons, 1), "up_bias": (neurons, 1), "down": (neurons, 1),
        "gate_up": (torch.cat((neurons, neurons + shape.mlp)), 1),
    }  # fmt: skip
    cuts: dict[str, Cut] = {}
    for name in _names(model):
        whole, found = _whole(model, name), index.get(name.rpartition(".")[2])
        cuts[name] = whole if found is None else _picked(whole, *found)
    return skeleton, cuts


def _picked(cut: Cut, index: Tensor, unit: int) -> Cut:
    return lambda: rows(tensor := cut(), index.to(tensor.device), unit=unit)


def _depth(model: nn.Module, knobs: MaskedPartialKnobs, seed: int) -> tuple[nn.Module, dict[str, Cut]]:
    """Some of the blocks; a left-out block passes its input on."""
    if isinstance(model, Decoder):
        kept = core_layers(knobs, model.shape.layers)
        skeleton: nn.Module = copy.deepcopy(model)
        skeleton.layers = nn.ModuleList(skeleton.get_submodule(f"layers.{place}") for place in kept)
        stem = "layers"
    else:
        assert isinstance(model, Classifier)
        shape = image_core(knobs, model.shape)
        kept, first = [], 0
        for depth, left in zip(model.shape.depths, shape.depths, strict=True):
            kept, first = [*kept, *range(first, first + left)], first + depth
        skeleton, stem = build(shape), "blocks"

    def full_name(name: str) -> str:
        return re.sub(rf"^{stem}\.(\d+)\.", lambda found: f"{stem}.{kept[int(found[1])]}.", name)

    return skeleton, {name: _whole(model, full_name(name)) for name in _names(skeleton)}


def _low_rank(model: nn.Module, knobs: MaskedPartialKnobs, seed: int) -> tuple[nn.Module, dict[str, Cut]]:
    """Every matrix of the layers is `left @ right` in the core, and that plus a residual in the full network."""
    assert isinstance(model, Decoder)
    skeleton = copy.deepcopy(model)
    cuts = {name: _whole(model, name) for name in _names(model)}
    for name, parameter in list(model.named_parameters()):
        path, _, leaf = name.rpartition(".")
        if not name.startswith("layers.") or parameter.dim() != 2:
            continue
        plus = PlusProduct(parameter, min(knobs.rank, *parameter.shape))
        with torch.no_grad():
            if knobs.residual == "zero":
                parameter.zero_()
            else:
                parameter.sub_(plus.left @ plus.right)
        parametrize.register_parametrization(model.get_submodule(path), leaf, plus)
        cuts[name] = _factors(plus)
    return skeleton, cuts


def _factors(plus: PlusProduct) -> Cut:
    return lambda: Factored.of(plus.left, plus.right)


def _sparse(model: nn.Module, knobs: MaskedPartialKnobs, seed: int) -> tuple[nn.Module, dict[str, Cut]]:
    """A fixed random part of the entries of every matrix and kernel inside the blocks; the rest counts as zero."""
    generator = torch.Generator().manual_seed(derive(seed, "core"))
    cuts: dict[str, Cut] = {}
    for name in _names(model):
        cuts[name] = whole = _whole(model, name)
        if name.startswith(("layers.", "blocks.")) and whole().dim() >= 2:
            mask = torch.rand(whole().shape, generator=generator) < knobs.share
            cuts[name] = _masked(whole, mask.to(whole().device))
    return copy.deepcopy(model), cuts


def _masked(cut: Cut, mask: Tensor) -> Cut:
    return lambda: cut() * mask


def merged(model: nn.Module) -> nn.Module:
    """The full network without its core: an ordinary one again, residual and factors added up."""
    for module in list(model.modules()):
        for leaf in list(getattr(module, "parametrizations", {})):
            parametrize.remove_parametrizations(module, leaf, leave_parametrized=True)
    with suppress(AttributeError):
        del model.core
    return model

"""Trains a network and a smaller one inside it, the core, by turns: one step for the core, one for the whole.

**What it does.** The core is chosen before training and can be cut out afterwards and used alone. A core step runs the
core only and changes nothing outside it: no gradient, no momentum, no weight decay. A full step runs and updates
everything. Each step has a batch of its own. At the end the core is scored beside the full network, as the operating
point `core`.

**Cores.** *Width*: the first channels of a convolutional network, or the first heads and MLP neurons of a decoder,
whose residual stream keeps its width. *Depth*: the first blocks of each stage, or every other layer of a decoder.
*Low rank* (decoders): every matrix of the layers is a product of two thin ones plus a residual; the core is the
products alone. *Sparse*: a fixed random part of the entries of every matrix inside the blocks.

**What was read.** Mohtashami, Jaggi and Stich, arXiv 2106.08895: the abstracts of both versions, published as "Masked
Training of Neural Networks with Partial Gradients" (AISTATS 2022). From them come the choice of an arbitrary core, the
alternation of core and full training, and a Transformer with a low-rank core as the example. Neither the body nor a
table could be read and there is no official code, so **no figure of the paper is shown**.

**What is inferred.** The equal alternation of single steps, the freezing of momentum and decay outside the core, the
start of the residual, norms of the core's own (as in slimmable networks) and every default. Each knob says so.

**How it is counted.** Executed: a core step costs what the core costs. Width, depth and low rank are really cut, so
their core steps are cheaper; a sparse core is masked, its products stay dense, so it executes everything and only its
effective FLOPs are fewer. With a low rank the full step also forms the sum of residual and product, once per
micro-batch; the forecast leaves that out: rank / (tokens of a micro-batch) of the matrices. The saving is against
dense training of as many steps, in which the full network would get every update; here it gets the share of full steps
directly. Someone who needs both networks compares with two trainings, one of each.

**What to watch.** Adam's second moment mixes gradients of two functions for the core's entries, and its bias correction
counts the steps of whole tensors. Networks without norms (the plain CNN) have nothing to switch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from training import catalog
from training.catalog import Card, Claim, Stage
from training.knobs import Knobs
from training.models.images import ImageShape
from training.models.shape import PRESETS, Shape
from training.parts.shares import kept
from training.reproduction import Bar, Measured, Reproduction, Variant

INFERRED = "inferred, not read in the paper"


class MaskedPartialKnobs(Knobs):
    """Which core, and whose turn it is when."""

    core: Literal["width", "depth", "low_rank", "sparse"] = Field(
        "width", title="Core", description="what kind of network lies inside; low_rank and the example are the paper's"
    )
    share: float = Field(
        0.5, gt=0, le=1, title="Share", description=f"of channels, heads and neurons, blocks, or entries; {INFERRED}"
    )
    rank: int = Field(16, ge=1, le=4096, title="Rank", description=f"of every matrix of a low-rank core; {INFERRED}")
    residual: Literal["split", "zero"] = Field(
        "split",
        title="Residual at the start",
        description=f"split: ordinary weights less their best product of this rank; zero: none; {INFERRED}",
    )
    core_steps: int = Field(1, ge=0, le=100, title="Core steps", description=f"of each cycle, first; {INFERRED}")
    full_steps: int = Field(1, ge=0, le=100, title="Full steps", description=f"of each cycle, then; {INFERRED}")
    norm: Literal["switchable", "shared"] = Field(
        "switchable", title="Norms", description=f"switchable: the core has gains and statistics of its own; {INFERRED}"
    )
    core_rate: float = Field(
        1.0, gt=0, le=10, title="Core's rate", description=f"factor of the learning rate on core steps; {INFERRED}"
    )

    @model_validator(mode="after")
    def somebody_trains(self) -> MaskedPartialKnobs:
        if not self.core_steps + self.full_steps:
            raise ValueError("core_steps and full_steps are both 0: nothing would train")
        return self

    def cores_turn(self, step: int) -> bool:
        """Whether a step is the core's; the core begins each cycle."""
        return step % (self.core_steps + self.full_steps) < self.core_steps


class Units(NamedTuple):
    """Active units of each layer of a decoder's width core."""

    heads: int
    groups: int
    neurons: int


def core_units(knobs: MaskedPartialKnobs, shape: Shape) -> Units:
    groups = kept(knobs.share, shape.kv_heads)
    return Units(groups * (shape.heads // shape.kv_heads), groups, kept(knobs.share, shape.mlp))


def core_layers(knobs: MaskedPartialKnobs, layers: int) -> list[int]:
    """Layers of a decoder's depth core, evenly spread from the first."""
    count = kept(knobs.share, layers)
    return [place * layers // count for place in range(count)]


def image_core(knobs: MaskedPartialKnobs, shape: ImageShape) -> ImageShape:
    """The core's own shape: narrower everywhere, or with fewer blocks in each stage."""
    if knobs.core == "width":
        return replace(shape, widths=tuple(kept(knobs.share, width) for width in shape.widths))
    if knobs.core == "depth":
        return replace(shape, depths=tuple(kept(knobs.share, depth) for depth in shape.depths))
    return shape


def core_flops(knobs: MaskedPartialKnobs, shape: Any, context: int) -> float:
    """Executed training FLOPs of a core step, per token or image."""
    if isinstance(shape, ImageShape):
        return image_core(knobs, shape).train_flops(context)
    if knobs.core == "width":
        units = core_units(knobs, shape)
        blocks = shape.block_train_flops(
            context,
            heads=units.heads / shape.heads,
            groups=units.groups / shape.kv_heads,
            mlp=units.neurons / shape.mlp,
        )
    elif knobs.core == "depth":
        blocks = shape.block_train_flops(context, layers=len(core_layers(knobs, shape.layers)) / shape.layers)
    elif knobs.core == "low_rank":
        blocks = shape.layers * (
            6 * sum(_factored(knobs, *size) for size in matrices(shape)) + 7 * shape.score_macs(context)
        )
    else:
        blocks = shape.block_train_flops(context)
    return float(blocks + shape.head_train_flops)


def matrices(shape: Shape) -> tuple[tuple[int, int], ...]:
    """The sizes of one layer's matrices, as they are stored."""
    head = shape.head_width
    stacked = ((shape.heads + 2 * shape.kv_heads) * head, shape.width)
    up = (2 * shape.mlp if shape.family == "llama" else shape.mlp, shape.width)
    return stacked, (shape.heads * head, shape.width), up, (shape.mlp, shape.width)


def _factored(knobs: MaskedPartialKnobs, rows: int, columns: int) -> int:
    """Multiply-adds per token of a matrix as a product of two."""
    return min(knobs.rank, rows, columns) * (rows + columns)


def core_density(knobs: MaskedPartialKnobs, shape: Any, context: int) -> float:
    """Effective over executed FLOPs of a core step: below one for a sparse core alone."""
    if knobs.core != "sparse":
        return 1.0
    if isinstance(shape, ImageShape):
        parts = shape.part_flops()
        scores = 7 * sum(block.attention_macs for block in shape.blocks)
        blocks, total = sum(parts[1:-1]) - scores, sum(parts)
    else:
        scores = 7 * shape.layers * shape.score_macs(context)
        blocks, total = shape.block_train_flops(context) - scores, shape.train_flops(context)
    return float(1 - (1 - knobs.share) * blocks / total)


def stages(knobs: MaskedPartialKnobs, shape: Any, context: int) -> tuple[Stage, ...]:
    """The mean of core and full steps: they take turns all along."""
    core, full = core_flops(knobs, shape, context), shape.train_flops(context)
    mean = (knobs.core_steps * core + knobs.full_steps * full) / (knobs.core_steps + knobs.full_steps)
    return (Stage("core and full steps in turn", 1.0, mean),)


def refuses(knobs: MaskedPartialKnobs, spec: Any) -> str:
    if spec.compile:
        return "the core runs on cut-out weights, which torch.compile does not take; switch torch.compile off"
    family = spec.shape.family
    if knobs.core == "low_rank" and family not in ("gpt2", "llama"):
        return "a low-rank core is for decoders; choose width, depth or sparse"
    if family == "vit" and knobs.core == "width":
        return "a width core is for convolutional networks and decoders; choose depth or sparse"
    if knobs.core == "low_rank" and any("precision" in catalog.card(name).owns for name in spec.methods):
        return "a low-rank core keeps its matrices as two factors, which low precision does not round; choose another"
    return ""


def _arm(label: str, changes: Mapping[str, Any] | None = None, flops_of: str = "", **knobs: Any) -> Variant:
    own = {"masked_partial": {"core": "low_rank", **knobs}}
    return Variant(label, {"methods": ["masked_partial"], "knobs": own, **(changes or {})}, flops_of)


CORE = "validation loss@core"
CONTEXT, STEPS = 64, 600


def _against_plan(measured: Measured) -> float:
    """Counted cost of training in turn over the planned one, both as shares of the dense training."""
    shape, knobs = PRESETS["gpt2-tiny"], MaskedPartialKnobs(core="low_rank")
    planned = (1 + core_flops(knobs, shape, CONTEXT) / shape.train_flops(CONTEXT)) / 2
    return measured.cost("In turn", "executed") / measured.cost("Full alone", "executed") / planned


REPRODUCTION = Reproduction(
    spec={"data": {"context": CONTEXT}, "model": {"preset": "gpt2-tiny"}, "budget": {"steps": STEPS}, "evals": []},
    arms=(
        Variant("Full alone"),
        _arm("In turn"),
        Variant("Full alone, equal FLOPs", flops_of="In turn"),
        _arm("Core alone, equal core steps", {"budget": {"steps": STEPS // 2}}, full_steps=0),
        _arm("Core alone, equal FLOPs", flops_of="In turn", full_steps=0),
        _arm("Full alone, then cut", core_steps=0),
    ),
    judged="In turn",
    bars=(
        Bar(
            "the core ends at a lower loss than the core trained alone with as many core steps",
            lambda measured: measured.score_gap("In turn", CORE, "Core alone, equal core steps").high,
            at_most=0.0,
        ),
        Bar(
            "and than the core trained alone for all the FLOPs of training in turn, as a fair bill asks",
            lambda measured: measured.score_gap("In turn", CORE, "Core alone, equal FLOPs").high,
            at_most=0.0,
        ),
        Bar(
            "the full network ends at most 0.05 nats above the full network trained alone for as many steps",
            lambda measured: measured.gap("In turn", "Full alone").mean,
            at_most=0.05,
        ),
        Bar(
            "the core cut from an ordinarily trained network is worse by 0.5 nats or more",
            lambda measured: measured.score_gap("Full alone, then cut", CORE, "In turn").mean,
            at_least=0.5,
        ),
        Bar(
            "training in turn executes (1 + core / full) / 2 of dense training, to 1 %",
            _against_plan,
            at_least=0.99,
            at_most=1.01,
        ),
    ),
)


CARD = Card(
    title="Partially masked training",
    family="growing model",
    paper="https://arxiv.org/abs/2106.08895",
    knobs=MaskedPartialKnobs,
    tasks=("language_modelling", "image_classification"),
    claims=(
        Claim(
            "one training gives a full model comparable to normal training, and a core better than the same network "
            "trained alone",
            None,
            "supervised training; a Transformer with a low-rank core is the example",
            "abstract; no figure could be read",
        ),
    ),
    stages=stages,
    owns=("step", "subnetwork", "weights"),
    refuses=refuses,
    reproduction=REPRODUCTION,
)

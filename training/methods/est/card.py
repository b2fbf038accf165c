"""Evolving Subnetwork Training: each step trains a random part of the network, and the part grows to the whole.

**What it does.** Every optimiser step draws a random subnetwork and runs forward and backward on it alone: some
attention heads, some MLP neurons, some whole layers; a layer that is not drawn passes its input on. What the active
heads and neurons add is scaled up by total / active, so that the expected output of each module stays that of the
whole module. Training has three stages: first heads, neurons and layers are drawn; then all layers run and only heads
and neurons are drawn; at last the whole network trains. Embeddings and the language-model head are never drawn.
Evaluation always uses the whole network, unscaled.

**What was read.** Li, Chen, Ma, Wu, Zhu and Yu, ICML 2024 (arXiv 2406.06962): the abstract, the start of the
introduction and figure 1, and its sampling equations through third-party digests. From these come the three
dimensions, uniform draws without replacement of an exact number of heads and neurons, the factors for heads and
neurons, a fresh draw per step and the three stages. The repository that the paper points to holds one README and no
code.

**What is inferred.** The text we could read does not give the shares, the stage boundaries, the treatment of layers
left out, of grouped queries and of the optimiser. Each knob says whether its default was read or inferred. That
embeddings and head are never drawn, and that one schedule of the learning rate runs over all stages, is inferred too.
The two presets come near the published savings when only the blocks are counted: 26.7 % and 24.7 %, or 25 % with
grouped queries drawn in whole groups. **Their boundaries are not confirmed**: other pairs give the same saving.

**How it is counted.** The saving is executed: inactive heads and neurons are sliced out of every matrix product, not
masked. Counting blocks only, `est-gpt2` saves 26.7 % on GPT-2; counting the head too, which EST never reduces, it
saves about 20 %, because the head is 27 % of GPT-2's forward pass. The ledger books what was executed, head included.
With grouped queries the default keeps all key and value heads, whose projections then save nothing. The optimiser's
own work over all parameters is not reduced either.

**Counts.** The number of active units is share x total, rounded to the nearest, halves up, and at least one; stage
boundaries are rounded to whole steps. The scale uses the rounded count.

**Optimiser.** An inactive slice has a gradient of exactly zero, so AdamW's momentum and weight decay still move it.
A layer left out would have no gradient and stand still; it is given zeros, so that both follow one rule. Clipping by
global norm sees smaller norms while part of the network is inactive.

**Where it fails, and pitfalls.** On small networks with a large vocabulary the head dominates and little is saved. In
few layers, leaving half of them out is a drastic change. The training loss of the first two stages is that of
subnetworks: compare validation losses, which are of the whole network. Compare with a dense arm at equal FLOPs and
its own full decay, not only at equal steps. Scaling keeps each module's expectation, not that of the whole network,
so the training loss still jumps where a stage begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from training.catalog import Card, Claim, Stage
from training.knobs import Knobs
from training.models.shape import Shape
from training.parts.shares import kept
from training.reproduction import Bar, Measured, Reproduction, Variant

STAGES = ("heads, neurons and layers", "heads and neurons", "whole network")


class EstKnobs(Knobs):
    """Shares that are active, stage boundaries, and the choices that the paper leaves open."""

    heads: float = Field(
        0.5, gt=0, le=1, title="Active heads", description="share of attention heads in stages 1 and 2 (inferred)"
    )
    mlp: float = Field(
        0.5, gt=0, le=1, title="Active MLP neurons", description="share in stages 1 and 2 (inferred)"
    )  # fmt: skip
    layers: float = Field(
        0.5, gt=0, le=1, title="Active layers", description="share of layers that run in stage 1 (inferred)"
    )
    stage1: float = Field(
        1 / 6, ge=0, le=1, title="Stage 1", description="share of steps that draw heads, neurons and layers (inferred)"
    )
    stage2: float = Field(
        1 / 4, ge=0, le=1, title="Stage 2", description="share of steps that draw heads and neurons only (inferred)"
    )
    inverse_scale: bool = Field(
        True, title="Scale up active units", description="multiply by total / active (as read); off is an ablation"
    )
    layer_draw: Literal["exact", "bernoulli"] = Field(
        "exact", title="Layer draw", description="a fixed number, or each by chance (sources disagree; inferred)"
    )
    layer_scale: Literal["none", "inverse"] = Field(
        "none", title="Layer scale", description="whether a drawn layer's change is scaled up too (inferred: none)"
    )
    shared_draw: bool = Field(
        False, title="One draw for all layers", description="the same heads and neurons in every layer (inferred: off)"
    )
    pin_ends: bool = Field(
        False, title="Keep first and last layer", description="always run both, draw among the others (inferred: off)"
    )
    grouped: Literal["equal", "whole"] = Field(
        "equal",
        title="Grouped queries",
        description="equally many query heads of every key-value group, or whole groups (inferred: equal)",
    )

    @model_validator(mode="after")
    def _fit(self) -> EstKnobs:
        if self.stage1 + self.stage2 > 1 + 1e-9:
            raise ValueError(f"stages 1 and 2 take {self.stage1 + self.stage2:.3g} of the steps, more than all")
        return self

    def stage(self, step: int, steps: int) -> int:
        """Stage 1, 2 or 3 of a step out of so many."""
        first, second = kept(self.stage1, steps, least=0), kept(self.stage1 + self.stage2, steps, least=0)
        return 1 if step < first else 2 if step < second else 3


@dataclass(frozen=True)
class Active:
    """How many query heads, key-value heads and neurons of a layer are active, and how many layers run."""

    heads: int
    groups: int
    mlp: int
    layers: float
    """An expectation where layers are drawn each by chance."""


def active(knobs: EstKnobs, shape: Shape, stage: int) -> Active:
    """The counts of a stage."""
    if stage == 3:
        return Active(shape.heads, shape.kv_heads, shape.mlp, shape.layers)
    queries = shape.heads // shape.kv_heads
    if knobs.grouped == "equal" and queries > 1:
        heads, groups = shape.kv_heads * kept(knobs.heads, queries), shape.kv_heads
    else:
        groups = kept(knobs.heads, shape.kv_heads)
        heads = groups * queries
    return Active(
        heads, groups, kept(knobs.mlp, shape.mlp), _layers(knobs, shape.layers) if stage == 1 else shape.layers
    )


def pinned(knobs: EstKnobs, layers: int) -> int:
    """How many layers always run."""
    return min(2, layers) if knobs.pin_ends else 0


def _layers(knobs: EstKnobs, total: int) -> float:
    fixed = pinned(knobs, total)
    if knobs.layer_draw == "bernoulli":
        return fixed + knobs.layers * (total - fixed)
    return kept(knobs.layers, total, least=max(1, fixed))


def block_flops(shape: Shape, context: int, counts: Active) -> float:
    """Executed training FLOPs per token of the blocks with these counts."""
    return shape.block_train_flops(
        context,
        heads=counts.heads / shape.heads,
        groups=counts.groups / shape.kv_heads,
        mlp=counts.mlp / shape.mlp,
        layers=counts.layers / shape.layers,
    )


def stages(knobs: EstKnobs, shape: Shape, context: int) -> tuple[Stage, ...]:
    """The closed form of what training executes: blocks by stage, and the head, which is never reduced."""
    shares = (knobs.stage1, knobs.stage2, 1 - knobs.stage1 - knobs.stage2)
    return tuple(
        Stage(name, share, block_flops(shape, context, active(knobs, shape, number)) + shape.head_train_flops)
        for number, (name, share) in enumerate(zip(STAGES, shares, strict=True), start=1)
        if share > 1e-9
    )


PRESETS = {
    "est-gpt2": EstKnobs(stage1=2 / 15, stage2=1 / 3),
    "est-tinyllama": EstKnobs(stage1=1 / 6, stage2=1 / 4),
}

SWITCHES = (1 / 6, 5 / 12)
"""Where stages 2 and 3 begin in the reproduction, which trains with the preset `est-tinyllama`."""
WINDOW = 1 / 24
"""Share of the run within which a larger network must show in the loss: one evaluation on."""


def _least_drop(measured: Measured) -> float:
    """The smaller of the falls of EST's loss right after its switches, in nats."""
    return min(measured.loss_at("EST", at) - measured.loss_at("EST", at + WINDOW) for at in SWITCHES)


def _worse_or_jumps(measured: Measured) -> float:
    """How much worse training without the factors ends, or how far its loss jumps at a switch; the larger, in nats."""
    arm = "EST without scaling"
    jumps = [measured.loss_at(arm, at + WINDOW) - measured.loss_at(arm, at) for at in SWITCHES]
    return max(measured.gap(arm, "EST").mean, *jumps)


REPRODUCTION = Reproduction(
    spec={
        "data": {"context": 64},
        "model": {"preset": "gpt2-tiny"},
        "budget": {"steps": 480},
        "eval_points": 24,
    },
    arms=(
        Variant("Dense"),
        Variant("EST", {"methods": ["est"], "knobs": {"est": PRESETS["est-tinyllama"]}}),
        Variant("Dense, equal FLOPs", flops_of="EST"),
        Variant("EST without scaling", {"methods": ["est"], "knobs": {"est": {"inverse_scale": False}}}),
        Variant("EST, half to the end", {"methods": ["est"], "knobs": {"est": {"stage1": 0, "stage2": 1}}}),
    ),
    judged="EST",
    bars=(
        Bar(
            "the blocks execute at most 0.76 of what dense training executes",
            lambda measured: measured.block_flops("EST") / measured.block_flops("Dense"),
            at_most=0.76,
        ),
        Bar(
            "the final loss is at most 0.03 nats above dense training of as many steps",
            lambda measured: measured.gap("EST", "Dense").mean,
            at_most=0.03,
        ),
        Bar(
            "the final loss is at most 0.01 nats above dense training of as many FLOPs, fully decayed",
            lambda measured: measured.gap("EST", "Dense, equal FLOPs").mean,
            at_most=0.01,
        ),
        Bar(
            "the loss falls by 0.05 nats or more within a 24th of the run after each switch", _least_drop, at_least=0.05
        ),
        Bar("without scaling it ends no better, or its loss jumps at a switch", _worse_or_jumps, at_least=0.0),
        Bar(
            "half of the heads and neurons to the end is clearly worse: the interval of the difference is above 0",
            lambda measured: measured.gap("EST, half to the end", "EST").low,
            at_least=0.0,
        ),
    ),
)

CARD = Card(
    title="Evolving Subnetwork Training",
    family="growing model",
    paper="https://arxiv.org/abs/2406.06962",
    knobs=EstKnobs,
    tasks=("language_modelling",),
    claims=(
        Claim(
            "26.7 % fewer training FLOPs without a higher pre-training loss",
            4 / 15,
            "GPT-2 base on OpenWebText, from scratch",
            "abstract; the data set through a digest",
        ),
        Claim(
            "25.0 % fewer training FLOPs without a higher pre-training loss",
            1 / 4,
            "TinyLlama 1.1B on part of SlimPajama and Starcoder, from scratch",
            "abstract; the data set through a digest",
        ),
        Claim(
            "better downstream scores than the network trained whole",
            None,
            "both networks; the scores of single tasks were not found",
            "abstract",
        ),
    ),
    stages=stages,
    owns=("subnetwork",),
    presets={**PRESETS},
    presets_note="near the published saving, counted on the blocks; their boundaries are not confirmed",
    reproduction=REPRODUCTION,
)

"""Deep Fusion: narrow networks are trained apart, fused side by side into a wider one, and trained on.

**What it does.** Several small networks (the leaves) are trained independently, each from its own seed and on its own
order of the data; they could run in parallel. The fusion operator puts them side by side into one network of the same
depth that is as wide as all of them together: what reads the shared input is joined, every inner matrix is
block-diagonal, and the head is joined and divided by the number of networks, so that the fused network's logits are
the mean of its parts' logits. The zeros off the diagonal are trained like everything else. The fused network starts
from learnt features, not from random values. Fusing again makes a tree. Self-fusion fuses a network with itself.

**What was read.** Mazzawi, Gonzalvo, Wunder, Jerome and Dherin (Google), arXiv 2306.11903, ICML 2024: the abstracts of
all versions, the opening of the introduction, the captions of figure 2 and table 1, and digests. From these:
a fusion operator (Eq. 5), trees, self-fusion, T5 pre-training on C4, one million steps for every node
and seven million for the largest tree. **No
result table could be read, and no official code exists: no number of the paper stands here.**

**What is inferred.** The operator's exact form, rebuilt from a digest so that it keeps the mean; span corruption as
T5's task; the tree of seven nodes of equal steps, from its seven million; how the operator maps onto attention, gated
MLPs, position biases and tied heads; the fresh optimiser and the second warm-up after a fusion; norms; the tie-breaking
noise of self-fusion. Moments are not carried over: an element that was zero has no second moment, so its first Adam
step would be huge. A tied head cannot be halved, because it is the embedding: the last norm's gain is divided instead,
by k for GPT-2 and Llama, by the square root of k for a tied T5, whose logits shrink with the width by themselves. The
head's width stays, so attention keeps its scale.

**When the fused network computes the mean of its parts.** With zeros off the diagonal: always in self-fusion, up to
the noise. For different networks only with `grouped` norms, whose statistics stay those of each part; with the
ordinary joint norm, which is the default because it leaves the network of its family, it does not. What the fusion
changed is measured on one batch of the training data and logged as `method/deviation`, beside the loss before and
after. The mean is taken of logits, not of probabilities.

**How it is counted.** A block-diagonal matrix is trained dense: from its first step the fused network costs what a
fresh one of its width costs. The leaves count against the arm's budget and are in its bill, phase by phase. Three
totals answer three questions: `fused` alone is what the wide network cost; with the longest path from a leaf, what one
waits for when leaves run in parallel; with all leaves, what was computed, which is the total that this arm is compared
by. The first two are logged as `method/flops_fused_only` and `method/flops_critical_path`, and all three stand, with
their seconds, under "What happened" of a finished run. With k leaves of n steps and a fused training of f steps, dense
training of b steps is dearer only if f + k * n * (cost of a leaf's step / cost of a fused step) < b. A binary tree of
equal steps per node costs about 1 + 1/2 + 1/4 of its last node where width squared dominates.

**Where it fails, and pitfalls.** In exact self-fusion both halves get equal gradients and stay equal for ever: the
noise breaks the tie. Leaves of one seed and order would be nearly that; each leaf here has a seed derived from the
run's seed and its own name. "Saves time" often means parallel leaves, while the computation grew: compare with dense
training of as many FLOPs as all phases together. The size of the gradient off the diagonal, and its share of the
squared norm (which is its share of the decrease that plain gradient descent would make), are logged: they show how
much the parts want to interact. The paper's analysis by backward error is not reproduced.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from training.catalog import Card, Claim, Stage
from training.knobs import Knobs
from training.models.encoder_decoder import EncoderDecoderShape
from training.models.shape import Shape
from training.reproduction import Bar, Measured, Reproduction, Variant

if TYPE_CHECKING:
    from training.spec import RunSpec

WIDTHS = ("width", "heads", "kv_heads", "mlp")
"""What a fusion of k networks multiplies by k; depth, context, vocabulary and the width of a head stay."""


class DeepFusionKnobs(Knobs):
    """The tree, how long its nodes train, and the choices that the paper leaves open."""

    nets: int = Field(2, ge=2, le=8, title="Networks per fusion", description="k; two in the example (inferred)")
    levels: int = Field(1, ge=1, le=3, title="Levels of fusion", description="1 is leaves and one fusion; 2 is a tree")
    self_fusion: bool = Field(
        False, title="Self-fusion", description="fuse copies of one network, a variant of the paper (as read)"
    )
    leaf_steps: float = Field(
        1.0,
        gt=0,
        le=10,
        title="Steps of a smaller node",
        description="as a share of the last node's; 1 as read: every node trains equally long",
    )
    norm: Literal["joint", "grouped"] = Field(
        "joint",
        title="Norms",
        description="statistics over all features, or over each part's alone, which keeps the function (inferred)",
    )
    off_diagonal: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Off-diagonal scale",
        description="random start off the diagonal, as a share of a fresh network's: 0 zeros, 1 an ablation (inferred)",
    )
    noise: float = Field(
        1e-3,
        ge=0,
        le=1,
        title="Tie-breaking noise",
        description="of self-fusion's copies, as a share of each matrix's deviation (inferred)",
    )
    rewarm: float = Field(
        0.03, ge=0, le=0.5, title="Second warm-up", description="share of the training after a fusion (inferred)"
    )


class Node(NamedTuple):
    """A network of the tree: its phase, the fusions below it, and the phases whose networks it is fused from."""

    name: str
    level: int
    parts: tuple[str, ...]


def tree(knobs: DeepFusionKnobs) -> list[Node]:
    """The nodes in the order they are trained: all leaves, then level by level, at last the whole network."""
    grown = 1 if knobs.self_fusion else knobs.nets
    nodes, below = [], [f"leaf-{i + 1}" for i in range(grown**knobs.levels)]
    nodes += [Node(name, 0, ()) for name in below]
    for level in range(1, knobs.levels + 1):
        count = grown ** (knobs.levels - level)
        names = ["fused"] if level == knobs.levels else [f"level{level}-{i + 1}" for i in range(count)]
        nodes += [Node(name, level, tuple(below[i * grown : (i + 1) * grown])) for i, name in enumerate(names)]
        below = names
    return nodes


def shares(knobs: DeepFusionKnobs) -> list[float]:
    """Share of the steps of each node of the tree."""
    weights = [1.0 if node.level == knobs.levels else knobs.leaf_steps for node in tree(knobs)]
    return [weight / sum(weights) for weight in weights]


def narrowed(shape: Shape | EncoderDecoderShape, parts: int) -> Shape | EncoderDecoderShape:
    """The shape of which so many side by side are as wide as this one."""
    return replace(shape, **{name: getattr(shape, name) // parts for name in WIDTHS if hasattr(shape, name)})


def shape_of(node: Node, knobs: DeepFusionKnobs, shape: Shape | EncoderDecoderShape) -> Shape | EncoderDecoderShape:
    """A node's shape, where the whole network has `shape`."""
    return narrowed(shape, knobs.nets ** (knobs.levels - node.level))


def stages(knobs: DeepFusionKnobs, shape: Shape | EncoderDecoderShape, context: int) -> tuple[Stage, ...]:
    """The closed form of what training executes, level by level."""
    found: dict[int, Stage] = {}
    for node, share in zip(tree(knobs), shares(knobs), strict=True):
        name = "fused" if node.level == knobs.levels else f"level {node.level}" if node.level else "leaves"
        before = found[node.level].share if node.level in found else 0.0
        network = shape_of(node, knobs, shape)
        found[node.level] = Stage(name, before + share, network.train_flops(context), network)
    return tuple(found.values())


def refuses(knobs: DeepFusionKnobs, spec: RunSpec) -> str:
    """Widths must divide by the number of leaves side by side, and every node needs a step."""
    parts, shape = knobs.nets**knobs.levels, spec.shape
    for name in WIDTHS:
        if getattr(shape, name, parts) % parts:
            return f"{spec.model.preset} has {name} {getattr(shape, name)}, which {parts} leaves cannot share equally"
    if spec.steps() * min(shares(knobs)) < 1:
        return f"{len(tree(knobs))} networks do not fit into {spec.steps()} steps; train longer or fuse fewer"
    return ""


LEAF, FUSED, DENSE = 300, 400, 600
"""Steps of a leaf, of the fused network and of the baseline in the reproduction, for which a GPT-2 stands in: within
minutes on two cores a T5 learns little more of span corruption than how frequent tokens are."""


def _fused(leaves: int, **knobs: object) -> dict[str, object]:
    """An arm with so many leaves."""
    return {
        "methods": ["deep_fusion"],
        "knobs": {"deep_fusion": {"leaf_steps": LEAF / FUSED, **knobs}},
        "budget": {"steps": leaves * LEAF + FUSED},
    }


def _left_at_70_percent(measured: Measured) -> float:
    """Self-fusion's loss after 70 % of its fused steps, less dense training's after as many steps as all of them."""
    reached = (LEAF + 0.7 * FUSED) / (LEAF + FUSED)
    return measured.loss_at("Self-fusion", reached) - measured.loss_at("Dense", FUSED / DENSE)


REPRODUCTION = Reproduction(
    spec={
        "data": {"context": 64},
        "model": {"preset": "gpt2-slim"},
        "budget": {"steps": DENSE},
        "optim": {"warmup": 0.05},
        "evals": [],
    },
    arms=(
        Variant("Dense"),
        Variant("Fusion", _fused(2)),
        Variant("Self-fusion", _fused(1, self_fusion=True)),
        Variant("Fusion, random off-diagonal", _fused(2, off_diagonal=1.0)),
        Variant("Dense, equal FLOPs", flops_of="Fusion"),
        Variant("Dense, FLOPs of self-fusion", flops_of="Self-fusion"),
    ),
    judged="Fusion",
    bars=(
        Bar(
            "the final loss is at most 0.03 nats above dense training",
            lambda measured: measured.gap("Fusion", "Dense").mean,
            at_most=0.03,
        ),
        Bar(
            "self-fusion needs at most 70 % of its fused steps for the loss of dense training after as many steps",
            _left_at_70_percent,
            at_most=0.0,
        ),
        Bar(
            "the final loss is not above dense training of as many FLOPs as leaves and fused network together",
            lambda measured: measured.gap("Fusion", "Dense, equal FLOPs").mean,
            at_most=0.0,
        ),
        Bar(
            "self-fusion's final loss is not above dense training of as many FLOPs",
            lambda measured: measured.gap("Self-fusion", "Dense, FLOPs of self-fusion").mean,
            at_most=0.0,
        ),
    ),
)

CARD = Card(
    title="Deep Fusion",
    family="growing model",
    paper="https://arxiv.org/abs/2306.11903",
    knobs=DeepFusionKnobs,
    tasks=("language_modelling", "span_corruption"),
    claims=(
        Claim(
            "accelerates the training of T5 and needs fewer resources, at equal or better quality",
            None,
            "T5 on C4; with carefully optimised training dynamics; no figure could be read",
            "abstracts",
        ),
    ),
    stages=stages,
    owns=("phases", "weights"),
    refuses=refuses,
    presets={
        "one fusion": DeepFusionKnobs(leaf_steps=0.75),
        "self-fusion": DeepFusionKnobs(self_fusion=True, leaf_steps=0.75),
        "tree of seven": DeepFusionKnobs(levels=2),
    },
    presets_note="the tree is inferred from the seven million steps of figure 2's setting 4; leaves of 75 % are ours",
    reproduction=REPRODUCTION,
)

"""An ensemble that answers with one expert per image, chosen by learned confidence, and its rivals.

**What it does.** Several experts of one architecture train together on adversarial images. Each has a class head and a
confidence head; its rectified confidence is the probability of its favourite class times the confidence head's
sigmoid, trained towards the probability of the true class. The ensemble answers with the most confident expert.
Training weighs each image's losses by how confident the experts are on it, so that each expert comes to own a part of
the images. First the experts are attacked one by one and everybody trains on all attacks (*sub-model training*), then
the ensemble is attacked as it answers (*collaboration*).

**What was read.** Cui, Zhang, Liang, Han, Sugiyama and Zhang, "Synergy-of-Experts", NeurIPS 2022: the abstract, one
definition and a digest of the appendix; the official code (cuis15/synergy-of-experts) for heads, losses, attack modes
and defaults. The paper's tables were not read: **no figure of it is shown**. As published the code does not start: it
imports a file that is not there.

**What is inferred.** That sub-model training comes before collaboration, and how long each lasts. The rivals are
written from their papers' ideas and the DVERGE repository's passes: *ADP* (diversity of the wrong classes), *GAL*
(aligned input gradients are punished: second order), *DVERGE* (experts learn images distilled from each other's
features). Their constants are knobs.

**How it is counted.** Executed, attacks included and named: they are most of the cost. An attack asks for the image's
gradient alone, so a step of it costs a forward and half a backward; the published codes also compute weight gradients
in it. Answering runs all experts, as averaging does. One optimiser holds all experts, which is one per expert where
the gradient is not clipped.

**Judged.** `robust` takes the minimum per image over attacks on the answer, on every expert alone, on a softened
choice, and on the choice itself. Argmax hides gradients from an attack on the answer alone.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from scipy.stats import spearmanr

from training.catalog import Card, Claim, Stage
from training.knobs import Knobs
from training.models.images import ImageShape
from training.reproduction import Bar, Measured, Reproduction, Variant

INFERRED = "inferred, not read"
CODE = "as the official code"


class SoeKnobs(Knobs):
    """The ensemble, what it trains on, and the attack that makes it."""

    ensemble: Literal["soe", "plain", "adversarial", "adp", "gal", "dverge"] = Field(
        "soe",
        title="Ensemble",
        description="soe, or a rival in the same frame; plain and adversarial average",
    )
    experts: int = Field(3, ge=1, le=8, title="Experts", description=f"sub-models of the ensemble; {CODE}")
    head: Literal["simple", "complex"] = Field(
        "simple", title="Confidence head", description=f"a linear layer, or blocks of its own after the stem; {CODE}"
    )
    collaboration: float = Field(
        0.5,
        ge=0,
        le=1,
        title="Collaboration",
        description=f"last share of the budget, attacking the answer; {INFERRED}",
    )
    weights: Literal["predicted", "true", "sum"] = Field(
        "predicted", title="Weights", description=f"of the experts' losses: by confidence, by loss, or one each; {CODE}"
    )
    temperature: float = Field(1.0, gt=0, le=100, title="Temperature", description=f"of the weights; {CODE}")
    confidence_loss: float = Field(1.0, ge=0, le=100, title="Confidence loss", description=f"its factor; {CODE}")
    eps: float = Field(
        0.1,
        gt=0,
        le=1,
        title="Radius",
        description="of the attack, in pixels of [0, 1]; the code's default is 0.02, its run.sh sets 0.03",
    )
    attack_steps: int = Field(5, ge=1, le=100, title="Attack steps", description="in training; the code has 10")
    attack_step: float = Field(
        0.04, gt=0, le=1, title="Attack step", description="in pixels of [0, 1]; the code has 0.01"
    )
    random_start: bool = Field(False, title="Random start", description=f"of attacks in training; {CODE}")
    also_adversarial: bool = Field(
        False,
        title="Adversarial images too",
        description="for ADP and DVERGE: adds the loss of an attack",
    )
    diversity: float = Field(0.5, ge=0, le=100, title="Diversity", description=f"factor in ADP and GAL; {INFERRED}")
    entropy: float = Field(2.0, ge=0, le=100, title="Entropy", description=f"its factor in ADP; {INFERRED}")


def step_flops(knobs: SoeKnobs, shape: ImageShape, *, collaborates: bool = False) -> float:
    """Executed FLOPs per image of a training step, in passes of one expert: the unit table of the card."""
    experts, steps = knobs.experts, knobs.attack_steps
    train, attack = expert_train_flops(knobs, shape), expert_attack_flops(knobs, shape)
    adversarial = experts * steps * attack + experts * train
    if knobs.ensemble == "soe":
        sets = 1 if collaborates else experts
        attacks = experts * steps * expert_attack_flops(knobs, shape, aware=collaborates)
        return attacks + (1 + sets) * experts * train
    if knobs.ensemble == "plain":
        return experts * train
    if knobs.ensemble == "adversarial":
        return adversarial
    if knobs.ensemble == "adp":
        return experts * train + (adversarial if knobs.also_adversarial else 0)
    if knobs.ensemble == "gal":
        return experts * aligned_flops(shape)
    layers = [distilled_flops(shape, layer) for layer in range(1, len(shape.blocks) + 1)]
    distilling = experts * steps * sum(layers) / len(layers) + experts * sum(
        2 * _front(shape, layer) for layer in range(1, len(shape.blocks) + 1)
    ) / len(layers)
    return distilling + experts * (experts - 1) * train + (adversarial if knobs.also_adversarial else 0)


def expert_train_flops(knobs: SoeKnobs, shape: ImageShape) -> float:
    """Forward and backward of one expert on one image; only SoE's has a confidence head."""
    return shape.train_flops() + (6 * _head_macs(knobs, shape) if knobs.ensemble == "soe" else 0)


def expert_attack_flops(knobs: SoeKnobs, shape: ImageShape, *, aware: bool = False) -> float:
    """Forward, and backward to the image, of one expert; `aware` of confidence, which chooses but has no gradient."""
    return shape.attack_flops + (2 * _head_macs(knobs, shape) if aware else 0)


def _head_macs(knobs: SoeKnobs, shape: ImageShape) -> int:
    """Multiply-adds per image of the confidence head."""
    blocks = sum(block.macs for block in shape.blocks) if knobs.head == "complex" else 0
    return shape.features + blocks


def aligned_flops(shape: ImageShape) -> float:
    """Of one expert under GAL: a forward, the image's gradient, and the backward through both, twice a plain step.

    Through a strided kernel torch forms the weights' second gradient at one place more a side, and drops it: (k + 1)^2
    for k^2 products, which counts where the side it reads is even.
    """
    dropped = {"cnn": 2 * 7 / 9, "resnet": 2 * (0.9 * 7 / 9 + 0.1 * 3)}
    reads = zip((shape.stem, *shape.blocks), shape.blocks, strict=False)
    strided = sum(block.entry_macs for before, block in reads if block.stride > 1 and before.side % 2 == 0)
    return 12 * shape.macs + dropped.get(shape.family, 0.0) * strided


def _front(shape: ImageShape, layer: int) -> int:
    """Multiply-adds of the stem and the first `layer` blocks."""
    return shape.stem.macs + sum(block.macs for block in shape.blocks[:layer])


def distilled_flops(shape: ImageShape, layer: int) -> float:
    """Forward, and backward to the image, of an expert's front."""
    return 4.0 * _front(shape, layer)


def stages(knobs: SoeKnobs, shape: ImageShape, context: int) -> tuple[Stage, ...]:
    if knobs.ensemble != "soe":
        return (Stage("train", 1.0, step_flops(knobs, shape)),)
    parts = (("sub-models", 1 - knobs.collaboration, False), ("collaboration", knobs.collaboration, True))
    return tuple(
        Stage(name, share, step_flops(knobs, shape, collaborates=together)) for name, share, together in parts if share
    )


def refuses(knobs: SoeKnobs, spec: Any) -> str:
    if spec.compile:
        return "attacks and second-order losses are not for torch.compile; switch it off"
    if spec.micro_batches > 1:
        return "an attack is made on the whole batch; use one micro-batch"
    if knobs.experts < 2 and knobs.ensemble in ("adp", "gal", "dverge"):
        return f"{knobs.ensemble} compares experts: give two or more"
    if knobs.ensemble == "gal" and spec.shape.family == "vit":
        return "gal differentiates twice, which fused attention does not allow; choose a convolutional network"
    return ""


def _arm(label: str, ensemble: str, **knobs: Any) -> Variant:
    return Variant(label, {"methods": ["soe"], "knobs": {"soe": {"ensemble": ensemble, **knobs}}})


ROBUST = "robust acc_linf_0.1"
ENSEMBLES = (
    _arm("Average", "plain"),
    _arm("Average, adversarial", "adversarial"),
    _arm("ADP", "adp"),
    _arm("GAL", "gal"),
    _arm("DVERGE", "dverge"),
    _arm("SoE, sub-models only", "soe", collaboration=0.0),
    _arm("SoE", "soe"),
)


def _cost_order(measured: Measured) -> float:
    """Spearman's rank correlation of measured seconds with counted FLOPs, over the ensembles."""
    labels = [arm.label for arm in ENSEMBLES]
    seconds, flops = ([measured.cost(label, unit) for label in labels] for unit in ("seconds", "executed"))
    return float(spearmanr(seconds, flops).statistic)


REPRODUCTION = Reproduction(
    spec={
        "task": "image_classification",
        "data": {"source": "digits"},
        "model": {"preset": "cnn-small"},
        "budget": {"steps": 300},
        "batch_size": 64,
        "evals": ["robust"],
    },
    arms=(Variant("Dense"), *ENSEMBLES, Variant("Dense, equal FLOPs", flops_of="SoE")),
    judged="SoE",
    bars=(
        Bar(
            "robust accuracy is at most 0.5 points below the averaged adversarial ensemble's",
            lambda measured: measured.score_gap("SoE", ROBUST, "Average, adversarial").mean,
            at_least=-0.005,
        ),
        Bar("measured seconds and counted FLOPs order the ensembles alike (Spearman)", _cost_order, at_least=0.9),
    ),
)

CARD = Card(
    title="Synergy of experts",
    family="robust ensemble",
    paper="https://github.com/cuis15/synergy-of-experts",
    knobs=SoeKnobs,
    tasks=("image_classification",),
    claims=(
        Claim(
            "more robust than other ensembles under white-box and transfer attacks",
            None,
            "three ResNet-20 on CIFAR-10; the tables were not read",
            "abstract",
        ),
    ),
    stages=stages,
    owns=("phases", "step", "weights", "precision"),
    refuses=refuses,
    reproduction=REPRODUCTION,
)

"""Layer freezing and data sieving: front blocks stop learning one by one, and easy examples take turns to stay away.

**What it does.** Three independent savings on one clock. *Freezing*: after a while the first block stops learning,
one interval later the next, strictly front to back; a frozen block still runs forward, its backward is not run. When
it begins is planned from a target: as late as that share of the training FLOPs is still saved. *Sieving*: a fixed
share of the training set is left out at any time. After every interval the examples that were forgotten least (a right
prediction followed by a wrong one, seen in the training predictions of that interval alone) go to the tail of a queue,
and as many come back from its head. *Masks* (MEST): the convolutions or linear layers of the blocks have most of their
weights at zero; after every interval the smallest are pruned and others grown at random.

**What was read.** Yuan, Li, Li, Kong, Tulyakov, Tang, Wang and Ren, NeurIPS 2022 (arXiv 2209.11204): main text and
appendix prose without tables and pseudo-code; the authors' patent description US20240070521; MEST's public code for the
masks. The paper's own repository holds no code.

**What is inferred.** The form of each block's rate schedule (the spec's schedule over the steps that the block learns),
what the easiest p % are a part of, frozen batch norms in evaluation mode, ties broken by lot, and that a block is
pruned to the target when it freezes, because what would be grown then could never learn. The knobs say which. The
paper's interval is 5 of 160 epochs; here it is a share of the run, 1 of 32, so that every budget has as many. It
should hold an epoch at least, or some examples are not judged in it; these stay in use.

**How it is counted.** Equal epochs is the paper's view and the default: an epoch over less data has fewer steps, so a
share of (1 - left out) of the budget's steps is trained, and the schedule runs over these. The knob offers equal steps;
a budget in FLOPs compares at equal cost. What freezing and sieving save is executed and saves time. The plan counts
what is executed: no backward of the stem and of frozen blocks, no gradient of the first learning block's input, of
which a network's first layer never had one. **What masks save is not executed by our dense kernels and saves no time**:
it appears in the effective FLOPs alone, by the weights that are active in each step, in the products with masked
weights alone. MEST removes data too: compare with training that has all its data, not only with published costs of
MEST.

**Text.** Freezing works on decoders, as an extension that the paper does not have, also together with methods that
choose the subnetwork. Embedding and positions freeze with the first block. A tied embedding goes on learning as the
head, so what it gives to the frozen blocks still moves. Leaving out easy examples and masks are for images alone.

**Where it fails, and pitfalls.** In networks of few blocks freezing comes in large pieces. An example that was never
predicted right has no forgetting event; MEST's code takes it as hard and so do we: else mislabelled examples would be
left out as easy. Frozen weights have neither weight decay nor momentum. A network that trains on examples of its own
choice has another training loss than one that sees all: compare validation.
"""

from __future__ import annotations

from itertools import pairwise
from math import floor
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from training.catalog import Card, Claim, Stage
from training.knobs import Knobs
from training.methods.spfde.plan import plan
from training.models.images import ImageShape
from training.models.shape import Shape

if TYPE_CHECKING:
    from training.spec import RunSpec

MARGIN_ENDS = (90 / 160, 120 / 160)
"""From the first on the soft bound is half as wide, from the second on there is none (MEST's script)."""


class SpfdeKnobs(Knobs):
    """What freezing is to save, what is left out, how sparse the weights are, and what the paper leaves open."""

    freeze: float = Field(
        0.2, ge=0, lt=0.7, title="Freezing saves", description="share of the training FLOPs; the paper has 10 to 35 %"
    )
    freezable: float = Field(
        2 / 3, gt=0, lt=1, title="Blocks that may freeze", description="share of the blocks, from the front (as read)"
    )
    intervals: int = Field(
        32, ge=4, le=1000, title="Intervals",
        description="of the run, between which blocks freeze, data and masks change; as read: 160 epochs by 5",
    )  # fmt: skip
    own_rate: bool = Field(
        True, title="Rate by block", description="each block has the schedule over its own steps (its form is inferred)"
    )
    still_norms: bool = Field(
        True, title="Frozen norms stand still", description="frozen batch norms keep their statistics (inferred)"
    )
    sieve: float = Field(
        0.0, ge=0, le=0.5, title="Left out", description="share of the training images; the paper has 10 to 35 %"
    )
    easiest_of: Literal["used", "set"] = Field(
        "used", title="Exchanged", description="that share of the images in use, or of all (inferred: in use)"
    )
    leave_out: Literal["easiest", "random"] = Field(
        "easiest", title="Leave out", description="what was forgotten least, or by lot as a control"
    )
    unlearnt: Literal["hard", "easy"] = Field(
        "hard", title="Never right", description="what never was predicted right counts as hard (MEST's code)"
    )
    compare: Literal["epochs", "steps"] = Field(
        "epochs", title="Equal", description="epochs over what is in use, so fewer steps (as read), or steps"
    )
    sparsity: float = Field(
        0.0, ge=0, lt=1, title="Sparsity", description="share of the blocks' weights that is masked; the paper has 0.9"
    )
    growth: Literal["EM&S", "EM"] = Field(
        "EM&S", title="Growth", description="prune to the sparsity and grow beyond (EM&S), or prune below and grow back"
    )
    margin: float = Field(
        0.05, ge=0, le=0.5, title="Margin",
        description="grown and pruned, as a share of the weights; MEST's script: 0.05 with EM&S, 0.02 with EM",
    )  # fmt: skip

    @model_validator(mode="after")
    def _room(self) -> SpfdeKnobs:
        room = self.sparsity if self.growth == "EM&S" else 1 - self.sparsity
        if self.sparsity and self.margin > room + 1e-9:
            raise ValueError(f"a margin of {self.margin:g} at a sparsity of {self.sparsity:g} leaves no such mask")
        return self

    @property
    def share_of_steps(self) -> float:
        """Of the budget's steps, what is trained."""
        return 1 - self.sieve if self.compare == "epochs" else 1.0

    def margin_at(self, share: float) -> float:
        """The margin after this share of the run."""
        return self.margin * (1.0, 0.5, 0.0)[sum(share >= end for end in MARGIN_ENDS)]


def times(knobs: SpfdeKnobs, shape: Shape | ImageShape, context: int) -> tuple[int, ...]:
    """After how many intervals each block freezes, front to back; ValueError if the target cannot be reached."""
    blocks = len(shape.blocks) if isinstance(shape, ImageShape) else shape.layers
    costs = [shape.train_flops(context, frozen=k) for k in range(floor(knobs.freezable * blocks + 1e-9) + 1)]
    return plan(costs, length=knobs.intervals, every=1, target=knobs.freeze)


def stages(knobs: SpfdeKnobs, shape: Shape | ImageShape, context: int) -> tuple[Stage, ...]:
    """The closed form of what training executes, by the number of frozen blocks."""
    ends = (0, *times(knobs, shape, context), knobs.intervals)
    return tuple(
        Stage(
            f"{frozen} blocks frozen" if frozen else "all blocks learn",
            (end - start) / knobs.intervals * knobs.share_of_steps,
            shape.train_flops(context, frozen=frozen),
        )
        for frozen, (start, end) in enumerate(pairwise(ends))
    )


def refuses(knobs: SpfdeKnobs, spec: RunSpec) -> str:
    shape = spec.shape
    if not isinstance(shape, ImageShape) and (knobs.sieve or knobs.sparsity):
        return "leaving examples out and masks are for images: set both shares to 0, freezing suits texts too"
    try:
        times(knobs, shape, spec.length)
    except ValueError as failure:
        return f"{failure} of {spec.model.preset}: ask for less, or let more blocks freeze"
    return ""


PRESETS = {
    f"spfde-{percent}-{percent}": SpfdeKnobs(freeze=percent / 100, sieve=percent / 100, sparsity=0.9)
    for percent in (15, 20, 25)
}

CARD = Card(
    title="Layer freezing and data sieving",
    family="frozen layers and selected data",
    paper="https://arxiv.org/abs/2209.11204",
    knobs=SpfdeKnobs,
    tasks=("image_classification", "language_modelling"),
    claims=(
        Claim(
            "27 % fewer training FLOPs than MEST at about its accuracy",
            0.27,
            "ResNet-32 of twice the width on CIFAR-100, 90 % sparse, freezing 20 % and leaving out 20 %",
            "main text; the authors' patent description",
        ),
        Claim(
            "0.66 points more accuracy than MEST at 95 % sparsity, at the same FLOPs",
            None,
            "the same network and data, 90 % sparse, freezing 25 % and leaving out 25 %",
            "main text; the authors' patent description",
        ),
        Claim(
            "up to 15 % of the training FLOPs cut by either technique alone cost no accuracy",
            0.15,
            "the same network and data, 60 % and 90 % sparse, mean of three runs",
            "appendix E",
        ),
    ),
    stages=stages,
    owns=("order", "weights"),
    refuses=refuses,
    presets={**PRESETS},
    presets_note="what freezing saves + what is left out, at the paper's 90 % sparsity; for images",
)

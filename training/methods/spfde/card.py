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
should hold two epochs at least, since an event takes two visits. In shorter ones examples that were not seen are taken
as hard, and leave when the judged ones are too few: then data leave by lot, and the series `method/left_unjudged`, the
share of the last exchange that was never predicted right in its interval, says so.

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

from typing import TYPE_CHECKING

from training.catalog import Card, Claim
from training.methods.spfde.knobs import SpfdeKnobs
from training.methods.spfde.plan import stages, times
from training.methods.spfde.reproduction import REPRODUCTION
from training.models.images import ImageShape

if TYPE_CHECKING:
    from training.spec import RunSpec


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
            of_dense=False,
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
            of_dense=False,
        ),
    ),
    stages=stages,
    owns=("order", "weights"),
    refuses=refuses,
    presets={**PRESETS},
    presets_note="what freezing saves + what is left out, at the paper's 90 % sparsity; for images",
    reproduction=REPRODUCTION,
)

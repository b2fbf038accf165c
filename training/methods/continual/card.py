"""Goes on training a network on a mixture of the text it knows and the text of a domain.

**What it does.** The first part of the budget trains a base network on the general text; the rest continues on
sequences of both texts, a fixed share of them the domain's. The share is exact but for rounding at every moment, and
each text is read in an order that depends on the seed alone, so that runs with other shares are paired. The optimiser
starts anew where the mixture begins.

**What it is for.** The D-CPT study fits how the losses on both texts depend on the share, on the size of the network
and on the tokens; this method makes its runs. By itself it is a training regime, not a saving.

**How it is counted.** The base belongs to the run, and is booked as inherited weights (`source`), apart from what the
mixture costs: pages show it charged or sunk. Runs of one network and one seed train the same base, each again.

**What was read.** Que et al., "D-CPT Law", NeurIPS 2024 (arXiv 2406.01375): its abstract, captions, and third-party
reading notes. From these: a general and a domain corpus, nine shares from 0 to 1, and losses on both texts along one
trajectory of each run.

**What is inferred.** The learning rate: points along a cosine are not the ends of runs of that length, so the rate is
constant after its warm-up unless you choose otherwise. A fresh optimiser at the change of text. How long the base is
trained: the paper takes finished models. The tokenizer is trained on both texts; a base from elsewhere would know only
its own.

**Where it fails.** More tokens than the domain has are repeated, and a loss after many repeats is that of another
regime. A base that is hardly trained gains on the general text from any mixture: then nothing is forgotten, and no
limit on forgetting binds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from training.catalog import Card, Claim, Stage
from training.knobs import Knobs

if TYPE_CHECKING:
    from training.models.shape import Architecture


class ContinualKnobs(Knobs):
    """The mixture, and how the budget is divided."""

    domain_share: float = Field(
        0.5,
        ge=0,
        le=1,
        title="Domain share",
        description="of the sequences of the mixture; the general text has the rest",
    )
    pretrain: float = Field(
        0.5,
        gt=0,
        lt=1,
        title="Base",
        description="share of the budget that trains the base on the general text (inferred)",
    )
    rate: Literal["constant", "decayed"] = Field(
        "constant", title="Rate of the mixture", description="constant after warm-up, or the spec's schedule (inferred)"
    )

    @property
    def general_share(self) -> float:
        """Of the general text in the mixture: what the domain leaves."""
        return 1 - self.domain_share


def stages(knobs: ContinualKnobs, shape: Architecture, context: int) -> tuple[Stage, ...]:
    flops = shape.train_flops(context)
    return (Stage("base", knobs.pretrain, flops), Stage("mixture", 1 - knobs.pretrain, flops))


CARD = Card(
    title="Continual pre-training",
    family="continual pre-training",
    paper="https://arxiv.org/abs/2406.01375",
    knobs=ContinualKnobs,
    tasks=("text_mixture",),
    claims=(
        Claim(
            "training on the domain alone raises the general loss by 21.2 %; a share of 0.924 keeps it within 3 %",
            None,
            "chemistry, a model of 1.8B, 10B tokens",
            "the table of the trade-off, through a public recomputation script",
        ),
    ),
    stages=stages,
    owns=("phases", "order"),
)

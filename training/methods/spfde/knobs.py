"""What a person sets. Torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from training.knobs import Knobs

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

"""FracTrain: low precision first, more of it later (PFQ), or as each image needs it (DFQ), or both.

**What it does.** Weights, activations and back-propagated errors of the network's products are rounded to few bits.
`pfq` raises their number over time: whenever the training loss has stopped moving, the next, finer pair begins.
`dfq` lets a small recurrent gate choose the bits of each block for each image, from what the block is about to read,
and pushes the chosen cost towards a target. `fractrain` is `dfq` whose target `pfq`'s indicator raises.

**Nothing is saved by simulation.** Low precision is simulated: values are rounded to their grid and every product
still runs in fp32, and `dfq` runs every block once per option and keeps one. **Executed FLOPs and seconds are those of
the simulation: `pfq` executes what dense training does and takes longer, for rounding takes time too; `dfq` executes
several times as much.** The saving is in the *effective* FLOPs alone: a multiply-add of a by b bits counts a x b / 1024
of a 32-bit one, as on hardware whose cost follows the bits. The two are never added, and no time is claimed.

**What was read.** Fu, You, Zhao, Wang, Li, Gopalakrishnan, Wang and Lin, NeurIPS 2020 (arXiv 2012.13113): the abstract,
the official code, and the result figures shipped with it. The paper's own sections were not read; where this page
speaks of an algorithm it is the code's.

**How it rounds.** Grids of 2^b levels from the least to the greatest value: one per output channel for weights, one per
batch for activations and errors. Errors are rounded stochastically, and one rounded error feeds the gradient of the
input and of the weight. Gradients pass rounding unchanged. Weights, optimiser and norms stay fp32, and so does the last
layer; in `dfq` the stem too. Bits of 0 or 32 and more do nothing.

**How it is evaluated.** At the bits of the last step (`dfq`: at those its gates choose), with each layer's activations
on its running range, as in the code. The first batch sets that range here, where the code starts it at zero, which a
short run would not leave. A layer that trained in slices only, as beside EST, is ranged by the batch it is scored on.

**The indicator.** It looks at the mean training loss once per "epoch" of 1/160 of the run (400 of 64,000 steps in the
code), and turns when the last `window` of them lie within `eps` of the newest, in units of the mean of the first ten.
After the first two turns `eps` shrinks. A stage lasts a window at least, so a short run may never reach the last one:
the series `turning_points`, `bits` and `error_bits` show when it did. In `fractrain` the loss that it sees includes the
cost term, as in the code. Each phase of a run starts its own progression.

**How effective FLOPs are counted.** From the products as they run: each forward product and the two of its backward at
their own bits, everything outside (head, attention scores, gates, `dfq`'s stem) at 32. The stem's gradient towards the
images does not exist and is not charged; the code charges it. In `dfq` a block counts for the share of images that
chose the option. A weight of which another method holds a part at zero counts for the rest of it. Rounding, scanning
for ranges, norms and the optimiser are in no count; a run's account lists them. The paper's table counts are of another
kind still: for one model, schedule and bits they differ by half between data sets, so they probably stop at the best
test accuracy (inferred). Here the whole run counts.

**The target of `dfq`** is a percentage of 32-bit cost over the gated blocks alone. **A target below the cheapest option
cannot be reached**: the gate then stays at it. With weights of 4 bits the options cost 1.758, 2.083, 2.604, 3.385 and
4.688 %, so the published first target of 1.5 % is out of reach. The series `cost_percent`, `target_percent` and
`least_percent` show it. The cost term is a sum over the images of a batch: change `beta` with the batch size, or choose
the mean.

**What is inferred or ours.** Biases stay fp32 (the code's convolutions have none), attention scores too; the optimiser
decays the gates like other weights, as in the code's one SGD. Decoders: the paper trains a Transformer,
how was not read. Where one layer's tokens are one matrix, a "sample" is a token; this matters with clipping alone. The
gate's candidate outputs all update the batch norms, as in the code; its second, unused pass through each shortcut is
left out. Bits of depthwise convolutions do not occur in our networks.

**Clipping.** Notes on the code say that a batch's greatest value is taken as the least of its samples' greatest, which
cuts larger ones off; the two files read at commit 1decbf73 take the true one. That is the default, the other a switch.

**Pitfalls.** Compare with a static arm (`bits` "8", `error_bits` "8") as much as with fp32: low precision early may
help by itself. The code reports the best test accuracy of any evaluation; here a run is judged at its end. The released
table prints +0.05 as FracTrain's gain for ResNet-74 on CIFAR-10, where its own rows give -0.07.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from training.catalog import Card, Claim, Stage, card
from training.knobs import Knobs
from training.methods.fractrain.costs import dynamic_train_flops
from training.methods.fractrain.reproduction import REPRODUCTION
from training.parts.bits import Bits, width

if TYPE_CHECKING:
    from training.spec import RunSpec

NUMBERS = r"\d{1,2}( \d{1,2})*"
SHARE_OF_AN_EPOCH = 400 / 64_000
EFFECTIVE = "effective: operations weighted by their bits, not executed ones"


def _numbers(default: str, title: str, description: str) -> Any:
    return Field(default, max_length=60, pattern=f"^{NUMBERS}$", title=title, description=description)


class FracTrainKnobs(Knobs):
    """Lists of bits, the indicator, the gate's options and price, and the choices that the paper leaves open."""

    mode: Literal["pfq", "dfq", "fractrain"] = Field(
        "pfq",
        title="Mode",
        description="bits by time (pfq), by image and block (dfq), or both; the last two for images",
    )
    bits: str = _numbers("3 4 6 8", "Bits", "pfq: of weights and activations, by stage (example of the code's README)")
    error_bits: str = _numbers("6 6 8 8", "Error bits", "pfq: of errors, by stage (example of the code's README)")
    epoch: float = Field(
        SHARE_OF_AN_EPOCH,
        gt=0,
        le=1,
        title="Epoch",
        description="share of the steps between two looks at the loss (code)",
    )
    window: int = Field(5, ge=2, le=100, title="Window", description="epochs that must agree (code); 3 for short runs")
    eps: float = Field(
        0.15,
        ge=0,
        le=10,
        title="Threshold",
        description="largest move of the loss at a turn (code; 0.05 in its README)",
    )
    alpha: float = Field(
        0.4, gt=0, le=1, title="Threshold decay", description="at each of the first two turns (code; 0.3 in its README)"
    )
    turns: int = Field(3, ge=0, le=100, title="Turning points", description="fractrain: times the target rises (code)")
    option_bits: str = _numbers("3 4 4 6 6", "Options", "dfq: bits of activations to choose from (code, CIFAR)")
    option_error_bits: str = _numbers("6 6 8 8 12", "Options for errors", "dfq: bits of errors, in pairs (code, CIFAR)")
    weight_bits: int = Field(4, ge=0, le=32, title="Weight bits", description="dfq: fixed (code's CIFAR example)")
    target: float = Field(
        3.0,
        gt=0,
        le=100,
        title="Target",
        description="dfq: percent of 32-bit cost over the blocks; fractrain: the first",
    )
    target_step: float = Field(
        0.5, ge=0, le=100, title="Target step", description="fractrain: added at each turning point (code)"
    )
    band: float = Field(
        0.0, ge=0, le=100, title="Band", description="dfq: a tenth of the push within it; fractrain: none above (code)"
    )
    beta: float = Field(1e-3, ge=0, le=1e3, title="Price", description="dfq: factor of the cost in the loss (code)")
    price_over: Literal["sum", "mean"] = Field(
        "sum", title="Price over", description="dfq: the batch's images summed (code), or their mean"
    )
    price_cap: bool = Field(
        False, title="Cap the price", description="dfq: at a tenth of the loss (an option of the code, off there too)"
    )
    weighting: Literal["equal", "macs"] = Field(
        "equal", title="Blocks weigh", description="dfq: the same (code without its table), or by their products"
    )
    range_momentum: float = Field(
        0.9, ge=0, lt=1, title="Range momentum", description="of activation ranges (code; 0.1 in its FracTrain)"
    )
    stochastic: bool = Field(
        True, title="Stochastic rounding", description="of errors (code); off rounds to the nearest, an ablation"
    )
    clip: bool = Field(
        False, title="Reference clipping", description="range a batch to its samples' smallest maximum (see the page)"
    )

    @model_validator(mode="after")
    def _fit(self) -> FracTrainKnobs:
        if len(self.bits.split()) != len(self.error_bits.split()):
            raise ValueError(f"bits {self.bits!r} and error_bits {self.error_bits!r} are not pairs")
        if len(self.option_bits.split()) != len(self.option_error_bits.split()):
            raise ValueError(
                f"option_bits {self.option_bits!r} and option_error_bits {self.option_error_bits!r} differ"
            )
        for name in ("bits", "error_bits"):
            widths = [width(int(bits)) for bits in getattr(self, name).split()]
            if widths != sorted(widths):
                raise ValueError(f"{name} {getattr(self, name)!r} go down; precision only rises")
        return self

    @property
    def progressive(self) -> tuple[Bits, ...]:
        """The stages of pfq: weights like activations."""
        pairs = zip(self.bits.split(), self.error_bits.split(), strict=True)
        return tuple(Bits(int(bits), int(bits), int(error)) for bits, error in pairs)

    @property
    def options(self) -> tuple[Bits, ...]:
        """What a gate of dfq chooses from."""
        pairs = zip(self.option_bits.split(), self.option_error_bits.split(), strict=True)
        return tuple(Bits(int(bits), self.weight_bits, int(error)) for bits, error in pairs)

    @property
    def most_turns(self) -> int:
        """Turning points that the mode has a use for."""
        return {"pfq": len(self.progressive) - 1, "dfq": 0, "fractrain": self.turns}[self.mode]

    def target_at(self, turns: int) -> float:
        """Target cost after so many turning points, in percent."""
        return self.target + turns * self.target_step


def refuses(knobs: FracTrainKnobs, spec: RunSpec) -> str:
    """Why the simulation cannot run this spec."""
    if spec.compile:
        return "torch.compile would not see the simulated rounding; switch it off"
    if spec.precision != "fp32":
        return "low precision is simulated in fp32; choose the precision fp32"
    if knobs.mode != "pfq" and spec.unit != "image":
        return f"{knobs.mode} chooses per image; choose pfq for tokens"
    others = [card(name) for name in spec.methods if name != "fractrain"]
    if knobs.mode != "pfq" and (owner := next((other for other in others if "step" in other.owns), None)):
        return f"{knobs.mode} watches every block in every step, and {owner.title} has steps without them; choose pfq"
    return ""


def stages(knobs: FracTrainKnobs, shape: Any, context: int) -> tuple[Stage, ...]:
    """The closed form of what the simulation executes: dense training, in dfq every block once per option."""
    if knobs.mode == "pfq":
        return (Stage("progressive precision, simulated", 1.0, shape.train_flops(context)),)
    return (Stage("dynamic precision, simulated", 1.0, dynamic_train_flops(shape, len(knobs.options))),)


CARD = Card(
    title="FracTrain",
    family="low precision",
    paper="https://arxiv.org/abs/2012.13113",
    knobs=FracTrainKnobs,
    tasks=("image_classification", "language_modelling"),
    claims=(
        Claim(
            "77.6 % fewer effective multiply-adds and 53.5 % less simulated latency, 0.07 points less accuracy",
            None,
            f"ResNet-74 on CIFAR-10 against 8-bit SBM; {EFFECTIVE}",
            "abstract; the accuracies from the figure of results in the code's README",
        ),
        Claim(
            "accuracy between 0.12 points less and 1.87 points more",
            None,
            "six models, four data sets, three settings",
            "abstract",
        ),
        Claim(
            "PFQ alone: 48.8 % fewer effective multiply-adds at equal accuracy",
            None,
            f"ResNet-38 on CIFAR-10 against static 8 / 16 bits; {EFFECTIVE}",
            "figure of results in the code's README",
        ),
        Claim(
            "DFQ alone: 36.1 % fewer effective multiply-adds, 0.26 points less accuracy",
            None,
            f"ResNet-38 on CIFAR-10 against SBM; {EFFECTIVE}",
            "figure of results in the code's README",
        ),
        Claim(
            "52.85 % fewer effective multiply-adds, accuracy 69.44 against 69.51 %",
            None,
            f"ResNet-18 on ImageNet against SBM at 8 / 16 bits; {EFFECTIVE}",
            "figure of results in the code's README",
        ),
    ),
    stages=stages,
    owns=("precision",),
    refuses=refuses,
    presets={
        "pfq-readme": FracTrainKnobs(eps=0.05, alpha=0.3),
        "fractrain-cifar": FracTrainKnobs(mode="fractrain", target=1.5, range_momentum=0.1),
        "fractrain-reachable": FracTrainKnobs(mode="fractrain", target=2.0, range_momentum=0.1),
        "static-8": FracTrainKnobs(bits="8", error_bits="8"),
    },
    presets_note="the first target of fractrain-cifar lies below its cheapest option; static-8 is the baseline to beat",
    reproduction=REPRODUCTION,
)

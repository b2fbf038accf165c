"""How the losses on a general text and on a domain depend on the mixture of both, from small runs.

**What it does.** A grid of small runs: every network trains a base on the general text, then goes on with mixtures of
that text and the domain's. To the loss on each text one law is fitted by network size N, tokens D and the share r that
the text itself has in the mixture,

    L(N, D, r) = E + A / N^alpha + B r^eta / D^beta + C / (r + epsilon)^gamma

with nine positive parameters. Two fits, two shares: the general loss is that of the general text's share, the domain
loss that of the domain's, and the two add up to one. The pair then answers three questions: which share is best while
the general loss rises by less than a limit; how far to stretch scarce domain text with general text; which size is best
for a budget of FLOPs.

**N, D and losses.** N counts parameters outside of embeddings and head, everywhere in this study. D counts tokens of
the mixture alone, not those of the base. Losses are in nats per token of one tokenizer trained on both texts.

**How good it is.** Every fit is judged on what it was not shown: each size, each third of the steps and each share is
left out once and predicted by a fit without it; those that lie between others are told apart from the ends, which are
extrapolated. The form does not promise that a loss falls with a larger share of its text, so this is checked at every
measured point; where it fails the law is marked as violated. Akaike's criterion says whether nine parameters earn their
keep beside the five of the form without a share. When the grid is done, one more run at the predicted best share of the
largest network holds the prediction against a measurement; it is left out of the fit.

**What it costs.** It saves the search for a share on a large network, and costs the grid of small ones; the page shows
both, evaluations beside them, and the training of the bases apart: it is sunk where the base exists anyway.

**What was read.** Que et al., "D-CPT Law", NeurIPS 2024 (arXiv 2406.01375): abstract and captions; its form, its nine
parameters, its nine shares, L-BFGS, Huber loss and R2 through three third-party reading notes that agree. There is no
official code. In the paper the fit has R2 0.9967 on the general and 0.9796 on the domain losses; leaving a share out,
0.9964 and 0.9717.

**What is inferred.** Huber's delta of 0.001 on logarithms of losses, and many random starts, are Chinchilla's. Whether
the paper prints sums or means of its Huber losses is unknown, so ours are not comparable. The weak pull of exponents
towards 1/2, worth three points, is ours: from two sizes alpha is not known otherwise. Whether the paper's N counts
embeddings is not known. Of the paper's ways to thin out evaluations none is used: all of them are fitted. How long a
base is trained, and a rate that stays constant, are inferred too, and marked so among the knobs.

**Pitfalls.** Points along one run share a rate that has not decayed: the rate is constant after its warm-up, and a
final decay lowers all losses further. Beyond the measured sizes and tokens the law extrapolates. Single parameters are
weakly known; predictions are what counts. Tokens beyond the length of a text repeat it. The paper has one family of
networks.

**Several domains.** The paper's law across domains adds F / K^mu to the domain loss, with K = w1 / k1 + w2 k2: k1 is
the domain's loss before the mixture, k2 how fast it falls at first. Fitted on grids of some domains, it takes a short
probe of a new one: here the smallest network at the largest share, as far as its first evaluation. Name further domains
and each gets the grid too; then each is left out once and predicted from its probe by a law of the others, beside a law
of the others that has no K. Domains that are probed alone get that one run, whose later evaluations judge the
prediction. Losses per token compare between domains only where all share a tokenizer, so the vocabulary must then be
the 256 bytes and one end mark. Whether a large K means an easy domain is told in two ways, so the fit decides. The
paper takes four domains to predict another; from two or three, F, mu and both weights are hardly known.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from training.catalog import StudyCard
from training.data.names import DOMAIN, DOMAIN_SOURCES
from training.knobs import Knobs
from training.models.shape import PRESETS
from training.spec import RunSpec

BYTES = 257
"""A vocabulary without a single merge: every byte and the end mark, the same whatever text it is trained on."""


class DcptKnobs(Knobs):
    """The grid, and what to check at its end."""

    sizes: tuple[str, ...] = Field(
        ("gpt2-nano", "gpt2-micro", "gpt2-tiny"), min_length=2, max_length=6, title="Networks",
        description="presets of one family; three tell how the loss falls with size",
        json_schema_extra={"items": {"type": "string", "enum": list(PRESETS)}},
    )  # fmt: skip
    ratios: tuple[float, ...] = Field(
        (0.0, 0.25, 0.5, 0.75, 1.0), min_length=3, max_length=11, title="Domain shares",
        description="of the mixture, from 0 to 1; the paper has nine: 0, 0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 0.9, 1",
    )  # fmt: skip
    steps: int = Field(600, ge=20, le=1_000_000, title="Steps of the mixture", description="of each run")
    base_steps: int = Field(
        600, ge=1, le=1_000_000, title="Steps of the base", description="on the general text, before it (inferred)"
    )
    evaluations: int = Field(
        10, ge=4, le=100, title="Evaluations", description="of each mixture: the points that are fitted"
    )
    rate: Literal["constant", "decayed"] = Field(
        "constant",
        title="Rate",
        description="of the mixture; decayed, points of a run are not ends of shorter ones (inferred: constant)",
    )
    limit: float = Field(
        0.03, gt=0, le=10, title="Limit", description="how far the general loss may rise, as a share of what it was"
    )
    check: bool = Field(True, title="Check", description="train the predicted best share on the largest network too")
    domains: tuple[str, ...] = Field(
        (), max_length=5, title="Further domains",
        description="text:<name> or hf:<owner/name>, a grid each: none, or two at least; with a vocabulary of 257",
    )  # fmt: skip
    probed: tuple[str, ...] = Field(
        (), max_length=5, title="Probed domains",
        description="texts that a law across all domains predicts from one run of the smallest network",
    )  # fmt: skip

    @field_validator("domains", "probed")
    @classmethod
    def _texts(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        for text in texts:
            if not re.fullmatch(DOMAIN, text):
                raise ValueError(f"{text!r} names no text; {DOMAIN_SOURCES}")
        if len(set(texts)) != len(texts):
            raise ValueError("a text is named twice")
        return texts

    @field_validator("domains")
    @classmethod
    def _several(cls, domains: tuple[str, ...]) -> tuple[str, ...]:
        if len(domains) == 1:
            raise ValueError("name two at least, or none")
        return domains

    @field_validator("probed")
    @classmethod
    def _predicted(cls, probed: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        domains = info.data.get("domains")  # absent where they were refused themselves
        if probed and domains == ():
            raise ValueError("the law that predicts them needs further domains")
        if twice := set(domains or ()) & set(probed):
            raise ValueError(f"{', '.join(sorted(twice))}: either probed or with a grid")
        return probed

    @field_validator("sizes")
    @classmethod
    def _known(cls, sizes: tuple[str, ...]) -> tuple[str, ...]:
        for name in sizes:
            if name not in PRESETS:
                raise ValueError(f"no preset {name!r}; there are {', '.join(PRESETS)}")
        if len({PRESETS[name].family for name in sizes}) > 1:
            raise ValueError("networks of two families; a law is of one")
        if len(set(sizes)) != len(sizes):
            raise ValueError("a network is named twice")
        return sizes

    @field_validator("ratios")
    @classmethod
    def _shares(cls, ratios: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 <= ratio <= 1 for ratio in ratios):
            raise ValueError("shares lie between 0 and 1")
        if len(set(ratios)) != len(ratios):
            raise ValueError("a share is named twice")
        return ratios


def refuses(knobs: DcptKnobs, base: RunSpec) -> dict[str, str]:
    """Domains compare in bytes alone, and each text is one of them."""
    found: dict[str, str] = {}
    for knob in ("domains", "probed"):
        if used := {base.data.source, base.data.domain} & set(getattr(knobs, knob)):
            found[knob] = f"{', '.join(sorted(map(str, used)))}: already a text of the mixture"
    if knobs.domains and base.data.vocab_size != BYTES:
        found.setdefault(
            "domains",
            f"losses per token compare between domains where all share a tokenizer: set the vocabulary to {BYTES}",
        )
    return found


CARD = StudyCard(
    title="D-CPT law: the best mixture for a domain",
    paper="https://arxiv.org/abs/2406.01375",
    knobs=DcptKnobs,
    base={
        "task": "text_mixture",
        "data": {"source": "sotu", "domain": "python-stdlib", "vocab_size": 512, "context": 64},
        "model": {"preset": "tinyllama-1.1b"},  # stands for the sizes; it holds every context that one of them does
        "batch_size": 8,
        "optim": {"learning_rate": 2e-3, "warmup": 0.05},
    },
    decides={"model": "sizes", "budget": "steps", "eval_points": "evaluations", "methods": "", "knobs": "ratios"},
    trains=("continual",),
    varies={"data.domain": "domains"},
    refuses=refuses,
)

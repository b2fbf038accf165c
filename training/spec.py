"""The run spec: one schema that makes the form, judges the REST payload, is stored on the arm and drives the trainer.

Torch-free. Errors carry one path everywhere: `budget.steps`, `knobs.est.heads`.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from training import catalog
from training.composition import MOST_FLOPS, MOST_STEPS, disagreements, stages
from training.data.names import DOMAIN, DOMAIN_SOURCES
from training.knobs import Knobs, Strict
from training.models.shape import Savings, savings


class DataSpec(Strict):
    """What to train on and how it is cut. Each task uses some of the fields; the others stay at their defaults."""

    source: str = Field(
        "sotu", max_length=200, title="Data",
        description="shipped, of the data folder, dataset:<uploaded>, or hf:<owner/name>",
    )  # fmt: skip
    vocab_size: int = Field(2048, ge=257, le=65536, title="Vocabulary", description="byte-level BPE entries")
    context: int = Field(128, ge=8, le=8192, title="Context", description="tokens per sequence")
    domain: str | None = Field(
        None, max_length=200, title="Domain", description="a second text, for mixtures; named like the first"
    )
    resolution: int | None = Field(None, ge=4, le=512, title="Resolution", description="pixels a side")
    channels: Literal[1, 3] | None = Field(None, title="Channels", description="1 is grey, 3 is colour")
    classes: int | None = Field(None, ge=2, le=100_000, title="Classes", description="of the labels")
    augment: Literal["none", "flip", "flip-crop"] = Field(
        "none", title="Augmentation", description="flips left and right; crops after padding by 4 pixels"
    )

    @field_validator("domain")
    @classmethod
    def _another_text(cls, domain: str | None, info: ValidationInfo) -> str | None:
        if domain is None:
            return domain
        if not re.fullmatch(DOMAIN, domain):
            raise ValueError(f"{domain!r} names no text; {DOMAIN_SOURCES}")
        if domain == info.data.get("source"):
            raise ValueError("the same text twice; a mixture is of two")
        return domain


MOST_METHODS = 4


class ModelSpec(Strict):
    """Which network; the data decide its vocabulary, or its image size and classes."""

    preset: str = Field("gpt2-tiny", max_length=60, title="Model", description="architecture and size")


class Budget(Strict):
    """How long to train: steps, tokens or executed FLOPs, exactly one of them."""

    steps: int | None = Field(None, ge=1, le=MOST_STEPS, title="Steps", description="optimiser steps")
    tokens: int | None = Field(None, ge=1, le=10**13, title="Tokens", description="training tokens")
    flops: float | None = Field(None, ge=1, le=MOST_FLOPS, title="FLOPs", description="executed training FLOPs")

    @model_validator(mode="after")
    def one(self) -> Budget:
        if sum(limit is not None for limit in (self.steps, self.tokens, self.flops)) != 1:
            raise ValueError("give exactly one of steps, tokens and flops")
        return self


class OptimSpec(Strict):
    """The optimiser, its weight decay on matrices and kernels only, and a schedule over the whole budget."""

    name: Literal["adamw", "sgd"] = Field("adamw", title="Optimiser", description="sgd is with momentum")
    learning_rate: float = Field(
        3e-3,
        gt=0,
        le=1,
        title="Peak learning rate",
        description="after warm-up; larger networks want less: 6e-4 for gpt2",
    )
    beta1: float = Field(0.9, ge=0, lt=1, title="Beta 1", description="first-moment decay of AdamW")
    beta2: float = Field(0.95, ge=0, lt=1, title="Beta 2", description="second-moment decay of AdamW")
    momentum: float = Field(0.9, ge=0, lt=1, title="Momentum", description="of SGD")
    weight_decay: float = Field(0.1, ge=0, le=1, title="Weight decay", description="on matrices only")
    clip_norm: float = Field(1.0, ge=0, le=1e6, title="Clip norm", description="global gradient norm; 0 is off")
    schedule: Literal["cosine", "wsd", "linear", "step"] = Field(
        "cosine", title="Schedule", description="decay after warm-up; step divides by 10 at 1/2 and 3/4"
    )
    warmup: float = Field(0.15, ge=0, le=0.5, title="Warm-up", description="share of the budget")
    decay: float = Field(0.2, gt=0, le=1, title="Decay share", description="of the budget, for wsd")
    floor: float = Field(0.0, ge=0, le=1, title="Final rate", description="share of the peak")


class RunSpec(Strict):
    """One arm of an experiment; seeds replicate it and are not part of it."""

    version: Literal[1] = 1
    task: str = Field("language_modelling", max_length=60, title="Task", description="the kind of problem")
    data: DataSpec = DataSpec()
    model: ModelSpec = Field(ModelSpec(), validate_default=True)
    budget: Budget = Budget(steps=600)
    batch_size: int = Field(16, ge=1, le=65536, title="Batch size", description="examples per optimiser step")
    micro_batches: int = Field(1, ge=1, le=4096, title="Micro-batches", description="gradient accumulation")
    optim: OptimSpec = OptimSpec()
    precision: Literal["fp32", "bf16"] = Field("fp32", title="Precision", description="bf16 is autocast")
    compile: bool = Field(False, title="torch.compile", description="needs a C++ compiler on the worker")
    deterministic: bool = Field(True, title="Deterministic", description="one thread on CPU, bitwise resume")
    eval_points: int = Field(20, ge=1, le=1000, title="Evaluations", description="validation passes over the budget")
    methods: Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_METHODS, title="Methods")] = ("dense",)
    knobs: dict[str, SerializeAsAny[Knobs]] = Field(default_factory=dict, title="Knobs")
    evals: Annotated[tuple[str, ...], Field(max_length=8, title="Downstream tasks")] = ("cloze", "choice", "probe")

    @field_validator("task")
    @classmethod
    def _known_task(cls, name: str) -> str:
        if name not in catalog.tasks():
            raise ValueError(f"no task {name!r}; there are {', '.join(catalog.tasks())}")
        return name

    @field_validator("methods")
    @classmethod
    def _known_methods(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        for name in methods:
            if name not in catalog.names():
                raise ValueError(f"no method {name!r}; there are {', '.join(catalog.names())}")
        return methods

    @model_validator(mode="wrap")
    @classmethod
    def _own_knobs(cls, data: Any, handler: ModelWrapValidatorHandler[RunSpec]) -> RunSpec:
        """Judge each method's knobs by its own class; all errors at once, with the path `knobs.<method>.<knob>`."""
        if not isinstance(data, dict) or not isinstance(data.get("knobs", {}), dict):
            return handler(data)
        data = _started(data)
        judged, errors = _judge(data.get("methods", ("dense",)), data.get("knobs", {}))
        try:
            spec = handler({**data, "knobs": judged})
        except ValidationError as failure:
            errors = [_moved(error, ()) for error in failure.errors()] + errors
        errors = errors or [_error(path, text) for path, text in disagreements(spec)]
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return spec

    @field_validator("micro_batches")
    @classmethod
    def _divides_the_batch(cls, parts: int, info: ValidationInfo) -> int:
        size = info.data.get("batch_size", parts)
        if size % parts:
            raise ValueError(f"the batch size {size} is not a multiple of {parts}")
        return parts

    @property
    def shape(self) -> Any:
        """The network's sizes with those of the data: an `Architecture`, of the class that the task's networks have."""
        return catalog.task(self.task).shape(self.data, self.model.preset)

    @property
    def unit(self) -> str:
        """What cost is counted per: token or image. Where this class says token, it means the unit."""
        return catalog.task(self.task).unit

    @property
    def length(self) -> int:
        """Units of one example: tokens of a sequence, 1 for an image."""
        return catalog.task(self.task).length(self.data)

    @property
    def tokens_per_step(self) -> int:
        return self.batch_size * self.length

    def stages(self) -> tuple[catalog.Stage, ...]:
        """The closed form of the arm's training cost."""
        return tuple(stage for _, stage in stages(self))

    def flops_per_token(self) -> float:
        """Executed training FLOPs per token of the budget by closed form, averaged over the stages."""
        return sum(stage.share * stage.flops_per_token for stage in self.stages())

    def trained_share(self) -> float:
        """How much of the budget's steps the methods take: less than all where they train for less."""
        return sum(stage.share for stage in self.stages())

    def flops_per_trained_token(self) -> float:
        """Executed training FLOPs by closed form per token that is trained on."""
        return self.flops_per_token() / self.trained_share()

    def flops_per_step(self) -> float:
        """Executed training FLOPs per optimiser step by closed form, averaged over the stages."""
        return self.tokens_per_step * self.flops_per_token()

    def flops_per_step_of(self, network: Any) -> float:
        """Executed training FLOPs per optimiser step by closed form, averaged over the fits of this shape.

        LookupError where no stage of the arm's methods trains it: the budget in FLOPs cannot be turned into steps then.
        """
        its = [stage for fitted, stage in stages(self) if fitted == network]
        if not its:
            raise LookupError(f"{' + '.join(self.methods)}: no stage of the card trains {network}; name it in `stages`")
        return (
            self.tokens_per_step
            * sum(stage.share * stage.flops_per_token for stage in its)
            / sum(stage.share for stage in its)
        )

    def planned_savings(self) -> Savings:
        """What the arm's closed form saves of dense training at equal steps."""
        return savings(self.shape, self.length, self.flops_per_token())

    def steps(self) -> int:
        """Optimiser steps in the budget; exact for steps and tokens, by closed form for FLOPs."""
        if self.budget.steps is not None:
            return self.budget.steps
        if self.budget.tokens is not None:
            return max(1, self.budget.tokens // self.tokens_per_step)
        assert self.budget.flops is not None
        return max(1, round(self.budget.flops / self.flops_per_step()))

    def train_flops(self) -> float:
        """Forecast of the executed training FLOPs of one run."""
        return self.steps() * self.flops_per_step()

    def digest(self) -> str:
        """Identity of the arm: SHA-256 of the dump without defaults and version; seeds are not part of it."""
        body = self.model_dump(mode="json", exclude_defaults=True, exclude={"version"})
        body["knobs"] = {name: knobs for name, knobs in body.get("knobs", {}).items() if knobs}
        return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _judge(methods: Any, given: dict[str, Any]) -> tuple[dict[str, Knobs], list[InitErrorDetails]]:
    """The knobs of the arm's methods, each by its own class, and what is wrong with them."""
    offered = set(catalog.names())
    known = [name for name in methods[:MOST_METHODS] if name in offered] if isinstance(methods, list | tuple) else []
    judged: dict[str, Knobs] = {}
    errors: list[InitErrorDetails] = []
    for name in given.keys() - set(known):
        unknown = PydanticCustomError("unknown_method", "these knobs belong to no method of the arm")
        errors.append(InitErrorDetails(type=unknown, loc=("knobs", name), input=given[name]))
    for name in known:
        value = given.get(name, {})
        try:
            judged[name] = catalog.card(name).knobs.model_validate(
                value.model_dump() if isinstance(value, Knobs) else value
            )
        except ValidationError as failure:
            errors += [_moved(error, ("knobs", name)) for error in failure.errors()]
    return judged, errors


def _started(data: dict[str, Any]) -> dict[str, Any]:
    """With what its task starts from, wherever the spec says nothing and its own default would not suit."""
    name = data.get("task")
    if name is None or name not in catalog.tasks():
        return data
    filled = {**catalog.task(name).starts_from, **data}
    for part, values in catalog.task(name).starts_from.items():
        given = filled[part]
        given = given.model_dump() if isinstance(given, Strict) else given
        if isinstance(values, dict) and isinstance(given, dict):
            filled[part] = {**values, **given}
    return filled


def _error(path: tuple[str, ...], text: str) -> InitErrorDetails:
    return InitErrorDetails(type=PydanticCustomError("refused", "{text}", {"text": text}), loc=path, input=None)


def _moved(error: ErrorDetails, prefix: tuple[str, ...]) -> InitErrorDetails:
    """The same error, its path moved under `prefix`."""
    moved = _error((), error["msg"].removeprefix("Value error, "))
    return {**moved, "loc": prefix + tuple(error["loc"]), "input": error["input"]}


def problems(failure: ValidationError) -> dict[str, str]:
    """Path to message, for forms and problem documents; the empty path is the spec as a whole."""
    return {
        ".".join(str(part) for part in error["loc"]): error["msg"].removeprefix("Value error, ")
        for error in failure.errors()
    }

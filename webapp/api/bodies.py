"""What requests carry: bodies and query parameters, each declared once."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, cast

from pydantic import AfterValidator, Field, StringConstraints
from pydantic.config import JsonDict

from training.data.images.pictures import MAX_SIDE
from training.data.images.uploads.found import MIN_SIDE
from training.knobs import Strict
from training.spec import RunSpec
from webapp.api.paging import Paged
from webapp.experiments.baselines import completed
from webapp.experiments.services import ARMS, LARGEST_SEED, SEEDS, ArmRequest
from webapp.runs.models import State
from webapp.text import REFUSED, is_readable


def _readable(text: str) -> str:
    if not is_readable(text):
        raise ValueError(REFUSED)
    return unicodedata.normalize("NFC", text)


def _one_line(text: str) -> str:
    if not text.strip() or "\n" in text or "\t" in text:
        raise ValueError("give one line of text")
    return text


Code = Annotated[str, StringConstraints(pattern=r"^[2-9a-z]{12}$")]
Slug = Annotated[str, StringConstraints(pattern=r"^[-a-zA-Z0-9_]{1,60}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[-_./:a-zA-Z0-9@]{1,120}$")]
Readable = AfterValidator(_readable)
Line = AfterValidator(_one_line)
FILLED: dict[str, Any] = {"minItems": 1}
"""Emptiness is refused by the service; pydantic would report it for a list whose items it refused."""


class ArmBody(Strict):
    """An arm: its spec, and whether the others are held against it; unmarked, the dense arm at equal steps is."""

    label: Annotated[str, Readable, Line] = Field(min_length=1, max_length=100)
    spec: RunSpec
    is_baseline: bool = False


class LaunchBody(Strict):
    """An experiment to launch: one run per arm and seed. One arm at most is marked as the baseline."""

    project: Slug
    title: Annotated[str, Readable, Line] = Field(min_length=1, max_length=200)
    question: Annotated[str, Readable] = Field("", max_length=2000)
    arms: tuple[ArmBody, ...] = Field(max_length=ARMS, json_schema_extra=FILLED)
    seeds: tuple[Annotated[int, Field(ge=0, le=LARGEST_SEED)], ...] = Field(max_length=SEEDS, json_schema_extra=FILLED)
    stop_dominated: bool = Field(
        False, description="pause arms that hardly have a chance to reach the quality-cost frontier"
    )
    queue: str = Field("cpu", pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="which workers may take the runs")
    matched_baselines: bool = Field(
        True, description="add for each method a dense arm at equal steps and one at equal FLOPs, where they lack"
    )

    @property
    def requests(self) -> tuple[ArmRequest, ...]:
        """All arms of the launch: those listed, in their order, then the matched baselines."""
        listed = [ArmRequest(arm.label, arm.spec, arm.is_baseline) for arm in self.arms]
        return completed(listed, add=self.matched_baselines)


def in_body(problems: dict[str, str]) -> dict[str, str]:
    """Paths of the launch as paths of its body, where a spec lies under `spec`."""
    parts = {path: path.split(".") for path in problems}
    within = {path for path, found in parts.items() if len(found) > 2 and found[0] == "arms" and found[2] != "label"}
    return {
        ".".join([*parts[path][:2], "spec", *parts[path][2:]]) if path in within else path: message
        for path, message in problems.items()
    }


class ExperimentQuery(Paged):
    """Which experiments."""

    project: Slug | None = Field(None, description="slug of a project")
    archived: bool = Field(False, description="the archived ones instead of the others")


class RunQuery(Paged):
    """Which runs."""

    experiment: Code | None = Field(None, description="code of an experiment")
    state: State | None = None
    method: Slug | None = Field(None, description="one of the arm's methods")


class PointsQuery(Strict):
    """Which points."""

    after: int = Field(0, ge=0, le=2**63 - 1, description="`seq` of the answer before; 0 for all")
    series: Name | None = Field(None, description="one curve by name, e.g. `val/loss`")


class LogQuery(Strict):
    """Which part of a log."""

    attempt: int | None = Field(
        None, ge=1, le=2**31 - 1, description="number of the attempt; the last one if not given"
    )
    offset: int = Field(0, ge=0, le=2**63 - 1, description="bytes to skip: `next` of the answer before")


class DatasetQuery(Paged):
    """Which data sets."""

    project: Slug | None = Field(None, description="slug of a project")


def _left_out(schema: JsonDict) -> None:
    """A field of a multipart form is left out rather than null."""
    del schema["default"]
    schema.update(*cast(list[JsonDict], schema.pop("anyOf"))[:1])


class UploadFields(Strict):
    """The text fields beside the uploaded file."""

    project: Slug
    name: Annotated[str, Readable, Line] = Field(min_length=1, max_length=200)
    resolution: int | None = Field(
        None,
        ge=MIN_SIDE,
        le=MAX_SIDE,
        description="of images: pixels a side that each is cut around its middle and scaled to; without it images are "
        "kept as they are, which needs squares of one size",
        json_schema_extra=_left_out,
    )

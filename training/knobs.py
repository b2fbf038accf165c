"""The base of everything a person may set: frozen, unknown keys refused, no NaN."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A frozen value; an unknown key, a NaN or an infinity is an error that names its path."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Knobs(Strict):
    """What a method lets a person turn.

    A default, once released, never changes meaning: digests skip defaults.
    """

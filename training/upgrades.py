"""Specs of older versions, brought up to date on read. One function per bump of `RunSpec.version`. Torch-free."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from training.spec import RunSpec

CURRENT = 1
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""`UPGRADES[n]` turns a body of version n into one of version n + 1."""


def parse(body: dict[str, Any]) -> RunSpec:
    """The spec of a stored body of any version; ValidationError as for a new one."""
    version = body.get("version", CURRENT)
    while isinstance(version, int) and version in UPGRADES:
        body = UPGRADES[version](body)
        version += 1
    return RunSpec.model_validate(body)

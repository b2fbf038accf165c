"""How the preparation of data tells where it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""What is being done, and the share of it that is done."""


def silent(doing: str, share: float) -> None:
    """No progress is shown."""

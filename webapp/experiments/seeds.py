"""Seeds as a person types them: a count, or a list."""

from __future__ import annotations

from collections.abc import Sequence

from django.forms import ValidationError

from webapp.experiments.services import SEEDS


def parse_seeds(text: str) -> tuple[int, ...]:
    """`3` is a count, `4, 8, 15` is a list; ValidationError in words."""
    parts = text.replace(",", " ").split()
    if not parts or not all(part.isdecimal() and len(part) <= 10 for part in parts):
        raise ValidationError("give a number of seeds, or a list of whole numbers like 4, 8, 15")
    if len(parts) == 1 and "," not in text:
        if not 1 <= int(parts[0]) <= SEEDS:
            raise ValidationError(f"between 1 and {SEEDS} seeds in one launch")
        return tuple(range(int(parts[0])))
    return tuple(map(int, parts))


def seeds_text(seeds: Sequence[int]) -> str:
    """The way back; a list ends in a comma, so that one seed is no count."""
    counted = list(seeds) == list(range(len(seeds)))
    return str(len(seeds)) if counted else f"{', '.join(map(str, seeds))},"

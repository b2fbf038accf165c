"""How templates write amounts and prose."""

from __future__ import annotations

import re
from typing import Any

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from webapp.results import notation

register = template.Library()
ROUNDING = 1e-12
"""Below this a mean of losses or shares is what floating point leaves of 0."""
ABOVE_ZERO = 1e-9
"""The `at_least` of a bar that asks for more than 0."""


@register.filter
def flops(value: float) -> str:
    """`4.12e13` as `41.2 TFLOP`."""
    return notation.si(value, "FLOP")


@register.filter
def duration(seconds: float | None) -> str:
    """Seconds as `45 s` or `3:41`; a dash for none."""
    return notation.NONE if seconds is None else notation.duration(seconds)


@register.filter
def significant(value: float | None) -> str:
    """Four significant digits; a dash for nothing, 0 for what rounding leaves of one."""
    if value is None:
        return notation.NONE
    return "0" if abs(value) < ROUNDING else f"{value:,.4g}" if abs(value) < 1e5 else f"{value:.3e}"


@register.filter
def at_least(limit: float) -> str:
    """`≥ 0.3`; a limit just above 0 says that the value must be above it."""
    return "> 0" if 0 < limit <= ABOVE_ZERO else f"≥ {significant(limit)}"


@register.filter
def percent(share: float) -> str:
    """A share as a whole percentage."""
    return f"{100 * share:.0f}%"


@register.filter
def tenths(share: float | None) -> str:
    """A share as a percentage with one decimal, a dash for none."""
    return notation.NONE if share is None else notation.percent(share)


@register.filter
def signed(share: float) -> str:
    """A difference as a percentage with its sign and two decimals."""
    return f"{100 * share:+.2f}%".replace("-", "−")


@register.filter
def count(value: int) -> str:
    """`2700000` as `2.70 M`."""
    return notation.si(value, "") if value >= 1000 else str(value)


@register.filter
def last_line(text: str) -> str:
    """What a traceback ends with."""
    return text.strip().rpartition("\n")[2]


@register.filter
def setting(value: Any) -> str:
    """A knob's value as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(setting, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@register.filter
def first_sentence(text: str) -> str:
    """What a docstring says first."""
    return " ".join(text.strip().split("\n\n")[0].split()).split(". ")[0].rstrip(".") + "."


@register.filter
def prose(text: str) -> SafeString:
    """A docstring as paragraphs, with **strong** and `code`; everything else is escaped."""
    paragraphs = [escape(" ".join(part.split())) for part in text.strip().split("\n\n")]
    marked = (re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", part) for part in paragraphs)
    marked = (re.sub(r"`(.+?)`", r"<code>\1</code>", part) for part in marked)
    return mark_safe("".join(f"<p>{part}</p>" for part in marked))  # noqa: S308 escaped above

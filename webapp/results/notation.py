"""How numbers are written: SI units, three significant digits, an interval in brackets beside its estimate."""

from __future__ import annotations

from webapp.results.comparison import Mean, TestScore, Unit
from webapp.results.statistics import MOST, Estimate, Hint, Interval

PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
NONE = "–"
WITHHELD = "withheld"
"""In place of a saving whose comparison is unmatched."""


def quantity(value: float, unit: Unit) -> str:
    """A cost in its unit: `41.2 TFLOP`, `1.23 M`, `600`, `3:41`."""
    if unit is Unit.SECONDS:
        return duration(value)
    if unit is Unit.STEPS:
        return f"{value:,.0f}"
    return si(value, {Unit.EXECUTED: "FLOP", Unit.EFFECTIVE: "FLOP", Unit.JOULES: "J"}.get(unit, ""))


def si(value: float, unit: str) -> str:
    for size, prefix in PREFIXES:
        if abs(value) >= size * 0.9995:
            return f"{_three(value / size)} {prefix}{unit}"
    return f"{_three(value)} {unit}".strip()


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{_three(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def percent(share: float, digits: int = 1) -> str:
    return f"{_minus(100 * share, f'.{digits}f')}%"


def loss(mean: Mean | None) -> str:
    if mean is None:
        return NONE
    return f"{mean.value:.3f}" + (f" ± {mean.stderr:.3f}" if mean.stderr is not None else "")


def score(score: TestScore | None) -> str:
    """A score ± its standard error over seeds; in percent if it has a chance level, so is an accuracy."""
    mean = score.mean if score else None
    if score is None or mean is None:
        return NONE
    scale, form, sign = (100, ".1f", "%") if score.chance is not None else (1, ".4g", "")
    spread = f" ± {scale * mean.stderr:{form}}" if mean.stderr is not None else ""
    return f"{_minus(scale * mean.value, form)}{spread}{sign}"


def saving(estimate: Estimate | None) -> str:
    """`26.6% [24.1, 29.0]`, `≥ 12.0%`, `17.0× the cost [7.16, 40.2]` from twice on, or why it is not shown."""
    if estimate is None:
        return NONE
    if estimate.value is None or estimate.bound == "at most":
        return f"not shown: {estimate.note}"
    if estimate.bound:
        return f"≥ {percent(estimate.value)}: {estimate.note}"
    if estimate.value <= -1:
        span = estimate.interval
        between = f" [{_three(1 - span.high)}, {_three(1 - span.low)}]" if span else ""
        return f"{times(estimate.value)} the cost{between}" + _noted(estimate)
    return f"{percent(estimate.value)}{_brackets(estimate.interval, 100, '.1f')}" + _noted(estimate)


def times(saved: float) -> str:
    """The ratio of costs that leaves this saving: `17.0×`."""
    return f"{_three(1 - saved)}×"


def nats(estimate: Estimate | None) -> str:
    """A signed difference of losses with its interval."""
    if estimate is None or estimate.value is None:
        return NONE
    return f"{_minus(estimate.value, '+.3f')}{_brackets(estimate.interval, 1, '.3f')}" + _noted(estimate)


def p_value(p: float) -> str:
    """`p = 0.012`; `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def more_seeds(hint: Hint | None) -> str:
    """`About 4 more seeds`."""
    if hint is None:
        return NONE
    if hint.seeds is None:
        return f"More than {MOST} more seeds"
    return f"About {hint.seeds} more {'seed' if hint.seeds == 1 else 'seeds'}"


def _noted(estimate: Estimate) -> str:
    return f" ({estimate.note})" if estimate.note else ""


def _brackets(span: Interval | None, scale: float, form: str) -> str:
    return f" [{_minus(scale * span.low, form)}, {_minus(scale * span.high, form)}]" if span else ""


def _minus(value: float, form: str) -> str:
    """A true minus sign, and none before a rounded zero."""
    text = format(value, form)
    return text.replace("-", "−") if float(text) else text.replace("-", "")


def _three(value: float) -> str:
    """Three significant digits, no exponent."""
    size = abs(value)
    return f"{value:.0f}" if size >= 99.95 else f"{value:.1f}" if size >= 9.995 else f"{value:.2f}"

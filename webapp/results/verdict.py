"""The verdict on a method: a pure function of an estimate, a quality check and the reasons against the match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from webapp.results.comparison import Mean
from webapp.results.statistics import Estimate


class Verdict(StrEnum):
    SAVES = "saves"
    NO_EVIDENCE = "no evidence"
    COSTS_MORE = "costs more"
    UNMATCHED = "unmatched"


@dataclass(frozen=True, slots=True)
class Judgement:
    verdict: Verdict
    reasons: tuple[str, ...]


def judge(headline: Estimate, downstream: Mean | None, problems: Sequence[str]) -> Judgement:
    """Judge the saving at the headline target; `downstream` is the paired accuracy difference to the baseline.

    It saves only if the whole interval is above 0 and downstream accuracy is not worse by more than its noise, one
    standard error over seeds. A bound carries no interval, so it is never evidence.
    """
    if problems:
        return Judgement(Verdict.UNMATCHED, tuple(problems))
    span = headline.interval
    if span is None or headline.bound:
        return Judgement(Verdict.NO_EVIDENCE, (headline.note or "there is no interval",))
    if span.high < 0:
        return Judgement(Verdict.COSTS_MORE, ("the whole interval is below 0",))
    if span.low <= 0:
        return Judgement(Verdict.NO_EVIDENCE, ("the interval contains 0",))
    if downstream is None or downstream.stderr is None:
        return Judgement(Verdict.UNMATCHED, ("no downstream task was scored in both arms",))
    if downstream.value < -downstream.stderr:
        lost, noise = 100 * -downstream.value, 100 * downstream.stderr
        reason = f"downstream accuracy fell by {lost:.2g} points, more than its noise of {noise:.2g}"
        return Judgement(Verdict.NO_EVIDENCE, (reason,))
    return Judgement(Verdict.SAVES, ("the whole interval is above 0 and downstream accuracy holds",))

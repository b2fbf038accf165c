"""The verdict on a method: a pure function of an estimate, a quality check and the reasons against the match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from webapp.results.comparison import Mean
from webapp.results.statistics import LEVEL, Estimate, Evidence


class Verdict(StrEnum):
    SAVES = "saves"
    NO_EVIDENCE = "no evidence"
    COSTS_MORE = "costs more"
    UNMATCHED = "unmatched"


@dataclass(frozen=True, slots=True)
class Judgement:
    verdict: Verdict
    reasons: tuple[str, ...]


def judge(
    headline: Estimate,
    evidence: Evidence | None,
    downstream: Mean | None,
    problems: Sequence[str],
    at_flops: Estimate | None = None,
) -> Judgement:
    """Judge the saving at the headline target; `downstream` is the paired accuracy difference to the baseline.

    `at_flops` is the final loss less that of the dense arm of as many FLOPs, where there is one: a method that such an
    arm, fully decayed, outdoes has saved nothing that training for less would not have saved.

    It saves only if the whole interval is above 0, its p-value survives the correction for all methods judged with
    it, and downstream accuracy is not worse by more than its noise, one standard error over seeds. A bound carries no
    interval, and seeds that agree to the last digit tell nothing of other seeds: neither is evidence.
    """
    if problems:
        return Judgement(Verdict.UNMATCHED, tuple(problems))
    if doubt := _doubt(headline, evidence):
        return Judgement(Verdict.NO_EVIDENCE, (doubt,))
    if headline.interval is not None and headline.interval.high < 0:
        return Judgement(Verdict.COSTS_MORE, ("the whole interval is below 0",))
    if downstream is None or downstream.stderr is None:
        return Judgement(Verdict.UNMATCHED, ("no downstream task was scored in both arms",))
    if downstream.value < -downstream.stderr:
        lost, noise = 100 * -downstream.value, 100 * downstream.stderr
        reason = f"downstream accuracy fell by {lost:.2g} points, more than its noise of {noise:.2g}"
        return Judgement(Verdict.NO_EVIDENCE, (reason,))
    if at_flops is not None and at_flops.interval is not None and at_flops.interval.low > 0:
        return Judgement(Verdict.NO_EVIDENCE, ("the dense arm of equal FLOPs ended at a lower loss",))
    return Judgement(Verdict.SAVES, ("the whole interval is above 0, and no fall in downstream accuracy was shown",))


def _doubt(headline: Estimate, evidence: Evidence | None) -> str:
    """Why the figure is no evidence of a difference; empty when it is."""
    span = headline.interval
    if span is None or headline.bound:
        return headline.note or "there is no interval"
    if span.low <= 0 <= span.high:
        return "the interval contains 0"
    if headline.p is None or evidence is None:
        return "the seeds do not differ, so nothing is known about others"
    if not evidence.holds:
        return (
            f"p = {evidence.p:.2g} alone, but {evidence.corrected:.2g} when {evidence.family} methods are judged "
            f"together (Holm), above {1 - LEVEL:.2g}"
        )
    return ""

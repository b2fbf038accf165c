"""The comparison in words: the answer at the top of the page, what was counted, and how it was computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from webapp.results import matching, notation
from webapp.results.comparison import Unit
from webapp.results.savings import Finding, claims
from webapp.results.statistics import RESAMPLES, Estimate
from webapp.results.verdict import Verdict

COUNTED = "forward, backward and every extra pass of the method; a multiply-add is 2 FLOPs"
NOT_COUNTED = "evaluation, work redone after a crash, norms, activations and the optimiser's own arithmetic"
DEFINITIONS = (
    (
        "Evaluation loss",
        "Mean loss per token, or per image, on the fixed validation examples, the same for every arm, on the whole "
        "network. Averages of the training loss are never used for claims.",
    ),
    (
        "Cost to reach a loss L",
        "For one seed: the first crossing of the running minimum of its evaluation loss, interpolated linearly in log "
        "cost between the two evaluations. Never extrapolated: a seed that did not get there is censored at its total "
        "cost, and one that was there before a second evaluation at that evaluation's cost.",
    ),
    (
        "Saving",
        "1 − geometric mean of the arm's cost ÷ geometric mean of the baseline's, paired by seed: runs of one seed "
        "share their data order.",
    ),
    (
        "Interval",
        f"95% over seeds. From 5 seeds BCa bootstrap of the log ratios ({RESAMPLES:,} resamples, fixed generator, "
        "small-sample level of Hesterberg 2015, never narrower than the t-interval); for 3 and 4 seeds the t-interval "
        "on log ratios; below 3 none.",
    ),
    (
        "p-value",
        "Two-sided, of the paired t-test on the log cost ratios of the seeds: the test of the t-interval, so that an "
        "interval which leaves out 0 always has p below 0.05. Where all seeds agree to the last digit there is none.",
    ),
    (
        "Several methods",
        "Methods judged at the headline target in one experiment are judged together: their p-values are corrected "
        "by Holm's rule, so that the chance of any false claim stays at 5%. Intervals are those of each method alone. "
        "Two methods against each other, and the cells of the evaluation matrix, are corrected among themselves.",
    ),
    (
        "More seeds",
        "The hint names the seeds with which the paired t-test would see a difference of the size found, 1% at least, "
        "in 4 of 5 repetitions, if the seeds scatter as they did here.",
    ),
    (
        "Bounds",
        "One censored seed turns the estimate into a bound, or it is not shown, with how many seeds did not reach L. "
        "What is shown therefore leans a little towards the method: of methods without any effect, those are shown "
        "whose seeds all came as low as the baseline's worst.",
    ),
    (
        "Target losses",
        "L is the baseline's final loss: of the lowest losses that its seeds ended at the highest, so that all of them "
        "reached it; likewise at 85, 70 and 50% of its cost. The headline is the first: savings at early losses "
        "are easy ones.",
    ),
    (
        "Cost",
        "All that training the arm needed. Executed FLOPs are what the kernels did; effective FLOPs are what ideal "
        "sparse or low-bit hardware would do; the two are never merged. Evaluation, adaptation and redone work are "
        "shown in the ledger, beside the cost.",
    ),
    (
        "Verdict",
        "Saves: the whole interval at the headline target is above 0, its p-value survives the correction, and mean "
        "downstream accuracy is not worse by more than one standard error over seeds. No evidence: the interval "
        "contains 0, there is none, the correction undoes it, or the dense arm of equal FLOPs surely ended at a lower "
        "loss. Costs more: the whole interval is below 0, and that survives the correction. "
        "Unmatched: baseline, seeds, scores or ledger are incomplete.",
    ),
    (
        "Matched",
        "The baseline differs in method and budget alone, has the arm's steps or its executed FLOPs (within 2%), spent "
        "its whole budget, and its learning rate decayed in full, to a tenth of the peak or less. Every seed that was "
        "launched has finished, in both arms. Wall time and energy besides want one kind of machine. An unmatched "
        "comparison shows no saving: a baseline cut short would make one.",
    ),
)
STRONG = {
    Verdict.SAVES: "{arm} saves compute at equal loss.",
    Verdict.NO_EVIDENCE: "No evidence that {arm} saves compute at equal loss.",
    Verdict.COSTS_MORE: "{arm} costs more compute at equal loss.",
    Verdict.UNMATCHED: "No claim for {arm}: the comparison is unmatched.",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said of one arm, in the order of reading; `limits`, if there are any, is the last sentence."""

    verdict: Verdict
    strong: str
    sentences: tuple[str, ...]
    limits: str = ""


def answer(finding: Finding) -> Answer:
    """The verdict with its figure, interval and n; then the price at equal budget; then what limits the claim."""
    verdict = finding.judgement.verdict
    unmatched = verdict is Verdict.UNMATCHED
    told = [
        _reasons(finding) if unmatched else _at_equal_loss(finding),
        _together(finding),
        _more_seeds(finding),
        _at_equal_budget(finding),
        _against_twin(finding),
    ]
    if verdict is Verdict.NO_EVIDENCE and finding.downstream and "downstream" in finding.judgement.reasons[0]:
        told.append(f"Not called a saving: {finding.judgement.reasons[0]}.")
    limits = _limits(finding)
    strong = STRONG[verdict].format(arm=finding.arm.label)
    return Answer(verdict, strong, tuple(sentence for sentence in (*told, limits) if sentence), limits)


def answers(found: Sequence[Finding]) -> list[Answer]:
    """One per method; further dense arms are references, not claims."""
    return [answer(finding) for finding in claims(found)]


def limited(given: Sequence[Answer]) -> tuple[list[Answer], str]:
    """The answers of a page, and what limits them all alike: of several it is said once, behind them."""
    limits = {answer.limits for answer in given}
    if len(given) < 2 or len(limits) > 1 or limits == {""}:
        return list(given), ""
    return [replace(answer, sentences=answer.sentences[:-1], limits="") for answer in given], limits.pop()


def progress(states: Sequence[str]) -> str:
    """`5 of 6 runs finished`, and what became of the others."""
    text = f"{states.count('succeeded')} of {len(states)} runs finished"
    ended = [f"{states.count(state)} {state}" for state in ("failed", "cancelled", "quarantined") if state in states]
    return ", ".join([text, *ended])


def _reasons(finding: Finding) -> str:
    text = "; ".join(finding.judgement.reasons)
    return f"{text[:1].upper()}{text[1:]}."


def _at_equal_loss(finding: Finding) -> str:
    if finding.headline is None:
        return ""
    target, estimate = finding.headline
    goal = f"the baseline's final loss ({target.loss:.3f}, the highest of its seeds)"
    if estimate.value is None or estimate.bound == "at most":
        least = "" if estimate.value is None or estimate.value >= 0 else f" exactly: {1 - estimate.value:.2f}× or more"
        return f"Its cost at equal loss, {goal}, is not shown{least}: {estimate.note}."
    if estimate.bound:
        saved = notation.percent(estimate.value)
        return f"To reach {goal} its seeds saved at least {saved}, a bound without an interval: {estimate.note}."
    span = estimate.interval
    value, *ends = _ratios(1 - estimate.value, *((1 - span.high, 1 - span.low) if span else ()))
    ratio = f"To reach {goal} {finding.arm.label} needs {value}× the baseline's {finding.cost_label}"
    if span is None:
        return f"{ratio}; {estimate.note}."
    return f"{ratio}, 95% interval {ends[0]} to {ends[1]}, n = {estimate.n} seeds ({span.method})."


def _ratios(*values: float) -> list[str]:
    """Two decimals, or as many as it takes to tell each of them from 1."""
    digits = next((d for d in range(2, 6) if all(value == 1 or round(value, d) != 1 for value in values)), 6)
    return [f"{value:.{digits}f}" for value in values]


def _together(finding: Finding) -> str:
    """What the correction for several methods did to the evidence."""
    evidence = finding.evidence
    if evidence is None or evidence.family < 2 or finding.headline is None or finding.headline[1].p is None:
        return ""
    alone, corrected = notation.p_value(evidence.p), notation.p_value(evidence.corrected)
    return f"{alone}; corrected for {evidence.family} methods (Holm), {corrected}."


def _more_seeds(finding: Finding) -> str:
    if finding.hint is None:
        return ""
    size = notation.percent(finding.hint.difference)
    return f"{notation.more_seeds(finding.hint)} would settle a difference of {size} (80% power, at the spread seen)."


def _at_equal_budget(finding: Finding) -> str:
    budget = finding.budget
    if budget is None or budget.loss.value is None or budget.saving.value is None:
        return ""
    saved = budget.saving.value
    spent = f"used {notation.percent(abs(saved))} {'fewer' if saved >= 0 else 'more'} {finding.cost_label}"
    if saved <= -1:
        spent = f"used {notation.times(saved)} the {finding.cost_label}"
    elif finding.unit is Unit.SECONDS:
        spent = f"took {notation.percent(abs(saved))} {'less' if saved >= 0 else 'more'} wall time"
    return f"At equal {budget.kind} it {spent} and {_ended(budget.loss)}."


def _against_twin(finding: Finding) -> str:
    """The stronger test: a dense arm as cheap as this one, fully decayed."""
    if finding.at_flops is None or finding.at_flops.value is None:
        return ""
    return f"Against the dense arm of equal FLOPs it {_ended(finding.at_flops)}."


def _ended(difference: Estimate) -> str:
    rise, span, n = difference.value or 0.0, difference.interval, difference.n
    width = f" (95% interval {span.low:+.3f} to {span.high:+.3f})".replace("-", "−") if span else ""
    seeds = f"n = {n} {'seed' if n == 1 else 'seeds'}"
    if abs(rise) < 0.0005:
        return f"ended at the same loss to 0.001 nats{width}, {seeds}"
    return f"ended {abs(rise):.3f} nats {'higher' if rise > 0 else 'lower'}{width}, {seeds}"


def _limits(finding: Finding) -> str:
    """Which matched baseline is missing, and what therefore stays open."""
    if finding.arm.is_dense or not finding.missing:
        return ""
    text = f"There is no dense baseline at {' and at '.join(finding.missing)}"
    if "equal FLOPs" in finding.missing:  # whole steps: the twin of a short run may stand there and miss
        open_still = "whether a dense run as cheap as this, fully decayed, ends as low is not measured"
        return f"{text} to within {matching.NEAR:.0%} in this experiment: {open_still}."
    return f"{text} in this experiment."

"""The D-CPT study: which runs it wants, and what they told."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean
from typing import Any

from training.models.shape import PRESETS, Shape
from training.spec import RunSpec
from training.studies.dcpt import across, questions
from training.studies.dcpt.card import DcptKnobs
from training.studies.dcpt.caveats import warnings
from training.studies.dcpt.finding import Across, Base, Check, Costs, DcptFinding, Domain, Observation, points
from training.studies.dcpt.law import fit
from training.studies.dcpt.quality import Fit, judged
from training.study import Trace, failures

METHOD = "continual"
LEAST, SIZES, SHARES = 20, 2, 3
"""Points, networks and shares that a fit needs."""
NAME = 60
"""Letters of a text's name in a run's label, which holds 100."""
FINDING = DcptFinding


def ask(knobs: DcptKnobs, base: RunSpec, history: tuple[Trace, ...]) -> list[RunSpec]:
    """The runs of the grids that are missing; once all are there, the one that checks the first; then none."""
    known = {trace.spec.digest() for trace in history}
    grids = [
        mixture(knobs, base, size, ratio, text)
        for text in (base.data.domain, *knobs.domains)
        for size in knobs.sizes
        for ratio in knobs.ratios
    ]
    grids += [mixture(knobs, base, smallest(knobs), max(knobs.ratios), text) for text in knobs.probed]
    if missing := [spec for spec in grids if spec.digest() not in known]:
        return missing
    own = of_first(knobs, history)
    if not knobs.check or any(not on_grid(knobs, trace.spec) for trace in own):
        return []
    ratio = best(knobs, own)
    return [] if ratio is None or ratio in knobs.ratios else [mixture(knobs, base, largest(knobs), ratio)]


def conclude(knobs: DcptKnobs, history: tuple[Trace, ...]) -> DcptFinding:
    """Fit both laws and judge them; says what is missing where there is too little to fit."""
    own = of_first(knobs, history)
    seen, known = observed(knobs, own), bases(own)
    missing = too_little(seen)
    general, domain = (None, None) if missing else (judged(points(seen, "general")), judged(points(seen, "domain")))
    found = DcptFinding(
        runs=len(history),
        failures=failures(history),
        missing=missing,
        warnings=(),
        observations=seen,
        bases=known,
        general=general,
        domain=domain,
        probe=across.probe(seen, known),
        checks=checks(knobs, own, general, domain) if general and domain else (),
        costs=costs(history, own),
        across=across_domains(knobs, history),
    )
    return found.model_copy(update={"warnings": warnings(knobs, found)})


def label(spec: RunSpec) -> str:
    """What tells a run of the study from the others."""
    text = str(spec.data.domain)
    short = text if len(text) <= NAME else f"{text[: NAME // 2]}…{text[1 - NAME // 2 :]}"
    return f"{spec.model.preset}, {share_of(spec):.4g} {short}"


def axes(spec: RunSpec) -> dict[str, str | float]:
    """Where a run of the study lies in its grid, by heading."""
    steps = round(spec.steps() * (1 - spec.knobs[METHOD].pretrain))  # type: ignore[attr-defined]
    return {
        "network": spec.model.preset,
        "parameters N": round(size_of(spec.model.preset) * 1e9),
        "tokens D": steps * spec.tokens_per_step,
        "points": spec.eval_points,
        "domain": str(spec.data.domain),
        "domain share": share_of(spec),
    }


def mixture(knobs: DcptKnobs, base: RunSpec, preset: str, ratio: float, text: str | None = None) -> RunSpec:
    """One point of a grid: the base's spec with its network, its share, its domain and the study's lengths."""
    steps = knobs.base_steps + knobs.steps
    own: dict[str, Any] = {
        "model": {"preset": preset},
        "budget": {"steps": steps},
        "eval_points": knobs.evaluations,
        "methods": [METHOD],
        "knobs": {METHOD: {"domain_share": ratio, "pretrain": knobs.base_steps / steps, "rate": knobs.rate}},
        "data": base.data.model_dump(mode="json") | {"domain": text or base.data.domain},
    }
    return RunSpec.model_validate(base.model_dump(mode="json", exclude={"knobs"}) | own)


def share_of(spec: RunSpec) -> float:
    """Of the domain."""
    return float(spec.knobs[METHOD].domain_share)  # type: ignore[attr-defined]


def size_of(preset: str) -> float:
    """N: parameters outside of embeddings and head, in units of 10^9."""
    shape: Shape = PRESETS[preset]
    return (shape.parameters - replace(shape, layers=0).parameters) / 1e9


def largest(knobs: DcptKnobs) -> str:
    return max(knobs.sizes, key=size_of)


def smallest(knobs: DcptKnobs) -> str:
    return min(knobs.sizes, key=size_of)


def of_first(knobs: DcptKnobs, history: tuple[Trace, ...]) -> tuple[Trace, ...]:
    """The runs on the domain that the study's base names: the one that the laws and the questions are of."""
    return tuple(trace for trace in history if trace.spec.data.domain not in (*knobs.domains, *knobs.probed))


def on_grid(knobs: DcptKnobs, spec: RunSpec) -> bool:
    return spec.model.preset in knobs.sizes and share_of(spec) in knobs.ratios


def observed(knobs: DcptKnobs, history: tuple[Trace, ...]) -> tuple[Observation, ...]:
    """Every evaluation of the mixtures of the grid; both losses of a run stand in one row."""
    return tuple(
        one for trace in history if trace.succeeded and on_grid(knobs, trace.spec) for one in evaluations(trace)
    )


def evaluations(trace: Trace) -> list[Observation]:
    domain = dict(trace.curves.get("continue/val/domain", ()))
    return [
        Observation(
            run=trace.code,
            size=size_of(trace.spec.model.preset),
            tokens=step * trace.spec.tokens_per_step / 1e9,
            domain_share=share_of(trace.spec),
            general=value,
            domain=domain[step],
        )
        for step, value in trace.curves.get("continue/val/general", ())
        if step > 0 and step in domain
    ]


def too_little(seen: tuple[Observation, ...]) -> str:
    """What a fit would lack; empty if it lacks nothing."""
    sizes, shares = {one.size for one in seen}, {one.domain_share for one in seen}
    if len(seen) >= LEAST and len(sizes) >= SIZES and len(shares) >= SHARES:
        return ""
    return (
        f"{len(seen)} points of {len(sizes)} networks at {len(shares)} shares; "
        f"a fit needs {LEAST} of {SIZES} at {SHARES}"
    )


def bases(history: tuple[Trace, ...]) -> tuple[Base, ...]:
    """By network, the smallest first."""
    ends: dict[str, list[tuple[float, float]]] = {}
    for trace in history:
        general, domain = (trace.curves.get(f"pretrain/val/{corpus}", ()) for corpus in ("general", "domain"))
        if trace.succeeded and general and domain:
            ends.setdefault(trace.spec.model.preset, []).append((general[-1][1], domain[-1][1]))
    found = [
        Base(
            preset=preset,
            size=size_of(preset),
            general=fmean(general for general, _ in losses),
            domain=fmean(domain for _, domain in losses),
        )
        for preset, losses in ends.items()
    ]
    return tuple(sorted(found, key=lambda base: base.size))


def best(knobs: DcptKnobs, history: tuple[Trace, ...]) -> float | None:
    """The share that the grid predicts to be best for its largest network at its end; None if it cannot say."""
    seen, known = observed(knobs, history), {base.preset: base for base in bases(history)}
    if too_little(seen) or largest(knobs) not in known:
        return None
    general, domain = fit(points(seen, "general")), fit(points(seen, "domain"))
    size, tokens = size_of(largest(knobs)), max(one.tokens for one in seen)
    try:
        found = questions.trade_off(
            lambda r: float(domain.loss(size, tokens, r)),
            lambda r: float(general.loss(size, tokens, 1 - r)),
            before=known[largest(knobs)].general,
            limit=knobs.limit,
        )
    except questions.Infeasible:
        return None
    return round(found.ratio, 3)


def checks(knobs: DcptKnobs, history: tuple[Trace, ...], general: Fit, domain: Fit) -> tuple[Check, ...]:
    """The ends of the runs outside of the grid, held against the laws."""
    ends = [evaluations(trace)[-1:] for trace in history if trace.succeeded and not on_grid(knobs, trace.spec)]
    return tuple(
        Check(
            **one.model_dump(),
            general_predicted=float(general.law.loss(one.size, one.tokens, one.general_share)),
            domain_predicted=float(domain.law.loss(one.size, one.tokens, one.domain_share)),
        )
        for last in ends
        for one in last
    )


def across_domains(knobs: DcptKnobs, history: tuple[Trace, ...]) -> Across | None:
    """The law across domains; None where the study has one."""
    if not knobs.domains:
        return None
    texts = dict.fromkeys(str(trace.spec.data.domain) for trace in (*of_first(knobs, history), *history))
    domains = []
    for text in texts:
        own = tuple(trace for trace in history if trace.spec.data.domain == text)
        seen = observed(knobs, own)
        domains.append(Domain(text=text, observations=seen, probe=across.probe(seen, bases(own))))
    return across.judged(tuple(domains), probed=frozenset(knobs.probed))


def costs(history: tuple[Trace, ...], own: tuple[Trace, ...]) -> Costs:
    """Of all runs; `own` are those on the first domain."""

    def spent(end: str, among: tuple[Trace, ...] = history) -> float:
        return sum(flops for trace in among for name, flops in trace.costs.items() if name.endswith(end))

    return Costs(
        mixtures=spent("continue/train"),
        others=spent("continue/train") - spent("continue/train", own),
        bases=spent("/source"),
        evaluations=spent("/eval"),
        probe=probe_cost(own),
        seconds=sum(trace.seconds for trace in history),
    )


def probe_cost(history: tuple[Trace, ...]) -> float | None:
    """Executed FLOPs of the probe above: of that run as far as its first evaluation, mean over seeds."""
    seen = [(trace, found) for trace in history if trace.succeeded and (found := evaluations(trace))]
    ranks = [(found[0].size, -found[0].domain_share) for _, found in seen]
    spent = [
        trace.costs.get("continue/train", 0.0) * found[0].tokens / found[-1].tokens
        for (trace, found), rank in zip(seen, ranks, strict=True)
        if rank == min(ranks)
    ]
    return fmean(spent) if spent else None

"""What the study asks for, and what it makes of histories: made from a known law, and of real small runs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from tests.training.workbench import Workbench
from training import catalog
from training.models.shape import PRESETS
from training.records import Purpose
from training.spec import RunSpec
from training.studies.dcpt import caveats, study
from training.studies.dcpt.card import DcptKnobs
from training.studies.dcpt.finding import Costs, Observation, points
from training.studies.dcpt.law import Law
from training.study import Trace

GENERAL = Law(E=1.2, A=0.02, B=0.012, C=0.6, alpha=0.35, beta=0.3, gamma=0.4, eta=0.6, epsilon=0.1)
DOMAIN = GENERAL.model_copy(update={"E": 0.8, "C": 0.4})
KNOBS = DcptKnobs()
BASE = RunSpec.model_validate(catalog.study("dcpt").base)


def trace(spec: RunSpec, place: int = 0, *, failure: str = "") -> Trace:
    """A run of this spec whose losses are the laws', with 0.3 % of noise."""
    rng, size, share = np.random.default_rng(place), study.size_of(spec.model.preset), study.share_of(spec)
    before = float(GENERAL.loss(size, 3e-4, 0.6))
    curves: dict[str, list[tuple[int, float]]] = {
        "pretrain/val/general": [(300, before + 1), (600, before)],
        "pretrain/val/domain": [(300, 5.0), (600, 4.0)],
    }
    for law, name, r in ((GENERAL, "general", 1 - share), (DOMAIN, "domain", share)):
        steps = range(0, 601, 60)
        loss = [float(law.loss(size, max(step, 1) * spec.tokens_per_step / 1e9, r)) for step in steps]
        noisy = np.array(loss) * np.exp(0.003 * rng.standard_normal(len(loss)))
        curves[f"continue/val/{name}"] = list(zip(steps, noisy.tolist(), strict=True))
    costs = {"continue/train": 2.0, "pretrain/source": 1.0, "continue/eval": 0.5}
    made = {"spec": spec, "curves": curves, "costs": costs, "seconds": 3.0}
    return Trace.model_validate({"code": f"run{place}", "seed": 0, "failure": failure, **made})


def history(specs: list[RunSpec]) -> tuple[Trace, ...]:
    return tuple(trace(spec, place) for place, spec in enumerate(specs))


@pytest.fixture(scope="module")
def done() -> tuple[Trace, ...]:
    """The grid and its check."""
    grid = history(study.ask(KNOBS, BASE, ()))
    return (*grid, *history(study.ask(KNOBS, BASE, grid)))


def test_the_grid_is_every_network_at_every_share() -> None:
    specs = study.ask(KNOBS, BASE, ())
    assert [(spec.model.preset, study.share_of(spec)) for spec in specs] == [
        (size, ratio) for size in KNOBS.sizes for ratio in KNOBS.ratios
    ]
    assert {spec.steps() for spec in specs} == {1200}
    assert len({spec.digest() for spec in specs}) == 15
    assert len({study.label(spec) for spec in specs}) == 15


def test_only_what_is_missing_is_asked_for_and_a_failed_run_is_not_missing() -> None:
    specs = study.ask(KNOBS, BASE, ())
    known = (trace(specs[0]), trace(specs[1], failure="diverged"))
    assert [spec.digest() for spec in study.ask(KNOBS, BASE, known)] == [spec.digest() for spec in specs[2:]]


def test_a_whole_grid_asks_for_one_check_at_the_predicted_share_and_then_for_nothing(done: tuple[Trace, ...]) -> None:
    extra = done[15:]
    assert [one.spec.model.preset for one in extra] == ["gpt2-tiny"]
    assert study.share_of(extra[0].spec) not in KNOBS.ratios
    assert study.ask(KNOBS, BASE, done) == []
    assert study.ask(KNOBS.model_copy(update={"check": False}), BASE, done[:15]) == []


def test_a_finding_tells_the_laws_the_check_and_the_bill(done: tuple[Trace, ...]) -> None:
    found = study.conclude(KNOBS, done)
    assert study.FINDING.model_validate_json(found.model_dump_json()) == found
    assert found.general
    assert found.domain
    assert (found.general.points, len(found.observations)) == (150, 150)
    assert min(found.general.r2 or 0, found.domain.r2 or 0) > 0.99
    assert [check.run for check in found.checks] == ["run0"]
    assert found.checks[0].domain == pytest.approx(found.checks[0].domain_predicted, rel=0.01)
    rise = found.checks[0].general / found.base(found.checks[0].size).general - 1
    assert rise == pytest.approx(KNOBS.limit, abs=0.01)
    costs = {"mixtures": 32.0, "bases": 16.0, "evaluations": 8.0, "seconds": 48.0, "others": 0.0}
    assert found.costs.model_dump(exclude={"probe"}) == costs
    assert found.missing == ""
    assert found.failures == ()


def test_a_run_is_told_from_the_others_by_its_place_in_the_grid() -> None:
    specs = study.ask(KNOBS.model_copy(update={"steps": 90, "base_steps": 210, "evaluations": 9}), BASE, ())
    assert study.axes(specs[6]) == {
        "network": "gpt2-micro", "parameters N": round(study.size_of("gpt2-micro") * 1e9), "tokens D": 90 * 8 * 64,
        "points": 9, "domain": "python-stdlib", "domain share": 0.25,
    }  # fmt: skip
    assert len({tuple(study.axes(spec).values()) for spec in specs}) == 15


def test_a_probe_is_the_smallest_network_at_the_largest_share_up_to_its_first_evaluation() -> None:
    specs = study.ask(KNOBS, BASE, ())
    past = [trace(spec, place) for place, spec in enumerate(specs)]
    dear = [one.model_copy(update={"costs": {"continue/train": 100.0 + place}}) for place, one in enumerate(past)]
    assert [study.share_of(one.spec) for one in dear[:5]] == [0, 0.25, 0.5, 0.75, 1]
    assert study.probe_cost(tuple(dear)) == pytest.approx(104.0 / 10)
    again = dear[4].model_copy(update={"seed": 1, "costs": {"continue/train": 106.0}})
    assert study.probe_cost((*dear, again)) == pytest.approx(105.0 / 10)
    dear[4] = dear[4].model_copy(update={"failure": "diverged"})
    assert study.probe_cost(tuple(dear)) == pytest.approx(103.0 / 10)
    assert study.probe_cost(()) is None


def test_the_bill_of_more_domains_is_grids_or_four_grids_and_probes() -> None:
    costs = Costs(mixtures=50.0, bases=9.0, evaluations=9.0, seconds=1.0, probe=2.0)
    assert [costs.own(count) for count in (1, 2, 5)] == [50, 100, 250]
    assert [costs.across(count) for count in (1, 2, 5)] == [202, 204, 210]
    assert costs.model_copy(update={"probe": None}).across(5) is None


def test_both_losses_of_a_run_take_shares_that_add_up_to_one(done: tuple[Trace, ...]) -> None:
    seen = study.observed(KNOBS, done)
    general, domain = points(seen, "general"), points(seen, "domain")
    assert general.ratio == pytest.approx(1 - domain.ratio, abs=0)
    assert (general.size == domain.size).all()


def test_failures_are_told_and_left_out(done: tuple[Trace, ...]) -> None:
    broken = (*done[:14], trace(done[14].spec, 14, failure="diverged: the loss is nan"))
    found = study.conclude(KNOBS, broken)
    assert found.failures == (("run14", "diverged: the loss is nan"),)
    assert found.general
    assert found.general.points == 140
    assert "1 of 15 runs did not succeed" in found.warnings[0]


@pytest.mark.parametrize(
    ("sizes", "shares", "each", "enough"),
    [(2, 3, 4, True), (1, 3, 10, False), (2, 2, 10, False), (2, 3, 3, False)],
)
def test_a_fit_needs_twenty_points_of_two_networks_at_three_shares(
    sizes: int, shares: int, each: int, enough: bool
) -> None:
    seen = tuple(
        Observation(run="x", size=size, tokens=tokens, domain_share=share / 10, general=1, domain=1)
        for size in range(1, sizes + 1)
        for share in range(shares)
        for tokens in range(1, each + 1)
    )
    assert (study.too_little(seen) == "") is enough


def test_a_domain_is_probed_by_the_smallest_network_at_the_largest_share(done: tuple[Trace, ...]) -> None:
    """k1 is the domain loss at the end of the base, k2 how fast the first evaluation finds it lower."""
    found = study.conclude(KNOBS, done).probe
    assert found is not None
    purest = done[4]
    assert (purest.spec.model.preset, study.share_of(purest.spec)) == ("gpt2-nano", 1.0)
    step, loss = purest.curves["continue/val/domain"][1]
    assert found.k1 == 4.0
    assert found.k2 == pytest.approx((4.0 - loss) / (step * purest.spec.tokens_per_step / 1e9))


def test_a_network_keeps_the_losses_at_the_end_of_its_base(done: tuple[Trace, ...]) -> None:
    for base, first in zip(study.bases(done), (done[0], done[5], done[10]), strict=True):
        assert base.preset == first.spec.model.preset
        assert base.general == pytest.approx(first.curves["pretrain/val/general"][-1][1])
        assert base.domain == 4.0


def test_a_check_is_held_against_both_laws_at_its_own_share(done: tuple[Trace, ...]) -> None:
    found = study.conclude(KNOBS, done)
    assert found.general
    assert found.domain
    share, size, tokens = study.share_of(done[15].spec), study.size_of("gpt2-tiny"), 600 * 512 / 1e9
    assert found.checks[0].general_predicted == pytest.approx(float(found.general.law.loss(size, tokens, 1 - share)))
    assert found.checks[0].domain_predicted == pytest.approx(float(found.domain.law.loss(size, tokens, share)))
    failed = (*done[:15], done[15].model_copy(update={"failure": "diverged"}))
    assert study.conclude(KNOBS, failed).checks == ()
    assert study.ask(KNOBS, BASE, failed) == []


def test_the_check_keeps_to_the_limit_that_was_asked_for(done: tuple[Trace, ...]) -> None:
    shares = [study.best(KNOBS.model_copy(update={"limit": limit}), done[:15]) for limit in (0.03, 0.1)]
    assert shares[0] is not None
    assert shares[1] is not None
    assert shares[0] < shares[1]
    assert study.best(KNOBS.model_copy(update={"limit": 1e-9}), done[:15]) != shares[0]


def test_knobs_reach_every_run() -> None:
    knobs = KNOBS.model_copy(update={"rate": "decayed", "evaluations": 7, "steps": 30, "base_steps": 10})
    for spec in study.ask(knobs, BASE, ()):
        told = spec.knobs["continual"].model_dump()
        assert (told["rate"], told["pretrain"], spec.eval_points, spec.steps()) == ("decayed", 0.25, 7, 40)


def test_a_reader_is_warned(done: tuple[Trace, ...]) -> None:
    """Of few points, two networks, a rate that decays, a law that is violated and a share that earns nothing."""
    found = study.conclude(KNOBS, done[:15])
    assert {warning.partition(":")[0] for warning in found.warnings} <= {"Law violated"}
    knobs = KNOBS.model_copy(update={"sizes": KNOBS.sizes[:2], "rate": "decayed"})
    few = " ".join(study.conclude(knobs, done[:9]).warnings)
    for words in ("90 points for nine parameters of the general law are few", "Two networks", "The rate decayed"):
        assert words in few
    assert found.general
    bad = found.general.model_copy(update={"violated": ((1.0, 1.0, 0.5),), "aic": found.general.aic_chinchilla})
    told = " ".join(caveats.warnings(KNOBS, found.model_copy(update={"general": bad})))
    assert "Law violated: at 1 measured points the fitted general loss" in told
    assert "lower AIC" in told


def test_what_lies_beyond_the_grid_is_told(done: tuple[Trace, ...]) -> None:
    found = study.conclude(KNOBS, done[:15])
    sizes, tokens = [base.size for base in found.bases], [one.tokens for one in found.observations]
    assert found.reaches(sizes[1], max(tokens))
    assert found.reaches(sizes[0], min(tokens))
    assert not found.reaches(2 * sizes[2], max(tokens))
    assert not found.reaches(0.5 * sizes[0], max(tokens))
    assert not found.reaches(sizes[1], 2 * max(tokens))
    assert not found.reaches(sizes[1], 0.5 * min(tokens))
    size, end = sizes[2], max(tokens)
    given = found.trade_off(size=size, tokens=end, limit=0.03, before=1.05 * found.base(size).general)
    assert given.ratio > found.trade_off(size=size, tokens=end, limit=0.03).ratio


def test_too_little_is_said_not_fitted(done: tuple[Trace, ...]) -> None:
    found = study.conclude(KNOBS, done[:5])
    assert found.general is None
    assert "50 points of 1 networks at 5 shares" in found.missing
    assert study.conclude(KNOBS, ()).missing


def test_size_counts_no_embeddings() -> None:
    shape = PRESETS["gpt2-tiny"]
    assert study.size_of("gpt2-tiny") * 1e9 == 6 * (12 * 128**2 + 13 * 128)
    assert shape.parameters - study.size_of("gpt2-tiny") * 1e9 == (2048 + 256 + 2) * 128
    assert [round(study.size_of(name) * 1e3, 1) for name in KNOBS.sizes] == [0.1, 0.3, 1.2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": ("gpt2-nano", "nowhere")}, "no preset"),
        ({"sizes": ("gpt2-nano", "llama-nano")}, "two families"),
        ({"ratios": (0.0, 0.5, 1.5)}, "between 0 and 1"),
        ({"ratios": (0.0, 0.5, 0.5)}, "named twice"),
    ],
)
def test_a_grid_that_makes_no_law_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DcptKnobs.model_validate(changes)


def test_planning_loads_no_torch() -> None:
    code = (
        "import sys; from training import catalog; assert catalog.studies() == ['dcpt']; "
        "catalog.load_study('dcpt'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_card_is_complete() -> None:
    card = catalog.study("dcpt")
    assert card.paper.startswith("https://")
    assert len(card.text) > 400
    assert all(field.title and field.description for field in card.knobs.model_fields.values())


def test_real_runs_become_a_finding(bench: Workbench) -> None:
    """A grid of tiny runs: every row is there, what is read more is known better, and the bill is the ledger's."""
    knobs = DcptKnobs(sizes=("gpt2-nano", "gpt2-micro"), ratios=(0.0, 0.5, 1.0), steps=60, base_steps=20, evaluations=4)
    base = bench.spec(task="text_mixture", optim={"learning_rate": 3e-3, "warmup": 0.05})
    traces, flops = [], 0.0
    for spec in study.ask(knobs, base, ()):
        run = bench.train(spec)
        curves: dict[str, list[tuple[int, float]]] = {}
        for point in run.memory.points:
            curves.setdefault(f"{point.phase}/{point.name}", []).append((point.step, point.value))
        costs = {f"{phase}/{purpose}": line.executed for (phase, purpose), line in run.lab.ledger.lines.items()}
        flops += run.executed(Purpose.SOURCE)
        made = {"code": spec.digest()[:8], "spec": spec, "seed": 0, "curves": curves, "costs": costs}
        traces.append(Trace.model_validate(made))
    found = study.conclude(knobs, tuple(traces))
    assert found.missing == ""
    assert len(found.observations) == 24
    assert [base.preset for base in found.bases] == ["gpt2-nano", "gpt2-micro"]
    assert found.costs.bases == pytest.approx(flops)
    ends = {one.domain_share: one for one in found.observations if one.size == found.bases[0].size}
    assert ends[1.0].domain < ends[0.5].domain < ends[0.0].domain
    assert ends[0.0].general < ends[1.0].general

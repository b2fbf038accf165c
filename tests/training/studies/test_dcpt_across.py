"""Several domains in one D-CPT study: which runs it asks for, and what the law across domains makes of their probes."""

from __future__ import annotations

from statistics import median

import numpy as np
import pytest
from pydantic import ValidationError

from tests.training.studies.test_dcpt_law import TRUTH
from training import catalog
from training.data import tokens
from training.spec import RunSpec
from training.studies.dcpt import across, study
from training.studies.dcpt.card import BYTES, DcptKnobs
from training.studies.dcpt.domains import DomainLaw, Probe
from training.studies.dcpt.finding import Base, DcptFinding, Observation
from training.study import Trace

TRUE = DomainLaw(law=TRUTH, F=0.9, mu=1.2, w1=2.0, w2=0.05)
PROBES = {
    "python-stdlib": Probe(k1=2.2, k2=4.0),
    "text:law": Probe(k1=2.9, k2=14.0),
    "text:music": Probe(k1=3.4, k2=6.0),
    "text:chess": Probe(k1=3.9, k2=20.0),
    "text:maths": Probe(k1=5.0, k2=5.0),
}
KNOBS = DcptKnobs(domains=("text:law", "text:music", "text:chess"), probed=("text:maths",), check=False)
CARD = catalog.study("dcpt")
BASE = RunSpec.model_validate(dict(CARD.base))
BASE = BASE.model_copy(update={"data": BASE.data.model_copy(update={"vocab_size": BYTES})})


def trace(spec: RunSpec, place: int) -> Trace:
    """A run whose domain loss is the true law's of its domain, with 0.2 % of noise; k1 and k2 are its domain's."""
    text = str(spec.data.domain)
    rng, probe, law = np.random.default_rng(place), PROBES[text], TRUE.of(PROBES[text])
    size, share = study.size_of(spec.model.preset), study.share_of(spec)
    ends = [step * spec.tokens_per_step / 1e9 for step in range(60, 601, 60)]
    domain = [float(law.loss(size, end, share)) * float(np.exp(0.002 * rng.standard_normal())) for end in ends]
    general = [float(TRUTH.loss(size, end, 1 - share)) for end in ends]
    if probing := (spec.model.preset, share) == (study.smallest(KNOBS), 1.0):
        domain[0] = probe.k1 - probe.k2 * ends[0]
    steps = range(60, 601, 60)
    curves = {
        "pretrain/val/general": [(600, float(TRUTH.loss(size, 3e-4, 0.6)))],
        "pretrain/val/domain": [(600, probe.k1)],
        "continue/val/general": list(zip(steps, general, strict=True)),
        "continue/val/domain": list(zip(steps, domain, strict=True)),
    }
    flops = 3.0 if probing else 2.0
    made = {"spec": spec, "curves": curves, "costs": {"continue/train": flops}, "seconds": 1.0}
    return Trace.model_validate({"code": f"run{place}", "seed": 0, **made})


@pytest.fixture(scope="module")
def history() -> tuple[Trace, ...]:
    return tuple(trace(spec, place) for place, spec in enumerate(study.ask(KNOBS, BASE, ())))


@pytest.fixture(scope="module")
def found(history: tuple[Trace, ...]) -> DcptFinding:
    return study.conclude(KNOBS, history)


def test_every_domain_gets_the_grid_and_a_probed_one_a_single_run() -> None:
    specs = study.ask(KNOBS, BASE, ())
    asked = [spec.data.domain for spec in specs]
    grid = len(KNOBS.sizes) * len(KNOBS.ratios)
    assert {text: asked.count(text) for text in PROBES} == dict.fromkeys(PROBES, grid) | {"text:maths": 1}
    assert (specs[-1].model.preset, study.share_of(specs[-1])) == ("gpt2-nano", 1.0)
    assert len({spec.digest() for spec in specs}) == len({study.label(spec) for spec in specs}) == len(specs)
    assert len({tuple(study.axes(spec).values()) for spec in specs}) == len(specs)


def test_a_long_name_fits_a_label() -> None:
    name = "hf:" + "a-very-long-owner" * 5 + "/" + "and-an-even-longer-corpus" * 4
    label = study.label(study.mixture(KNOBS, BASE, "gpt2-medium", 0.333, name))
    assert label.startswith("gpt2-medium, 0.333 hf:a-very-long-owner")
    assert label.endswith("longer-corpus")
    assert len(label) <= 100


def test_a_study_of_one_domain_asks_for_what_it_always_asked_for() -> None:
    assert {spec.data.domain for spec in study.ask(DcptKnobs(), BASE, ())} == {"python-stdlib"}


def test_the_check_is_one_run_on_the_first_domain(history: tuple[Trace, ...]) -> None:
    checked = KNOBS.model_copy(update={"check": True})
    (extra,) = study.ask(checked, BASE, history)
    assert (extra.data.domain, extra.model.preset) == ("python-stdlib", "gpt2-tiny")
    assert study.share_of(extra) not in KNOBS.ratios
    assert study.ask(checked, BASE, (*history, trace(extra, 99))) == []
    assert study.ask(KNOBS, BASE, history) == []


def test_a_probe_is_read_off_the_smallest_network_at_the_largest_share(found: DcptFinding) -> None:
    assert found.across
    for domain in found.across.domains:
        assert domain.probe
        assert domain.probe.k1 == pytest.approx(PROBES[domain.text].k1)
        assert domain.probe.k2 == pytest.approx(PROBES[domain.text].k2)


def test_a_probe_is_of_the_mean_over_seeds_whichever_came_first() -> None:
    """Two seeds whose loss falls equally fast from different heights."""
    seen = [
        Observation(run=run, size=1e-4, tokens=0.1, domain_share=1, general=3, domain=loss)
        for run, loss in (("a", 3.6), ("b", 2.6))
    ]
    alone = [across.probe((one,), (based(one.domain + 0.4),)) for one in seen]
    assert [one.k2 for one in alone if one] == pytest.approx([4.0, 4.0])
    for order in (seen, seen[::-1]):
        both = across.probe(tuple(order), (based(3.5),))
        assert both
        assert (both.k1, both.k2) == pytest.approx((3.5, 4.0))


def based(domain: float) -> Base:
    """What the smallest network's base ended with, mean over seeds."""
    return Base(preset="gpt2-nano", size=1e-4, general=3, domain=domain)


def test_domains_are_predicted_from_their_probes_better_than_without(found: DcptFinding) -> None:
    """A grid left out by a law of three others, which can miss a weight of K; the probed one by a law of all four."""
    assert found.across
    assert found.across.law
    assert [domain.text for domain in found.across.domains] == list(PROBES)
    for domain in found.across.domains:
        assert domain.points == (9 if domain.text == "text:maths" else 149)
        assert domain.max_relative_error is not None
        assert domain.blind_max_relative_error is not None
        assert domain.blind_max_relative_error > max(0.05, 1.5 * domain.max_relative_error)
    errors = [domain.max_relative_error or 1 for domain in found.across.domains]
    assert median(errors) < 0.01
    assert errors[-1] < 0.01
    assert max(errors) < 0.1


def test_domains_whose_losses_were_swapped_are_not_predicted(history: tuple[Trace, ...]) -> None:
    """Where probes tell nothing of a domain, the errors show it."""
    names = ["python-stdlib", "text:law", "text:music", "text:chess"]
    shifts = dict(zip(names, (1.0, -0.5, 0.8, -0.4), strict=True))
    moved = []
    for one in history:
        curve = one.curves["continue/val/domain"]
        shift = shifts.get(str(one.spec.data.domain), 0.0)
        first, *rest = curve
        later = {"continue/val/domain": (first, *((step, loss + shift) for step, loss in rest))}
        moved.append(one.model_copy(update={"curves": one.curves | later}))
    told = study.conclude(KNOBS, tuple(moved)).across
    assert told
    assert max(domain.max_relative_error or 0 for domain in told.domains) > 0.2


def test_the_first_domain_keeps_laws_and_bill_of_its_own(found: DcptFinding, history: tuple[Trace, ...]) -> None:
    alone = study.conclude(DcptKnobs(check=False), study.of_first(KNOBS, history))
    assert alone.across is None
    assert (found.general, found.domain, found.observations) == (alone.general, alone.domain, alone.observations)
    assert found.costs.grid == alone.costs.mixtures == 14 * 2.0 + 3.0
    assert found.costs.mixtures == 4 * 31.0 + 3.0
    assert found.costs.probe == alone.costs.probe
    assert [found.costs.own(count) for count in (1, 2)] == [31.0, 62.0]


def test_a_finding_survives_storage(found: DcptFinding) -> None:
    assert DcptFinding.model_validate_json(found.model_dump_json()) == found


def test_a_law_across_domains_needs_three_with_a_grid_whose_loss_fell(history: tuple[Trace, ...]) -> None:
    def without(*texts: str) -> DcptFinding:
        gone = [
            one.model_copy(update={"failure": "diverged"}) if one.spec.data.domain in texts else one for one in history
        ]
        return study.conclude(KNOBS, tuple(gone))

    three = without("text:chess").across
    assert three
    assert three.law
    assert next(one for one in three.domains if one.text == "text:chess").predicted is None
    two = without("text:chess", "text:music").across
    assert two
    assert two.law is None
    assert two.missing == "2 domains have a grid and a loss that fell at first; a law across domains needs 3"
    assert across.LEAST == 3


def test_a_probed_domain_beyond_all_others_is_told(found: DcptFinding) -> None:
    (told,) = (line for line in found.warnings if "extrapolated" in line)
    assert told.startswith("text:maths is extrapolated: its K of ")
    assert found.across
    inside = across.beyond(found.across, probed=frozenset({"python-stdlib"}))
    assert inside == []


def test_few_domains_are_told(found: DcptFinding) -> None:
    assert "The law across domains is of 4 domains; the paper takes 4 to predict another." in found.warnings


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"domains": ["text:law"]}, "name two at least"),
        ({"probed": ["text:law"]}, "needs further domains"),
        ({"domains": ["text:law", "text:law"]}, "named twice"),
        ({"domains": ["text:law", "text:music"], "probed": ["text:law"]}, "either probed or with a grid"),
        ({"domains": ["text:law", "dataset:abcdefgh"]}, "names no text"),
    ],
)
def test_domains_that_make_no_law_are_refused(knobs: dict[str, list[str]], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DcptKnobs.model_validate(knobs)


def test_domains_compare_in_bytes_and_each_is_one() -> None:
    assert CARD.refuses(KNOBS, BASE) == {}
    learnt = RunSpec.model_validate(dict(CARD.base))
    assert "set the vocabulary to 257" in CARD.refuses(KNOBS, learnt)["domains"]
    assert CARD.refuses(DcptKnobs(), learnt) == {}
    again = KNOBS.model_copy(update={"domains": ("text:law", "python-stdlib"), "probed": ("sotu",)})
    assert CARD.refuses(again, BASE) == {
        "domains": "python-stdlib: already a text of the mixture",
        "probed": "sotu: already a text of the mixture",
    }


def test_a_vocabulary_of_bytes_is_the_same_whatever_it_is_trained_on() -> None:
    ours, theirs = tokens.train(["To be or not to be"], BYTES), tokens.train(["def main(): return 7\n" * 9, "é"], BYTES)
    assert ours.get_vocab() == theirs.get_vocab()
    assert ours.encode("Ünder § 7").ids == theirs.encode("Ünder § 7").ids
    assert tokens.train(["to be or not to be"], BYTES + 9).get_vocab() != theirs.get_vocab()

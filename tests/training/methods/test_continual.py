"""A base on the general text, then a mixture: what is read, what is booked, what is forgotten."""

from __future__ import annotations

import pytest
import torch

from tests.training.workbench import Workbench
from training.methods.continual.card import ContinualKnobs
from training.parts.mixture import Mixed
from training.records import Purpose
from training.seeds import derive

POOLS = torch.arange(40), torch.arange(40, 100)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 1 / 3, 0.5, 0.924, 1.0])
def test_the_share_is_exact_at_every_moment(share: float) -> None:
    order, seen = Mixed(POOLS, share, 0, "continue"), 0
    for total in range(8, 400, 8):
        seen += int((order.take(8) >= 40).sum())
        assert abs(seen - share * total) <= 0.5


def test_every_example_of_a_pool_comes_before_any_comes_again() -> None:
    taken = Mixed(POOLS, 0.5, 0, "continue").take(80)
    assert sorted(taken[taken < 40].tolist()) == list(range(40))


def test_runs_of_one_seed_read_a_text_in_one_order_whatever_the_share() -> None:
    few, many = (Mixed(POOLS, share, 3, "continue").take(40) for share in (0.25, 0.75))
    few, many = few[few >= 40], many[many >= 40]
    assert few.tolist() == many[: len(few)].tolist()


def test_an_order_goes_on_where_it_was_saved() -> None:
    order = Mixed(POOLS, 0.3, 0, "continue")
    order.take(37)
    again = Mixed(POOLS, 0.3, 0, "continue")
    again.load_state_dict(order.state_dict())
    assert again.take(50).tolist() == order.take(50).tolist()


def test_restricting_keeps_the_share() -> None:
    order = Mixed(POOLS, 0.5, derive(0, "x"), "continue")
    order.restrict(torch.arange(30, 60))
    taken = order.take(40)
    assert set(taken.tolist()) == set(range(30, 60))
    assert int((taken >= 40).sum()) == 20


def test_shares_of_the_two_texts_make_one_whole() -> None:
    assert all(ContinualKnobs(domain_share=r).general_share == 1 - r for r in (0.0, 0.3, 0.924, 1.0))


def test_the_base_is_booked_as_inherited_and_the_mixture_as_training(bench: Workbench) -> None:
    done = bench.train(bench.spec("continual", ContinualKnobs(pretrain=0.25), task="text_mixture"))
    lines = done.lab.ledger.lines
    assert {key for key in lines if key[1] is not Purpose.EVAL} == {
        ("pretrain", Purpose.SOURCE),
        ("continue", Purpose.TRAIN),
    }
    base, mixture = lines["pretrain", Purpose.SOURCE], lines["continue", Purpose.TRAIN]
    assert (base.tokens, mixture.tokens) == (5 * 4 * 32, 15 * 4 * 32)
    assert mixture.executed == pytest.approx(3 * base.executed)
    assert base.wall_seconds > 0


def test_both_texts_have_a_curve_and_the_loss_is_their_mean(bench: Workbench) -> None:
    memory = bench.train(bench.spec("continual", task="text_mixture")).memory
    for phase in ("pretrain", "continue"):
        at = {p.name: p.value for p in memory.points if p.phase == phase and p.name.startswith("val/")}
        assert at["val/loss"] == pytest.approx((at["val/general"] + at["val/domain"]) / 2)


def test_what_is_read_more_is_known_better(bench: Workbench) -> None:
    """60 steps on Python source code alone forget the addresses, and learn it better than 60 steps on these."""
    ends = {}
    for share in (0.0, 1.0):
        knobs = ContinualKnobs(domain_share=share, pretrain=0.5)
        optim = {"learning_rate": 3e-3, "warmup": 0.05}
        spec = bench.spec("continual", knobs, task="text_mixture", budget={"steps": 240}, batch_size=8, optim=optim)
        done = bench.train(spec)
        ends[share] = [done.series(name)[-1][1] for name in ("val/general", "val/domain")]
    assert ends[0.0][0] < ends[1.0][0] - 0.1
    assert ends[1.0][1] < ends[0.0][1] - 0.1


def test_runs_that_differ_in_the_share_have_one_base(bench: Workbench) -> None:
    bases = []
    for share in (0.0, 1.0):
        done = bench.train(bench.spec("continual", ContinualKnobs(domain_share=share), task="text_mixture"))
        bases.append([(p.step, p.value) for p in done.memory.points if p.phase == "pretrain"])
    assert bases[0] == bases[1]


@pytest.mark.parametrize(("rate", "last"), [("constant", 1.0), ("decayed", 0.0)])
def test_the_rate_of_the_mixture_is_constant_unless_chosen(rate: str, last: float, bench: Workbench) -> None:
    from training.methods.continual.method import schedule

    spec = bench.spec("continual", task="text_mixture", optim={"warmup": 0.1})
    factor = schedule(bench.lab(spec), ContinualKnobs.model_validate({"rate": rate}))
    assert factor(0.05) == pytest.approx(0.5)
    assert factor(1.0) == pytest.approx(last)

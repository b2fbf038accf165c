"""Data order: shared by seed, resumable, complete."""

from __future__ import annotations

import torch

from training.orders import Shuffled


def test_an_epoch_holds_every_example_once() -> None:
    assert sorted(Shuffled(10, seed=1).take(10).tolist()) == list(range(10))


def test_batches_run_across_epochs() -> None:
    order = Shuffled(10, seed=1)
    taken = torch.cat([order.take(7), order.take(13)])
    assert sorted(taken.tolist()) == sorted([*range(10), *range(10)])


def test_the_same_seed_gives_the_same_order_however_it_is_cut() -> None:
    one, other = Shuffled(50, seed=3), Shuffled(50, seed=3)
    assert torch.equal(one.take(120), torch.cat([other.take(n) for n in (1, 49, 30, 40)]))


def test_another_seed_gives_another_order() -> None:
    assert not torch.equal(Shuffled(50, seed=3).take(50), Shuffled(50, seed=4).take(50))


def test_a_resumed_order_goes_on_where_it_stopped() -> None:
    order, copy = Shuffled(20, seed=5), Shuffled(20, seed=5)
    order.take(33)
    copy.load_state_dict(order.state_dict())
    assert torch.equal(order.take(20), copy.take(20))


def test_a_restricted_order_draws_from_the_pool_alone() -> None:
    order = Shuffled(20, seed=5)
    order.restrict(torch.tensor([2, 4, 6]))
    assert set(order.take(30).tolist()) == {2, 4, 6}

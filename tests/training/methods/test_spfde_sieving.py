from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import ceil
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.methods.test_spfde import begun, images, same, trained
from tests.training.workbench import CPU, Workbench
from training.loop import Hook, Loop
from training.methods.spfde.knobs import SpfdeKnobs
from training.methods.spfde.plan import times
from training.methods.spfde.sieving import NEVER_EASY, Forgetting, Sieve, Sieving
from training.orders import Shuffled

ROUND = SpfdeKnobs(freeze=0, sieve=0.2, intervals=4)
SIZE = 100


def sieve() -> Sieve:
    return Sieve(Shuffled(SIZE, 0), SIZE, 20, seed=0)


def told(*predictions: int) -> Forgetting:
    """The counters after these predictions of example 1, right (1) or wrong (0)."""
    counts = Forgetting(3, CPU)
    for prediction in predictions:
        counts.see(torch.tensor([1]), torch.tensor([bool(prediction)]))
    return counts


def sieving(loop: Loop) -> Sieving:
    return next(hook for hook in loop.hooks if isinstance(hook, Sieving))


def test_a_right_prediction_followed_by_a_wrong_one_is_an_event() -> None:
    assert told(0, 1, 0, 1, 1, 0).scores("hard")[1] == 2


def test_what_was_never_right_has_no_event_and_is_hard_unless_the_knob_says_easy() -> None:
    never = told(0, 0, 0)
    assert never.events[1] == 0
    assert never.scores("hard")[1] == NEVER_EASY
    assert never.scores("easy")[1] == 0


def test_the_share_that_nobody_judged_is_told() -> None:
    counts = told(1)
    assert counts.unjudged(torch.tensor([1])) == 0
    assert counts.unjudged(torch.tensor([0, 1])) == 0.5
    assert counts.unjudged(torch.tensor([], dtype=torch.int64)) == 0


def test_events_are_forgotten_when_the_next_interval_begins() -> None:
    counts = told(1, 0, 1)
    counts.reset()
    counts.see(torch.tensor([1]), torch.tensor([False]))
    assert counts.events[1] == 0
    assert counts.scores("hard")[1] == NEVER_EASY


def test_the_parts_in_use_and_left_out_keep_their_sizes_and_make_the_whole() -> None:
    order = sieve()
    for _ in range(9):
        order.exchange(order.used[:7])
        assert (len(order.used), len(order.queue)) == (80, 20)
        assert sorted(torch.cat((order.used, order.queue)).tolist()) == list(range(SIZE))


@pytest.mark.parametrize("count", [7, 10, 16, 20])
def test_everything_has_been_in_use_once_the_first_queue_is_through(count: int) -> None:
    order = sieve()
    used = set(order.used.tolist())
    for _ in range(ceil(20 / count)):
        assert len(used) < SIZE
        order.exchange(order.used[:count])
        used |= set(order.used.tolist())
    assert len(used) == SIZE


def test_the_queue_is_first_in_first_out_until_then_and_shuffled_after_it() -> None:
    order, out = sieve(), list[Tensor]()
    first = order.queue.clone()
    for turn in range(2):
        out.append(order.used[:8].clone())
        order.exchange(out[-1])
        assert torch.equal(order.queue, torch.cat((first[8 * (turn + 1) :], *out)))
    plain = torch.cat((order.queue[8:], order.used[:8]))
    order.exchange(order.used[:8])
    assert not torch.equal(order.queue, plain)
    assert sorted(order.queue.tolist()) == sorted(plain.tolist())


def test_only_what_is_in_use_is_taken_and_each_once_an_epoch() -> None:
    order = sieve()
    order.exchange(order.used[:16])
    assert sorted(order.take(80).tolist()) == order.used.tolist()


def test_a_sieve_resumes_where_it_was() -> None:
    smooth, torn = sieve(), sieve()
    for _ in range(3):
        smooth.exchange(smooth.used[:9])
        smooth.take(33)
    torn.load_state_dict(smooth.state_dict())
    for order in (smooth, torn):
        order.exchange(order.used[:9])
    assert torch.equal(smooth.queue, torn.queue)
    assert torch.equal(smooth.take(200), torn.take(200))


class Spy(Hook):
    """Counts forward passes, and forgetting events from logits that it looks at itself."""

    def __init__(self, loop: Loop) -> None:
        self.calls, self.seen = 0, dict[int, list[bool]]()
        self.batch: dict[str, Tensor] = {}
        loop.learner.model.register_forward_hook(self._look)

    def before_step(self, loop: Loop, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        self.batch = batch
        return batch

    def _look(self, _: Any, __: Any, logits: Tensor) -> None:
        self.calls += 1
        right = logits.argmax(1) == self.batch["labels"]
        for index, hit in zip(self.batch["index"].tolist(), right.tolist(), strict=True):
            self.seen.setdefault(index, []).append(hit)


def test_forgetting_is_counted_from_training_predictions_without_a_forward_pass_more(bench: Workbench) -> None:
    spec = images(bench, ROUND, budget={"steps": 400}, batch_size=64)
    loop = begun(bench, spec)
    spy = Spy(loop)
    loop.hooks = (spy, *loop.hooks)
    trained(loop, 79)
    assert spy.calls == 79
    counts = sieving(loop).counts
    events = {index: sum(a and not b for a, b in pairwise(hits)) for index, hits in spy.seen.items()}
    assert sum(events.values()) > 20
    assert {index: int(counts.events[index]) for index in events} == events
    assert {index: bool(counts.learnt[index]) for index in events} == {i: any(hits) for i, hits in spy.seen.items()}


def test_the_easiest_leave_and_as_many_come_back(bench: Workbench) -> None:
    loop = trained(begun(bench, images(bench, ROUND, budget={"steps": 400}, batch_size=64)), 79)
    hook = sieving(loop)
    used, queue, scores = hook.sieve.used.clone(), hook.sieve.queue.clone(), hook.counts.scores("hard")
    trained(loop, 80)
    count = round(0.2 * len(used))
    out = used[~torch.isin(used, hook.sieve.used)]
    assert len(out) == count
    assert torch.equal(hook.sieve.queue[-count:].sort().values, out)
    assert torch.isin(queue[:count], hook.sieve.used).all()
    assert scores[out].max() <= scores[used[torch.isin(used, hook.sieve.used)]].min()
    assert not hook.counts.events.any()


def test_exchanging_a_share_of_all_empties_the_queue_each_time(bench: Workbench) -> None:
    loop = begun(bench, images(bench, ROUND.model_copy(update={"easiest_of": "set"})))
    queue = sieving(loop).sieve.queue.clone()
    trained(loop, 4)
    assert torch.isin(queue, sieving(loop).sieve.used).all()


def test_the_control_leaves_out_by_lot(bench: Workbench) -> None:
    loop = begun(bench, images(bench, ROUND.model_copy(update={"leave_out": "random"})))
    hook = sieving(loop)
    by_lot = hook._easiest(4)
    hook.counts.events.random_(5)
    hook.counts.learnt.fill_(True)
    assert torch.equal(by_lot, hook._easiest(4))
    assert not torch.equal(by_lot, hook._easiest(8))


def test_equal_epochs_train_fewer_steps_equal_steps_as_many(bench: Workbench) -> None:
    by_steps = ROUND.model_copy(update={"compare": "steps"})
    steps = [bench.train(images(bench, knobs)).series("train/loss")[-1][0] for knobs in (ROUND, by_steps)]
    assert steps == [16, 20]


def test_a_budget_in_flops_is_spent_whole(bench: Workbench) -> None:
    knobs = ROUND.model_copy(update={"freeze": 0.2})
    flops = images(bench, knobs, budget={"steps": 80}).train_flops()
    spec = images(bench, knobs, budget={"flops": flops})
    done = bench.train(spec)
    assert done.training() == pytest.approx(flops, rel=0.02)
    assert done.series("train/loss")[-1][0] == pytest.approx(64, abs=1)
    begins = next(step for step, frozen in done.series("method/frozen_blocks") if frozen)
    assert begins == 1 + 64 * times(knobs, spec.shape, 1)[0] / 4


def test_freezing_a_fifth_and_leaving_out_a_fifth_costs_the_product_by_hand(bench: Workbench) -> None:
    knobs = SpfdeKnobs(freeze=0.2, sieve=0.2)
    spec = images(bench, knobs, model={"preset": "resnet14"}, budget={"steps": 80})
    shape, done = spec.shape, bench.train(spec)
    per_step = [4 * replace(shape, frozen=frozen).train_flops() for frozen in range(5)]
    frozen = dict(done.series("method/frozen_blocks"))
    assert done.training() == sum(per_step[int(frozen[step])] for step in range(1, 65))
    assert done.training() == pytest.approx(spec.train_flops(), rel=0.01)
    assert done.training() / (80 * per_step[0]) == pytest.approx(0.64, abs=0.02)


def test_a_run_with_everything_on_resumes_bit_for_bit(bench: Workbench) -> None:
    knobs = SpfdeKnobs(freeze=0.2, sieve=0.2, sparsity=0.8, intervals=8)
    spec = images(bench, knobs, budget={"steps": 50}, batch_size=64)
    smooth, torn = bench.train(spec), bench.train(spec, stop_every=7)
    assert torn.attempts > 3
    assert same(smooth.weights(), torn.weights())
    for key, line in smooth.lab.ledger.lines.items():
        again = torn.lab.ledger.lines[key]
        assert (line.executed, line.effective, line.examples) == (again.executed, again.effective, again.examples)

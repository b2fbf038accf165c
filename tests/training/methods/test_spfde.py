from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.training.workbench import Workbench
from training import assembly
from training.loop import Hook, Loop, advance
from training.methods.spfde.knobs import SpfdeKnobs
from training.methods.spfde.plan import Timetable, times
from training.models.classifier import Classifier
from training.models.decoder import Decoder
from training.spec import RunSpec

SGD = {"name": "sgd", "learning_rate": 0.05, "weight_decay": 0.1, "warmup": 0.1}
EARLY = SpfdeKnobs(freeze=0.3, intervals=8)


def images(bench: Workbench, knobs: SpfdeKnobs, **changes: Any) -> RunSpec:
    return bench.spec("spfde", knobs, **{"task": "image_classification", "optim": SGD} | changes)


def begun(bench: Workbench, spec: RunSpec) -> Loop:
    """The phase of a run, its methods attached, before its first step."""
    lab = bench.lab(spec)
    lab.parts = assembly.parts(spec)
    learner, until, hooks = lab.learner(lab.build()), lab.budget, list[Hook]()
    for part in lab.parts:
        until = part.until(until)
    for part in lab.parts:
        hooks += part.attach(lab, "train", learner, until)
    loop = Loop(lab, "train", learner, until, hooks)
    for hook in loop.hooks:
        hook.on_start(loop)
    learner.model.train()
    return loop


def trained(loop: Loop, until: int, watch: Callable[[Loop], None] = lambda loop: None) -> Loop:
    while loop.step < until:
        advance(loop)
        watch(loop)
    return loop


def timetable(spec: RunSpec) -> Timetable:
    knobs = spec.knobs["spfde"]
    assert isinstance(knobs, SpfdeKnobs)
    steps = round(spec.steps() * knobs.share_of_steps)
    return Timetable(steps, knobs.intervals, times(knobs, spec.shape, spec.length))


def front(model: nn.Module, blocks: int) -> dict[str, Tensor]:
    """Copies of all weights and statistics of the stem and so many blocks."""
    assert isinstance(model, Classifier)
    parts = nn.ModuleList([model.stem, *model.blocks[:blocks]])
    return {name: value.clone() for name, value in parts.state_dict().items()}


def same(some: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return some.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in some.items())


def saved_bytes(loop: Loop) -> int:
    """What one forward pass keeps for its backward."""
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel() * tensor.element_size())
        return tensor

    batch = loop.lab.task.batch(torch.arange(4))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loop.loss(batch)
    return sum(kept)


def test_frozen_weights_and_statistics_never_move_again(bench: Workbench) -> None:
    spec = images(bench, EARLY)
    loop, plan_ = begun(bench, spec), timetable(spec)
    assert len(plan_.freezes) == 2
    for blocks, interval in enumerate(plan_.freezes, start=1):
        before = front(loop.learner.model, blocks)
        trained(loop, plan_.step(interval))
        assert not same(before, front(loop.learner.model, blocks))
        still = front(loop.learner.model, blocks)
        loop.lab._validate(loop)
        trained(loop, loop.step + 2)
        assert same(still, front(loop.learner.model, blocks))
    whole = copy.deepcopy(loop.learner.model.state_dict())
    trained(loop, spec.steps())
    assert same(still, front(loop.learner.model, 2))
    assert not torch.equal(whole["head.weight"], loop.learner.model.state_dict()["head.weight"])


def test_blocks_freeze_front_to_back_and_ask_for_no_gradient(bench: Workbench) -> None:
    spec = images(bench, EARLY)
    plan_, seen = timetable(spec), list[list[bool]]()

    class Watch(Hook):
        def before_update(self, loop: Loop) -> None:
            model = loop.learner.model
            assert isinstance(model, Classifier)
            parts = [[*model.stem.parameters(), *model.blocks[0].parameters()]]
            parts += [list(block.parameters()) for block in model.blocks[1:]]
            assert all(len({p.grad is None for p in part}) == 1 for part in parts)
            seen.append([part[0].grad is not None for part in parts])

    loop = begun(bench, spec)
    loop.hooks = (*loop.hooks, Watch())
    trained(loop, spec.steps())
    assert seen == [[number >= plan_.frozen(step) for number in range(3)] for step in range(spec.steps())]
    assert seen[-1] == [False, False, True]
    gone = [p for p in loop.learner.model.parameters() if not p.requires_grad]
    assert gone
    assert not any(p in loop.learner.optimizer.state for p in gone)


def test_the_backward_of_frozen_blocks_is_not_run_and_their_activations_are_not_kept(bench: Workbench) -> None:
    spec = images(bench, EARLY)
    loop, plan_ = begun(bench, spec), timetable(spec)
    model = loop.learner.model
    assert isinstance(model, Classifier)
    calls: list[int] = []
    for number, block in enumerate(model.blocks):
        block.register_full_backward_hook(lambda *_, number=number: calls.append(number))
    kept, flops = [], []
    for frozen in range(3):
        trained(loop, plan_.step(plan_.freezes[frozen - 1]) if frozen else 0)
        calls.clear()
        spent = loop.flops
        advance(loop)
        flops.append((loop.flops - spent) / spec.batch_size)
        kept.append(saved_bytes(loop))
        assert sorted(calls) == list(range(frozen, 3))
    assert flops == [replace(spec.shape, frozen=frozen).train_flops() for frozen in range(3)]
    assert kept[0] > 1.3 * kept[1] > 1.5 * kept[2]


def test_every_block_runs_through_its_own_schedule(bench: Workbench) -> None:
    spec = images(bench, EARLY, budget={"steps": 160}, optim={**SGD, "warmup": 0.0})
    loop, rates = begun(bench, spec), list[dict[int, float]]()
    plan_, model = timetable(spec), loop.learner.model
    assert isinstance(model, Classifier)
    names = {id(p): number for number, block in enumerate(model.blocks) for p in block.parameters()}

    def watch(loop: Loop) -> None:
        groups = loop.learner.optimizer.param_groups
        rates.append({names[id(p)]: group["lr"] for group in groups for p in group["params"] if id(p) in names})

    trained(loop, 160, watch)
    for number, interval in enumerate(plan_.freezes):
        life = plan_.step(interval)
        assert rates[0][number] == pytest.approx(0.05)
        assert rates[life // 2][number] == pytest.approx(0.025)
        assert 0 < rates[life - 1][number] < 0.05 * 0.01
    assert [rate[2] for rate in rates] == pytest.approx(
        [0.05 * loop.learner.schedule(step / 160) for step in range(160)]
    )


def test_one_rate_for_all_blocks_is_a_knob(bench: Workbench) -> None:
    loop = trained(begun(bench, images(bench, EARLY.model_copy(update={"own_rate": False}))), 12)
    assert len({group["lr"] for group in loop.learner.optimizer.param_groups}) == 1


def test_frozen_norms_follow_the_data_where_the_knob_says_so(bench: Workbench) -> None:
    spec = images(bench, EARLY.model_copy(update={"still_norms": False}))
    loop = trained(begun(bench, spec), timetable(spec).step(timetable(spec).freezes[1]))
    before = front(loop.learner.model, 2)
    after = front(trained(loop, spec.steps()).learner.model, 2)
    moved = {name.rpartition(".")[2] for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved == {"running_mean", "running_var", "num_batches_tracked"}


def test_the_end_of_a_phase_leaves_a_network_that_learns_whole(bench: Workbench) -> None:
    loop = trained(begun(bench, images(bench, EARLY)), 20)
    assert not all(p.requires_grad for p in loop.learner.model.parameters())
    for hook in loop.hooks:
        hook.on_end(loop)
    assert all(p.requires_grad for p in loop.learner.model.parameters())
    assert {group["initial_lr"] for group in loop.learner.optimizer.param_groups} == {0.05}


@pytest.mark.parametrize("preset", ["gpt2-tiny", "llama-tiny"])
def test_a_decoder_freezes_its_embedding_with_the_first_block_and_never_its_head(bench: Workbench, preset: str) -> None:
    spec = bench.spec("spfde", SpfdeKnobs(), model={"preset": preset})
    plan_, loop = timetable(spec), begun(bench, spec)
    model = trained(loop, plan_.step(plan_.freezes[-1]) + 1).learner.model
    assert isinstance(model, Decoder)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    trained(loop, spec.steps())
    blocks = len(plan_.freezes)
    moved = {name for name, p in model.named_parameters() if not torch.equal(before[name], p)}
    fronts = [f"layers.{number}." for number in range(blocks)]
    still = {name for name in before if name.startswith(("positions", *fronts))}
    still |= {"embedding.weight"} if model.head is not None else set()
    assert blocks == 4
    assert moved == set(before) - still


def test_a_tied_head_learns_what_an_untied_one_would(bench: Workbench) -> None:
    spec = bench.spec("spfde", SpfdeKnobs())
    loop = trained(begun(bench, spec), 18)
    model, batch = loop.learner.model, loop.lab.task.batch(torch.arange(4))
    assert isinstance(model, Decoder)
    apart = copy.deepcopy(model)
    apart.head = nn.Linear(64, 512, bias=False)
    apart.head.weight.data.copy_(model.embedding.weight)
    apart.embedding.requires_grad_(False)
    for net in (model, apart):
        loop.backward(loop.loss(batch, net))
    assert model.embedding.weight.grad is not None
    torch.testing.assert_close(model.embedding.weight.grad, apart.head.weight.grad)


@pytest.mark.parametrize("methods", [["est", "spfde"], ["spfde", "est"]])
def test_frozen_blocks_stand_still_under_a_method_that_leaves_layers_out(bench: Workbench, methods: list[str]) -> None:
    both = {"spfde": {"freeze": 0.2, "own_rate": False}, "est": {"stage1": 1, "stage2": 0}}
    body = bench.spec(model={"preset": "gpt2-tiny"}, budget={"steps": 40}).model_dump()
    spec = RunSpec.model_validate(body | {"methods": methods, "knobs": both})
    alone = RunSpec.model_validate(body | {"methods": ["est"], "knobs": {"est": both["est"]}})
    plan_, loop = timetable(spec), begun(bench, spec)
    model = trained(loop, plan_.step(plan_.freezes[-1]) + 1).learner.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    after = trained(loop, 40).learner.model.state_dict()
    still = ("positions", *(f"layers.{number}." for number in range(len(plan_.freezes))))
    assert all(torch.equal(before[name], value) for name, value in after.items() if name.startswith(still))
    smooth, torn = bench.train(spec), bench.train(spec, stop_every=7)
    assert same(smooth.weights(), torn.weights())
    assert smooth.training() == torn.training() < bench.train(alone).training()


@pytest.mark.parametrize("methods", [["fractrain", "spfde"], ["spfde", "fractrain"]])
def test_a_method_that_gives_the_optimiser_weights_of_its_own_shares_the_run(
    bench: Workbench, methods: list[str]
) -> None:
    knobs = {"fractrain": {"mode": "dfq"}, "spfde": {"freeze": 0.3, "sieve": 0.2, "sparsity": 0.8, "intervals": 8}}
    spec = RunSpec.model_validate(images(bench, EARLY).model_dump() | {"methods": methods, "knobs": knobs})
    smooth, torn = bench.train(spec), bench.train(spec, stop_every=7)
    assert same(smooth.weights(), torn.weights())
    assert smooth.training() == torn.training()
    assert all(parameter.requires_grad for parameter in smooth.outcome.model.parameters())

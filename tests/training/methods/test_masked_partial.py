"""What partially masked training promises: the core's steps touch the core alone, and the core can be cut out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.training.workbench import Workbench
from training import assembly
from training.flops import counted
from training.lab import Lab
from training.loop import Hook, Loop
from training.methods.masked_partial.card import MaskedPartialKnobs, core_density, core_flops
from training.methods.masked_partial.core import merged
from training.methods.masked_partial.factored import Factored
from training.models.images import IMAGE_PRESETS
from training.models.shape import PRESETS
from training.spec import RunSpec

METHOD = "masked_partial"
CORES = [
    ("language_modelling", {"core": "width"}),
    ("language_modelling", {"core": "width", "norm": "shared"}),
    ("language_modelling", {"core": "depth"}),
    ("language_modelling", {"core": "low_rank", "rank": 4}),
    ("language_modelling", {"core": "sparse", "share": 0.3}),
    ("image_classification", {"core": "width"}),
    ("image_classification", {"core": "width", "norm": "shared"}),
    ("image_classification", {"core": "depth", "share": 0.01}),
    ("image_classification", {"core": "sparse", "share": 0.3}),
]
LLAMA = {"model": {"preset": "llama-nano"}}


def made(bench: Workbench, task: str, knobs: dict[str, Any], **changes: Any) -> tuple[Lab, nn.Module]:
    """A lab and the network with its core, as training would build it."""
    lab = bench.lab(bench.spec(METHOD, MaskedPartialKnobs(**knobs), task=task, **changes))
    lab.parts = assembly.parts(lab.spec)
    return lab, lab.build()


def inputs(lab: Lab) -> Tensor:
    batch = lab.task.batch(torch.arange(4))
    return batch["tokens"][:, :-1] if "tokens" in batch else batch["images"]


class Watch(Hook):
    """Tells of each step what moved, by whose turn it was: of each parameter, and of what the optimiser holds of it."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.before, self.moved = model, dict[str, Tensor](), list[tuple[bool, dict[str, Tensor]]]()

    def before_step(self, loop: Loop, batch: Any) -> Any:
        self.before = self._now(loop)
        return batch

    def after_step(self, loop: Loop) -> None:
        now = self._now(loop)
        moved = {name: value != self.before.get(name, torch.zeros_like(value)) for name, value in now.items()}
        self.moved.append((bool(loop.notes["core_step"]), moved))

    def _now(self, loop: Loop) -> dict[str, Tensor]:
        """Values by name; moments as `<parameter> <moment>`, nothing before there are any."""
        found = {}
        for name, value in self.model.named_parameters():
            found[name] = value.detach().clone()
            for moment, state in loop.learner.optimizer.state.get(value, {}).items():
                if isinstance(state, Tensor) and state.shape == value.shape:
                    found[f"{name} {moment}"] = state.clone()
        return found


def watched(bench: Workbench, task: str, knobs: dict[str, Any], **changes: Any) -> tuple[nn.Module, Watch]:
    lab, model = made(bench, task, knobs, budget={"steps": 6}, **changes)
    watch = Watch(model)
    learner = lab.learner(model)
    parts, lab.parts = lab.parts, ()
    hooks = [hook for part in parts for hook in part.attach(lab, "train", learner, lab.budget)]
    lab.fit("train", learner, until=lab.budget, hooks=[*hooks, watch])
    return model, watch


@pytest.mark.parametrize(("task", "knobs"), CORES)
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_core_step_moves_nothing_outside_the_core(
    task: str, knobs: dict[str, Any], optimizer: str, bench: Workbench
) -> None:
    optim = {"name": optimizer, "weight_decay": 0.5, "learning_rate": 0.01, "warmup": 0}
    model, watch = watched(bench, task, knobs, optim=optim)
    inside = model.get_submodule("core").members(model)  # type: ignore[operator]
    turns = [turn for turn, _ in watch.moved]
    assert turns == [True, False] * 3
    outside = 0
    for moved in (moved for turn, moved in watch.moved if turn):
        assert any(of_one.any() for of_one in moved.values())
        for place, of_one in moved.items():
            name = place.split()[0]
            mask = inside[name] if isinstance(inside[name], Tensor) else torch.full_like(of_one, bool(inside[name]))
            outside += int((~mask).sum())
            assert not of_one[~mask].any(), place
    assert outside


@pytest.mark.parametrize(("task", "knobs"), CORES)
def test_a_full_step_moves_what_is_outside_the_core_too(task: str, knobs: dict[str, Any], bench: Workbench) -> None:
    model, watch = watched(bench, task, knobs, optim={"learning_rate": 0.01, "warmup": 0})
    names = {name for name, _ in model.named_parameters() if not name.startswith("core.")}
    ever = {name: torch.stack([moved[name] for turn, moved in watch.moved if not turn]).any(0) for name in names}
    still = {name for name, moved in ever.items() if not moved.any()}
    assert not still
    inside = model.get_submodule("core").members(model)  # type: ignore[operator]
    cut = [name for name in names if isinstance(inside.get(name), Tensor)]
    assert all(ever[name][~inside[name]].any() for name in cut if not inside[name].all())


@pytest.mark.parametrize(("task", "knobs"), [*CORES, ("language_modelling", {"core": "width", "share": 0.25})])
@pytest.mark.parametrize("changes", [{}, LLAMA])
def test_the_core_cut_out_answers_as_it_did_inside(
    task: str, knobs: dict[str, Any], changes: dict[str, Any], bench: Workbench
) -> None:
    if changes and task != "language_modelling":
        changes = {"model": {"preset": "cnn-small" if knobs["core"] == "width" else "resnet14"}}
    lab, model = made(bench, task, knobs, **changes)
    core: Any = model.get_submodule("core")
    x = inputs(lab)
    model.eval()
    with torch.no_grad():
        within = core(x)
        alone = core.standalone()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        assert torch.allclose(alone(x), within, atol=1e-6)
        for value in model.parameters():
            value.zero_()
        assert torch.allclose(alone(x), within, atol=1e-6)
        model.load_state_dict(before)
        assert torch.equal(core(x), within)


def test_the_low_rank_core_is_the_network_without_its_residual(bench: Workbench) -> None:
    lab, model = made(bench, "language_modelling", {"core": "low_rank", "rank": 4, "norm": "shared"})
    x = inputs(lab)
    with torch.no_grad():
        core = model.get_submodule("core")(x)
        assert not torch.allclose(model(x), core, atol=1e-3)
        for name, value in model.named_parameters():
            if name.endswith(".original"):
                value.zero_()
        assert torch.allclose(model(x), core, atol=1e-5)


def test_a_split_residual_starts_as_the_ordinary_network(bench: Workbench) -> None:
    lab, model = made(bench, "language_modelling", {"core": "low_rank", "rank": 4})
    plain = bench.lab(bench.spec("dense")).build()
    x = inputs(lab)
    with torch.no_grad():
        assert torch.allclose(model(x), plain(x), atol=1e-5)
        assert torch.allclose(merged(model)(x), plain(x), atol=1e-5)
    assert model.state_dict().keys() == plain.state_dict().keys()


def test_without_a_residual_core_and_network_begin_alike(bench: Workbench) -> None:
    lab, model = made(bench, "language_modelling", {"core": "low_rank", "rank": 4, "residual": "zero"})
    x = inputs(lab)
    with torch.no_grad():
        assert torch.allclose(model(x), model.get_submodule("core")(x), atol=1e-5)


@pytest.mark.parametrize("task", ["language_modelling", "image_classification"])
def test_a_core_that_is_the_whole_network_trains_plainly_bit_for_bit(task: str, bench: Workbench) -> None:
    whole = MaskedPartialKnobs(share=1.0, norm="shared")
    ours, dense = bench.train(bench.spec(METHOD, whole, task=task)), bench.train(bench.spec("dense", task=task))
    assert ours.series("train/loss") == dense.series("train/loss")
    assert all(torch.equal(value, ours.weights()[name]) for name, value in dense.weights().items())


@pytest.mark.parametrize(("task", "knobs"), CORES)
def test_each_turn_costs_what_its_network_costs(task: str, knobs: dict[str, Any], bench: Workbench) -> None:
    lab, model = made(bench, task, knobs)
    shape, length = lab.spec.shape, lab.spec.length
    with counted() as counter:
        lab.task.loss(model.get_submodule("core"), lab.task.batch(torch.arange(4))).backward()  # type: ignore[no-untyped-call]
    planned = core_flops(MaskedPartialKnobs(**knobs), shape, length)
    assert counter.get_total_flops() == pytest.approx(4 * length * planned, rel=1e-9)


def test_a_sparse_core_saves_effective_flops_only(bench: Workbench) -> None:
    knobs = MaskedPartialKnobs(core="sparse", share=0.2)
    done = bench.train(bench.spec(METHOD, knobs))
    lines = [line for (_, purpose), line in done.lab.ledger.lines.items() if purpose == "train"]
    density = core_density(knobs, done.lab.spec.shape, 32)
    assert sum(line.executed for line in lines) == bench.train(bench.spec("dense")).training()
    assert sum(line.effective for line in lines) == pytest.approx((1 + density) / 2 * done.training())
    assert 0.2 < density < 1


@pytest.mark.parametrize(
    ("shape", "length", "masked"),
    [
        (PRESETS["gpt2-tiny"], 64, lambda s: 6 * s.layers * (s.projection_macs + s.mlp_macs)),
        (IMAGE_PRESETS["resnet14"], 1, lambda s: sum(block.train_flops for block in s.blocks)),
        (
            IMAGE_PRESETS["vit-nano"],
            1,
            lambda s: sum(block.train_flops - 7 * block.attention_macs for block in s.blocks),
        ),
    ],
    ids=["decoder", "resnet", "vit"],
)
def test_masks_discount_the_products_of_masked_matrices_and_no_others(shape: Any, length: int, masked: Any) -> None:
    """Scores of attention, stem and head are dense."""
    whole, inside = shape.train_flops(length), masked(shape)
    found = core_density(MaskedPartialKnobs(core="sparse", share=0.1), shape, length)
    assert found == pytest.approx((whole - 0.9 * inside) / whole)
    assert found > 0.1


@pytest.mark.parametrize(("task", "knobs"), CORES)
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_every_core_survives_interruption(task: str, knobs: dict[str, Any], optimizer: str, bench: Workbench) -> None:
    optim = {"name": optimizer, "learning_rate": 0.01}
    spec = bench.spec(METHOD, MaskedPartialKnobs(**knobs), task=task, budget={"steps": 12}, optim=optim)
    smooth, torn = bench.train(spec), bench.train(spec, stop_every=5)
    assert torn.attempts > 1
    assert all(torch.equal(weight, torn.weights()[name]) for name, weight in smooth.weights().items())


def test_the_core_is_scored_beside_the_network(bench: Workbench) -> None:
    done = bench.train(bench.spec(METHOD))
    scores = {(score.task, score.metric): score.value for score in done.lab.score(done.outcome)}
    assert scores["validation", "loss@core"] != scores["validation", "loss"]
    assert ("language_modelling", "loss@core") in scores
    assert set(done.outcome.model.state_dict()) == set(bench.train(bench.spec("dense")).weights())


@pytest.mark.parametrize(("core", "full", "turns"), [(1, 1, "CFCF"), (1, 3, "CFFF"), (3, 1, "CCCF"), (0, 1, "FFFF")])
def test_turns_follow_the_cycle(core: int, full: int, turns: str) -> None:
    knobs = MaskedPartialKnobs(core_steps=core, full_steps=full)
    assert "".join("FC"[knobs.cores_turn(step)] for step in range(4)) == turns


def test_a_factored_matrix_is_never_made_whole() -> None:
    left, right, x = torch.randn(6, 2), torch.randn(2, 5), torch.randn(3, 5)
    weight = Factored.of(left, right)
    assert torch.allclose(torch.nn.functional.linear(x, weight), x @ (left @ right).T, atol=1e-6)
    assert torch.allclose(x[:, :6] @ Factored.of(right.T, left.T), x @ (left @ right).T, atol=1e-5)
    with pytest.raises(TypeError, match="factored"):
        torch.relu(weight)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"compile": True}, "torch.compile"),
        ({"task": "image_classification", "knobs": {METHOD: {"core": "low_rank"}}}, "for decoders"),
        ({"task": "image_classification", "model": {"preset": "vit-nano"}}, "depth or sparse"),
        ({"knobs": {METHOD: {"core_steps": 0, "full_steps": 0}}}, "nothing would train"),
        ({"methods": [METHOD, "fractrain"], "knobs": {METHOD: {"core": "low_rank"}}}, "low precision does not round"),
    ],
)
def test_what_does_not_suit_is_refused(body: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RunSpec.model_validate({"methods": [METHOD]} | body)

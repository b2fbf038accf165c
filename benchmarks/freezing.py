"""What freezing really saves: time of a step with blocks frozen against one with none, beside the FLOPs.

Every number of frozen blocks that the plan passes through trains in one process and in turn, so that whatever else the
machine does hits all of them. The median over rounds of each one's time to the dense one's, weighted by the plan, is
the run.

    python -m benchmarks.freezing                        # resnet14 on Fashion-MNIST, a fifth of the FLOPs, 1 thread
    python -m benchmarks.freezing --preset vit-nano --target 0.25
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.train_speed import Nowhere, race
from training import assembly
from training.lab import Lab, Task
from training.loop import Hook, Loop, Until, advance
from training.methods.spfde.freezing import Freeze
from training.methods.spfde.knobs import SpfdeKnobs
from training.methods.spfde.plan import Timetable, stages
from training.seeds import make_deterministic
from training.spec import RunSpec


class Standing:
    """Steps of a run with so many blocks frozen from its first step on; with none it is dense training."""

    def __init__(self, spec: RunSpec, task: Task, device: torch.device, frozen: int) -> None:
        out = Nowhere()
        lab = Lab(spec, task, seed=0, device=device, store=out, sink=out, control=out)
        learner, hooks = lab.learner(lab.build()), list[Hook]()
        if frozen:
            table = Timetable(steps=10**9, intervals=1, freezes=(0,) * frozen)
            hooks = [Freeze(learner, table, own_rate=True, still_norms=True)]
        self.loop = Loop(lab, "train", learner, Until(steps=10**9), hooks)
        learner.model.train()

    def __call__(self, index: Tensor) -> None:
        advance(self.loop)

    @property
    def flops_per_step(self) -> float:
        return self.loop.flops / self.loop.step


def measure(options: argparse.Namespace) -> dict[str, Any]:
    device = torch.device(options.device)
    make_deterministic(device)
    torch.set_num_threads(options.threads)
    knobs = SpfdeKnobs(freeze=options.target)
    spec = RunSpec.model_validate({
        "task": "image_classification",
        "data": {"source": options.data},
        "model": {"preset": options.preset},
        "batch_size": options.batch,
        "methods": ["spfde"],
        "knobs": {"spfde": knobs},
    })  # fmt: skip
    task = assembly.task(spec, device, cache_root=options.cache, data_root=options.cache)
    shares = [stage.share for stage in stages(knobs, spec.shape, spec.length)]
    standing = {str(frozen): Standing(spec, task, device, frozen) for frozen in range(len(shares))}
    seconds = race(dict(standing), spec, options.rounds, options.length)
    flops = [one.flops_per_step / standing["0"].flops_per_step for one in standing.values()]
    time = [
        statistics.median(one / dense for one, dense in zip(values, seconds["0"], strict=True))
        for values in seconds.values()
    ]
    saved = {name: 1 - _mean(ratios, shares) for name, ratios in (("flops", flops), ("time", time))}
    return {
        "preset": options.preset,
        "data": options.data,
        "batch": options.batch,
        "threads": options.threads,
        "device": options.device,
        "share_of_run_by_frozen_blocks": shares,
        "flops_of_a_step_to_dense": flops,
        "time_of_a_step_to_dense": time,
        "saved_of_the_run": saved,
        "realised": saved["time"] / saved["flops"],
    }


def _mean(values: list[float], shares: list[float]) -> float:
    return sum(value * share for value, share in zip(values, shares, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="resnet14")
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--target", type=float, default=0.2, help="share of the training FLOPs that freezing saves")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--length", type=int, default=4, help="steps per round")
    parser.add_argument("--cache", type=Path, default=Path("var/cache"))
    print(json.dumps(measure(parser.parse_args()), indent=1))


if __name__ == "__main__":
    main()

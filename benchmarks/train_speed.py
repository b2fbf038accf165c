"""Training speed: our loop against a plain PyTorch loop around transformers' GPT2LMHeadModel; EST against dense.

Both train the same shape on the same batches with the same optimiser, clipping and thread count, in one process and in
turn, so that whatever else the machine does hits both. Only ratios are claimed.

    python -m benchmarks.train_speed                        # gpt2-tiny, 1 thread
    python -m benchmarks.train_speed --preset gpt2-mini --threads 2
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.data.prepare import prepare
from training.lab import Lab
from training.loop import Hook, Loop, Until, advance
from training.methods.est.card import EstKnobs
from training.methods.est.method import Evolve
from training.optim import optimizer as optimizer_of
from training.seeds import make_deterministic
from training.spec import RunSpec
from training.tasks.language_modelling.task import LanguageModelling


class Nowhere:
    """A lab's outside that keeps nothing."""

    def put(self, *_: Any, **__: Any) -> None: ...
    def load(self, name: str) -> None: ...
    def save(self, name: str, state: Any, *, step: int) -> None: ...
    def should_stop(self) -> bool:
        return False


def plain(spec: RunSpec, task: LanguageModelling, device: torch.device) -> Callable[[Tensor], None]:
    """One step of the loop that anyone would write around transformers."""
    from transformers import GPT2Config, GPT2LMHeadModel

    shape = spec.shape
    config = GPT2Config(
        vocab_size=shape.vocab, n_positions=shape.context, n_embd=shape.width, n_layer=shape.layers,
        n_head=shape.heads, n_inner=shape.mlp, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
    )  # fmt: skip
    model: nn.Module = GPT2LMHeadModel._from_config(config, attn_implementation="sdpa").to(device)  # type: ignore[no-untyped-call]
    model.train()
    optimizer = optimizer_of(model, spec.optim)

    def step(index: Tensor) -> None:
        tokens = task.batch(index)["tokens"][:, :-1]
        model(input_ids=tokens, labels=tokens).loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), spec.optim.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


class Ours:
    """One step of a method as a run takes it: the lab's loop, its bill, its hooks."""

    def __init__(self, spec: RunSpec, task: LanguageModelling, device: torch.device) -> None:
        out = Nowhere()
        self.lab = Lab(spec, task, seed=0, device=device, store=out, sink=out, control=out)
        model, hooks, signature = self.lab.build(), list[Hook](), {}
        if isinstance(knobs := spec.knobs[spec.methods[0]], EstKnobs):
            evolve = Evolve(model, knobs, spec, seed=0)
            hooks, signature = [evolve], {"signature": lambda: evolve.counts}
        self.loop = Loop(self.lab, "train", self.lab.learner(model, **signature), Until(steps=10**9), hooks)
        model.train()

    def __call__(self, index: Tensor) -> None:
        advance(self.loop)

    @property
    def flops_per_step(self) -> float:
        return self.loop.flops / self.loop.step


def race(steps: dict[str, Callable[[Tensor], None]], spec: RunSpec, rounds: int, length: int) -> dict[str, list[float]]:
    """Seconds per step of each contestant, round by round, in turn."""
    order = torch.Generator().manual_seed(0)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            for _ in range(length):
                step(torch.randint(1000, (spec.batch_size,), generator=order))
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:  # the first round warms up and is not counted
                seconds[name].append((time.perf_counter() - start) / length)
    return seconds


def ledger_share(ours: Ours, seconds: float) -> float:
    """The ledger's own time per step, as a share of the step."""
    ledger, learner, repeats = ours.lab.ledger, ours.loop.learner, 2000
    batch = ours.lab.task.batch(torch.arange(ours.lab.batch_size))
    start = time.perf_counter()
    for _ in range(repeats):
        shapes = [tuple(tensor.shape) for tensor in batch.values()]
        with ledger.step("train", f"{learner.signature()}|{shapes}"):
            pass
    return (time.perf_counter() - start) / repeats / seconds


def measure(options: argparse.Namespace) -> dict[str, Any]:
    device = torch.device(options.device)
    make_deterministic(device)
    torch.set_num_threads(options.threads)
    body = {
        "model": {"preset": options.preset},
        "data": {"vocab_size": options.vocab, "context": options.context},
        "batch_size": options.batch,
        "precision": options.precision,
    }
    spec = RunSpec.model_validate(body)
    corpus = prepare(spec.data, cache_root=options.cache, data_root=options.cache)
    task = LanguageModelling(spec, corpus, device)
    dense = Ours(spec, task, device)
    stage1 = Ours(
        RunSpec.model_validate(body | {"methods": ["est"], "knobs": {"est": {"stage1": 1, "stage2": 0}}}), task, device
    )
    seconds = race(
        {"plain": plain(spec, task, device), "dense": dense, "est": stage1}, spec, options.rounds, options.length
    )
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    share = stage1.flops_per_step / dense.flops_per_step
    return {
        "preset": options.preset,
        "batch": options.batch,
        "context": options.context,
        "precision": options.precision,
        "threads": options.threads,
        "device": options.device,
        "tokens_per_second": {name: spec.tokens_per_step / value for name, value in middle.items()},
        "dense_over_plain": statistics.median(p / d for p, d in zip(seconds["plain"], seconds["dense"], strict=True)),
        "ledger_share_of_step": ledger_share(dense, middle["dense"]),
        "est_stage1_flop_share": share,
        "est_stage1_time_share": middle["est"] / middle["dense"],
        "est_time_over_flop_share": middle["est"] / middle["dense"] / share,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="gpt2-tiny")
    parser.add_argument("--vocab", type=int, default=2048)
    parser.add_argument("--context", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--length", type=int, default=20, help="steps per round")
    parser.add_argument("--cache", type=Path, default=Path("var/cache"))
    print(json.dumps(measure(parser.parse_args()), indent=1))


if __name__ == "__main__":
    main()

"""Measures what training costs on this device: real steps of small networks, fitted as a price list, as JSON on stdout.

The steps are the product's own: its networks, loop, bill and optimiser, on random tokens. On CPU the thread's own
time is taken, so that what else the machine does while a worker starts does not count.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from scipy.optimize import nnls

from training import assembly, pace
from training.data.corpus import Corpus
from training.data.tokens import TOKEN
from training.lab import Lab
from training.loop import Loop, Until, advance
from training.seeds import make_deterministic
from training.spec import DataSpec, ModelSpec, RunSpec
from training.tasks.language_modelling.task import LanguageModelling

SHAPES = (
    ("gpt2-nano", 4, 64, 512),
    ("gpt2-nano", 8, 128, 2048),
    ("gpt2-nano", 4, 256, 4096),
    ("gpt2-tiny", 4, 64, 512),
    ("gpt2-tiny", 8, 128, 2048),
    ("llama-tiny", 8, 64, 1024),
    ("gpt2-mini", 2, 64, 512),
    ("gpt2-mini", 4, 128, 4096),
)
"""Preset, batch, context and vocabulary, so chosen that no two of the five terms grow together."""
LARGE = (("gpt2-mini", 64, 512, 4096), ("gpt2", 4, 512, 50257), ("gpt2", 16, 1024, 8192))
"""Added on a GPU, which the small ones leave idle."""
WARM, FEWEST, SECONDS = 2, 3, 0.5
"""Steps before the clock runs, and how many or how long are measured of each shape."""


class Nowhere:
    """A lab's outside that keeps nothing."""

    def put(self, *_: Any, **__: Any) -> None: ...
    def load(self, name: str) -> None: ...
    def save(self, name: str, state: Any, *, step: int) -> None: ...
    def should_stop(self) -> bool:
        return False


def main() -> None:
    startup = time.time() - psutil.Process().create_time()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    make_deterministic(device)
    shapes = SHAPES + LARGE if device.type == "cuda" else SHAPES
    specs = [
        RunSpec(model=ModelSpec(preset=preset), batch_size=batch, data=DataSpec(context=context, vocab_size=vocabulary))
        for preset, batch, context, vocabulary in shapes
    ]
    with tempfile.TemporaryDirectory() as folder:
        corpus = random_text(Path(folder))
        seconds = [step_seconds(spec, corpus, device) for spec in specs]
    rates = [spec.flops_per_step() / spent for spec, spent in zip(specs, seconds, strict=True)]
    measured: dict[str, Any] = {
        "device": assembly.environment(specs[0], 0, device)["device"],
        "memory_bytes": torch.cuda.get_device_properties(device).total_memory
        if device.type == "cuda"
        else psutil.virtual_memory().total,
        "flops_per_second": max(rates),
        "pace": fitted(specs, seconds),
        "startup_seconds": startup,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
    json.dump(measured, sys.stdout)


def random_text(folder: Path) -> Corpus:
    """A training part of random tokens that every probed vocabulary has."""
    ids = np.random.default_rng(0).integers(0, min(shape[3] for shape in SHAPES), 1 << 16)
    (folder / "train.bin").write_bytes(ids.astype(TOKEN).tobytes())
    return Corpus(folder)


def step_seconds(spec: RunSpec, corpus: Corpus, device: torch.device) -> float:
    """The median step of dense training, on an idle device."""
    out = Nowhere()
    task = LanguageModelling(spec, corpus, device)
    lab = Lab(spec, task, seed=0, device=device, store=out, sink=out, control=out)
    loop = Loop(lab, "probe", lab.learner(lab.build()), Until(steps=10**9), [])
    for _ in range(WARM):
        advance(loop)
    spent: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(spent) < FEWEST or time.perf_counter() < end:
        start = clock(device)
        advance(loop)
        spent.append(clock(device) - start)
    return statistics.median(spent)


def clock(device: torch.device) -> float:
    """Seconds: on CPU of this process alone, on a GPU of the wall once it has caught up."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def fitted(specs: list[RunSpec], seconds: list[float]) -> list[float]:
    """The price of each term of `pace.Demand`: none negative, least squares of the relative errors."""
    demands = np.array([
        pace.step(spec.shape, tokens=spec.tokens_per_step, context=spec.data.context) for spec in specs
    ])  # fmt: skip
    shares = demands / np.array(seconds)[:, None]
    scale = shares.max(axis=0)
    prices, _ = nnls(shares / scale, np.ones(len(specs)))
    return [float(price) for price in prices / scale]


if __name__ == "__main__":
    main()

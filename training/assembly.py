"""From a spec to a running lab: the one place that knows how tasks and methods are found."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from training import catalog
from training.data.progress import Progress, silent
from training.knobs import Knobs
from training.lab import Lab, Task
from training.loop import Hook, Learner, Until
from training.outcome import Outcome
from training.spec import RunSpec

BASELINE = "dense"
"""Owns the phases of an arm whose methods do not."""


def task(
    spec: RunSpec,
    device: torch.device,
    *,
    cache_root: Path,
    data_root: Path,
    blob: Path | None = None,
    progress: Progress = silent,
) -> Task:
    """The spec's task on its data, prepared if nobody did before; DataError for data that cannot be trained on.

    `blob` is the uploaded file behind `dataset:<code>`.
    """
    load = catalog.load_task(spec.task).load
    found: Task = load(spec, device, cache_root=cache_root, data_root=data_root, blob=blob, progress=progress)
    return found


@dataclass(frozen=True)
class Attached:
    """A method that does not own the phases: what its module offers of `lab.Part`."""

    module: ModuleType
    knobs: Knobs

    def transform(self, lab: Lab, model: nn.Module) -> nn.Module:
        changed: nn.Module = self._offered("transform", model, lab, model)
        return changed

    def until(self, until: Until) -> Until:
        shortened: Until = self._offered("until", until, until)
        return shortened

    def attach(self, lab: Lab, phase: str, learner: Learner, until: Until) -> Sequence[Hook]:
        hooks: Sequence[Hook] = self._offered("attach", (), lab, phase, learner, until)
        return hooks

    def finish(self, lab: Lab, outcome: Outcome) -> Outcome:
        finished: Outcome = self._offered("finish", outcome, lab, outcome)
        return finished

    def _offered(self, name: str, otherwise: Any, *given: Any) -> Any:
        function = getattr(self.module, name, None)
        return otherwise if function is None else function(*given, self.knobs)


def parts(spec: RunSpec) -> list[Attached]:
    """The arm's methods that do not own the phases, in their order."""
    attached = [name for name in spec.methods if not catalog.card(name).program]
    return [Attached(catalog.load(name), spec.knobs[name]) for name in attached]


def run(lab: Lab) -> Outcome:
    """Run the arm's methods: the one that owns the phases, else dense training, with all others attached to it."""
    spec = lab.spec
    owner = next((name for name in spec.methods if catalog.card(name).program), BASELINE)
    lab.parts = parts(spec)
    knobs = spec.knobs.get(owner) or catalog.card(owner).knobs()
    outcome: Outcome = catalog.load(owner).run(lab, knobs)
    for part in lab.parts:
        outcome = part.finish(lab, outcome)
    return outcome


def environment(spec: RunSpec, seed: int, device: torch.device) -> dict[str, Any]:
    """What a reader needs to repeat the run."""
    return {
        "revision": _revision(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "seed": seed,
        "spec": spec.model_dump(mode="json"),
    }


RESULTS = (":(exclude,top,glob)**/evidence.json", ":(exclude,top)docs/measured.md")
"""What measurements write: it changes no run."""


def _revision() -> str:
    """The commit of the code that runs, with a plus when files differ from it; from the environment in an image."""
    try:
        changed = _git("status", "--porcelain", "--", ":/", *RESULTS)
        return _git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return os.environ.get("FLOPWISE_REVISION", "unknown")


def _git(*command: str) -> str:
    here = ["git", "-C", str(Path(__file__).parent)]
    return subprocess.run([*here, *command], capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def _processor() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.processor()

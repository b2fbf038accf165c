"""From a spec to a running lab: the one place that knows how tasks and methods are found."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from training import catalog
from training.lab import Lab
from training.outcome import Outcome
from training.spec import RunSpec


def run(lab: Lab) -> Outcome:
    """Run the arm's methods: the one that owns the phases."""
    spec = lab.spec
    name = next(name for name in spec.methods if catalog.card(name).program)
    return catalog.load(name)(lab, spec.knobs[name])


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


def _revision() -> str:
    """The commit of the code that runs, with a plus when files differ from it; from the environment in an image."""
    here = Path(__file__).parent
    try:
        command = ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return os.environ.get("FLOPWISE_REVISION", "unknown")


def _processor() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.processor()

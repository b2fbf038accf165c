"""Train one spec without a server: `python -m training spec.json --seed 0 --out runs/first`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType

import torch
from pydantic import ValidationError

from training import assembly
from training.checkpoint import FolderStore
from training.data.check import DataError
from training.lab import Cancelled, Diverged, Lab
from training.models import hub
from training.records import CostLine, Point
from training.seeds import make_deterministic
from training.spec import RunSpec, problems


class Journal:
    """Appends points to `points.jsonl`, keeps `costs.json` current and shows where the run is."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def put(self, points: Sequence[Point], costs: Sequence[CostLine], *, progress: float) -> None:
        with (self.home / "points.jsonl").open("a") as file:
            file.writelines(json.dumps(asdict(point)) + "\n" for point in points)
        (self.home / "costs.json").write_text(json.dumps([line.as_dict() for line in costs], indent=1))
        for point in points:
            if point.name == "val/loss":
                spent = f"{point.step:,} steps, {point.flops:.3g} FLOPs"
                print(f"{progress:4.0%}  validation loss {point.value:.4f} after {spent}")


class Interrupt:
    """Ctrl-C asks the run to stop at the next step, after a checkpoint."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGINT, self._ask)

    def _ask(self, _signal: int, _frame: FrameType | None) -> None:
        self.asked = True

    def should_stop(self) -> bool:
        return self.asked


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("spec", type=Path, help="a run spec as JSON; {} is the default one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, help="points, costs, scores, weights, checkpoints; default: var/runs, by spec and seed"
    )
    parser.add_argument("--cache", type=Path, default=Path("var/cache"), help="tokenised data")
    parser.add_argument("--data", type=Path, default=Path("var/data"), help="where text:<name> is looked up")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


class Taken(ValueError):
    """The folder holds another run; the message says which."""


def own(home: Path, spec: RunSpec, seed: int) -> None:
    """Make the run's folder, or go on in it; refuses one whose checkpoints are of another spec or seed."""
    home.mkdir(parents=True, exist_ok=True)
    stamp, ours = home / "run.json", {"digest": spec.digest(), "seed": seed}
    if stamp.exists() and json.loads(stamp.read_text()) != ours:
        raise Taken(f"{home} holds a run of another spec or seed: name another folder with --out, or remove it")
    stamp.write_text(json.dumps(ours))


def train(spec: RunSpec, options: argparse.Namespace) -> None:
    device = torch.device(options.device)
    if spec.deterministic:
        make_deterministic(device)
    own(options.out, spec, options.seed)
    lab = Lab(
        spec,
        assembly.task(spec, device, cache_root=options.cache, data_root=options.data),
        seed=options.seed,
        device=device,
        store=FolderStore(options.out / "checkpoints"),
        sink=Journal(options.out),
        control=Interrupt(),
    )
    outcome = assembly.run(lab)
    scores = lab.score(outcome)
    hub.save(outcome.model, options.out / "weights")
    (options.out / "scores.json").write_text(json.dumps([asdict(score) for score in scores], indent=1))
    (options.out / "environment.json").write_text(
        json.dumps(assembly.environment(spec, options.seed, device), indent=1)
    )
    for score in scores:
        spread = f" ± {score.stderr:.4f}" if score.stderr is not None else ""
        print(f"{score.task:>20} {score.metric:<14} {score.value:.4f}{spread}  n = {score.n}")


def main() -> int:
    options = arguments()
    try:
        spec = RunSpec.model_validate_json(options.spec.read_bytes())
        options.out = options.out or Path("var/runs") / f"{spec.digest()[:12]}-seed-{options.seed}"
        train(spec, options)
        print(f"written to {options.out}")
    except ValidationError as failure:
        for path, message in problems(failure).items():
            print(f"{options.spec}: {path or 'the spec'}: {message}", file=sys.stderr)
        return 2
    except (OSError, DataError, Taken) as failure:
        print(failure, file=sys.stderr)
        return 2
    except Cancelled as stop:
        print(f"{stop}; the same command goes on from there", file=sys.stderr)
        return 130
    except Diverged as failure:
        print(f"diverged: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The D-CPT study in small without a server:

    python -m benchmarks.dcpt folder [--steps N] [--sizes a,b] [--ratios a,b] [--domains text:a,...] [--probed text:c]

Trains the grid of the study's card one run after the other (15 runs and a check; 27 with the nine shares of the paper,
`--ratios 0,0.1,0.2,0.33,0.5,0.67,0.8,0.9,1`), keeps each run's record in the folder so that a second call goes on, and
prints the finding. About 20 minutes on a core with the defaults. Further domains, `text:<name>` being a file of the
folder, are cut into bytes, and the law across domains is fitted.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from tests.training.workbench import Memory
from training import assembly, catalog
from training.lab import Lab
from training.seeds import make_deterministic
from training.spec import RunSpec
from training.studies.dcpt import study
from training.studies.dcpt.card import BYTES, DcptKnobs
from training.study import Trace

CPU = torch.device("cpu")


def trained(spec: RunSpec, folder: Path) -> Trace:
    """The run's record: read where it was made before."""
    file = folder / f"{spec.digest()[:16]}.json"
    if file.exists():
        return Trace.model_validate_json(file.read_bytes())
    memory = Memory()
    task = assembly.task(spec, CPU, cache_root=folder / "cache", data_root=folder)
    lab = Lab(spec, task, seed=0, device=CPU, store=memory, sink=memory, control=memory)
    assembly.run(lab)
    curves: dict[str, list[tuple[int, float]]] = {}
    for point in memory.points:
        if point.name.startswith("val/"):
            curves.setdefault(f"{point.phase}/{point.name}", []).append((point.step, point.value))
    costs = {f"{phase}/{purpose}": line.executed for (phase, purpose), line in lab.ledger.lines.items()}
    made = {"code": spec.digest()[:12], "spec": spec, "seed": 0, "curves": curves, "costs": costs}
    found = Trace.model_validate(made | {"seconds": lab.ledger.training[2]})
    file.write_text(found.model_dump_json())
    return found


def told(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("folder", type=Path)
    asked.add_argument("--steps", type=int, default=600)
    asked.add_argument("--sizes", default="gpt2-nano,gpt2-micro,gpt2-tiny")
    asked.add_argument("--ratios", default="0,0.25,0.5,0.75,1")
    asked.add_argument("--domains", default="")
    asked.add_argument("--probed", default="")
    given = asked.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    make_deterministic(CPU)
    knobs = DcptKnobs(
        sizes=tuple(given.sizes.split(",")),
        ratios=tuple(float(ratio) for ratio in given.ratios.split(",")),
        steps=given.steps,
        base_steps=given.steps,
        domains=tuple(filter(None, given.domains.split(","))),
        probed=tuple(filter(None, given.probed.split(","))),
    )
    base = RunSpec.model_validate(dict(catalog.study("dcpt").base))
    if knobs.domains:
        base = base.model_copy(update={"data": base.data.model_copy(update={"vocab_size": BYTES})})
    past: tuple[Trace, ...] = ()
    while wanted := study.ask(knobs, base, past):
        for spec in wanted:
            past = (*past, trained(spec, given.folder))
            print(f"{len(past)}: {study.label(spec)}, {past[-1].seconds:.0f} s", flush=True)
    found = study.conclude(knobs, past)
    (given.folder / "finding.json").write_text(found.model_dump_json(indent=1))
    for name, fit in (("general", found.general), ("domain", found.domain)):
        if fit:
            print(f"{name}: R2 {told(fit.r2)}, AIC {fit.aic:.1f} against {fit.aic_chinchilla:.1f} without the share")
            for fold in fit.held_out:
                print(f"  without {fold.by} {fold.left_out}: R2 {told(fold.r2)}, rank {told(fold.rank)}")
    for domain in found.across.domains if found.across else ():
        print(f"{domain.text}: {domain.model_dump_json(exclude={'text', 'observations', 'predicted'})}")
    for line in (*found.warnings, *([found.missing] if found.missing else []), *map(str, found.checks)):
        print(line)


if __name__ == "__main__":
    main()

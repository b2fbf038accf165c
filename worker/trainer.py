"""`python -m worker.trainer`: one attempt of one run, in a process of its own. Here torch and the web side meet.

RUN, FENCE and LIFELINE come from the supervisor. An orderly end, whichever it is, is written by this process, which
then exits with 0; any other exit is the supervisor's to judge.
"""

from __future__ import annotations

import errno
import faulthandler
import hashlib
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import django

from worker.lifeline import LifeLine

if TYPE_CHECKING:
    from training.clock import Clock
    from training.lab import Lab
    from training.outcome import Outcome
    from webapp.runs.port import Checkpoint, Job, Lease
    from worker.sink import Outbox

Answer = TypeVar("Answer")
log = logging.getLogger("worker.trainer")
FULL = (
    "No space is left on the disk that holds checkpoints and weights. Free some; a run that was put back goes on from "
    "its last checkpoint by itself, a quarantined one when you retry it."
)


def main() -> int:
    """Set up what must come first: stack dumps, the life-line, Django."""
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stdout)
    logging.Formatter.converter = time.gmtime
    lifeline = LifeLine(int(os.environ["LIFELINE"]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    django.setup()
    from training.account import Account
    from training.clock import Clock
    from webapp.runs import port
    from worker.sink import FENCED, Outbox

    clock = Clock(already=age())
    try:
        lease = insist(lambda: port.held(int(os.environ["RUN"]), int(os.environ["FENCE"])))
        with Outbox(lease) as outbox:
            outbox.account = lambda: Account(clock=clock.seconds)
            end(lease, outbox, lambda: attempt(lease, outbox, lifeline, clock))
    except port.Fenced:
        log.error("another attempt holds the run")
        return FENCED
    return 0


def age() -> float:
    """Seconds since this process began, by the clock that the kernel stamped it with: the wall clock may jump."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def insist(ask: Callable[[], Answer]) -> Answer:
    """Ask the database until it answers; a trainer outlives its restart."""
    from webapp.runs import port
    from worker.sink import AWAY

    while True:
        try:
            return ask()
        except AWAY as failure:
            log.warning("the database is away: %s", failure)
            port.reconnect()
            time.sleep(0.5)


def end(lease: Lease, outbox: Outbox, train: Callable[[], None]) -> None:
    """Train, and write how it ended if it did not end well."""
    import torch

    from training.data.check import DataError
    from training.lab import Cancelled, Diverged
    from webapp.runs import port

    def failed(kind: str, text: str) -> None:
        log.error("%s: %s", kind, text)
        outbox.flush()
        insist(lambda: port.finish(lease, port.Ending(port.State.FAILED, kind, text)))

    try:
        train()
    except port.Fenced:
        raise
    except Cancelled as stop:
        log.info("%s", stop)
        outbox.flush()
        insist(lambda: port.release(lease))
    except Diverged as failure:
        failed("diverged", str(failure))
    except DataError as failure:
        failed("data", str(failure))
    except torch.OutOfMemoryError as failure:
        failed("gpu_oom", f"{failure}\nA smaller batch, or more micro-batches, needs less memory.")
    except (OSError, MemoryError, torch.AcceleratorError) as failure:
        kind, text = type(failure).__name__, traceback.format_exc()
        if isinstance(failure, OSError) and failure.errno in (errno.ENOSPC, errno.EDQUOT):
            kind, text = "disk_full", f"{FULL}\n\n{text}"
        log.error("%s", text)
        outbox.flush()
        insist(lambda: port.crashed(lease, kind, text))
    except Exception:
        failed("error", traceback.format_exc())


def attempt(lease: Lease, outbox: Outbox, lifeline: LifeLine, clock: Clock) -> None:
    """Resume or start, train, score, store the weights, finish."""
    from training import assembly
    from training.clock import Segment
    from webapp.runs import port

    job = insist(lambda: port.job(lease))
    lab = build(lease, outbox, lifeline, job, clock)
    outbox.account = lab.account
    clock.turn(Segment.TRAINING)
    outcome = assembly.run(lab)
    clock.turn(Segment.FINISHING)
    lifeline.quiet()
    outbox.flush()
    if not insist(lambda: port.finalize(lease)):
        insist(lambda: port.release(lease))
        return
    settle(lease, outbox, lab, outcome)


def build(lease: Lease, outbox: Outbox, lifeline: LifeLine, job: Job, clock: Clock) -> Lab:
    """The lab of this run: its data, its device, and the state that an earlier attempt left."""
    import torch
    from django.conf import settings

    from training import assembly
    from training.clock import Segment
    from training.lab import Lab
    from training.seeds import make_deterministic
    from webapp.runs import port
    from worker.store import Checkpoints

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if job.spec.deterministic:
        make_deterministic(device)
    insist(lambda: port.start(lease, assembly.environment(job.spec, job.seed, device)))
    store = insist(lambda: Checkpoints(lease, outbox))
    resumed = insist(store.resume)
    log.info("attempt %s, resumes from %s", lease.attempt, resumed or "the start")
    blob = insist(lambda: port.blob(job.spec.data.source))
    clock.turn(Segment.PREPARING)
    task = assembly.task(
        job.spec, device, cache_root=settings.CACHE_ROOT, data_root=settings.DATA_ROOT, blob=blob, progress=tenths()
    )
    return Lab(
        job.spec, task, seed=job.seed, device=device,
        store=store, sink=outbox, control=lifeline, checkpoint_seconds=settings.CHECKPOINT_SECONDS, clock=clock,
    )  # fmt: skip


def tenths() -> Callable[[str, float], None]:
    """A log line at every tenth of each part of the data's preparation, which may take longer than the training."""
    told = ("", -1)

    def tell(doing: str, share: float) -> None:
        nonlocal told
        if (now := (doing, int(10 * share))) != told:
            told = now
            log.info("%s: %.0f %%", doing, 100 * share)

    return tell


def settle(lease: Lease, outbox: Outbox, lab: Lab, outcome: Outcome) -> None:
    """Score the finished model, keep its weights, and reach the terminal state."""
    from webapp.runs import port

    scores = lab.score(outcome)
    weights = keep(lease, outcome)
    outbox.flush()
    held_out = next((score.value for score in scores if score.task == "validation"), None)
    notes = [f"{name}: {text}" for name, text in outcome.notes.items()]
    ending = port.Ending(port.State.SUCCEEDED, "", "", scores, weights, held_out, lab.peak_bytes, notes)
    log.info("%s", insist(lambda: port.finish(lease, ending)))


def keep(lease: Lease, outcome: Outcome) -> Checkpoint:
    """Save the weights under their public names, and those of networks cut out of the model beside them."""
    from django.conf import settings
    from safetensors.torch import save_file

    from training.models import hub
    from webapp.runs import port
    from worker.store import size

    folder = port.folder(lease) / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    hub.save(outcome.model, folder)
    for name, cut in outcome.cuts.items():
        tensors = {key: tensor.contiguous() for key, tensor in cut.state_dict().items()}
        save_file(tensors, folder / f"{name}.safetensors", metadata={"format": "pt"})
    with (folder / "model.safetensors").open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return port.Checkpoint("weights", str(folder.relative_to(settings.ARTIFACT_ROOT)), 0, 0, size(folder), sha256)


if __name__ == "__main__":
    sys.exit(main())

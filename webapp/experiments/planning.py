"""What a launch would cost, before it is launched: closed forms and what the workers measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import Max, QuerySet, Sum
from django.db.models.functions import Now
from django.template.defaultfilters import filesizeformat

from training.spec import RunSpec
from webapp.runs.models import Worker


@dataclass(frozen=True)
class ArmPlan:
    """The forecast of one run of an arm."""

    label: str
    is_baseline: bool
    steps: int
    flops: float
    memory_bytes: int
    seconds: float | None
    """On the mean worker of the queue; None when no worker has measured its speed."""
    against_baseline: float | None
    """Executed FLOPs over the baseline's."""


@dataclass(frozen=True)
class Plan:
    """The forecast of a launch: arms x seeds."""

    arms: tuple[ArmPlan, ...]
    seeds: tuple[int, ...]
    workers: int
    seconds: float | None
    """Until the last run ends, all workers of the queue free."""
    memory_bytes: int
    memory_available: int | None

    @property
    def runs(self) -> int:
        return len(self.arms) * len(self.seeds)

    @property
    def flops(self) -> float:
        return len(self.seeds) * sum(arm.flops for arm in self.arms)

    @property
    def fits(self) -> bool | None:
        """Whether some worker has the memory; None when none has reported any."""
        return None if self.memory_available is None else self.memory_bytes <= self.memory_available


def alive(queue: str = "") -> QuerySet[Worker]:
    """Workers heard within a lease, of one queue or of all."""
    workers = Worker.objects.filter(heartbeat_at__gt=Now() - timedelta(seconds=settings.LEASE_SECONDS))
    return workers.filter(queue=queue) if queue else workers


def memory_bytes(spec: RunSpec) -> int:
    """The estimate for one micro-batch of the whole network."""
    return spec.shape.memory_bytes(
        sequences=spec.batch_size // spec.micro_batches,
        context=spec.data.context,
        bits=16 if spec.precision == "bf16" else 32,
    )


def largest_memory(queue: str) -> int | None:
    """Memory of the queue's largest worker; None when no worker has reported any."""
    found: int | None = alive(queue).filter(memory_bytes__gt=0).aggregate(most=Max("memory_bytes"))["most"]
    return found


def memory_problem(needed: int, queue: str) -> str:
    """Why no worker of the queue can hold this; empty if one can, or if none has reported yet."""
    available = largest_memory(queue)
    if available is None or needed <= available:
        return ""
    return (
        f"needs about {filesizeformat(needed)} of memory; the largest {queue} worker has {filesizeformat(available)}. "
        "Choose a smaller model, batch or context, or more micro-batches"
    )


def plan(*, arms: Sequence[tuple[str, RunSpec]], seeds: Sequence[int], queue: str) -> Plan:
    """The forecast of launching these labelled specs, the first being the baseline."""
    speed = alive(queue).filter(flops_per_second__gt=0).aggregate(total=Sum("flops_per_second"))["total"]
    workers = alive(queue).count()
    baseline = arms[0][1].train_flops() if arms else 1.0
    planned = tuple(
        ArmPlan(
            label=label,
            is_baseline=place == 0,
            steps=spec.steps(),
            flops=spec.train_flops(),
            memory_bytes=memory_bytes(spec),
            seconds=spec.train_flops() * workers / speed if speed else None,
            against_baseline=spec.train_flops() / baseline if place else None,
        )
        for place, (label, spec) in enumerate(arms)
    )
    total = len(seeds) * sum(arm.flops for arm in planned)
    return Plan(
        arms=planned,
        seeds=tuple(seeds),
        workers=workers,
        seconds=total / speed if speed else None,
        memory_bytes=max((arm.memory_bytes for arm in planned), default=0),
        memory_available=largest_memory(queue),
    )


def queues() -> list[str]:
    """The queues that live workers serve, those with a GPU first; `cpu` when there are none yet."""
    found = sorted(set(alive().values_list("queue", flat=True)), key=lambda name: (name == "cpu", name))
    return found or ["cpu"]

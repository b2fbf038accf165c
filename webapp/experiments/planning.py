"""What a launch would cost, before it is launched: its runs' forecasts, played through the queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Max
from django.template.defaultfilters import filesizeformat

from training.models.shape import Architecture
from training.spec import RunSpec
from webapp.experiments.calibration import median_error
from webapp.experiments.forecast import Bench, Range, RunForecast, alive
from webapp.experiments.line import Line
from webapp.teams.models import Project


@dataclass(frozen=True)
class ArmPlan:
    """The forecast of one run of an arm."""

    label: str
    is_baseline: bool
    steps: int
    flops: float
    memory_bytes: int
    forecast: RunForecast
    against_baseline: float | None
    """Executed FLOPs over the baseline's."""
    saved_blocks: float
    saved_total: float
    """Planned saving of dense training at equal steps: of the blocks alone, and with the head."""

    @property
    def seconds(self) -> float | None:
        """Of training; None when no worker has measured its speed."""
        return self.forecast.training.mid if self.forecast.training else None


@dataclass(frozen=True)
class Plan:
    """The forecast of a launch: arms x seeds."""

    arms: tuple[ArmPlan, ...]
    seeds: tuple[int, ...]
    workers: int
    waits: float | None
    """Seconds until the first run starts."""
    span: Range | None
    """Seconds from now until the last run ends, by the queue as it stands."""
    ahead: int
    """Runs that hold or wait for this queue's workers."""
    memory_bytes: int
    memory_available: int | None
    history: int
    """Finished runs on these devices."""
    median_error: float | None
    """Of their training time against its forecast."""

    @property
    def seconds(self) -> float | None:
        return self.span.mid if self.span else None

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

    def _sum(self, name: str) -> float | None:
        """Of all runs; None where any of it is unknown."""
        parts = [getattr(arm.forecast, name) for arm in self.arms]
        return None if not parts or None in parts else len(self.seeds) * float(sum(parts))

    @property
    def training(self) -> float | None:
        spans = [arm.forecast.training for arm in self.arms]
        return None if None in spans else len(self.seeds) * sum(span.mid for span in spans if span)

    @property
    def evaluation(self) -> float | None:
        return self._sum("evaluation")

    @property
    def startup(self) -> float | None:
        return self._sum("startup")

    @property
    def kwh(self) -> float | None:
        return self._sum("kwh")

    @property
    def money(self) -> float | None:
        return self._sum("money")

    @property
    def currency(self) -> str:
        return str(settings.CURRENCY)


def memory_bytes(spec: RunSpec) -> int:
    """The estimate for one micro-batch of the whole network."""
    shape: Architecture = spec.shape
    return shape.memory_bytes(
        sequences=spec.batch_size // spec.micro_batches,
        context=spec.length,
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


def plan(
    *, arms: Sequence[tuple[str, RunSpec]], seeds: Sequence[int], queue: str, project: Project | None = None
) -> Plan:
    """The forecast of launching these labelled specs, the first being the baseline."""
    bench = Bench.of(queue)
    baseline = arms[0][1].train_flops() if arms else 1.0
    planned = tuple(_arm(label, spec, bench, baseline if place else None) for place, (label, spec) in enumerate(arms))
    line = Line.of(queue)
    ours = [arm.forecast.occupied for _ in seeds for arm in planned]
    known = [span for span in ours if span is not None]
    times = line.times(project.pk if project else None, known) if len(known) == len(ours) else None
    history, error = median_error({worker.device for worker in bench.workers})
    return Plan(
        arms=planned,
        seeds=tuple(seeds),
        workers=len(line.slots),
        waits=times and times[0],
        span=times and times[1],
        ahead=line.ahead,
        memory_bytes=max((arm.memory_bytes for arm in planned), default=0),
        memory_available=largest_memory(queue),
        history=history,
        median_error=error,
    )


def _arm(label: str, spec: RunSpec, bench: Bench, baseline: float | None) -> ArmPlan:
    saved = spec.planned_savings()
    return ArmPlan(
        label=label,
        is_baseline=baseline is None,
        steps=spec.steps(),
        flops=spec.train_flops(),
        memory_bytes=memory_bytes(spec),
        forecast=bench.forecast(spec),
        against_baseline=None if baseline is None else spec.train_flops() / baseline,
        saved_blocks=saved.blocks,
        saved_total=saved.total,
    )


def queues() -> list[str]:
    """The queues that live workers serve, those with a GPU first; `cpu` when there are none yet."""
    found = sorted(set(alive().values_list("queue", flat=True)), key=lambda name: (name == "cpu", name))
    return found or ["cpu"]

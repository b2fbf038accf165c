"""The compare page under weight: server time of its data, and first paint and longest frame in Chromium.

A comparison of 8 arms x 25 seeds, each run with three series of 5,000 points, is stored through the tables; one web
process serves it. Server times are taken by a client on the same machine, part by part as htmx fetches them, with the
rows known (`warm`) and after a write that changes one run (`changed`: nothing but that run is read anew).

The alternative is the same page with every stored evaluation sent to the browser: measured in the same run. Frames are
the least of several looks, for a neighbour on the machine lengthens them at will.

    python -m benchmarks.compare_page
    python -m benchmarks.compare_page --arms 3 --seeds 5 --points 500
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import statistics
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

from benchmarks.live import servers

CHARTS = ("curves", "savings", "frontier", "ledger")
SERIES = ("val/loss", "train/loss", "train/grad_norm")
WATCH = """
window.frames_ = [];
new PerformanceObserver((list) => window.frames_.push(...list.getEntries().map((e) => e.duration)))
  .observe({type: "long-animation-frame", buffered: true});
"""
FILL = """
INSERT INTO runs_point (series_id, step, value, finite, flops, tokens, seconds, fence, event, superseded)
SELECT series.id, at,
    2.5 + 3.5 * power(at / 20.0, -0.4) * (1 + 0.02 * (arm.id %% 7)) + 0.05 * (random() - 0.5), true,
    at * 1e9 * (1 - 0.04 * (arm.id %% 8)), at * 2048, at * 0.1, 1, 1, false
FROM runs_series AS series JOIN runs_run AS run ON run.id = series.run_id JOIN experiments_arm AS arm
    ON arm.id = run.arm_id CROSS JOIN generate_series(1, %s) AS at
"""


def planted(options: argparse.Namespace) -> tuple[str, str]:
    """The experiment's code, and a session that may see it."""
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client

    from webapp.experiments.models import Experiment
    from webapp.runs.models import Series
    from webapp.teams.models import Membership, Project

    user = User.objects.create_user("viewer", password=secrets.token_urlsafe(16))
    project = Project.objects.create(name="Large", slug="large")
    Membership.objects.create(project=project, user=user)
    experiment = Experiment.objects.create(project=project, title="Large comparison", owner=user)
    runs = [run for place in range(options.arms) for run in _arm(experiment, place, options)]
    Series.objects.bulk_create(Series(run=run, phase="train", name=name) for run in runs for name in SERIES)
    with connection.cursor() as cursor:
        cursor.execute(FILL, [options.points])
        cursor.execute("ANALYZE")
    client = Client()
    client.force_login(user)
    return experiment.code, client.cookies["sessionid"].value


def _arm(experiment: Any, place: int, options: argparse.Namespace) -> list[Any]:
    """Finished runs with a bill and two scores each."""
    from django.utils import timezone

    from training.records import Purpose
    from training.spec import RunSpec
    from webapp.experiments.models import Arm
    from webapp.runs.models import CostLine, Run, Score, State

    body: dict[str, Any] = {"methods": ["dense"], "budget": {"steps": options.points}}
    if place:  # as many steps as the baseline, or the comparison would be unmatched and draw nothing
        body |= {"methods": ["est"], "knobs": {"est": {"stage2": 0.02 * place}}}
    spec = RunSpec.model_validate(body)
    arm = Arm.objects.create(
        experiment=experiment, label=f"EST {place}" if place else "Dense", body=spec.model_dump(mode="json"),
        digest=spec.digest(), is_baseline=not place,
    )  # fmt: skip
    runs = Run.objects.bulk_create(
        Run(arm=arm, seed=seed, state=State.SUCCEEDED, finished_at=timezone.now(), event_seq=9, fence=1)
        for seed in range(options.seeds)
    )
    spent = options.points * 1e9 * (1 - 0.04 * (arm.pk % 8))
    CostLine.objects.bulk_create(
        CostLine(run=run, phase="train", purpose=purpose.value, executed=share * spent, effective=share * spent)
        for run in runs
        for purpose, share in ((Purpose.TRAIN, 1.0), (Purpose.EVAL, 0.1), (Purpose.SELECT, 0.0), (Purpose.REDONE, 0.01))
    )
    Score.objects.bulk_create(
        Score(run=run, task=task, metric="acc", split="heldout", value=0.3 + 0.01 * (run.seed % 5) + 0.01 * place,
              n=200, chance=0.1)
        for run in runs
        for task in ("cloze", "choice")
    )  # fmt: skip
    return list(runs)


def timed(address: str, session: str) -> tuple[float, int]:
    """Milliseconds and bytes of one part, as htmx asks for it."""
    request = urllib.request.Request(address, headers={"Cookie": f"sessionid={session}", "HX-Request": "true"})  # noqa: S310
    start = time.perf_counter()
    with urllib.request.urlopen(request) as answer:  # noqa: S310 our own address
        body = answer.read()
    return 1e3 * (time.perf_counter() - start), len(body)


def served(page: str, session: str, rounds: int, before: Callable[[], Any] = lambda: None) -> dict[str, Any]:
    """p50 and p95 over all charts in turn; `before` runs ahead of each request, outside the clock."""
    times: list[float] = []
    sizes: dict[str, int] = {}
    for _ in range(rounds):
        for chart in CHARTS:
            before()
            took, sizes[chart] = timed(f"{page}?tab={chart}", session)
            times.append(took)
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {
        "requests": len(times), "p50_ms": round(cuts[49]), "p95_ms": round(cuts[94]), "worst_ms": round(max(times)),
        "kilobytes": {chart: size // 1000 for chart, size in sizes.items()},
    }  # fmt: skip


def touched(code: str) -> None:
    """One run of the comparison changes, as by a worker's write."""
    from django.db.models import F

    from webapp.runs.models import Run

    run = Run.objects.filter(arm__experiment__code=code).order_by("?").first()
    Run.objects.filter(pk=run and run.pk).update(event_seq=F("event_seq") + 1)


@contextmanager
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextmanager
def visit(chromium: Any, address: str, session: str) -> Iterator[Any]:
    """A page of somebody who has never been here: nothing is in the cache.

    It waits for the browser's own window, which is a program of its own that starts beside the page otherwise.
    """
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies([{"name": "sessionid", "value": session, "url": address}])
    context.add_init_script(WATCH)
    page = context.new_page()
    page.wait_for_timeout(1000)
    yield page
    context.close()


def unthinned(code: str, page: str, session: str) -> str:
    """The alternative: the page as it is, with every stored evaluation in its figure."""
    from webapp.experiments.models import Experiment
    from webapp.results import loss_chart, selectors
    from webapp.results.comparison import Unit

    request = urllib.request.Request(page, headers={"Cookie": f"sessionid={session}"})  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310 our own address
        body = answer.read().decode()
    comparison = selectors.comparison(Experiment.objects.get(code=code))
    whole, runs = max(len(run.evaluations) for run in comparison.runs), len(comparison.runs)
    with mock.patch.multiple(loss_chart, BUDGET=whole * runs, MOST=whole, LINES=runs * len(comparison.arms)):
        figure = json.dumps(loss_chart.loss_vs_cost(comparison, Unit.EXECUTED).figure).replace("<", "\\u003C")
    opening = '<script id="figure-curves" type="application/json">'
    before, after = body.split(opening)
    return before + opening + figure + after[after.index("</script>") :]


def opened(page: Any, address: str, chart: str) -> dict[str, int]:
    """First paint and longest frame of a tab opened by its address."""
    page.goto(address)
    page.wait_for_selector(f"#chart-{chart} .main-svg", timeout=120_000)
    page.wait_for_timeout(1500)
    first = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    longest = page.evaluate("Math.max(0, ...window.frames_)")
    return {"first_paint_ms": round(first), "longest_frame_ms": round(longest)}


def switched(page: Any, address: str, chart: str) -> dict[str, int]:
    """Longest frame while a tab is reached from another, plotly.js being there: what somebody reading feels."""
    other = "curves" if chart != "curves" else "ledger"
    page.goto(f"{address}?tab={other}")
    page.wait_for_selector(f"#chart-{other} .main-svg")
    page.wait_for_timeout(1000)
    page.evaluate("window.frames_.length = 0")
    page.click(f"#tab-{chart}")
    page.wait_for_selector(f"#chart-{chart} .main-svg")
    page.wait_for_timeout(1000)
    return {"longest_frame_switching_ms": round(page.evaluate("Math.max(0, ...window.frames_)"))}


def painted(code: str, address: str, page: str, session: str, looks: int) -> dict[str, Any]:
    """Every chart in Chromium, and the first against its alternative."""
    found: dict[str, Any] = {}
    body = unthinned(code, page, session)  # before the browser, beside whose event loop Django asks no database
    with browser() as chromium:

        def least(look: Callable[[Any], dict[str, int]]) -> dict[str, int]:
            """The least of each figure over several looks."""
            seen = []
            for _ in range(looks):
                with visit(chromium, address, session) as visitor:
                    seen.append(look(visitor))
            return {name: min(each[name] for each in seen) for name in seen[0]}

        def whole(visitor: Any) -> dict[str, int]:
            visitor.route(f"{page}?tab=curves", lambda route: route.fulfill(body=body, content_type="text/html"))
            return opened(visitor, f"{page}?tab=curves", "curves")

        for chart in CHARTS:
            found[chart] = least(partial(opened, address=f"{page}?tab={chart}", chart=chart))
            found[chart] |= least(partial(switched, address=page, chart=chart))
        found["curves, every point sent"] = least(whole)
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    with servers() as address:
        import django

        django.setup()
        code, session = planted(options)
        page = f"{address}/experiments/{code}/"
        cold = {chart: round(timed(f"{page}?tab={chart}", session)[0]) for chart in CHARTS}
        server = {
            "cold_ms": cold,
            "warm": served(page, session, options.rounds),
            "changed": served(page, session, max(options.rounds // 5, 1), lambda: touched(code)),
        }
        print(json.dumps(server, indent=1), flush=True)
        return {"browser": painted(code, address, page, session, options.looks)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=25)
    parser.add_argument("--points", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--looks", type=int, default=5)
    options = parser.parse_args()
    size = {"runs": options.arms * options.seeds, "points_per_series": options.points, "series": len(SERIES)}
    print(json.dumps(size | measure(options), indent=1))


if __name__ == "__main__":
    main()

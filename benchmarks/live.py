"""The live view under load: how long from a point being logged to it being on a viewer's screen.

One run logs points through the worker's own port; one web process serves it to many viewers over server-sent events,
one of which is a real page in Chromium. Reported against the same page polling the cursor endpoint every 2 s, which is
what it falls back to without a stream.

    python -m benchmarks.live                    # 50 viewers, 60 s
    python -m benchmarks.live --viewers 200
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from webapp.demo.embedded import Postgres, Valkey

HERE = Path(__file__).resolve().parents[1]
WATCH = """
window.seen = [];
setInterval(() => {
  const chart = document.querySelector("#losses");
  const last = chart?.data?.[0]?.x?.at(-1);
  if (!last || last === window.latest) return;
  window.latest = last;
  requestAnimationFrame(() => window.seen.push([last, Date.now() / 1000]));
}, 10);
"""
"""Notes when a step is first drawn, at the frame after the chart holds it."""


@dataclass
class Logged:
    """When each step was logged, and the delays of those who saw it."""

    at: dict[int, float] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)

    def see(self, step: int, when: float) -> None:
        self.delays.append(when - self.at[step])


def quantiles(delays: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(delays, n=100)
    return {"n": len(delays), "p50": round(cuts[49], 4), "p95": round(cuts[94], 4), "worst": round(max(delays), 4)}


@contextmanager
def servers() -> Iterator[str]:
    """A migrated database, Valkey and one web process; its address."""
    home = Path(tempfile.mkdtemp(prefix="flopwise-live-", dir="/tmp"))  # a socket path must be short
    home.chmod(0o755)
    postgres, valkey = Postgres(home / "pg"), Valkey(home / "valkey")
    os.environ |= {"SECRET_KEY": secrets.token_urlsafe(64), "DJANGO_SETTINGS_MODULE": "webapp.settings"}
    os.environ |= {"DATABASE_URL": postgres.start().url, "REDIS_URL": valkey.start().url}
    os.environ["ARTIFACT_ROOT"] = str(home / "artifacts")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=HERE, check=True)
        subprocess.run([sys.executable, "manage.py", "collectstatic", "-v0", "--no-input"], cwd=HERE, check=True)
        command = [sys.executable, "-m", "uvicorn", "webapp.asgi:application", "--port", str(port)]
        web = subprocess.Popen([*command, "--log-level", "warning"], cwd=HERE)
        try:
            yield wait_for(f"http://127.0.0.1:{port}")
        finally:
            web.terminate()
            web.wait(20)
    finally:
        valkey.stop()
        postgres.stop()
        shutil.rmtree(home, ignore_errors=True)


def wait_for(address: str) -> str:
    for _ in range(200):
        try:
            urllib.request.urlopen(f"{address}/health/", timeout=2).close()  # noqa: S310 our own address
        except OSError:
            time.sleep(0.1)
        else:
            return address
    raise TimeoutError(address)


def planted() -> tuple[Any, str]:
    """A run that is held by a worker, and a session that may see it."""
    from django.contrib.auth.models import User
    from django.test import Client

    from training.spec import RunSpec
    from webapp.experiments.models import Arm, Experiment
    from webapp.runs import port
    from webapp.runs.models import Run
    from webapp.teams.models import Membership, Project

    user = User.objects.create_user("viewer", password=secrets.token_urlsafe(16))
    project = Project.objects.create(name="Live", slug="live")
    Membership.objects.create(project=project, user=user)
    experiment = Experiment.objects.create(project=project, title="Live view", owner=user)
    spec = RunSpec()
    arm = Arm.objects.create(
        experiment=experiment, label="Dense", body=spec.model_dump(mode="json"), digest=spec.digest()
    )
    Run.objects.create(arm=arm, seed=0)
    lease = port.claim("cpu", "cpu0@benchmark")
    assert lease is not None
    port.start(lease, {})
    client = Client()
    client.force_login(user)
    return lease, client.cookies["sessionid"].value


def publish(lease: Any, logged: Logged, seconds: float, every: float, stop: threading.Event) -> None:
    """Log a training point, and now and then a validation point, as a trainer's sink does."""
    from training.records import Point
    from webapp.runs import port

    steps = int(seconds / every)
    for step in range(1, steps + 1):
        point = Point("train", "train/loss", step, 6.0 / step**0.1, step * 1e9, step * 2048, step * every)
        logged.at[step] = time.time()
        port.record(lease, [point], [], step / steps)
        port.heartbeat(lease)
        time.sleep(max(0.0, logged.at[step] + every - time.time()))
    stop.set()


async def follow(address: str, code: str, session: str, logged: Logged, stop: threading.Event) -> None:
    """One viewer: reads the stream and notes when each step arrived."""
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 22)
    request = f"GET /runs/{code}/events HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: sessionid={session}\r\n\r\n"
    writer.write(request.encode())
    status = await reader.readline()
    if b" 200 " not in status:
        raise ConnectionError(status.decode())
    while not stop.is_set():
        try:
            line = await asyncio.wait_for(reader.readline(), 1.0)
        except TimeoutError:
            continue
        if line.startswith(b"data: {") and len(line) > 10:
            now = time.time()
            for point in json.loads(line[6:]).get("points", []):
                logged.see(point["step"], now)
    writer.close()


async def follow_all(viewers: int, *watched: Any) -> None:
    await asyncio.gather(*(follow(*watched) for _ in range(viewers)))


def on_screen(address: str, code: str, session: str, stop: threading.Event, *, stream: bool) -> list[tuple[int, float]]:
    """What a real page showed, and when; without the stream it polls."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        context = browser.new_context()
        context.add_cookies([{"name": "sessionid", "value": session, "url": address}])
        page = context.new_page()
        page.add_init_script(WATCH)
        if not stream:
            page.route("**/events*", lambda route: route.fulfill(status=404, body=""))
        page.goto(f"{address}/runs/{code}/")
        while not stop.is_set():
            page.wait_for_timeout(200)
        page.wait_for_timeout(3000)  # the last point has arrived by then, by polling too
        seen: list[tuple[int, float]] = [(step, when) for step, when in page.evaluate("window.seen")]
        browser.close()
    return seen


def measure(address: str, options: argparse.Namespace, *, stream: bool) -> dict[str, Any]:
    lease, session = planted_once()
    logged, stop = Logged(), threading.Event()
    others = threading.Thread(
        target=lambda: asyncio.run(follow_all(options.viewers - 1, address, lease.code, session, logged, stop))
    )
    writer = threading.Thread(target=publish, args=(lease, logged, options.seconds, options.every, stop))
    if stream:
        others.start()
    threading.Timer(5.0, writer.start).start()  # the page has opened by then
    seen = on_screen(address, lease.code, session, stop, stream=stream)
    screen = [next((w for s, w in seen if s >= step), float("inf")) - at for step, at in logged.at.items()]
    result: dict[str, Any] = {"on_screen_seconds": quantiles(screen)}
    if stream:
        others.join()
        result["delivered_seconds"] = quantiles(logged.delays)
        result["lost"] = (options.viewers - 1) * len(logged.at) - len(logged.delays)
    return result


def planted_once() -> tuple[Any, str]:
    """A fresh database's run, or the same user's next one."""
    from django.contrib.auth.models import User

    User.objects.filter(username="viewer").delete()
    from webapp.teams.models import Project

    Project.objects.filter(slug="live").delete()
    return planted()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=0.5, help="seconds between two points")
    options = parser.parse_args()
    with servers() as address:
        import django

        django.setup()
        streamed = measure(address, options, stream=True)
        polled = measure(address, options, stream=False)
    better = polled["on_screen_seconds"]["p95"] / streamed["on_screen_seconds"]["p95"]
    print(
        json.dumps({"viewers": options.viewers, "streamed": streamed, "polled": polled, "p95_ratio": better}, indent=1)
    )


if __name__ == "__main__":
    main()

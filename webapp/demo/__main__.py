"""`make demo`: servers, web, workers and beat on this machine, and an experiment to watch. Ctrl-C ends all of it."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from webapp.demo.embedded import Postgres, ServerFailed, Valkey
from webapp.demo.home import Home, Occupied
from webapp.demo.processes import Child, Fallen, Fleet

CHECKOUT = Path(__file__).resolve().parent.parent.parent


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--until-done", action="store_true", help="end with the experiment; 1 if a run failed")
    parser.add_argument("--again", action="store_true", help="launch the experiment once more")
    parser.add_argument("--quick", action="store_true", help="a few steps only, to try the demo itself")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, help="port to listen on (default: the first free one from 8000)")
    return parser.parse_args(arguments)


def free_port(host: str) -> int:
    """The first port from 8000 that nobody listens on."""
    for port in range(8000, 9000):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise Occupied(f"no port from 8000 to 8999 is free on {host}")


def serve(home: Home, fleet: Fleet, host: str) -> None:
    """Start the embedded servers that the environment does not name, and complete the environment for Django."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    os.environ.setdefault("SECRET_KEY", home.secret_key())
    os.environ.setdefault("ALLOWED_HOSTS", f"localhost,127.0.0.1,[::1],{host}")
    for folder, name in (("artifacts", "ARTIFACT_ROOT"), ("data", "DATA_ROOT"), ("cache", "CACHE_ROOT")):
        Path(os.environ.setdefault(name, str(home.state / folder))).mkdir(parents=True, exist_ok=True)
    if "DATABASE_URL" not in os.environ:
        postgres = Postgres(home.servers / "pg")
        fleet.start(postgres)
        os.environ["DATABASE_URL"] = postgres.url
    if "REDIS_URL" not in os.environ:
        valkey = Valkey(home.servers / "valkey")
        fleet.start(valkey)
        os.environ["REDIS_URL"] = valkey.url


def programs(home: Home, host: str, port: int) -> list[Child]:
    """Web, the sweeper of the periodic jobs, beat, and a worker per core, which trains on one thread."""
    celery = [sys.executable, "-m", "celery", "-A"]
    plain = ["--loglevel", "INFO", "--without-gossip", "--without-mingle"]
    commands = {
        "web": [
            sys.executable, "-m", "uvicorn", "webapp.asgi:application", "--host", host, "--port", str(port),
            "--lifespan", "off", "--no-access-log", "--timeout-graceful-shutdown", "3",
        ],
        "sweeper": [*celery, "webapp.celery", "worker", "-Q", "sweep", "-n", "sweep@%h", "--pool", "solo", *plain],
    }  # fmt: skip
    slots = [f"cpu-{core}" for core in range(len(os.sched_getaffinity(0)))]
    for slot in slots:
        commands[slot] = [*celery, "worker.app", "worker", "-Q", "cpu", "-n", f"{slot}@%h", "--pool", "solo", *plain]
    commands["beat"] = [*celery, "webapp.celery", "beat", "-s", str(home.state / "beat"), "--pidfile", ""]
    own = {"web": {"DATABASE_POOL": "true"}}
    return [Child(name, line, home.logs / f"{name}.log", own.get(name, {})) for name, line in commands.items()]


def await_site(fleet: Fleet, host: str, port: int) -> None:
    """Return when the site accepts connections; a web process that keeps dying ends the demo."""
    while True:
        fleet.mend()
        with suppress(OSError), socket.create_connection((host, port), timeout=1):
            return
        time.sleep(0.1)


def prepare() -> None:
    """Tables and static files."""
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    call_command("collectstatic", verbosity=0, interactive=False)


def demo(asked: argparse.Namespace, home: Home, fleet: Fleet) -> int:
    serve(home, fleet, asked.host)
    prepare()
    from webapp.demo import content, watch

    login, screen = content.login(home), watch.Screen()
    fleet.say = screen.say
    port = asked.port or free_port(asked.host)
    for child in programs(home, asked.host, port):
        fleet.start(child)
    spec = content.QUICK if asked.quick else content.LONG
    experiment = content.experiment(login.username, spec=spec, again=asked.again)
    await_site(fleet, asked.host, port)
    screen.say(
        f"http://{asked.host}:{port}/   user {login.username}   password {login.password}\n"
        f"API token {login.token}\nLogs in {home.logs}, servers in {home.servers}. Ctrl-C ends the demo.\n\n"
        f"{experiment.title}\n"
    )
    return watch.follow(experiment, fleet, screen, until_done=asked.until_done)


def _terminated(number: int, frame: Any) -> NoReturn:
    raise SystemExit(128 + number)


def main(arguments: list[str]) -> int:
    asked = options(arguments)
    signal.signal(signal.SIGTERM, _terminated)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's `&` starts us deaf to it
    fleet = Fleet(lambda text: print(text, flush=True))
    try:
        home = Home(CHECKOUT)
        with home.lock():
            try:
                return demo(asked, home, fleet)
            except KeyboardInterrupt:
                return 128 + signal.SIGINT if asked.until_done else 0
            finally:
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_IGN)
                fleet.say("Stopping.")
                fleet.stop()
    except (ServerFailed, Occupied, Fallen) as failure:
        fleet.say(str(failure))
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

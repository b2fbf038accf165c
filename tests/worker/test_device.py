"""Slots and what a worker is measured to achieve."""

from __future__ import annotations

import pytest

from worker.device import Slot, measure


@pytest.mark.parametrize(
    ("node", "kind", "index"), [("gpu1@host", "gpu", 1), ("gpu-12@host", "gpu", 12), ("cpu3@host", "cpu", 0)]
)
def test_a_node_name_tells_its_slot(node: str, kind: str, index: int) -> None:
    slot = Slot.of(node)
    assert (slot.kind, slot.index, slot.worker) == (kind, index, node)


def test_a_trainer_sees_only_the_gpu_of_its_slot() -> None:
    assert Slot.of("gpu2@host").environment == {"CUDA_VISIBLE_DEVICES": "2"}


def test_a_trainer_on_a_cpu_slot_has_one_thread_and_no_gpu() -> None:
    environment = Slot.of("cpu0@host").environment
    assert (environment["OMP_NUM_THREADS"], environment["CUDA_VISIBLE_DEVICES"]) == ("1", "")


def test_the_device_is_measured_to_do_at_least_a_gigaflop_a_second() -> None:
    assert measure(Slot.of("cpu0@host"))["flops_per_second"] > 1e9

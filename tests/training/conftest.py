"""The workbench, once per session, in deterministic mode."""

from __future__ import annotations

import pytest

from tests.training.workbench import CPU, Workbench, make_workbench
from training.seeds import make_deterministic


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    make_deterministic(CPU)
    return make_workbench(tmp_path_factory.mktemp("workbench"))

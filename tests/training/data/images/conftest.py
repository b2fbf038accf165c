from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data folder, and a cache beside it."""
    (tmp_path / "data").mkdir()
    return tmp_path

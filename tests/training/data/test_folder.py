from __future__ import annotations

from pathlib import Path

import pytest

from training.data.check import DataError
from training.data.folder import inside


@pytest.mark.parametrize("name", ["..", "../x", ".", "a/../..", "/etc/passwd", "a/../../data-too"])
def test_a_path_out_of_the_data_folder_is_unknown(tmp_path: Path, name: str) -> None:
    (tmp_path / "data-too").mkdir()
    with pytest.raises(DataError, match="in the data folder"):
        inside(tmp_path / "data", name)


def test_a_path_within_the_data_folder_is_real(tmp_path: Path) -> None:
    assert inside(tmp_path, "a/../b") == tmp_path.resolve() / "b"

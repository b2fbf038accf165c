"""A checkpoint is whole or it is not there."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from training.checkpoint import MANIFEST, TENSORS, TREE, Damaged, FolderStore, read, write


def trained() -> dict[str, object]:
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    rng = (3, tuple(range(5)), None)
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "rng": rng, "nan": math.nan, "$": 1}


def test_a_nested_state_comes_back_equal(tmp_path: Path) -> None:
    state = trained()
    write(tmp_path / "one", state, step=1)
    back = read(tmp_path / "one")
    assert torch.equal(back["model"]["weight"], state["model"]["weight"])  # type: ignore[index]
    assert back["optimizer"]["state"][0]["exp_avg"].shape == (2, 3)
    assert back["rng"] == state["rng"]
    assert math.isnan(back["nan"])


@pytest.mark.parametrize("name", [TENSORS, TREE, MANIFEST])
def test_one_flipped_bit_is_noticed(tmp_path: Path, name: str) -> None:
    write(tmp_path / "one", trained(), step=1)
    content = bytearray((tmp_path / "one" / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "one" / name).write_bytes(content)
    with pytest.raises(Damaged):
        read(tmp_path / "one")


@pytest.mark.parametrize("name", [TENSORS, TREE, MANIFEST])
def test_a_missing_file_is_noticed(tmp_path: Path, name: str) -> None:
    write(tmp_path / "one", trained(), step=1)
    (tmp_path / "one" / name).unlink()
    with pytest.raises(Damaged):
        read(tmp_path / "one")


def test_a_damaged_state_falls_back_to_the_one_before(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    for step in (1, 2, 3):
        store.save("train", {"step": step}, step=step)
    newest = max(tmp_path.iterdir())
    (newest / TREE).write_text("{}")
    assert store.load("train") == {"step": 2}


def test_an_object_that_is_not_plain_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="cannot hold object at /a"):
        write(tmp_path / "one", {"a": object()}, step=1)
    assert list(tmp_path.iterdir()) == []

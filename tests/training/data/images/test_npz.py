from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.data.images.sets import arrays, made, refused, saved


def test_shares_are_read_as_pixels(home: Path) -> None:
    whole = made(home, saved(home, arrays()))
    shares = made(home, saved(home, arrays() | {"images": arrays()["images"] / 255}, "other.npz"))
    assert np.array_equal(whole.images("train"), shares.images("train"))


@pytest.mark.parametrize(("changes", "path", "message"), [
    ({"labels": np.arange(29) % 3}, "data.source", "has 30 images and 29 labels; give one label per image"),
    ({"labels": np.arange(30) % 3 / 1.0}, "data.source", "labels of the archive 'some.npz' is float64 of shape (30,)"),
    ({"labels": np.zeros((30, 3), int)}, "data.source", "is int64 of shape (30, 3); give one whole number per image"),
    ({"labels": np.arange(30) % 3 - 1}, "data.classes", "has the label -1, 3 classes are 0 to 2"),
    ({"labels": np.arange(30) % 4}, "data.classes", "has the label 3, 3 classes are 0 to 2"),
    ({"labels": np.zeros(30, int)}, "data.classes", "class 1 has 0 training images, 3 are the least"),
    ({"labels": np.r_[2, np.arange(29) % 2]}, "data.classes", "class 2 has 1 training images, 3 are the least"),
    ({"images": np.zeros((30, 8), np.uint8)}, "data.source", "has the shape (30, 8); give [N, height, width]"),
    ({"images": np.zeros((30, 8, 8, 4), np.uint8)}, "data.source", "has the shape (30, 8, 8, 4)"),
    ({"images": np.zeros((30, 0, 8), np.uint8)}, "data.source", "has images of 0 x 8 pixels"),
    ({"images": np.full((30, 8, 8), 1.5)}, "data.source", "not whole numbers of 8 bits or shares in [0, 1]"),
    ({"images": np.full((30, 8, 8), np.nan)}, "data.source", "not whole numbers of 8 bits or shares in [0, 1]"),
    ({"images": np.full((30, 8, 8), 300)}, "data.source", "is int64"),
    ({"images": np.array([None] * 30)}, "data.source", "images of the archive 'some.npz' holds Python objects"),
    ({"images": np.zeros((0, 8, 8), np.uint8), "labels": np.zeros(0, int)}, "data.source", "holds no images"),
    ({"test_images": np.zeros((3, 8, 8), np.uint8)}, "data.source", "lacks the array 'test_labels'"),
])  # fmt: skip
def test_an_unusable_archive_is_refused_with_a_reason(
    home: Path, changes: dict[str, NDArray[Any]], path: str, message: str
) -> None:
    where, found = refused(home, saved(home, arrays() | changes))
    assert where == path
    assert message in found
    assert "; " in found or "images of 0" in found


def test_an_archive_without_images_is_refused(home: Path) -> None:
    path, message = refused(home, saved(home, {"labels": np.arange(3)}))
    assert (path, message) == (
        "data.source", "the archive 'some.npz' lacks the array 'images'; images and labels belong together"
    )  # fmt: skip
    assert "lacks the array 'images'" in refused(home, saved(home, {"other": np.arange(3)}))[1]


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + b"\0" * 99])
def test_a_file_that_is_no_archive_is_refused(home: Path, content: bytes) -> None:
    (home / "data" / "some.npz").write_bytes(content)
    assert "no sound NumPy archive" in refused(home, "npz:some.npz")[1]


def test_a_truncated_archive_is_refused(home: Path) -> None:
    source, file = saved(home, arrays()), home / "data" / "some.npz"
    file.write_bytes(file.read_bytes()[:-40])
    assert "no sound NumPy archive" in refused(home, source)[1]


def test_a_header_that_claims_too_much_makes_no_room_for_it(home: Path) -> None:
    for shape, message in (((10**6, 8, 8), "is cut off"), ((10**9, 80, 80), "has more than 2 GiB")):
        stream = io.BytesIO()
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        with zipfile.ZipFile(home / "data" / "some.npz", "w") as archive:
            archive.writestr("images.npy", stream.getvalue() + b"\0" * 64)
            labels = io.BytesIO()
            np.save(labels, np.arange(30) % 3)
            archive.writestr("labels.npy", labels.getvalue())
        assert message in refused(home, "npz:some.npz")[1]

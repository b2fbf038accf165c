from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.data.images.sets import arrays
from tests.training.data.images.uploads.packed import brought, canonical, npz, refusal, zipped
from training.data.images.uploads import arrays as reading


def test_images_and_labels_are_kept_as_they_are() -> None:
    facts, kept = brought(npz(**arrays()))
    assert np.array_equal(kept["images"][..., 0], arrays()["images"])
    assert np.array_equal(kept["labels"], arrays()["labels"])
    assert (kept["labels"].dtype.name, kept["classes"].tolist()) == ("int64", ["0", "1", "2"])
    assert (facts.images, facts.classes, facts.side, facts.channels) == (30, 3, 8, 1)


def test_shares_are_read_as_pixels_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = canonical(npz(**arrays()))
    shares = npz(**arrays() | {"images": arrays()["images"] / 255})
    for block in (1, 1000, 8 * 64 * 3):
        monkeypatch.setattr(reading, "BLOCK", block)
        assert canonical(shares) == canonical(npz(**arrays())) == whole


def test_colour_parts_and_names_are_kept() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), np.uint8)
    test = {"test_images": colour[:6], "test_labels": np.arange(6) % 3}
    facts, kept = brought(npz(images=colour, labels=np.arange(30) % 3, classes=np.array(["a", "b", "ü"]), **test))
    assert (facts.images, facts.channels) == (36, 3)
    assert np.array_equal(kept["test_images"], colour[:6])
    assert kept["classes"].tolist() == ["a", "b", "ü"]


def test_a_resolution_scales_arrays_too() -> None:
    assert "8 x 6 pixels, which is no square" in refusal(npz(**arrays() | {"images": np.zeros((30, 6, 8), np.uint8)}))
    facts, kept = brought(npz(**arrays() | {"images": np.full((30, 6, 8), 77, np.uint8)}), 4)
    assert (facts.side, (kept["images"] == 77).all()) == (4, True)


THREE = np.arange(30) % 3
BAD: dict[str, tuple[dict[str, NDArray[Any]], str]] = {
    "objects": ({"images": np.array([None] * 30)}, "images holds Python objects, which are never loaded"),
    "objects as labels": ({"labels": np.array([{}] * 30)}, "labels holds Python objects, which are never loaded"),
    "objects as names": ({"classes": np.array([[], {}, 1], object)}, "classes holds Python objects"),
    "too few labels": ({"labels": THREE[:29]}, "labels has the shape (29,), images holds 30 images; give one label"),
    "labels in columns": ({"labels": THREE[:, None]}, "labels has the shape (30, 1), images holds 30 images"),
    "labels that are no numbers": ({"labels": THREE / 1.0}, "is float64 of shape (30,); give one whole number"),
    "a negative label": ({"labels": THREE - 1}, "labels has the label -1, 2 classes are 0 to 1"),
    "a huge label": ({"labels": THREE * 10**12}, "there are 2000000000001 classes; at most 10000"),
    "one class": ({"labels": THREE * 0}, "there is one class; images are told apart by at least two"),
    "a gap": ({"labels": THREE * 2}, "class 1 ('1') has 0 training images, 3 are the least"),
    "too few of a class": ({"labels": np.r_[2, np.arange(29) % 2]}, "class 2 ('2') has 1 training images, 3 are"),
    "whole numbers of 64 bits": ({"images": np.full((30, 8, 8), 300)}, "is int64"),
    "values above 1": ({"images": np.full((30, 8, 8), 1.5)}, "shares in [0, 1]; save it as uint8"),
    "no numbers": ({"images": np.full((30, 8, 8), np.nan)}, "shares in [0, 1]; save it as uint8"),
    "two dimensions": ({"images": np.zeros((30, 8), np.uint8)}, "has the shape (30, 8); give [N, height, width]"),
    "four channels": ({"images": np.zeros((30, 8, 8, 4), np.uint8)}, "has the shape (30, 8, 8, 4)"),
    "no images": ({"images": np.zeros((0, 8, 8), np.uint8), "labels": THREE[:0]}, "images is empty"),
    "no pixels": ({"images": np.zeros((30, 0, 8), np.uint8)}, "images is empty"),
    "column by column": ({"images": np.asfortranarray(arrays()["images"])}, "is stored column by column"),
    "an array of another name": ({"val_images": THREE}, "has an array 'val_images'; name them images and labels"),
    "half a part": ({"test_images": arrays()["images"]}, "lacks the array test_labels; images and labels belong"),
    "a label that training lacks": (
        {"test_images": arrays()["images"], "test_labels": THREE + 1}, "test_labels has the label 3, 3 classes are"
    ),
    "grey and colour": (
        {"test_images": np.zeros((30, 8, 8, 3), np.uint8), "test_labels": THREE}, "some parts are grey and some in"
    ),
    "too few names": ({"classes": np.array(["a", "b"])}, "labels has the label 2, 2 classes are 0 to 1"),
    "a name twice": ({"classes": np.array(["a", "b", "a"])}, "two classes have one name"),
    "an empty name": ({"classes": np.array(["a", "b", ""])}, "a class is named ''; give 1 to 100 plain characters"),
    "an invisible name": ({"classes": np.array(["a", "b", "c\u202e"])}, "give 1 to 100 plain characters"),
    "a long name": ({"classes": np.array(["a", "b", "c" * 101])}, "give one name of at most 100 characters"),
    "names that are no text": ({"classes": np.arange(3)}, "classes is int64 of shape (3,); give one name"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD)
def test_unusable_arrays_are_refused_with_a_reason(fault: str) -> None:
    changes, message = BAD[fault]
    found: dict[str, NDArray[Any]] = arrays() | changes
    said = refusal(npz(**found))
    assert said.startswith("source: ")
    assert message in said


def test_parts_of_different_sizes_need_a_resolution() -> None:
    found = arrays(test_images=np.zeros((9, 6, 6), np.uint8), test_labels=np.arange(9) % 3)
    assert refusal(npz(**found)).startswith("resolution: images has 8 x 8 pixels, test_images has 6 x 6")


def test_arrays_of_other_names_are_named() -> None:
    said = refusal(npz(x_train=np.zeros((30, 8, 8), np.uint8), y_train=THREE))
    assert "has an array 'x_train'; name them images and labels" in said
    assert "lacks the arrays images and labels" in refusal(npz(classes=np.array(["a", "b"])))


def member(shape: tuple[int, ...], content: bytes, kind: str = "|u1") -> bytes:
    """An array that says one shape and has these bytes."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
    return stream.getvalue() + content


def labels() -> bytes:
    return member((30,), (np.arange(30) % 3).astype("<i8").tobytes(), "<i8")


@pytest.mark.parametrize(("shape", "content", "message"), [
    ((30, 8, 8), bytes(30 * 64 - 1), "images is cut off"),
    ((30, 8, 8), bytes(30 * 64 + 1), "images is longer than it says"),
    ((30, 8, 8), bytes(1 << 20), "images is longer than it says"),
    ((10**9, 80, 80), b"", "images has more than 4 GiB"),
    ((30, 9 * 512, 1), b"", "images of the archive has images of 4608 x 1 pixels"),
])  # fmt: skip
def test_a_header_that_does_not_tell_the_truth_is_refused(shape: tuple[int, ...], content: bytes, message: str) -> None:
    packed = zipped({"images.npy": member(shape, content), "labels.npy": labels()}, compression=zipfile.ZIP_DEFLATED)
    assert message in refusal(packed)


def test_a_member_that_is_no_array_is_refused() -> None:
    assert "images is no NumPy array" in refusal(zipped({"images.npy": b"hello", "labels.npy": labels()}))


def test_a_pickle_in_an_archive_is_never_loaded() -> None:
    pickled = b"cos\nsystem\n(S'false'\ntR."
    assert "images is no NumPy array" in refusal(zipped({"images.npy": pickled, "labels.npy": labels()}))
    objects = io.BytesIO()
    np.lib.format.write_array_header_1_0(objects, {"descr": "|O", "fortran_order": False, "shape": (30,)})
    said = refusal(zipped({"images.npy": objects.getvalue() + pickled, "labels.npy": labels()}))
    assert "images holds Python objects" in said

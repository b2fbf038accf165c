"""Image sets as one NumPy archive: `images` [N, H, W] or [N, H, W, 1 or 3] and `labels` [N].

`test_images` with `test_labels`, and `validation_images` with `validation_labels`, may stand beside them.
"""

from __future__ import annotations

import lzma
import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from training.data.check import DataError
from training.data.images.decode import framed
from training.data.images.pictures import MAX_BYTES, MAX_SIDE, Frame, Part, Pictures, Split, limited

PREFIXES: dict[Split, str] = {"train": "", "validation": "validation_", "test": "test_"}
"""What the names of each part's arrays begin with."""

FAULTS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, ValueError, EOFError, OSError, RuntimeError)
"""What zipfile and numpy raise on archives that are damaged, encrypted, or hold Python objects."""


def read(file: Path, frame: Frame, name: str) -> Pictures:
    """The archive's parts; DataError says which array is wrong, and how."""
    try:
        with zipfile.ZipFile(file) as archive:
            parts = {split: _part(archive, prefix, frame, name) for split, prefix in PREFIXES.items()}
    except FAULTS as error:
        raise DataError("data.source", f"{name} is no sound NumPy archive ({error}); save it by numpy.savez") from error
    if (train := parts["train"]) is None:
        raise DataError("data.source", f"{name} lacks the array 'images'; save images and labels with numpy.savez")
    return Pictures(train, parts["validation"], parts["test"])


def _part(archive: zipfile.ZipFile, prefix: str, frame: Frame, name: str) -> Part | None:
    there = [f"{prefix}{array}.npy" in archive.namelist() for array in ("images", "labels")]
    if not any(there):
        return None
    if not all(there):
        missing = f"{prefix}{'images' if not there[0] else 'labels'}"
        raise DataError("data.source", f"{name} lacks the array {missing!r}; images and labels belong together")
    labels = whole_numbers(_array(archive, f"{prefix}labels", name), f"{prefix}labels", name)
    images = pixels(_array(archive, f"{prefix}images", name), f"{prefix}images", name)
    if len(images) != len(labels):
        message = f"{name} has {len(images)} {prefix}images and {len(labels)} {prefix}labels"
        raise DataError("data.source", f"{message}; give one label per image")
    limited(len(images), frame, name)
    return Part(framed(images, frame), labels)


def _array(archive: zipfile.ZipFile, array: str, name: str) -> NDArray[np.generic]:
    """An array, its header judged before room is made for it; arrays of Python objects are refused."""
    member = archive.getinfo(f"{array}.npy")
    with archive.open(member) as stream:
        shape, _, kind = header(stream)
        size = math.prod(shape) * kind.itemsize
    if kind.hasobject:
        raise DataError("data.source", f"{array} of {name} holds Python objects; save it as numbers")
    if size > MAX_BYTES:
        raise DataError("data.source", f"{array} of {name} has more than {MAX_BYTES >> 30} GiB; give fewer images")
    if size > member.file_size:
        raise DataError("data.source", f"{array} of {name} is cut off; save it again with numpy.savez")
    with archive.open(member) as stream:
        found: NDArray[np.generic] = npy.read_array(stream, allow_pickle=False)
    return found


def header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape of an array, whether it is stored column by column, and its type, from the start of its file."""
    version = npy.read_magic(stream)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, kind = read_header(stream)
    return shape, fortran, kind


def whole_numbers(found: NDArray[np.generic], array: str, name: str) -> NDArray[np.int64]:
    """Labels [N]; DataError where they are anything else."""
    if found.ndim != 1 or found.dtype.kind not in "iu":
        message = f"{array} of {name} is {found.dtype} of shape {found.shape}"
        raise DataError("data.source", f"{message}; give one whole number per image")
    return found.astype(np.int64)


def pixels(found: NDArray[np.generic], array: str, name: str) -> NDArray[np.uint8]:
    """Images [N, H, W] or [N, H, W, 1 or 3] as uint8, of shares in [0, 1] too; DataError for anything else."""
    judge_pixels(found.shape, found.dtype, array, name)
    if found.dtype == np.uint8:
        return found.view(np.uint8)
    values = found.astype(np.float32)
    if len(values) and not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise _no_pixels(found.dtype, array, name)
    return np.rint(values * 255).astype(np.uint8)


def judge_pixels(shape: tuple[int, ...], kind: np.dtype[Any], array: str, name: str) -> None:
    """DataError where an array of this shape and type cannot be images."""
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)):
        message = f"{array} of {name} has the shape {shape}"
        raise DataError("data.source", f"{message}; give [N, height, width] or [N, height, width, 1 or 3]")
    if not all(1 <= side <= 8 * MAX_SIDE for side in shape[1:3]):
        raise DataError("data.source", f"{array} of {name} has images of {shape[1]} x {shape[2]} pixels")
    if kind != np.uint8 and kind.kind != "f":
        raise _no_pixels(kind, array, name)


def _no_pixels(kind: np.dtype[Any], array: str, name: str) -> DataError:
    message = f"{array} of {name} is {kind}, its values are not whole numbers of 8 bits or shares in [0, 1]"
    return DataError("data.source", f"{message}; save it as uint8")

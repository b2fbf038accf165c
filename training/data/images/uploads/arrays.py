"""A NumPy archive: `images` [N, H, W] or [N, H, W, 1 or 3], `labels` [N], and perhaps `classes`, their names.

`test_images` with `test_labels`, and `validation_images` with `validation_labels`, may stand beside them.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.check import DataError
from training.data.images import npz
from training.data.images.decode import framed
from training.data.images.npz import PREFIXES
from training.data.images.pictures import Frame, Split
from training.data.images.uploads.archive import MAX_UNPACKED, pieces, said
from training.data.images.uploads.found import MAX_NAME, Found, judge_classes, judge_pixels, side

MAX_IMAGES = 2_000_000
BLOCK = 8 << 20
"""Bytes that are decoded at once, if they hold an image."""
KNOWN = {"classes"} | {f"{prefix}{array}" for prefix in PREFIXES.values() for array in ("images", "labels")}


@dataclass(frozen=True)
class _Array:
    """An array as its header tells it, after that has been judged."""

    name: str
    shape: tuple[int, ...]
    kind: np.dtype[Any]
    start: int
    """Bytes of the header."""

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.kind.itemsize


def read(archive: zipfile.ZipFile, resolution: int | None) -> Found:
    names = [entry.filename.removesuffix(".npy") for entry in archive.infolist()]
    if strange := sorted({*names} - KNOWN):
        message = f"the archive has an array {said(strange[0])}; name them images and labels"
        raise DataError("data.source", f"{message}, and beside them test_images, test_labels, classes")
    images = {part: _images(archive, f"{prefix}images") for part, prefix in PREFIXES.items() if _there(names, prefix)}
    if "train" not in images:
        raise DataError("data.source", "the archive lacks the arrays images and labels; save them with numpy.savez")
    labels = {part: _labels(archive, PREFIXES[part], len_of.shape[0]) for part, len_of in images.items()}
    classes = _classes(archive, labels) if "classes" in names else _numbered(labels)
    frame = _frame(images, len(classes), resolution)

    def blocks(part: Split) -> Iterator[NDArray[np.uint8]]:
        for block in _blocks(archive, images[part]):
            yield framed(npz.pixels(block, images[part].name, "the archive"), frame)

    return Found(frame, classes, labels, blocks)


def _there(names: list[str], prefix: str) -> bool:
    there = [f"{prefix}{array}" in names for array in ("images", "labels")]
    if any(there) and not all(there):
        missing = f"{prefix}{'labels' if there[0] else 'images'}"
        raise DataError("data.source", f"the archive lacks the array {missing}; images and labels belong together")
    return all(there)


def _array(archive: zipfile.ZipFile, name: str) -> _Array:
    """What the header says, before room is made for anything."""
    head = io.BytesIO(next(pieces(archive, archive.getinfo(f"{name}.npy"), 1 << 16), b""))
    try:
        shape, fortran, kind = npz.header(head)
    except npz.FAULTS as error:
        raise DataError("data.source", f"{name} is no NumPy array ({error}); save it with numpy.savez") from error
    if kind.hasobject:
        raise DataError("data.source", f"{name} holds Python objects, which are never loaded; save it as numbers")
    if min(shape, default=0) < 1:
        raise DataError("data.source", f"{name} is empty: its shape is {shape}; give at least one image")
    if fortran and len(shape) > 1:
        raise DataError("data.source", f"{name} is stored column by column; save numpy.ascontiguousarray({name})")
    found = _Array(name, shape, kind, head.tell())
    if found.bytes > MAX_UNPACKED:
        raise DataError("data.source", f"{name} has more than {MAX_UNPACKED >> 30} GiB; give fewer images")
    return found


def _images(archive: zipfile.ZipFile, name: str) -> _Array:
    found = _array(archive, name)
    npz.judge_pixels(found.shape, found.kind, name, "the archive")
    if found.shape[0] > MAX_IMAGES:
        raise DataError("data.source", f"{name} holds {found.shape[0]} images; at most {MAX_IMAGES}")
    if found.kind.itemsize > 8:
        raise DataError("data.source", f"{name} is {found.kind}; give uint8, or shares in [0, 1] as floats")
    return found


def _labels(archive: zipfile.ZipFile, prefix: str, images: int) -> NDArray[np.int64]:
    found = _array(archive, f"{prefix}labels")
    if found.shape != (images,):
        message = f"{prefix}labels has the shape {found.shape}, {prefix}images holds {images} images"
        raise DataError("data.source", f"{message}; give one label per image")
    if found.kind.kind not in "iu":  # before they are read: a text of a thousand characters may stand for a label
        message = f"{found.name} is {found.kind} of shape {found.shape}; give one whole number per image"
        raise DataError("data.source", message)
    return npz.whole_numbers(_whole(archive, found), found.name, "the archive")


def _classes(archive: zipfile.ZipFile, labels: dict[Split, NDArray[np.int64]]) -> tuple[str, ...]:
    found = _array(archive, "classes")
    if len(found.shape) != 1 or found.kind.kind != "U" or found.kind.itemsize > 4 * MAX_NAME:
        message = f"classes is {found.kind} of shape {found.shape}"
        raise DataError("data.source", f"{message}; give one name of at most {MAX_NAME} characters per label")
    judge_classes(found.shape[0])
    _judge_labels(labels, found.shape[0])
    return tuple(map(str, _whole(archive, found)))


def _numbered(labels: dict[Split, NDArray[np.int64]]) -> tuple[str, ...]:
    """As many classes as the training part has labels, named by their numbers."""
    count = int(labels["train"].max()) + 1
    judge_classes(count)
    _judge_labels(labels, count)
    return tuple(map(str, range(count)))


def _judge_labels(labels: dict[Split, NDArray[np.int64]], classes: int) -> None:
    for part, given in labels.items():
        for label in (int(given.min()), int(given.max())):
            if not 0 <= label < classes:
                message = f"{PREFIXES[part]}labels has the label {label}, {classes} classes are 0 to {classes - 1}"
                raise DataError("data.source", f"{message}; number the classes of the training part from 0 on")


def _frame(images: dict[Split, _Array], classes: int, resolution: int | None) -> Frame:
    sizes = [(found.shape[2], found.shape[1], found.name) for found in images.values()]
    judge_pixels(sum(math.prod(found.shape[:3]) for found in images.values()))
    channels = {found.shape[3] if len(found.shape) == 4 else 1 for found in images.values()}
    if len(channels) > 1:
        raise DataError("data.source", "some parts are grey and some in colour; give all of them the same channels")
    return Frame(side(sizes, resolution), channels.pop(), classes)


def _whole(archive: zipfile.ZipFile, found: _Array) -> NDArray[np.generic]:
    return np.concatenate(list(_blocks(archive, found)))


def _blocks(archive: zipfile.ZipFile, found: _Array) -> Iterator[NDArray[np.generic]]:
    """The array in blocks of whole rows; DataError where there is less or more of it than its header says."""
    row = math.prod(found.shape[1:]) * found.kind.itemsize
    block = max(1, BLOCK // row) * row
    held, skip, left = bytearray(), found.start, found.bytes
    for piece in pieces(archive, archive.getinfo(f"{found.name}.npy"), BLOCK):
        held += piece[skip:]
        skip -= min(skip, len(piece))
        while left and len(held) >= (taken := min(block, left)):
            yield np.frombuffer(bytes(held[:taken]), found.kind).reshape(-1, *found.shape[1:])
            del held[:taken]
            left -= taken
        if held and not left:
            raise DataError("data.source", f"{found.name} is longer than it says; save it again with numpy.savez")
    if left:
        raise DataError("data.source", f"{found.name} is cut off; save it again with numpy.savez")

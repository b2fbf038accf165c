"""An image set in an upload, looked through before a pixel is decoded, and what stands against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.check import DataError
from training.data.images.pictures import MAX_SIDE, Frame, Split, limited
from training.data.images.uploads.archive import said

MAX_CLASSES = 10_000
MAX_NAME = 100
"""Most characters of a class name."""
MAX_DECODED = 2_000_000_000
"""Most pixels of all images of an upload before they are scaled. At the 77 million a second of JPEG photographs and the
12 of large PNGs that were measured: half a minute, or three."""
MIN_SIDE = 4


@dataclass(frozen=True)
class Found:
    """What an upload holds: labels[N] of each part, and in their order images, as blocks [k, side, side, channels]."""

    frame: Frame
    classes: tuple[str, ...]
    """Names, by label."""
    labels: Mapping[Split, NDArray[np.int64]]
    blocks: Callable[[Split], Iterator[NDArray[np.uint8]]]

    @property
    def count(self) -> int:
        return sum(map(len, self.labels.values()))


def judge(found: Found) -> None:
    """DataError where it is too large, or where some part lacks what it is there for."""
    limited(found.count, found.frame, "the upload")
    if len(found.classes) < 2:
        raise DataError("data.source", "there is one class; images are told apart by at least two")
    for name in found.classes:
        judge_name(name)
    if len(set(found.classes)) < len(found.classes):
        raise DataError("data.source", "two classes have one name; give each its own")
    counts = np.bincount(found.labels["train"], minlength=len(found.classes))
    needed = 3 - len(found.labels.keys() & {"validation", "test"})
    if counts.min() < needed:
        few = int(counts.argmin())
        message = f"class {few} ({said(found.classes[few])}) has {counts[few]} training images, {needed} are the least"
        raise DataError("data.source", f"{message}: one each to train, to validate and to test; give more of it")
    for part, labels in found.labels.items():
        if not len(labels):
            raise DataError("data.source", f"the {part} part holds no images; give some, or leave it out")


def judge_name(name: str) -> None:
    if not name.strip() or not name.isprintable() or len(name) > MAX_NAME:
        raise DataError("data.source", f"a class is named {said(name)}; give 1 to {MAX_NAME} plain characters")


def judge_classes(count: int) -> None:
    if count > MAX_CLASSES:
        raise DataError("data.source", f"there are {count} classes; at most {MAX_CLASSES}, labelled from 0 on")


def side(sizes: Sequence[tuple[int, int, str]], resolution: int | None) -> int:
    """Pixels a side that images of these widths and heights, each with a name, are kept at.

    As asked, else as they are, which has to be square and the same for all of them.
    """
    if resolution is not None:
        return resolution
    width, height, name = sizes[0]
    other = next(((w, h, n) for w, h, n in sizes if (w, h) != (width, height)), None)
    if other is not None:
        both = f"{name} has {width} x {height} pixels, {other[2]} has {other[0]} x {other[1]}"
        raise DataError("data.resolution", f"{both}; say the resolution to keep them at, or give images of one size")
    if width != height:
        message = f"the images have {width} x {height} pixels, which is no square"
        raise DataError("data.resolution", f"{message}; say the resolution to cut and scale them to")
    if not MIN_SIDE <= width <= MAX_SIDE:
        message = f"the images have {width} pixels a side, a network takes {MIN_SIDE} to {MAX_SIDE}"
        raise DataError("data.resolution", f"{message}; say the resolution to scale them to")
    return width


def judge_pixels(count: int) -> None:
    if count > MAX_DECODED:
        message = f"the images have more than {MAX_DECODED:,} pixels in all"
        raise DataError("data.source", f"{message}; make them smaller before you upload them, or give fewer")

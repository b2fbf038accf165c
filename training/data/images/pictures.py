"""Labelled images in their three parts, and how a set that comes without parts is split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.data.check import DataError

Split = Literal["train", "validation", "test"]
MAX_BYTES = 2 << 30
"""Most that the pixels of one part may take, one byte per value."""
MAX_SIDE = 512
VALIDATION, TEST = 0.1, 0.2
"""Shares of each class that validate and that test, where a set does not say."""


@dataclass(frozen=True)
class Frame:
    """What every image is brought to: pixels a side, channels (1 grey, 3 colour), and the number of classes."""

    side: int
    channels: int
    classes: int


@dataclass(frozen=True)
class Part:
    """images[N, side, side, channels] of uint8 and their labels[N]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def at(self, index: NDArray[np.int64]) -> Part:
        return Part(self.images[index], self.labels[index])


@dataclass(frozen=True)
class Pictures:
    """A set as its source gives it; a part that it does not have is None."""

    train: Part
    validation: Part | None = None
    test: Part | None = None

    def parts(self) -> dict[Split, Part | None]:
        return {"train": self.train, "validation": self.validation, "test": self.test}


@dataclass(frozen=True)
class ImageSet:
    """Prepared images on disk: per part one file of pixels and one of labels, read memory-mapped."""

    folder: Path

    def images(self, part: Split) -> NDArray[np.uint8]:
        """[N, channels, side, side] of uint8."""
        pixels: NDArray[np.uint8] = np.load(self.folder / f"{part}-images.npy", mmap_mode="r", allow_pickle=False)
        return pixels

    def labels(self, part: Split) -> NDArray[np.int64]:
        labels: NDArray[np.int64] = np.load(self.folder / f"{part}-labels.npy", allow_pickle=False)
        return labels

    def statistics(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of each channel of the training images, pixels in [0, 1]."""
        planes = np.moveaxis(self.images("train"), 1, 0)
        tallies = np.stack([np.bincount(plane.ravel(), minlength=256) for plane in planes])
        values, shares = np.arange(256) / 255, tallies / tallies.sum(1, keepdims=True)
        mean = shares @ values
        spread = np.sqrt(shares @ values**2 - mean**2)
        return mean, np.maximum(spread, 1 / 255)


def completed(pictures: Pictures, frame: Frame) -> dict[Split, Part]:
    """All three parts, those that the set lacks taken from the training part; a test part that it has is untouched."""
    check(pictures, frame)
    train, validation, test = pictures.train, pictures.validation, pictures.test
    if test is None:
        train, test = _apart(train, TEST, "test")
    if validation is None:
        train, validation = _apart(train, VALIDATION, "validation")
    return {"train": train, "validation": validation, "test": test}


def check(pictures: Pictures, frame: Frame) -> None:
    """DataError where labels do not suit the spec's number of classes, or a class has too few images to be split."""
    for name, part in pictures.parts().items():
        if part is None:
            continue
        if not len(part.labels):
            raise DataError("data.source", f"the {name} part holds no images; give some")
        lowest, highest = int(part.labels.min()), int(part.labels.max())
        if lowest < 0 or highest >= frame.classes:
            wrong = lowest if lowest < 0 else highest
            message = f"the {name} part has the label {wrong}, {frame.classes} classes are 0 to {frame.classes - 1}"
            raise DataError("data.classes", f"{message}; say how many classes there are, or correct the labels")
    counts = np.bincount(pictures.train.labels, minlength=frame.classes)
    needed = 1 + (pictures.validation is None) + (pictures.test is None)
    if counts.min() < needed:
        few = int(counts.argmin())
        message = f"class {few} has {counts[few]} training images, {needed} are the least"
        raise DataError("data.classes", f"{message}; give more images of it, or fewer classes")


def _apart(part: Part, share: float, purpose: str) -> tuple[Part, Part]:
    """What stays and what is taken: the same share of each class, at least one image, drawn by a hash of its place."""
    ranks = np.array([hashlib.sha256(f"{purpose} {place}".encode()).digest()[:8] for place in range(len(part.labels))])
    taken = np.zeros(len(part.labels), bool)
    for label in np.unique(part.labels):
        places = np.flatnonzero(part.labels == label)
        drawn = places[np.argsort(ranks[places], kind="stable")]
        taken[drawn[: max(1, round(share * len(places)))]] = True
    return part.at(np.flatnonzero(~taken)), part.at(np.flatnonzero(taken))


def limited(count: int, frame: Frame, name: str) -> None:
    """DataError where so many images would take too much room."""
    if count * frame.side**2 * frame.channels > MAX_BYTES:
        size = f"{frame.side} x {frame.side} x {frame.channels}"
        message = f"{name} has {count} images, which at {size} take more than {MAX_BYTES >> 30} GiB"
        raise DataError("data.resolution", f"{message}; give fewer images or a smaller resolution")

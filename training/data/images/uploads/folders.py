"""A ZIP of class folders with PNG or JPEG files; around them may stand `train`, `validation` and `test`.

Classes are numbered in the order of their names, images within a class in that of theirs.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from training.data.check import DataError
from training.data.images.decode import MAX_FILE, decoded, looked_at
from training.data.images.npz import PREFIXES
from training.data.images.pictures import Frame, Split
from training.data.images.uploads.archive import Unpacked, name_of, said, whole
from training.data.images.uploads.found import Found, judge_classes, judge_name, judge_pixels, side

Place = tuple[str, ...]
"""Folders and the file, from the outside in."""
Listing = dict[Split, list[tuple[str, zipfile.ZipInfo]]]
"""Of each part the class and the entry of every image, in order."""


def read(archive: zipfile.ZipFile, resolution: int | None) -> Found:
    listing = _listed(archive)
    classes = tuple(sorted({name for name, _ in listing["train"]}))
    judge_classes(len(classes))
    numbers = {name: place for place, name in enumerate(classes)}
    for part, images in listing.items():
        if unknown := sorted({name for name, _ in images} - numbers.keys()):
            message = f"the {part} part has a class {said(unknown[0])} that the training part lacks"
            raise DataError("data.source", f"{message}; give training images of it, or take it away")
    sizes, grey = _looked_through(archive, listing)
    frame = Frame(side(sizes, resolution), 1 if grey else 3, len(classes))
    labels = {part: np.array([numbers[name] for name, _ in images], np.int64) for part, images in listing.items()}

    def blocks(part: Split) -> Iterator[NDArray[np.uint8]]:
        for _, entry in listing[part]:
            yield decoded(whole(archive, entry, MAX_FILE), frame, _said(entry))[None]

    return Found(frame, classes, labels, blocks)


def _listed(archive: zipfile.ZipFile) -> Listing:
    places = {place: entry for entry in archive.infolist() if (place := _place(entry))}
    if not places:
        raise DataError("data.source", "the archive holds no images; pack one folder per class with PNG or JPEG files")
    if min(map(len, places)) > 2 and len({place[0] for place in places}) == 1:  # one folder around everything
        places = {place[1:]: entry for place, entry in places.items()}
    apart = all(len(place) == 3 and place[0] in PREFIXES for place in places)
    listing: Listing = {part: [] for part in PREFIXES} if apart else {"train": []}
    for place, entry in sorted(places.items()):
        if len(place) != (3 if apart else 2) or place[-2] in PREFIXES:
            message = f"{_said(entry)} is not in a class folder; pack class/image for all"
            raise DataError("data.source", f"{message}, or train/class/image and test/class/image")
        judge_name(place[-2])
        part: Split = next((part for part in PREFIXES if apart and part == place[0]), "train")
        listing[part].append((place[-2], entry))
    return {part: images for part, images in listing.items() if images or part == "train"}


def _place(entry: zipfile.ZipInfo) -> Place:
    """Where an image lies; empty for folders, and for hidden files, which systems put beside what people pack."""
    place = tuple(name_of(entry).split("/"))
    return () if entry.is_dir() or place[-1].startswith(".") else place


def _looked_through(archive: zipfile.ZipFile, listing: Listing) -> tuple[list[tuple[int, int, str]], bool]:
    """Width, height and name of one image of each size, and whether all images are grey."""
    sizes: dict[tuple[int, int], str] = {}
    all_grey, pixels, unpacked = True, 0, Unpacked()
    for images in listing.values():
        for _, entry in images:
            data = unpacked.count(whole(archive, entry, MAX_FILE))
            width, height, grey = looked_at(data, _said(entry))
            sizes.setdefault((width, height), _said(entry))
            all_grey, pixels = all_grey and grey, pixels + width * height
            judge_pixels(pixels)
    return [(*size, name) for size, name in sizes.items()], all_grey


def _said(entry: zipfile.ZipInfo) -> str:
    return f"the file {said(name_of(entry))}"

"""Image sets as folders: one sub-folder per class with PNG or JPEG files in it; beside `train`, `test` may stand.

Classes are numbered in the order of their folders' names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.data.check import DataError
from training.data.folder import inside
from training.data.images.decode import decoded
from training.data.images.pictures import Frame, Part, Pictures, limited
from training.data.progress import Progress

ENDINGS = frozenset({".png", ".jpg", ".jpeg"})
PARTS = ("train", "validation", "test")
MAX_FILES = 2_000_000

Listing = dict[str, list[Path]]
"""Files by class name."""


def listed(home: Path, data_root: Path, name: str) -> dict[str, Listing]:
    """The files of each part by class; a set without a folder `train` is one part, `train`."""
    parts = {part: home / part for part in PARTS if (home / part).is_dir()}
    if "train" not in parts:
        parts = {"train": home}
    found = {part: _classes(place, data_root) for part, place in parts.items()}
    if not found["train"]:
        message = f"the folder {name!r} holds no folder with PNG or JPEG files"
        raise DataError("data.source", f"{message}; make one folder per class and put its images there")
    if sum(len(files) for classes in found.values() for files in classes.values()) > MAX_FILES:
        raise DataError("data.source", f"the folder {name!r} holds more than {MAX_FILES} images; give fewer")
    for part, classes in found.items():
        if unknown := sorted(classes.keys() - found["train"].keys()):
            raise DataError("data.source", f"the {part} part has a class {unknown[0]!r} that the training part lacks")
    return found


def digest(parts: dict[str, Listing]) -> str:
    """SHA-256 of what is in the files, and of the part and class each is in."""
    total = hashlib.sha256()
    for part, name, file in _each(parts):
        with file.open("rb") as stream:
            inner = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{part}\0{name}\0{file.name}\0{inner}\n".encode())
    return total.hexdigest()


def read(parts: dict[str, Listing], frame: Frame, home: Path, progress: Progress) -> Pictures:
    names = sorted(parts["train"])
    if len(names) != frame.classes:
        message = f"there are {len(names)} folders with images, {frame.classes} classes are asked for"
        raise DataError("data.classes", f"{message}; say {len(names)}, or give a folder per class")
    total = sum(1 for _ in _each(parts))
    limited(total, frame, "the folder")
    images: dict[str, list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]] = {part: [] for part in parts}
    labels: dict[str, list[int]] = {part: [] for part in parts}
    for done, (part, name, file) in enumerate(_each(parts)):
        images[part].append(decoded(file, frame, f"the file {str(file.relative_to(home))!r}"))
        labels[part].append(names.index(name))
        if done % 256 == 0:
            progress("Reading images", done / total)
    made = {part: Part(np.stack(images[part]), np.array(labels[part], np.int64)) for part in parts if images[part]}
    return Pictures(made["train"], made.get("validation"), made.get("test"))


def _classes(place: Path, data_root: Path) -> Listing:
    """Class folders that hold images; links that lead out of the data folder are not followed."""
    return {
        folder.name: files
        for folder in sorted(place.iterdir())
        if folder.is_dir() and (files := _images(folder, data_root))
    }


def _images(folder: Path, data_root: Path) -> list[Path]:
    files = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in ENDINGS and file.is_file()]
    return [inside(data_root, file) for file in files]


def _each(parts: dict[str, Listing]) -> Iterator[tuple[str, str, Path]]:
    for part, classes in parts.items():
        for name, files in classes.items():
            for file in files:
                yield part, name, file

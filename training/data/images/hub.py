"""Images of a Hugging Face dataset, by the `datasets` library: from the hub, its cache, or the data folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.data.check import DataError
from training.data.folder import inside
from training.data.images.decode import decoded
from training.data.images.pictures import Frame, Part, Pictures, limited
from training.data.progress import Progress

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

HELD_OUT = {"validation": ("validation", "valid", "dev"), "test": ("test",)}


def digest(found: DatasetDict) -> str:
    """What the library knows each part by."""
    return " ".join(f"{name} {part._fingerprint}" for name, part in sorted(found.items()))


def read(found: DatasetDict, frame: Frame, name: str, data_root: Path, progress: Progress) -> Pictures:
    """The parts `train`, `validation` and `test` that the dataset has; its first part where it has no `train`."""
    first = found["train"] if "train" in found else found[next(iter(found))]
    held_out = {
        part: _part(found[theirs[0]], frame, name, data_root, progress)
        for part, names in HELD_OUT.items()
        if (theirs := [known for known in names if known in found])
    }
    train = _part(first, frame, name, data_root, progress)
    return Pictures(train, held_out.get("validation"), held_out.get("test"))


def _part(part: Dataset, frame: Frame, name: str, data_root: Path, progress: Progress) -> Part:
    from datasets import Image

    pixels, label = _columns(part, frame, name)
    limited(len(part), frame, f"the dataset {name!r}")
    rows = part.select_columns([pixels, label]).cast_column(pixels, Image(decode=False))
    images = np.empty((len(rows), frame.side, frame.side, frame.channels), np.uint8)
    labels = np.empty(len(rows), np.int64)
    row: dict[str, Any]
    for place, row in enumerate(rows):
        if not isinstance(row[label], int):
            raise DataError("data.source", f"row {place} of the dataset {name!r} has no label; take it away")
        images[place] = decoded(_file(row[pixels], data_root), frame, f"the image of row {place} of {name!r}")
        labels[place] = row[label]
        if place % 256 == 0:
            progress("Reading images", place / len(rows))
    return Part(images, labels)


def _file(value: dict[str, Any] | None, data_root: Path) -> bytes | Path:
    """The bytes of an image file, or where it lies; no file outside the data folder is read."""
    if value and value.get("bytes"):
        found: bytes = value["bytes"]
        return found
    if value and value.get("path"):
        return inside(data_root, value["path"])
    return b""


def _columns(part: Dataset, frame: Frame, name: str) -> tuple[str, str]:
    """The only column of images, and the column of labels: the one with as many classes as asked, else `label`."""
    from datasets import ClassLabel, Image

    images = [column for column, feature in part.features.items() if isinstance(feature, Image)]
    sizes = {column: f.num_classes for column, f in part.features.items() if isinstance(f, ClassLabel)}
    suited = [column for column, size in sizes.items() if size == frame.classes]
    plain = [column for column in ("label", "labels") if column in part.features and column not in sizes]
    if len(images) != 1:
        named = ", ".join(part.column_names)
        raise DataError("data.source", f"the dataset {name!r} has {len(images)} columns of images; it has {named}")
    if sizes and not suited:
        known = ", ".join(f"{column} with {size}" for column, size in sizes.items())
        message = f"the dataset {name!r} has no labels of {frame.classes} classes"
        raise DataError("data.classes", f"{message}; it has {known}")
    if not suited + plain:
        named = ", ".join(part.column_names)
        raise DataError("data.source", f"the dataset {name!r} has no column of labels; it has {named}")
    return images[0], (suited + plain)[0]

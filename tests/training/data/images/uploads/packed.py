"""Uploads of images in memory, and what becomes of them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.data.images.sets import arrays, png
from training.data.check import DataError
from training.data.images.uploads.canonical import ImageFacts, bring

CLASSES = ("ant", "bee", "cat")


def zipped(files: Mapping[str, bytes], **options: Any) -> io.BytesIO:
    """A ZIP with these files, in this order, under exactly these names."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", **options) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo("placeholder")
            entry.filename, entry.compress_type = name, archive.compression
            archive.writestr(entry, content)
    return stream


def files(classes: tuple[str, ...] = CLASSES, each: int = 6, side: int = 12, around: str = "") -> dict[str, bytes]:
    """PNG files in class folders; `around` stands before each name."""
    pixels = arrays(each * len(classes), side)["images"]
    return {f"{around}{classes[place % len(classes)]}/{place:03}.png": png(image) for place, image in enumerate(pixels)}


def npz(**found: NDArray[Any]) -> io.BytesIO:
    """A NumPy archive as a person would save it, Python objects included."""
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=True, **found)
    return stream


def brought(file: BinaryIO, resolution: int | None = None) -> tuple[ImageFacts, dict[str, NDArray[Any]]]:
    """The facts, and the arrays of the canonical form."""
    target = io.BytesIO()
    facts = bring(file, resolution, target)
    target.seek(0)
    with np.load(target, allow_pickle=False) as found:
        return facts, dict(found)


def canonical(file: BinaryIO, resolution: int | None = None) -> bytes:
    target = io.BytesIO()
    bring(file, resolution, target)
    return target.getvalue()


def refusal(file: BinaryIO, resolution: int | None = None) -> str:
    """Which field is refused, and why."""
    with pytest.raises(DataError) as failure:
        bring(file, resolution, io.BytesIO())
    return f"{failure.value.path.removeprefix('data.')}: {failure.value.message}"

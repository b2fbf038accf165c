"""Small image sets, and what `prepare` makes of them or says against them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from training.data.check import DataError
from training.data.images.pictures import Frame, ImageSet, Split
from training.data.images.prepare import prepare

SMALL = Frame(8, 1, 3)
PARTS: tuple[Split, ...] = ("train", "validation", "test")


def made(home: Path, source: str, frame: Frame = SMALL, **changes: Any) -> ImageSet:
    return prepare(source, frame, cache_root=home / "cache", data_root=home / "data", **changes)


def refused(home: Path, source: str, frame: Frame = SMALL, **changes: Any) -> tuple[str, str]:
    with pytest.raises(DataError) as failure:
        made(home, source, frame, **changes)
    assert not list((home / "cache").rglob("train-*"))
    return failure.value.path, failure.value.message


def arrays(count: int = 30, side: int = 8, **changes: Any) -> dict[str, NDArray[Any]]:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, side, side), np.uint8)
    return {"images": images, "labels": np.arange(count) % 3} | changes


def saved(home: Path, found: dict[str, NDArray[Any]], name: str = "some.npz") -> str:
    """The arrays as an archive in the data folder; its source."""
    np.savez_compressed(home / "data" / name, allow_pickle=True, **found)
    return f"npz:{name}"


def png(pixels: NDArray[np.uint8], kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def folder(home: Path, name: str = "some", classes: tuple[str, ...] = ("a", "b", "c"), count: int = 6) -> Path:
    pixels = arrays(count * len(classes), 12)["images"]
    for place, image in enumerate(pixels):
        place_of = home / "data" / name / classes[place % len(classes)]
        place_of.mkdir(parents=True, exist_ok=True)
        (place_of / f"{place:02}.png").write_bytes(png(image))
    return home / "data" / name

"""From a source's name to its images: shipped, found in the data folder, uploaded, or of the hub."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data import hub as text_hub
from training.data.check import DataError
from training.data.folder import inside
from training.data.images import folders, hub, npz
from training.data.images.decode import framed
from training.data.images.pictures import Frame, Part, Pictures
from training.data.progress import Progress

FASHION = Path(__file__).parent.parent / "corpora" / "fashion-mnist.npz"
"""Provenance in `corpora/FASHION-MNIST.md`."""


@dataclass(frozen=True)
class Source:
    """Images that are there: what tells them from others, and how to read them."""

    digest: str
    read: Callable[[Frame, Progress], Pictures]


def find(source: str, *, data_root: Path, blob: Path | None, progress: Progress) -> Source:
    """What a `DataSpec.source` names; `blob` is the file behind `dataset:<code>`. DataError where it is not there."""
    kind, _, name = source.partition(":")
    if source == "digits":
        return Source("digits", lambda frame, _: _digits(frame))
    if source == "fashion-mnist":
        return _archive(FASHION, "the shipped archive")
    if kind == "npz":
        return _archive(_within(data_root, name), f"the archive {name!r}")
    if kind == "images":
        return _folder(_within(data_root, name), data_root, name)
    if kind == "hf":
        found = text_hub.load(name, data_root, progress)
        return Source(hub.digest(found), lambda frame, progress: hub.read(found, frame, name, data_root, progress))
    if kind == "dataset":
        if blob is None or not blob.exists():
            raise DataError("data.source", f"the uploaded dataset {name} is not here any more; upload it again")
        return _archive(blob, "the uploaded archive")
    raise DataError("data.source", f"no source {source!r}; use digits, fashion-mnist, npz:, images:, dataset: or hf:")


def _within(data_root: Path, name: str) -> Path:
    place = inside(data_root, name)
    if not place.exists():
        raise DataError("data.source", f"no file or folder {name!r} in the data folder; put the images there")
    return place


def _archive(file: Path, name: str) -> Source:
    if not file.is_file():
        raise DataError("data.source", f"{name} is no file; give a NumPy archive, or images: for a folder")
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Source(digest, lambda frame, _: npz.read(file, frame, name))


def _folder(home: Path, data_root: Path, name: str) -> Source:
    if not home.is_dir():
        raise DataError("data.source", f"{name!r} is no folder; give a folder of classes, or npz: for an archive")
    parts = folders.listed(home, data_root, name)
    return Source(folders.digest(parts), lambda frame, progress: folders.read(parts, frame, home, progress))


def _digits(frame: Frame) -> Pictures:
    """1,797 handwritten digits of 8 x 8 pixels, 17 levels of grey, as scikit-learn carries them (UCI, BSD)."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images = np.rint(found.images * (255 / 16)).astype(np.uint8)
    return Pictures(Part(framed(images, frame), found.target.astype(np.int64)))

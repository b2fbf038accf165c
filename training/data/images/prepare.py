"""From a source to an image set on disk: found, judged, brought to one size once per content, whoever asks first."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from training.data.cache import built
from training.data.images import sources
from training.data.images.pictures import Frame, ImageSet, completed
from training.data.progress import Progress, silent

FORMAT = 1
"""Raised whenever the same images would give other files."""


def prepare(
    source: str,
    frame: Frame,
    *,
    cache_root: Path,
    data_root: Path,
    blob: Path | None = None,
    progress: Progress = silent,
) -> ImageSet:
    """Find, judge and store the images of a source; a second call, from any process, finds the work done.

    `blob` is the uploaded file behind `dataset:<code>`. DataError names the field and what to do.
    """
    found = sources.find(source, data_root=data_root, blob=blob, progress=progress)
    key = hashlib.sha256(f"{FORMAT} {frame} {found.digest}".encode()).hexdigest()[:32]

    def fill(folder: Path) -> None:
        progress("Reading images", 0.0)
        for name, part in completed(found.read(frame, progress), frame).items():
            np.save(folder / f"{name}-images.npy", np.ascontiguousarray(part.images.transpose(0, 3, 1, 2)))
            np.save(folder / f"{name}-labels.npy", part.labels)

    return ImageSet(built(cache_root / "images" / key, fill))

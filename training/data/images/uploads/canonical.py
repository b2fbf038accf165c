"""The one form that an uploaded image set is kept in: an archive that `npz:` reads, the same bytes for the same images.

`classes` [K] are names, `images` [N, side, side, channels] are uint8, `labels` [N] are int64; the parts `validation_`
and `test_` stand beside them where the upload had them. Nothing in it is compressed or dated.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from training.data.check import CHUNK
from training.data.images.npz import PREFIXES
from training.data.images.uploads import arrays, folders
from training.data.images.uploads.archive import MAGIC, opened
from training.data.images.uploads.found import Found, judge

LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The earliest date that a ZIP can say."""


@dataclass(frozen=True)
class ImageFacts:
    """What one pass over an image set tells; `bytes` and `sha256` are those of its canonical form."""

    bytes: int
    sha256: str
    images: int
    classes: int
    side: int
    channels: int


def is_archive(file: BinaryIO) -> bool:
    """Whether the content is an archive's, whatever it is called."""
    file.seek(0)
    start = file.read(4)
    file.seek(0)
    return start in MAGIC


def bring(file: BinaryIO, resolution: int | None, target: BinaryIO) -> ImageFacts:
    """Write an uploaded archive, of arrays or of folders, to `target` in canonical form.

    `resolution` is the pixels a side that every image is cut around its middle and scaled to; without it images are
    kept as they are. DataError names `data.source` or `data.resolution`, and what to do.
    """
    with opened(file) as archive:
        of_arrays = any(entry.filename.endswith(".npy") and "/" not in entry.filename for entry in archive.infolist())
        found = arrays.read(archive, resolution) if of_arrays else folders.read(archive, resolution)
        judge(found)
        _write(found, target)
    size, digest = target.tell(), hashlib.sha256()
    target.seek(0)
    for piece in iter(partial(target.read, CHUNK), b""):
        digest.update(piece)
    frame = found.frame
    return ImageFacts(size, digest.hexdigest(), found.count, frame.classes, frame.side, frame.channels)


def _write(found: Found, target: BinaryIO) -> None:
    side, channels = found.frame.side, found.frame.channels
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "classes", np.array(found.classes))
        for part, labels in found.labels.items():
            shape = (len(labels), side, side, channels)
            blocks = (block.tobytes() for block in found.blocks(part))
            _add_pieces(archive, f"{PREFIXES[part]}images", [_header(shape, "|u1")], blocks)
            _add(archive, f"{PREFIXES[part]}labels", labels)


def _add(archive: zipfile.ZipFile, name: str, values: NDArray[np.generic]) -> None:
    _add_pieces(archive, name, [_header(values.shape, values.dtype.str)], [values.tobytes()])


def _header(shape: tuple[int, ...], kind: str) -> bytes:
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def _add_pieces(archive: zipfile.ZipFile, name: str, *pieces: Iterable[bytes]) -> None:
    with archive.open(zipfile.ZipInfo(f"{name}.npy", LONG_AGO), "w", force_zip64=True) as stream:
        for group in pieces:
            for piece in group:
                stream.write(piece)

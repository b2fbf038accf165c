"""From an image file or an array to pixels of the wanted size. Bounds are judged before anything is decoded."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from training.data.check import DataError
from training.data.images.pictures import Frame

FORMATS = ("PNG", "JPEG")
MAX_PIXELS = 1 << 24
"""Most pixels of one file: decoded it is 64 MiB."""
MAX_FILE = 64 << 20
"""Most bytes of one file."""
GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N")
"""Modes of Pillow without colour."""
FAULTS = (OSError, ValueError, SyntaxError, struct.error, zlib.error, EOFError, IndexError, TypeError)
"""What the decoder raises on damaged files."""


def decoded(source: bytes | Path, frame: Frame, name: str) -> NDArray[np.uint8]:
    """The pixels of a file, [side, side, channels]; `name` is what a message calls it.

    Only PNG and JPEG are read, one frame each. Metadata are not looked at, so an orientation in them has no effect;
    transparency is dropped.
    """
    with opened(source, name) as image:
        return fitted(image, frame)


def looked_at(source: bytes, name: str) -> tuple[int, int, bool]:
    """Width and height of an image file, and whether it is grey; its pixels are not decoded."""
    with opened(source, name) as image:
        return image.width, image.height, image.mode in GREY


@contextmanager
def opened(source: bytes | Path, name: str) -> Iterator[Image.Image]:
    """A PNG or JPEG within the limits; DataError where it is none, or turns out damaged while it is used."""
    if (source.stat().st_size if isinstance(source, Path) else len(source)) > MAX_FILE:
        raise DataError("data.source", f"{name} has more than {MAX_FILE >> 20} MiB; make the image smaller")
    data = source.read_bytes() if isinstance(source, Path) else source
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                message = f"{name} has {width} x {height} pixels, more than {MAX_PIXELS}"
                raise DataError("data.source", f"{message}; make the image smaller")
            if getattr(image, "is_animated", False):
                raise DataError("data.source", f"{name} is animated; give one image per file")
            yield image
    except UnidentifiedImageError as error:
        raise DataError("data.source", f"{name} is no PNG or JPEG image; convert it or take it away") from error
    except Image.DecompressionBombError as error:
        raise DataError("data.source", f"{name} has more than {MAX_PIXELS} pixels; make the image smaller") from error
    except FAULTS as error:
        raise DataError("data.source", f"{name} is damaged: {error}; give the whole file") from error


def fitted(image: Image.Image, frame: Frame) -> NDArray[np.uint8]:
    """Cut to a square around the middle, scaled with averaging, grey or colour: [side, side, channels]."""
    if image.mode.startswith("I"):
        image = image.point(lambda value: value / 256).convert("L")
    image = image.convert("L" if frame.channels == 1 else "RGB")
    if image.size != (frame.side, frame.side):
        image = ImageOps.fit(image, (frame.side, frame.side), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8).reshape(frame.side, frame.side, frame.channels)


def framed(images: NDArray[np.uint8], frame: Frame) -> NDArray[np.uint8]:
    """images[N, H, W] or [N, H, W, 1 or 3] as [N, side, side, channels]."""
    images = images[..., None] if images.ndim == 3 else images
    if images.shape[1:] == (frame.side, frame.side, frame.channels):
        return images
    made = np.empty((len(images), frame.side, frame.side, frame.channels), np.uint8)
    for place, image in enumerate(images):
        made[place] = fitted(Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image), frame)
    return made

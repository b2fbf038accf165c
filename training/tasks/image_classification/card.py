"""Tell which class an image shows.

The loss is the mean cross-entropy per image, in nats. A tenth of each class of the training part validates where the
data come without a validation part; the test part is looked at once, by the finished model. Cost is per image.
`robust` attacks at most 200 test images within three L-infinity balls; `calibration` is the expected calibration error.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from training.catalog import TaskCard
from training.data.names import IMAGES
from training.models.images import IMAGE_PRESETS, ImageShape

if TYPE_CHECKING:
    from training.spec import DataSpec


SHIPPED = {"fashion-mnist": (28, 1, 10), "digits": (8, 1, 10)}
"""Resolution, channels and classes of the data that come with theirs."""


def sizes(data: DataSpec) -> tuple[int, int, int]:
    """Resolution, channels and classes: as the spec says, else as the source has them."""
    resolution, channels, classes = SHIPPED.get(data.source, (0, 0, 0))
    return data.resolution or resolution, data.channels or channels, data.classes or classes


def needs(data: DataSpec) -> tuple[str, ...]:
    return () if data.source in SHIPPED else ("resolution", "channels", "classes")


def shape(data: DataSpec, preset: str) -> ImageShape:
    """The network for images of this size and for these classes; ValueError where its patches do not fit them."""
    side, channels, classes = sizes(data)
    return replace(IMAGE_PRESETS[preset], side=side, channels=channels, classes=classes)


def offers(entry: Path) -> str:
    """NumPy archives, and folders of folders."""
    if entry.suffix == ".npz" and entry.is_file():
        return f"npz:{entry.name}"
    return f"images:{entry.name}" if entry.is_dir() and any(inner.is_dir() for inner in entry.iterdir()) else ""


CARD = TaskCard(
    title="Image classification",
    unit="image",
    source=IMAGES,
    sources="use fashion-mnist, digits, npz:<archive> or images:<folder> in the data folder, or hf:<owner/name>",
    presets=IMAGE_PRESETS,
    shape=shape,
    length=lambda data: 1,
    fields=("source", "resolution", "channels", "classes", "augment"),
    needs=needs,
    evals=("calibration", "robust"),
    shipped={
        "fashion-mnist": "Fashion-MNIST, a tenth of it: 28 pixels, grey, 10 classes",
        "digits": "Handwritten digits: 8 pixels, grey, 10 classes",
    },
    offers=offers,
    starts_from={"data": {"source": "fashion-mnist"}, "model": {"preset": "resnet8"}, "evals": ("calibration",)},
)

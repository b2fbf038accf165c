from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training.data.images.sets import PARTS, arrays, folder, made, png, refused
from training.data.images.pictures import Frame


def test_a_folder_of_classes_is_read_in_the_order_of_their_names(home: Path) -> None:
    place = folder(home, classes=("cat", "ant", "bee"), count=10)
    (place / "readme.txt").write_text("not an image")
    (place / "empty").mkdir()
    found = made(home, "images:some", Frame(12, 1, 3))
    ants = [np.asarray(Image.open(file)) for file in sorted((place / "ant").iterdir())]
    read = [image[0] for part in PARTS for image in found.images(part)[found.labels(part) == 0]]
    assert sorted(image.tobytes() for image in read) == sorted(image.tobytes() for image in ants)


def test_a_folder_with_a_train_and_a_test_part_keeps_them(home: Path) -> None:
    folder(home, "some/train")
    folder(home, "some/test", count=2)
    found = made(home, "images:some", Frame(12, 1, 3))
    assert [len(found.labels(part)) for part in PARTS] == [15, 3, 6]


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is huge and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def animated() -> bytes:
    stream = io.BytesIO()
    frames = [Image.fromarray(image) for image in arrays(3)["images"]]
    frames[0].save(stream, "PNG", save_all=True, append_images=frames[1:])
    return stream.getvalue()


WHOLE = png(arrays(1, 64)["images"][0])
BAD_FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "is no PNG or JPEG image; convert it or take it away"),
    "text": (lambda: b"hello" * 99, "is no PNG or JPEG image; convert it or take it away"),
    "a GIF": (lambda: png(arrays(1)["images"][0], "GIF"), "is no PNG or JPEG image; convert it or take it away"),
    "cut off": (lambda: WHOLE[: len(WHOLE) // 2], "is damaged"),
    "a pixel bomb": (lambda: bomb(65_535, 65_535), "pixels; make the image smaller"),
    "too many pixels": (lambda: bomb(5_000, 5_000), "has 5000 x 5000 pixels, more than 16777216; make"),
    "animated": (animated, "is animated; give one image per file"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD_FILES)
def test_a_bad_image_file_is_refused_by_its_name(home: Path, fault: str) -> None:
    build, message = BAD_FILES[fault]
    (folder(home) / "b" / "zz.png").write_bytes(build())
    path, found = refused(home, "images:some")
    assert path == "data.source"
    assert found.startswith("the file 'b/zz.png' ")
    assert message in found


@pytest.mark.parametrize("mode", ["CMYK", "RGBA", "P", "1", "LA", "I;16"])
def test_every_mode_of_an_image_becomes_grey_or_colour(home: Path, mode: str) -> None:
    place = folder(home)
    file = place / "a" / ("zz.jpg" if mode == "CMYK" else "zz.png")
    Image.new("L", (20, 20), 255).convert(mode if mode != "I;16" else "L").save(file)
    if mode == "I;16":
        Image.fromarray(np.full((20, 20), 65_535, np.uint16)).save(file)
    found = made(home, "images:some", Frame(8, 3, 3))
    assert any((image == 255).all() for part in PARTS for image in found.images(part))


def test_an_orientation_in_the_metadata_has_no_effect(home: Path) -> None:
    place = folder(home)
    exif = Image.Exif()
    exif[0x0112] = 6
    lower = np.zeros((20, 20), np.uint8)
    lower[10:] = 255
    (place / "a" / "00.png").unlink()
    (place / "a" / "zz.jpg").write_bytes(png(lower, "JPEG", exif=exif, quality=100))
    found = made(home, "images:some")
    images = [image[0] for part in PARTS for image in found.images(part)]
    assert any(image[:3].max() == 0 and image[5:].min() == 255 for image in images)


def test_a_link_out_of_the_data_folder_is_not_followed(home: Path) -> None:
    (home / "secret.png").write_bytes(png(arrays(1)["images"][0]))
    (folder(home) / "a" / "zz.png").symlink_to(home / "secret.png")
    assert "no file or folder" in refused(home, "images:some")[1]


@pytest.mark.parametrize(("classes", "asked"), [(("a", "b"), 3), (("a", "b", "c", "d"), 3)])
def test_as_many_folders_as_classes_are_needed(home: Path, classes: tuple[str, ...], asked: int) -> None:
    folder(home, classes=classes)
    path, message = refused(home, "images:some", Frame(8, 1, asked))
    assert path == "data.classes"
    assert f"there are {len(classes)} folders with images, {asked} classes are asked for" in message


def test_a_class_that_only_the_test_part_has_is_refused(home: Path) -> None:
    folder(home, "some/train")
    folder(home, "some/test", ("a", "b", "c", "d"), 2)
    assert "the test part has a class 'd' that the training part lacks" in refused(home, "images:some")[1]

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.training.data.images.sets import PARTS, SMALL, arrays, made, refused, saved
from training.data.images.pictures import Frame
from training.data.images.prepare import prepare


@pytest.mark.parametrize(("source", "frame", "sizes"), [
    ("digits", Frame(8, 1, 10), (1295, 143, 359)),
    ("fashion-mnist", Frame(28, 1, 10), (5400, 600, 1000)),
])  # fmt: skip
def test_shipped_sets_come_in_three_parts_of_all_classes(
    home: Path, source: str, frame: Frame, sizes: tuple[int, ...]
) -> None:
    found = made(home, source, frame)
    for part, size in zip(PARTS, sizes, strict=True):
        assert found.images(part).shape == (size, 1, frame.side, frame.side)
        assert np.bincount(found.labels(part), minlength=10).min() > 0
        assert found.images(part).min() == 0
        assert found.images(part).max() == 255
        assert not found.images(part).flags.writeable


def test_no_image_is_in_two_parts(home: Path) -> None:
    numbered = arrays(300)
    numbered["images"][:, 0, 0], numbered["images"][:, 0, 1] = np.arange(300) % 256, np.arange(300) // 256
    found = made(home, saved(home, numbered))
    seen = [int(image[0, 0, 0]) + 256 * int(image[0, 0, 1]) for part in PARTS for image in found.images(part)]
    assert sorted(seen) == list(range(300))
    counts = [np.bincount(found.labels(part)).tolist() for part in PARTS]
    assert counts == [[72] * 3, [8] * 3, [20] * 3]


def test_a_test_part_of_ones_own_is_untouched(home: Path) -> None:
    found = made(home, saved(home, arrays(test_images=arrays(9)["images"], test_labels=np.arange(9) % 3)))
    assert np.array_equal(found.images("test")[:, 0], arrays(9)["images"])
    assert len(found.images("train")) + len(found.images("validation")) == 30


def test_two_builds_are_equal_byte_for_byte(home: Path) -> None:
    source = saved(home, arrays())
    once = made(home, source)
    again = prepare(source, SMALL, cache_root=home / "other", data_root=home / "data")
    for file in once.folder.iterdir():
        assert file.read_bytes() == (again.folder / file.name).read_bytes()


def test_a_second_call_finds_the_work_done(home: Path) -> None:
    doings: list[str] = []
    first = made(home, saved(home, arrays()))
    assert made(home, "npz:some.npz", progress=lambda doing, share: doings.append(doing)).folder == first.folder
    assert doings == []


def test_other_images_or_another_size_are_another_set(home: Path) -> None:
    source = saved(home, arrays())
    folders = {made(home, source).folder, made(home, source, Frame(6, 1, 3)).folder}
    assert len(folders | {made(home, saved(home, arrays(33))).folder}) == 3


@pytest.mark.parametrize("name", ["train-images.npy", "sizes.json"])
def test_a_set_with_a_damaged_file_is_made_again(home: Path, name: str) -> None:
    found = made(home, saved(home, arrays()))
    whole = (found.folder / name).read_bytes()
    (found.folder / name).write_bytes(whole[:-3])
    assert (made(home, "npz:some.npz").folder / name).read_bytes() == whole


def test_images_are_brought_to_the_asked_size_and_channels(home: Path) -> None:
    colour = np.zeros((30, 12, 20, 3), np.uint8)
    colour[..., 1] = 200
    source = saved(home, arrays() | {"images": colour})
    grey = made(home, source).images("train")
    assert grey.shape[1:] == (1, 8, 8)
    assert set(np.unique(grey)) == {117}  # 0.587 of 200, as luma weighs green
    tall = made(home, source, Frame(16, 3, 3)).images("train")
    assert tall.shape[1:] == (3, 16, 16)
    assert tall[:, 1].min() == 200
    assert tall[:, (0, 2)].max() == 0


def test_statistics_are_those_of_the_training_pixels(home: Path) -> None:
    colour = np.random.default_rng(1).integers(0, 99, (30, 8, 8, 3), np.uint8)
    found = made(home, saved(home, arrays() | {"images": colour}), Frame(8, 3, 3))
    pixels = found.images("train").astype(np.float64) / 255
    mean, std = found.statistics()
    np.testing.assert_allclose(mean, pixels.mean((0, 2, 3)))
    np.testing.assert_allclose(std, pixels.std((0, 2, 3)))


def test_an_uploaded_archive_is_the_same_set(home: Path) -> None:
    here = made(home, saved(home, arrays()))
    (home / "data" / "some.npz").rename(home / "upload")
    assert made(home, "dataset:abcdefgh", blob=home / "upload").folder == here.folder


@pytest.mark.parametrize(("source", "message"), [
    ("images:absent", "no file or folder 'absent' in the data folder; put the images there"),
    ("npz:absent.npz", "no file or folder 'absent.npz' in the data folder; put the images there"),
    ("images:..", "no file or folder '..' in the data folder; put the text there"),
    ("images:empty", "the folder 'empty' holds no folder with PNG or JPEG files; "
                     "make one folder per class and put its images there"),
    ("npz:empty", "the archive 'empty' is no file; give a NumPy archive, or images: for a folder"),
    ("dataset:abcdefgh", "the uploaded dataset abcdefgh is not here any more; upload it again"),
    ("cifar", "no source 'cifar'; use digits, fashion-mnist, npz:, images:, dataset: or hf:"),
])  # fmt: skip
def test_a_source_that_is_not_there_is_refused(home: Path, source: str, message: str) -> None:
    (home / "data" / "empty").mkdir()
    assert refused(home, source) == ("data.source", message)


def test_a_set_that_is_too_large_is_refused_before_it_is_made(home: Path) -> None:
    source = saved(home, arrays(3000, 1, labels=np.arange(3000) % 3))
    path, message = refused(home, source, Frame(512, 3, 3))
    assert path == "data.resolution"
    assert "has 3000 images, which at 512 x 512 x 3 take more than 2 GiB" in message

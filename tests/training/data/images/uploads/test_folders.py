from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from tests.training.data.images.sets import arrays, png
from tests.training.data.images.test_folders import BAD_FILES
from tests.training.data.images.uploads.packed import brought, canonical, files, refusal, zipped
from training.data.images import pictures
from training.data.images.uploads import archive, found


def test_classes_are_folders_in_the_order_of_their_names() -> None:
    _, kept = brought(zipped(files(("cat", "ant", "bee"))))
    assert kept["classes"].tolist() == ["ant", "bee", "cat"]
    pixels = arrays(18, 12)["images"]
    assert np.array_equal(kept["images"][kept["labels"] == 0][..., 0], pixels[1::3])


def test_one_folder_around_all_classes_is_looked_through() -> None:
    assert canonical(zipped(files(around="my flowers/"))) == canonical(zipped(files()))


def test_parts_in_an_upload_stay_parts() -> None:
    parts = files(around="train/") | files(around="test/", each=2)
    facts, kept = brought(zipped(parts))
    assert facts.images == 24
    assert [len(kept[name]) for name in ("labels", "test_labels")] == [18, 6]
    assert "validation_labels" not in kept


def test_what_systems_add_to_an_archive_is_no_image() -> None:
    added = {"__MACOSX/ant/._000.png": b"x", "ant/.DS_Store": b"x", "ant/": b"", "empty/": b""}
    assert canonical(zipped(files() | added)) == canonical(zipped(files()))


def test_a_name_is_the_same_however_it_is_composed() -> None:
    names = [unicodedata.normalize(form, "Köln") for form in ("NFC", "NFD")]
    assert names[0] != names[1]
    assert canonical(zipped(files((names[0], "ant")))) == canonical(zipped(files((names[1], "ant"))))


def test_one_image_in_colour_makes_all_of_them_three_channels() -> None:
    assert brought(zipped(files()))[0].channels == 1
    red = np.zeros((12, 12, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    facts, kept = brought(zipped(files() | {"bee/zz.png": png(red)}))
    assert facts.channels == 3
    assert (kept["images"] == [255, 0, 0]).all((1, 2, 3)).any()


def test_images_of_different_sizes_need_a_resolution() -> None:
    mixed = files() | {"bee/zz.png": png(arrays(1, 20)["images"][0])}
    assert refusal(zipped(mixed)) == (
        "resolution: the file 'ant/000.png' has 12 x 12 pixels, the file 'bee/zz.png' has 20 x 20; "
        "say the resolution to keep them at, or give images of one size"
    )
    assert brought(zipped(mixed), 10)[0].side == 10


def test_a_resolution_cuts_the_middle_square_and_scales_it() -> None:
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 10:20] = 255
    same = {f"{name}/{place}.png": png(wide) for name in "ab" for place in range(3)}
    assert "30 x 10 pixels, which is no square; say the resolution" in refusal(zipped(same))
    assert brought(zipped(same), 5)[1]["images"].min() > 200


@pytest.mark.parametrize(("side", "fits"), [(3, False), (4, True), (512, True), (513, False)])
def test_sizes_that_no_network_takes_need_a_resolution(side: int, fits: bool) -> None:
    same = {f"{name}/{place}.png": png(np.zeros((side, side), np.uint8)) for name in "ab" for place in range(3)}
    if fits:
        assert brought(zipped(same))[0].side == side
    else:
        assert refusal(zipped(same)).startswith(f"resolution: the images have {side} pixels a side")


@pytest.mark.parametrize("fault", BAD_FILES)
def test_a_bad_image_is_refused_by_its_name(fault: str) -> None:
    build, message = BAD_FILES[fault]
    said = refusal(zipped(files() | {"bee/zz.png": build()}), 12)
    assert said.startswith("source: the file 'bee/zz.png' ")
    assert message in said


PLACES = {
    "in no folder": ("zz.png", "is not in a class folder"),
    "too deep": ("bee/red/zz.png", "is not in a class folder"),
    "in a part among classes": ("train/zz.png", "is not in a class folder"),
    "a long name": (f"{'b' * 101}/zz.png", "give 1 to 100 plain characters"),
}


@pytest.mark.parametrize("fault", PLACES)
def test_an_image_in_an_odd_place_is_refused(fault: str) -> None:
    name, message = PLACES[fault]
    assert message in refusal(zipped(files() | {name: png(arrays(1, 12)["images"][0])}))


def test_one_class_is_not_enough() -> None:
    assert "there is one class" in refusal(zipped(files(("ant",))))


def test_a_class_with_too_few_images_is_refused_by_its_name() -> None:
    few = {name: content for name, content in files().items() if name not in ("bee/001.png", "bee/004.png")}
    few = {name: content for name, content in few.items() if name not in ("bee/007.png", "bee/010.png")}
    assert "class 1 ('bee') has 2 training images, 3 are the least" in refusal(zipped(few))


def test_a_class_that_only_the_test_part_has_is_refused() -> None:
    parts = files(around="train/") | files(("dog",), around="test/")
    assert "the test part has a class 'dog' that the training part lacks" in refusal(zipped(parts))


def test_an_archive_without_images_is_refused() -> None:
    assert "holds no images" in refusal(zipped({}))
    assert "holds no images" in refusal(zipped({"ant/": b""}))


def test_more_classes_than_allowed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found, "MAX_CLASSES", 2)
    assert "there are 3 classes; at most 2" in refusal(zipped(files()))


def test_more_pixels_than_allowed_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found, "MAX_DECODED", 18 * 144 - 1)
    assert "more than 2,591 pixels in all" in refusal(zipped(files()))


def test_more_than_may_be_kept_is_refused_at_the_resolution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_BYTES", 18 * 144 - 1)
    said = refusal(zipped(files()))
    assert said.startswith("resolution: the upload has 18 images, which at 12 x 12 x 1 take more than")
    assert brought(zipped(files()), 8)[0].images == 18


def test_files_that_unpack_to_too_much_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = files()
    monkeypatch.setattr(archive, "MAX_UNPACKED", sum(map(len, packed.values())) - 1)
    assert "unpacks to more than" in refusal(zipped(packed))

"""Uploading images, and what is refused: the field says why, and nothing is kept."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.training.data.images.sets import arrays, png
from tests.training.data.images.uploads.packed import files, npz, zipped
from tests.webapp.people import member
from training.data.images.uploads import archive
from webapp.datasets.models import Dataset, Kind

pytestmark = pytest.mark.django_db


def upload(client: Client, content: io.BytesIO, name: str = "a.txt", **more: str) -> Any:
    file = SimpleUploadedFile(name, content.getvalue(), content_type="text/plain")
    return client.post("/data/", {"project": "lab", "name": "Insects", "file": file, **more})


def refused(content: io.BytesIO, **more: str) -> dict[str, str]:
    """The message at each field; nothing of the upload is there."""
    before = set(kept())
    answer = upload(member(), content, **more)
    assert answer.status_code == 422
    assert not Dataset.objects.exists()
    assert set(kept()) == before
    return {name: " ".join(found) for name, found in answer.context["form"].errors.items()}


def kept() -> list[Path]:
    from django.conf import settings

    return list((Path(settings.ARTIFACT_ROOT) / "datasets").glob("**/*"))


@pytest.mark.parametrize("content", [zipped(files()), npz(**arrays(30, 12))], ids=["zip", "npz"])
def test_images_are_told_by_their_content_and_listed_with_their_sizes(content: io.BytesIO) -> None:
    client = member()
    upload(client, content)
    found = Dataset.objects.get()
    assert (found.kind, found.classes, found.resolution, found.channels) == (Kind.IMAGES, 3, 12, 1)
    assert found.images in (18, 30)
    page = client.get("/data/").content.decode()
    assert f"{found.images} images, 3 classes" in page
    assert "12 × 12 grey" in page


def test_what_is_kept_is_the_one_form_under_its_own_digest() -> None:
    client = member()
    upload(client, zipped(files()))
    found = Dataset.objects.get()
    assert found.path.name == found.sha256
    assert found.path.stat().st_size == found.bytes
    with np.load(found.path, allow_pickle=False) as archive:
        assert archive["classes"].tolist() == ["ant", "bee", "cat"]
    upload(client, zipped(files(around="again/"), compression=zipfile.ZIP_DEFLATED))
    assert Dataset.objects.count() == 1


def test_a_text_stays_a_text_whatever_it_is_called() -> None:
    upload(member(), io.BytesIO(b"some text"), name="images.zip")
    assert Dataset.objects.get().kind == Kind.TEXT


def test_a_resolution_is_kept_where_it_was_asked_for() -> None:
    upload(member(), zipped(files()), resolution="8")
    assert Dataset.objects.get().resolution == 8


MIXED = files() | {"bee/zz.png": png(arrays(1, 20)["images"][0])}


def test_sizes_that_differ_are_refused_at_the_resolution_and_nothing_typed_is_lost() -> None:
    found = refused(zipped(MIXED))
    assert list(found) == ["resolution"]
    assert "'bee/zz.png' has 20 x 20; say the resolution to keep them at" in found["resolution"]
    page = upload(member(username="eve"), zipped(MIXED)).content.decode()
    assert 'value="Insects"' in page


REFUSALS = {
    "Python objects": (npz(images=np.array([None] * 9), labels=np.arange(9) % 3), "holds Python objects"),
    "too few labels": (npz(**arrays() | {"labels": np.arange(29) % 3}), "give one label per image"),
    "one class": (zipped(files(("ant",))), "there is one class"),
    "a way out": (zipped(files() | {"../../zz.png": b""}), "use plain names"),
    "a damaged image": (zipped(files() | {"bee/zz.png": png(arrays(1, 64)["images"][0])[:99]}), "is damaged"),
    "no image": (zipped(files() | {"bee/zz.png": b"hello"}), "'bee/zz.png' is no PNG or JPEG image"),
    "a damaged archive": (io.BytesIO(zipped(files()).getvalue()[:-30]), "the archive is damaged"),
}


@pytest.mark.parametrize("fault", REFUSALS)
def test_an_upload_of_images_that_cannot_be_used_is_refused_at_the_file(fault: str) -> None:
    content, message = REFUSALS[fault]
    found = refused(content, resolution="16" if "image" in fault else "")
    assert list(found) == ["file"]
    assert message in found["file"]


def test_a_bomb_is_refused_at_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_UNPACKED", 1 << 20)
    bomb = zipped({"ant/zz.png": bytes(8 << 20)}, compression=zipfile.ZIP_DEFLATED)
    assert "unpacks to more than" in refused(bomb)["file"]


@pytest.mark.parametrize(("resolution", "message"), [
    ("3", "greater than or equal to 4"), ("513", "less than or equal to 512"), ("big", "whole number"),
])  # fmt: skip
def test_a_resolution_that_cannot_be_is_refused(resolution: str, message: str) -> None:
    found = refused(zipped(MIXED), resolution=resolution)
    assert list(found) == ["resolution"]
    assert message in found["resolution"]
    assert "say the resolution" not in found["resolution"]


def test_a_text_has_no_resolution() -> None:
    assert "only images have a resolution; leave it empty" in refused(io.BytesIO(b"text"), resolution="8")["resolution"]


def test_what_is_no_archive_is_refused_as_the_text_that_it_was_taken_for() -> None:
    found = refused(io.BytesIO(png(arrays(1, 12)["images"][0])))
    assert found["file"].startswith("the file, taken as a text, is not UTF-8: the byte at offset 0 does not decode")

"""Uploading by REST, from the file to a launch that trains on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.training.data.images.sets import arrays
from tests.training.data.images.uploads.packed import files, npz, zipped
from tests.training.workbench import CPU, Memory
from tests.webapp.api.callers import Api, person, token
from training import assembly
from training.lab import Lab
from webapp.experiments.models import Arm
from webapp.runs import port
from webapp.teams.models import Project

SIZES = ("resolution", "channels", "classes")


def upload(api: Api, content: bytes, **more: str) -> Any:
    fields = {"project": "atlas", "name": "Insects", "file": SimpleUploadedFile("../x.txt", content), **more}
    return api.client.post("/api/v1/datasets", fields)


def launch(api: Api, data: dict[str, Any], task: str = "image_classification") -> Any:
    spec = {"task": task, "data": data, "model": {"preset": "cnn-small"}, "budget": {"steps": 8}, "batch_size": 8}
    arms = [{"label": "Dense", "spec": spec, "is_baseline": True}]
    return api.post("experiments", {"project": "atlas", "title": "Insects", "arms": arms, "seeds": [0]})


@pytest.mark.parametrize("content", [zipped(files()).getvalue(), npz(**arrays(18, 12)).getvalue()], ids=["zip", "npz"])
def test_images_are_uploaded_described_and_trained_on(api: Api, tmp_path: Path, content: bytes) -> None:
    found = upload(api, content).json()
    assert {name: found[name] for name in ("kind", "images", *SIZES)} == {
        "kind": "images", "images": 18, "resolution": 12, "channels": 1, "classes": 3,
    }  # fmt: skip
    assert api.get(f"datasets/{found['code']}").json() == found
    data = {name: found[name] for name in ("source", *SIZES)}
    assert launch(api, data).status_code == 202
    spec, memory = Arm.objects.get().spec, Memory()
    task = assembly.task(spec, CPU, cache_root=tmp_path, data_root=tmp_path, blob=port.blob(spec.data.source))
    lab = Lab(spec, task, seed=0, device=CPU, store=memory, sink=memory, control=memory)
    assembly.run(lab)
    losses = [point.value for point in memory.points if point.name == "train/loss"]
    assert 0 < losses[-1] < losses[0]


def test_a_text_says_no_sizes(api: Api) -> None:
    found = upload(api, b"some words").json()
    assert (found["kind"], found["images"], *(found[name] for name in SIZES)) == ("text", *[None] * 4)


@pytest.mark.parametrize(
    ("content", "more", "path", "message"),
    [
        (zipped(files(("ant",))).getvalue(), {}, "file", "there is one class"),
        (zipped(files() | {"../zz.png": b""}).getvalue(), {}, "file", "use plain names"),
        (zipped(files(side=600, each=3)).getvalue(), {}, "resolution", "have 600 pixels a side"),
        (zipped(files()).getvalue(), {"resolution": "2"}, "resolution", "greater than or equal to 4"),
        (zipped(files()).getvalue(), {"resolution": "x"}, "resolution", "valid integer"),
        (b"some words", {"resolution": "8"}, "resolution", "leave it empty"),
    ],
)
def test_a_refused_upload_names_what_is_wrong(
    api: Api, content: bytes, more: dict[str, str], path: str, message: str
) -> None:
    answer = upload(api, content, **more)
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error["path"] == path
    assert message in error["message"]
    assert api.get("datasets").json()["items"] == []


def test_a_launch_that_says_other_sizes_is_told_the_sets_own(api: Api) -> None:
    found = upload(api, zipped(files()).getvalue(), resolution="8").json()
    answer = launch(api, {"source": found["source"], "resolution": 12, "channels": 1, "classes": 4})
    assert answer.status_code == 400
    assert {error["path"]: error["message"] for error in answer.json()["errors"]} == {
        "arms.0.spec.data.resolution": f"12, but the data set {found['code']} has 8; give 8",
        "arms.0.spec.data.classes": f"4, but the data set {found['code']} has 3; give 3",
    }


def test_another_project_neither_sees_nor_uses_the_images(api: Api) -> None:
    other = Api(token(person("eve", "member", Project.objects.create(name="Other", slug="other"))))
    fields = {"project": "other", "name": "Theirs", "file": SimpleUploadedFile("x", zipped(files()).getvalue())}
    theirs = other.client.post("/api/v1/datasets", fields).json()
    assert api.get(f"datasets/{theirs['code']}").status_code == 404
    answer = launch(api, {name: theirs[name] for name in ("source", *SIZES)})
    [error] = answer.json()["errors"]
    assert (error["path"], error["message"]) == (
        "arms.0.spec.data.source", f"this project has no data set {theirs['code']}"
    )  # fmt: skip

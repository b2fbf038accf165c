"""Experiments on what people uploaded: texts for the tasks that read, images for those that look."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.training.data.images.uploads.packed import files, zipped
from tests.webapp.experiments.filling import NEW, asked, plan_of
from tests.webapp.people import member
from training.spec import RunSpec
from webapp.datasets.models import Dataset
from webapp.experiments import services
from webapp.experiments.models import Arm
from webapp.experiments.services import ArmRequest
from webapp.teams.models import Project

pytestmark = pytest.mark.django_db
ON_IMAGES = f"{NEW}?task=image_classification"


def uploaded(client: Client, content: bytes, slug: str = "lab") -> Dataset:
    client.post("/data/", {"project": slug, "name": "Insects", "file": SimpleUploadedFile("x", content)})
    return Dataset.objects.latest("pk")


def insects(client: Client, slug: str = "lab") -> Dataset:
    return uploaded(client, zipped(files()).getvalue(), slug)


def refusals(client: Client, **changes: Any) -> dict[str, str]:
    answer = client.post(NEW, asked(client, ON_IMAGES, **changes))
    assert answer.status_code == 422
    assert not Arm.objects.exists()
    return {name: " ".join(found) for name, found in answer.context["form"].errors.items()}


def problems(project: str = "lab", **spec: Any) -> dict[str, str]:
    """What a launch of this spec is refused for, as REST asks."""
    arms = [ArmRequest("Dense", RunSpec.model_validate(spec), is_baseline=True)]
    found = services.refusals(
        project=Project.objects.get(slug=project), title="Insects", arms=arms, seeds=[0], queue="cpu"
    )
    return {path.removeprefix("arms.0."): message for path, message in found.items()}


def offered(client: Client, address: str) -> dict[str, str]:
    groups = dict(client.get(address).context["form"].fields["data.source"].widget.choices)
    return dict(groups.get("Uploaded", []))


def test_each_task_is_offered_what_it_can_learn_from() -> None:
    client = member()
    images, text = insects(client), uploaded(client, b"some text " * 99)
    assert offered(client, ON_IMAGES) == {images.source: "Insects (Lab): 12 × 12 grey, 3 classes"}
    assert offered(client, NEW) == {text.source: "Insects (Lab)"}


def test_sizes_left_open_are_those_of_the_uploaded_set() -> None:
    client = member()
    images = insects(client)
    values = asked(client, ON_IMAGES, **{"data.source": images.source, "model.preset": "cnn-small"})
    assert plan_of(client, values).context["plan"]["ready"]
    answer = client.post(NEW, values)
    assert answer.status_code == 302, answer.context["form"].errors
    data = Arm.objects.get().spec.data
    assert (data.source, data.resolution, data.channels, data.classes) == (images.source, 12, 1, 3)


def test_sizes_that_are_not_those_of_the_set_are_refused_with_its_own() -> None:
    client = member()
    images = insects(client)
    wrong = {"data.resolution": "16", "data.channels": "3", "data.classes": "9"}
    found = refusals(client, **{"data.source": images.source, "model.preset": "cnn-small", **wrong})
    assert found == {
        "data.resolution": f"16, but the data set {images.code} has 12; give 12",
        "data.channels": f"3, but the data set {images.code} has 1; give 1",
        "data.classes": f"9, but the data set {images.code} has 3; give 3",
    }


def test_data_of_the_other_kind_are_refused_at_the_source() -> None:
    client = member()
    images, text = insects(client), uploaded(client, b"some text " * 99)
    sizes = {"resolution": 12, "channels": 1, "classes": 3}
    assert problems(task="image_classification", data={"source": text.source, **sizes}) == {
        "data.source": f"Image classification learns from images, {text.code} is of texts; choose another"
    }
    assert problems(data={"source": images.source}) == {
        "data.source": f"Next-token prediction learns from texts, {images.code} is of images; choose another"
    }
    assert list(refusals(client, **{"data.source": text.source})) == [
        "data.resolution", "data.channels", "data.classes",
    ]  # fmt: skip


def test_images_of_another_project_are_no_data_for_this_one() -> None:
    theirs = insects(member(username="grace", slug="other"), "other")
    client = member()
    sizes = {"resolution": 12, "channels": 1, "classes": 3}
    found = problems(task="image_classification", data={"source": theirs.source, **sizes})
    assert found == {"data.source": f"this project has no data set {theirs.code}"}
    assert offered(client, ON_IMAGES) == {}
    assert "data.resolution" in refusals(client, **{"data.source": theirs.source})

"""Images of one's own: from a file on disk to a finished run on them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.test_journey import _finished
from tests.browser.visitor import Visitor
from tests.training.data.images.sets import arrays, png
from tests.training.data.images.uploads.packed import files, zipped
from webapp.datasets.models import Dataset
from webapp.experiments.models import Arm

SMALL = {"Title": "Which insect?", "Budget": "8", "Batch size": "8", "Evaluations": "2", "Seeds": "1"}


@pytest.mark.timeout(600)
def test_a_zip_of_folders_is_uploaded_and_trained_on(visitor: Visitor, workers: None, tmp_path: Path) -> None:
    page = visitor.page
    visitor.sign_in()
    page.goto("/data/")
    _upload(page, tmp_path, files() | {"bee/zz.png": png(arrays(1, 20)["images"][0])})
    page.get_by_text("say the resolution to keep them at").wait_for()
    assert page.get_by_label("Name", exact=True).input_value() == "Insects"
    assert visitor.violations() == []
    page.get_by_label("Resolution", exact=True).fill("16")
    page.get_by_role("button", name="Upload").click()  # the file is chosen still
    page.get_by_text("19 images, 3 classes").wait_for()
    visitor.complaints.clear()  # the refusal was told by its status
    page.get_by_text("What an upload of images holds").click()
    for width in (1200, 360):
        page.set_viewport_size({"width": width, "height": 900})
        assert (visitor.violations(), visitor.overflow()) == ([], 0)
    visitor.photograph("uploads-images")
    page.set_viewport_size({"width": 1200, "height": 900})

    page.goto("/experiments/new/?task=image_classification")
    page.get_by_label("Data", exact=True).select_option(label="Insects (Vision lab): 16 × 16 grey, 3 classes")
    page.get_by_label("Model", exact=True).select_option("cnn-small")
    for label, value in SMALL.items():
        page.get_by_label(label, exact=True).fill(value)
    page.locator("#plan").get_by_text("1 seed").wait_for()
    page.get_by_role("button", name="Launch").click()
    page.get_by_role("heading", name="Which insect?").wait_for()
    assert {(arm.spec.data.resolution, arm.spec.data.classes) for arm in Arm.objects.all()} == {(16, 3)}
    deadline = time.monotonic() + 300
    while _finished() < Arm.objects.count():
        assert time.monotonic() < deadline
        time.sleep(1)
    assert visitor.complaints == []


def test_an_upload_tells_how_far_it_is_and_can_be_cancelled(visitor: Visitor, tmp_path: Path) -> None:
    page, text = visitor.page, tmp_path / "long.txt"
    text.write_text("To be read, and to be read again.\n" * 60_000)
    visitor.sign_in()
    page.goto("/data/")
    line = visitor.context.new_cdp_session(page)
    line.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 300_000}
    line.send("Network.emulateNetworkConditions", slow)
    page.get_by_label("Name", exact=True).fill("Long")
    page.get_by_label("File", exact=True).set_input_files(text)
    page.get_by_role("button", name="Upload").click()
    visitor.wait_until("document.querySelector('progress').value > 0.1")
    assert page.get_by_text("% sent").is_visible()
    assert page.get_by_role("button", name="Upload").is_disabled()
    assert visitor.violations() == []
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled: what does not arrive in full is not kept.").wait_for()
    assert not Dataset.objects.exists()
    line.send("Network.emulateNetworkConditions", slow | {"uploadThroughput": -1})
    page.get_by_role("button", name="Upload").click()
    page.get_by_text("Long is here; choose it as data of a new experiment.").wait_for()
    assert Dataset.objects.get().name == "Long"
    assert visitor.complaints == []


def test_what_has_arrived_is_kept_though_one_leaves_the_page(visitor: Visitor, tmp_path: Path) -> None:
    page = visitor.page
    visitor.sign_in()
    page.goto("/data/")
    _upload(page, tmp_path, files(each=5_000))
    page.get_by_text("You may leave this page.").wait_for()
    page.get_by_text("You may leave this page.").wait_for()
    assert not Dataset.objects.exists()
    page.goto("/queue/")
    deadline = time.monotonic() + 60
    while not Dataset.objects.exists():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert Dataset.objects.get().images == 15_000


def test_a_connection_that_breaks_is_told_where_one_looks(visitor: Visitor, tmp_path: Path) -> None:
    page, text = visitor.page, tmp_path / "short.txt"
    text.write_text("To be read.\n" * 2_000)
    visitor.sign_in()
    page.goto("/data/")
    page.route("**/data/", lambda route: route.abort())
    page.get_by_label("Name", exact=True).fill("Short")
    page.get_by_label("File", exact=True).set_input_files(text)
    page.get_by_role("button", name="Upload").click()
    page.get_by_text("The connection broke").wait_for()
    assert page.get_by_label("Name", exact=True).input_value() == "Short"
    assert page.get_by_role("button", name="Upload").is_enabled()


def _upload(page: Page, home: Path, found: dict[str, bytes]) -> None:
    (home / "insects.zip").write_bytes(zipped(found).getvalue())
    page.get_by_label("Name", exact=True).fill("Insects")
    page.get_by_label("File", exact=True).set_input_files(home / "insects.zip")
    page.get_by_role("button", name="Upload").click()

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet
import pytest

from tests.training.data.images.sets import arrays, made, png, refused
from training.data.images.pictures import Frame


def parquet(home: Path, columns: dict[str, Any], part: str = "train") -> str:
    """A dataset of the hub as it lies in the data folder, its images stored as files."""
    place = home / "data" / "hf" / "some" / "set" / "data"
    place.mkdir(parents=True, exist_ok=True)
    kinds: dict[str, Any] = {"image": datasets.Image(), "label": datasets.ClassLabel(num_classes=3)}
    kinds["coarse"] = datasets.ClassLabel(num_classes=2)
    features = datasets.Features({name: kinds[name] for name in columns})
    datasets.Dataset.from_dict(columns, features).to_parquet(place / f"{part}-00000-of-00001.parquet")
    return "hf:some/set"


def columns(count: int = 30) -> dict[str, Any]:
    files = [{"bytes": png(image), "path": None} for image in arrays(count)["images"]]
    return {"image": files, "coarse": [place % 2 for place in range(count)], "label": [p % 3 for p in range(count)]}


def test_a_dataset_of_the_hub_is_read_by_its_label_of_as_many_classes(home: Path) -> None:
    parquet(home, columns(9), "test")
    found = made(home, parquet(home, columns()))
    assert np.array_equal(found.images("test")[:, 0], arrays(9)["images"])
    assert found.labels("test").tolist() == [place % 3 for place in range(9)]
    assert made(home, "hf:some/set", Frame(8, 1, 2)).labels("test").tolist() == [place % 2 for place in range(9)]


def test_a_dataset_without_labels_of_so_many_classes_is_refused(home: Path) -> None:
    path, message = refused(home, parquet(home, columns()), Frame(8, 1, 7))
    assert (path, message) == (
        "data.classes", "the dataset 'some/set' has no labels of 7 classes; it has coarse with 2, label with 3"
    )  # fmt: skip


def test_a_dataset_without_images_is_refused(home: Path) -> None:
    source = parquet(home, {"label": [0, 1, 2] * 4})
    assert refused(home, source)[1] == "the dataset 'some/set' has 0 columns of images; it has label"


@pytest.mark.parametrize("image", [{"bytes": b"no image", "path": None}, None])
def test_a_damaged_row_of_a_dataset_is_refused_by_its_number(home: Path, image: dict[str, Any] | None) -> None:
    bad = columns()
    bad["image"][7] = image
    assert "the image of row 7 of 'some/set' is no PNG or JPEG image" in refused(home, parquet(home, bad))[1]


def test_a_dataset_cannot_name_files_outside_the_data_folder(home: Path) -> None:
    (home / "secret.png").write_bytes(png(arrays(1)["images"][0]))
    bad = columns()
    bad["image"][7] = {"bytes": None, "path": str(home / "secret.png")}
    source = parquet(home, columns())
    table = pyarrow.table({"image": bad["image"], "label": bad["label"]})
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(num_classes=3)})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features.to_dict()}})})
    pyarrow.parquet.write_table(table, home / "data/hf/some/set/data/train-00000-of-00001.parquet")
    assert "no file or folder 'secret.png' in the data folder" in refused(home, source)[1]

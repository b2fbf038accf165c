from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.data.images.sets import PARTS, arrays, png
from tests.training.data.images.uploads.packed import brought, canonical, files, npz, zipped
from tests.training.workbench import CPU, Memory, make_workbench
from training import assembly
from training.data.images.pictures import Frame
from training.data.images.prepare import prepare
from training.lab import Lab


def test_the_same_images_have_the_same_bytes_however_they_are_packed() -> None:
    packed = files()
    reverse = dict(reversed(packed.items()))
    assert canonical(zipped(packed)) == canonical(zipped(reverse, compression=8))


def test_other_images_labels_or_names_have_other_bytes() -> None:
    changed = [arrays(), arrays() | {"labels": np.arange(30) % 5}, arrays() | {"images": 255 - arrays()["images"]}]
    named = [npz(**arrays(), classes=np.array(names)) for names in (["a", "b", "c"], ["a", "b", "d"])]
    assert len({canonical(file) for file in [*(npz(**found) for found in changed), *named]}) == 5


def test_the_canonical_form_uploaded_again_is_the_same() -> None:
    once = canonical(zipped(files()))
    assert canonical(io.BytesIO(once)) == once


def test_the_facts_are_those_of_the_form_that_is_kept() -> None:
    facts, found = brought(zipped(files(each=6)))
    kept = canonical(zipped(files(each=6)))
    assert (facts.bytes, facts.sha256) == (len(kept), hashlib.sha256(kept).hexdigest())
    assert (facts.images, facts.classes, facts.side, facts.channels) == (18, 3, 12, 1)
    assert (found["images"].dtype.name, found["images"].shape) == ("uint8", (18, 12, 12, 1))
    assert found["classes"].tolist() == ["ant", "bee", "cat"]


def test_an_upload_is_split_as_the_same_archive_of_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "some.npz").write_bytes(npz(**arrays()).getvalue())
    (tmp_path / "blob").write_bytes(canonical(npz(**arrays())))
    ours, theirs = (
        prepare(source, Frame(8, 1, 3), cache_root=tmp_path, data_root=tmp_path / "data", blob=tmp_path / "blob")
        for source in ("npz:some.npz", "dataset:abcdefgh")
    )
    for part in PARTS:
        assert np.array_equal(ours.images(part), theirs.images(part))
        assert np.array_equal(ours.labels(part), theirs.labels(part))


@pytest.mark.parametrize("upload", ["npz", "zip"])
def test_a_network_learns_from_an_upload(tmp_path: Path, upload: str) -> None:
    """Real steps on images of two classes, dark and bright, which any network tells apart."""
    labels = np.arange(60) % 2
    pixels = (labels[:, None, None] * 128 + arrays(60, 12)["images"] // 2).astype(np.uint8)
    made = npz(images=pixels, labels=labels) if upload == "npz" else zipped(_as_files(pixels, labels))
    (tmp_path / "blob").write_bytes(canonical(made))
    data = {"source": "dataset:abcdefgh", "resolution": 12, "channels": 1, "classes": 2}
    bench, memory = make_workbench(tmp_path), Memory()
    spec = bench.spec(task="image_classification", data=data, batch_size=16)
    task = assembly.task(spec, CPU, cache_root=tmp_path, data_root=tmp_path / "data", blob=tmp_path / "blob")
    lab = Lab(spec, task, seed=0, device=CPU, store=memory, sink=memory, control=memory)
    scores = {score.metric: score.value for score in task.score(assembly.run(lab), ())}
    assert scores["acc"] == 1.0


def _as_files(pixels: NDArray[Any], labels: NDArray[Any]) -> dict[str, bytes]:
    return {
        f"{('dark', 'bright')[label]}/{place:02}.png": png(image)
        for place, (image, label) in enumerate(zip(pixels, labels, strict=True))
    }

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor

from tests.training.workbench import CPU, Workbench
from training import assembly, catalog
from training.data.check import DataError
from training.models.classifier import Classifier
from training.outcome import Outcome
from training.spec import RunSpec, problems
from training.tasks.image_classification.augment import PAD, augmented, cropped, flipped
from training.tasks.image_classification.task import ImageClassification

TASK = "image_classification"


def spec(bench: Workbench, **changes: Any) -> RunSpec:
    return bench.spec(task=TASK, **{"model": {"preset": "cnn-small"}, "batch_size": 32, **changes})


def task(bench: Workbench, **changes: Any) -> ImageClassification:
    made: ImageClassification = bench.task(spec(bench, **changes))
    return made


def test_a_batch_holds_pixels_labels_and_numbers(bench: Workbench) -> None:
    found = task(bench)
    index = torch.tensor([5, 0, 1290])
    batch = found.batch(index)
    assert batch["images"].dtype == torch.float32
    assert torch.equal((batch["images"] * 255).byte(), torch.from_numpy(found.pixels[index.numpy()]))
    assert batch["labels"].tolist() == [int(found.images.labels("train")[place]) for place in index]
    assert torch.equal(batch["index"], index)


def test_the_loss_is_the_mean_cross_entropy(bench: Workbench) -> None:
    found = task(bench)
    model, batch = found.build().eval(), found.batch(torch.arange(50))
    chances = model(batch["images"]).softmax(1)[torch.arange(50), batch["labels"]]
    torch.testing.assert_close(found.loss(model, batch), -chances.log().mean())


def test_a_network_normalises_by_the_training_pixels(bench: Workbench) -> None:
    found = task(bench)
    model = found.build()
    assert isinstance(model, Classifier)
    normal = model.stem[0](found.batch(torch.arange(found.size))["images"])
    assert normal.mean().item() == pytest.approx(0, abs=1e-4)
    assert normal.std().item() == pytest.approx(1, abs=1e-3)


def test_validation_looks_at_the_validation_part_alone(bench: Workbench) -> None:
    found = task(bench)
    seen: list[Tensor] = []

    def predict(images: Tensor) -> Tensor:
        seen.append(images)
        return F.one_hot(images.flatten(1).sum(1).long() % 10, 10).float()

    loss = found.validate(predict)["loss"]
    pixels = torch.from_numpy(found.images.images("validation").copy()).float() / 255
    assert torch.equal(torch.cat(seen), pixels)
    expected = F.cross_entropy(predict(pixels), torch.from_numpy(found.images.labels("validation")))
    assert loss == pytest.approx(expected.item())


def test_at_most_so_many_validate_evenly_spread(bench: Workbench) -> None:
    found = task(bench)
    images, labels = found.held_out("validation", 5)
    assert torch.equal(images, torch.from_numpy(found.images.images("validation")[[0, 28, 57, 85, 114]]))
    assert labels.tolist() == found.images.labels("validation")[[0, 28, 57, 85, 114]].tolist()


def test_a_trained_network_is_scored_on_the_test_part(bench: Workbench) -> None:
    done = bench.train(spec(bench, budget={"steps": 120}, evals=["calibration", "robust"]))
    scores = {(score.task, score.metric): score for score in done.lab.score(done.outcome)}
    found = task(bench)
    images, labels = found.held_out("test")
    with torch.no_grad():
        logits = done.outcome.model.eval()(images.float() / 255)
    accuracy, loss = scores[TASK, "acc"], scores[TASK, "loss"]
    assert accuracy.value == pytest.approx((logits.argmax(1) == labels).float().mean().item())
    assert accuracy.value > 0.9
    assert accuracy.stderr == pytest.approx((accuracy.value * (1 - accuracy.value) / 359) ** 0.5)
    assert accuracy.chance == pytest.approx(0.1, abs=0.01)
    assert loss.value == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-4)
    assert loss.stderr == pytest.approx(F.cross_entropy(logits, labels, reduction="none").std().item() / 359**0.5)
    assert {score.n for score in (accuracy, loss, scores["calibration", "ece"])} == {359}
    under_attack = [scores["robust", f"acc_linf_{radius}"] for radius in ("0.02", "8_255", "0.1")]
    values = [accuracy.value, *(score.value for score in under_attack)]
    assert values[0] > values[3] < 0.9
    assert {score.n for score in under_attack} == {200}
    assert not any(score.metric == "ece" for score in found.score(Outcome(done.outcome.model), ()))


def test_a_flip_mirrors_about_half_of_the_images() -> None:
    images = torch.rand(400, 3, 5, 5)
    changed = flipped(images)
    mirrored = (changed == images.flip(-1)).flatten(1).all(1)
    assert ((changed == images).flatten(1).all(1) ^ mirrored).all()
    assert 140 < mirrored.sum() < 260


def test_a_crop_is_a_window_of_the_padded_image() -> None:
    images = torch.rand(300, 2, 6, 6)
    padded, size = F.pad(images, (PAD,) * 4), 6
    windows = {
        (top, left): padded[:, :, top : top + size, left : left + size]
        for top in range(2 * PAD + 1)
        for left in range(2 * PAD + 1)
    }
    changed = cropped(images)
    found = {place: (changed == window).flatten(1).all(1) for place, window in windows.items()}
    assert (torch.stack(list(found.values())).sum(0) >= 1).all()
    assert sum(bool(hits.any()) for hits in found.values()) > 70


@pytest.mark.parametrize(("kind", "same"), [("none", True), ("flip", False), ("flip-crop", False)])
def test_each_kind_changes_what_it_says(kind: str, same: bool) -> None:
    images = torch.rand(50, 1, 8, 8)
    assert torch.equal(augmented(images, kind), images) == same
    torch.manual_seed(1)
    first = augmented(images, kind)
    torch.manual_seed(1)
    assert torch.equal(first, augmented(images, kind))


def test_an_interrupted_run_draws_the_same_augmentation(bench: Workbench) -> None:
    wanted = spec(bench, data={"source": "digits", "augment": "flip-crop"}, budget={"steps": 20})
    smooth, torn = bench.train(wanted), bench.train(wanted, stop_every=7)
    assert torn.attempts > 2
    assert all(torch.equal(weight, torn.weights()[name]) for name, weight in smooth.weights().items())
    plain = bench.train(spec(bench, budget={"steps": 20}))
    assert not torch.equal(plain.weights()["head.weight"], smooth.weights()["head.weight"])


def test_shipped_data_come_with_their_sizes(bench: Workbench) -> None:
    assert (spec(bench).shape.side, spec(bench).shape.channels, spec(bench).shape.classes) == (8, 1, 10)
    whole = RunSpec.model_validate({"task": TASK})
    assert (whole.data.source, whole.shape.side) == ("fashion-mnist", 28)
    colour = spec(bench, data={"source": "digits", "channels": 3, "resolution": 16})
    assert (colour.shape.side, colour.shape.channels, colour.shape.classes) == (16, 3, 10)
    assert tuple(bench.task(colour).batch(torch.arange(2))["images"].shape) == (2, 3, 16, 16)


@pytest.mark.parametrize(("changes", "paths"), [
    ({"data": {"source": "npz:some.npz"}}, {"data.resolution", "data.channels", "data.classes"}),
    ({"data": {"source": "npz:some.npz", "channels": 1, "classes": 4}}, {"data.resolution"}),
    ({"data": {"source": "sotu"}}, {"data.source", "data.resolution", "data.channels", "data.classes"}),
    ({"data": {"source": "npz:../some"}}, {"data.source", "data.resolution", "data.channels", "data.classes"}),
    ({"data": {"source": "digits", "vocab_size": 300}}, {"data.vocab_size"}),
    ({"data": {"source": "digits", "resolution": 10}, "model": {"preset": "vit-nano"}}, {"model.preset"}),
    ({"model": {"preset": "gpt2-tiny"}}, {"model.preset"}),
    ({"evals": ["cloze"]}, {"evals"}),
])  # fmt: skip
def test_what_does_not_suit_is_refused_at_its_field(changes: dict[str, Any], paths: set[str]) -> None:
    with pytest.raises(ValidationError) as failure:
        RunSpec.model_validate({"task": TASK, **changes})
    assert problems(failure.value).keys() == paths


def test_data_that_are_not_there_are_refused_before_training(bench: Workbench, tmp_path: Path) -> None:
    wanted = spec(bench, data={"source": "npz:absent.npz", "resolution": 8, "channels": 1, "classes": 3})
    with pytest.raises(DataError, match="no file or folder"):
        assembly.task(wanted, CPU, cache_root=tmp_path, data_root=tmp_path)


def test_the_data_folder_offers_archives_and_folders_of_folders(tmp_path: Path) -> None:
    (tmp_path / "set" / "cats").mkdir(parents=True)
    (tmp_path / "texts").mkdir()
    (tmp_path / "some.npz").touch()
    (tmp_path / "some.txt").touch()
    offers = catalog.task(TASK).offers
    assert {entry.name: offers(entry) for entry in tmp_path.iterdir()} == {
        "set": "images:set", "texts": "", "some.npz": "npz:some.npz", "some.txt": "",
    }  # fmt: skip

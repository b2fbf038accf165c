from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from training.models import hub
from training.models.build import build
from training.models.classifier import Classifier
from training.models.images import IMAGE_PRESETS

every_family = pytest.mark.parametrize("preset", ["cnn-small", "resnet8", "vit-nano"])


def lively(preset: str) -> Classifier:
    """A network that has seen images: its statistics, those of the pixels included, are not those it starts with."""
    torch.manual_seed(1)
    model = build(replace(IMAGE_PRESETS[preset], side=16, classes=4))
    model.normalise(torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.3, 0.1]))
    model(torch.rand(8, 3, 16, 16))
    return model.eval()


@every_family
@torch.no_grad()
def test_an_image_classifier_comes_back_bit_for_bit(preset: str, tmp_path: Path) -> None:
    ours, images = lively(preset), torch.rand(3, 3, 16, 16)
    hub.save(ours, tmp_path)
    back = hub.load_classifier(tmp_path).eval()
    assert back.shape == ours.shape
    assert back.state_dict().keys() == ours.state_dict().keys()
    assert all(torch.equal(tensor, back.state_dict()[name]) for name, tensor in ours.state_dict().items())
    assert torch.equal(back(images), ours(images))


@pytest.mark.parametrize(("change", "message"), [
    ({"family": "mlp"}, "describes no image classifier"),
    ({"vocab": 3}, "describes no image classifier"),
    ({"patch": 3}, "do not divide into patches"),
    ({"classes": 5}, "the weights do not fit shape.json"),
])  # fmt: skip
def test_a_shape_that_is_not_that_of_the_weights_is_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    hub.save(lively("resnet8"), tmp_path)
    shape = json.loads((tmp_path / "shape.json").read_text())
    (tmp_path / "shape.json").write_text(json.dumps(shape | change))
    with pytest.raises(ValueError, match=message):
        hub.load_classifier(tmp_path)


def test_a_network_with_other_modules_is_not_read_as_ours(tmp_path: Path) -> None:
    model = lively("resnet8")
    model.head = nn.Sequential(model.head)  # type: ignore[assignment]
    model.pool = nn.Dropout()
    hub.save(model, tmp_path)
    with pytest.raises(ValueError, match="names other modules than a resnet has"):
        hub.load_classifier(tmp_path)

"""Image classification: batches, loss, validation and what a finished model is judged by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from training.data.images.pictures import Frame, ImageSet, Split
from training.data.images.prepare import prepare
from training.data.progress import Progress
from training.evaluation import calibration, robust
from training.evaluation.finished import binomial_stderr, spread
from training.models.build import build
from training.models.classifier import Classifier
from training.outcome import Outcome, Predictor
from training.records import Score
from training.spec import RunSpec
from training.tasks.image_classification.augment import augmented
from training.tasks.image_classification.card import sizes

VALIDATED = 1000
"""Most images of a validation pass: few enough to be looked at twenty times in a run."""
AT_ONCE = 256
"""Images per forward pass of an evaluation."""


def load(
    spec: RunSpec, device: torch.device, *, cache_root: Path, data_root: Path, blob: Path | None, progress: Progress
) -> ImageClassification:
    """The task on the spec's images, read if nobody did before."""
    frame, source = Frame(*sizes(spec.data)), spec.data.source
    images = prepare(source, frame, cache_root=cache_root, data_root=data_root, blob=blob, progress=progress)
    return ImageClassification(spec, images, device)


class ImageClassification:
    """Which image comes when is an `Order`'s decision; each is augmented anew whenever it comes.

    Validation looks at the same images for every method: at most VALIDATED, evenly spread over the validation part.
    """

    tokens_per_example = 1

    def __init__(self, spec: RunSpec, images: ImageSet, device: torch.device) -> None:
        self.spec, self.images, self.device = spec, images, device
        self.pixels, self.labels = images.images("train"), torch.from_numpy(images.labels("train"))
        self.size = len(self.labels)
        self.mean, self.std = (torch.from_numpy(values).float() for values in images.statistics())

    def build(self, shape: Any = None) -> nn.Module:
        """A freshly initialised network that normalises by the training images' statistics."""
        model = build(shape or self.spec.shape)
        assert isinstance(model, Classifier)
        model.normalise(self.mean, self.std)
        return model.to(self.device)

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        """`images`, float32 [B, C, H, W] in [0, 1], augmented; `labels` and `index`, int64 [B]; on the device."""
        index = index.cpu()
        images = augmented(self._pixels(self.pixels, index.numpy()), self.spec.data.augment)
        return {"images": images, "labels": self._moved(self.labels[index]), "index": self._moved(index)}

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Mean cross-entropy per image, in nats."""
        return F.cross_entropy(model(batch["images"]).float(), batch["labels"])

    def validate(self, predict: Predictor) -> dict[str, float]:
        """Mean cross-entropy per image of the validation part, in nats."""
        images, labels = self.held_out("validation", VALIDATED)
        return {"loss": F.cross_entropy(self._logits(predict, images), labels).item()}

    def held_out(self, part: Split, most: int | None = None) -> tuple[Tensor, Tensor]:
        """Evenly spread images of a part, uint8 [N, C, H, W], and their labels [N]; all of them without `most`."""
        pixels, labels = self.images.images(part), self.images.labels(part)
        chosen = np.array(spread(range(len(labels)), most or len(labels)))
        return torch.from_numpy(pixels[chosen]), torch.from_numpy(labels[chosen])

    def score(self, outcome: Outcome, evals: Sequence[str]) -> list[Score]:
        """Accuracy and loss on the test part, and the chosen evaluations."""
        predict = outcome.predict or outcome.model
        images, labels = self.held_out("test")
        logits, n = self._logits(predict, images), len(labels)
        losses = F.cross_entropy(logits, labels, reduction="none").double()
        accuracy = (logits.argmax(1) == labels).double().mean().item()
        chance = labels.bincount().max().item() / n
        error = float(losses.std()) / math.sqrt(n) if n > 1 else None
        scores = [
            Score("image_classification", "loss", "test", float(losses.mean()), error, n, 1, False),
            Score(
                "image_classification", "acc", "test", accuracy, binomial_stderr(accuracy, n), n, 1, True,
                chance=chance,
            ),
        ]  # fmt: skip
        if "calibration" in evals:
            scores += calibration.score(logits, labels)
        if "robust" in evals:
            some, truth = self.held_out("test", robust.ITEMS)
            scores += robust.score(outcome, predict, self._moved(some).float() / 255, self._moved(truth))
        return scores

    def _logits(self, predict: Predictor, images: Tensor) -> Tensor:
        """Logits of uint8 images[N, C, H, W], fp32 on the CPU, [N, classes]."""
        with torch.no_grad():
            batches = (images[first : first + AT_ONCE] for first in range(0, len(images), AT_ONCE))
            return torch.cat([predict(self._moved(some).float() / 255).float().cpu() for some in batches])

    def _pixels(self, pixels: NDArray[np.uint8], index: NDArray[np.int64]) -> Tensor:
        """Images by number, float32 [B, C, H, W] in [0, 1], on the device."""
        return self._moved(torch.from_numpy(pixels[index])).float() / 255

    def _moved(self, tensor: Tensor) -> Tensor:
        """To the device, without waiting for it."""
        return tensor.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else tensor

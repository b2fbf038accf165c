from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
import torch

from training.data import sotu
from training.evaluation import probe
from training.evaluation.finished import Finished


def test_no_address_is_on_both_sides() -> None:
    train = [address.text for address in sotu.addresses() if address.split == "train"]
    judged = [passage for passage, _ in probe.labelled(held_out=True)]
    assert not any(passage in address for passage in judged for address in train)


def test_every_label_is_the_era_of_its_address() -> None:
    eras = {}
    for address in sotu.addresses():
        for passage in probe.passages(address.text):
            eras[passage] = sum(address.year >= first for first in (1861, 1901, 1946))
    assert all(eras[passage] == era for passage, era in probe.labelled(held_out=False))


def test_pooled_features_are_means_over_the_texts_own_tokens(finished: Finished) -> None:
    texts = ["One nation.", "The union of these states is strong and it will last.", "I thank you all"]
    features = probe.pooled(finished, texts)
    for feature, tokens in zip(features, finished.encode(texts), strict=True):
        alone = finished.model.hidden(torch.tensor([tokens])).mean(1)[0]  # type: ignore[operator]
        assert feature == pytest.approx(alone.numpy(), abs=1e-4)


def test_chance_is_the_rate_of_the_most_frequent_era(finished: Finished) -> None:
    (score,) = probe.score(finished)
    eras = Counter(era for _, era in probe.labelled(held_out=True))
    assert score.chance == max(eras.values()) / sum(eras.values())
    assert score.n == sum(eras.values()) == 376
    assert score.stderr == pytest.approx((score.value * (1 - score.value) / 376) ** 0.5)


def test_a_trained_network_knows_the_era_better_than_chance(finished: Finished) -> None:
    (score,) = probe.score(finished)
    assert score.chance is not None
    assert score.value > score.chance + 0.1


def test_a_network_without_a_state_knows_no_more_than_chance(finished: Finished) -> None:
    class Blank(torch.nn.Module):
        def hidden(self, tokens: torch.Tensor) -> torch.Tensor:
            return torch.ones(*tokens.shape, 4)

    (score,) = probe.score(dataclasses.replace(finished, model=Blank()))
    assert score.chance is not None
    assert score.value <= score.chance

"""A launch by REST may ask to stop what is dominated."""

from __future__ import annotations

from typing import Any

from tests.webapp.api.callers import Api
from webapp.experiments.models import Experiment


def test_a_launch_asks_to_stop_what_is_dominated(api: Api, request_body: dict[str, Any]) -> None:
    assert api.post("experiments", request_body | {"stop_dominated": True}).status_code == 202
    assert Experiment.objects.get().stop_dominated


def test_a_launch_that_does_not_ask_lets_every_arm_end(api: Api, request_body: dict[str, Any]) -> None:
    assert api.post("experiments", request_body).status_code == 202
    assert not Experiment.objects.get().stop_dominated

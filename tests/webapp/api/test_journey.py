"""The way of one experiment through the API."""

from __future__ import annotations

from typing import Any

from tests.webapp.api.callers import Api


def test_a_launch_answers_with_the_place_of_its_queued_runs(api: Api, request_body: dict[str, Any]) -> None:
    launched = api.post("experiments", request_body)
    assert launched.status_code == 202, launched.content
    read = api.client.get(launched["Location"]).json()
    assert [(arm["label"], [run["state"] for run in arm["runs"]]) for arm in read["arms"]] == [
        ("Dense", ["queued", "queued"]),
        ("EST", ["queued", "queued"]),
    ]
    assert read["arms"][1]["spec"]["knobs"]["est"]["heads"] == 0.25
    assert read["finished"] is False


def test_a_cancelled_experiment_is_finished(api: Api, request_body: dict[str, Any]) -> None:
    code = api.post("experiments", request_body).json()["code"]
    runs = api.get(f"runs?experiment={code}").json()["items"]
    for run in runs:
        cancelled = api.post(f"runs/{run['code']}/cancel")
        assert cancelled.json()["state"] == "cancelled"
    assert len(runs) == 4
    assert api.get(f"experiments/{code}").json()["finished"] is True

"""The way of one experiment through the API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User

from tests.webapp.api.callers import Api
from tests.webapp.results import planted
from training.spec import RunSpec
from webapp.api.comparison import ComparisonAnswer
from webapp.experiments.models import Experiment
from webapp.results import selectors, summary
from webapp.runs.models import Point, Run, Score
from webapp.teams.models import AuditEvent


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


def test_a_method_alone_gets_its_matched_baselines(api: Api, request_body: dict[str, Any]) -> None:
    request_body |= {"arms": request_body["arms"][1:], "matched_baselines": True}
    arms = api.post("experiments", request_body).json()["arms"]
    assert [(arm["label"], arm["is_baseline"]) for arm in arms] == [
        ("Dense, equal steps", True),
        ("EST", False),
        ("Dense, equal FLOPs (EST)", False),
    ]
    assert [arm["label"] for arm in api.post("plans", request_body).json()["arms"]] == [arm["label"] for arm in arms]


def test_a_cancelled_experiment_is_finished(api: Api, request_body: dict[str, Any]) -> None:
    code = api.post("experiments", request_body).json()["code"]
    runs = api.get(f"runs?experiment={code}").json()["items"]
    for run in runs:
        cancelled = api.post(f"runs/{run['code']}/cancel")
        assert cancelled.json()["state"] == "cancelled"
    assert len(runs) == 4
    assert api.get(f"experiments/{code}").json()["finished"] is True


def finished(api: Api, member: User) -> str:
    """An experiment with results whose true costs are known."""
    experiment = planted.experiment(user=member)
    runs = [planted.run(seed) for seed in range(3)]
    rivals = [planted.run(seed, share=0.8) for seed in range(3)]
    planted.store(experiment, planted.arm("Dense", runs))
    planted.store(experiment, planted.arm("EST", rivals, index=1, spec=RunSpec(methods=("est",))))
    return experiment.code


def test_the_comparison_is_the_one_of_the_compare_page(api: Api, member: User) -> None:
    code = finished(api, member)
    answer = api.get(f"experiments/{code}/comparison").json()
    expected = summary.comparison_json(selectors.comparison(Experiment.objects.get(code=code)))
    assert answer == json.loads(json.dumps(expected))
    assert ComparisonAnswer.model_validate(answer).model_dump(mode="json") == answer
    assert answer["findings"][0]["at_equal_budget"]["saving"]["value"] == pytest.approx(0.2)


def test_an_unchanged_comparison_is_not_sent_again(api: Api, member: User) -> None:
    path = f"experiments/{finished(api, member)}/comparison"
    tag = api.get(path)["ETag"]
    assert api.get(path, **{"If-None-Match": tag}).status_code == 304
    Score.objects.first().delete()  # type: ignore[union-attr]
    assert api.get(path, **{"If-None-Match": tag}).status_code == 200


def test_scores_leave_in_the_shape_of_lm_eval(api: Api, member: User) -> None:
    finished(api, member)
    run = api.get("runs?state=succeeded&limit=1").json()["items"][0]["code"]
    found = api.get(f"runs/{run}/lm-eval").json()
    score = api.get(f"runs/{run}").json()["scores"][0]
    assert found["results"]["cloze"]["acc,none"] == score["value"]
    assert found["results"]["cloze"]["acc_stderr,none"] == score["stderr"] == 0.02


def test_points_arrive_after_the_cursor_and_by_series(api: Api, member: User) -> None:
    finished(api, member)
    run = Run.objects.earliest("pk")
    Run.objects.filter(pk=run.pk).update(event_seq=19)
    series = run.series.create(phase="train", name="train/loss")
    Point.objects.create(
        series=series, step=1, value=None, finite=False, flops=1, tokens=1, seconds=1, fence=1, event=19
    )
    whole = api.get(f"runs/{run.code}/points").json()
    assert (whole["seq"], whole["more"], len(whole["points"])) == (19, False, 20)
    late = api.get(f"runs/{run.code}/points?after=18").json()["points"]
    assert {(point["name"], point["value"] is None) for point in late} == {("val/loss", False), ("train/loss", True)}
    validation = api.get(f"runs/{run.code}/points?after=18&series=val/loss").json()["points"]
    assert [point["name"] for point in validation] == ["val/loss"]


def test_a_log_is_read_on_from_an_offset(api: Api, request_body: dict[str, Any]) -> None:
    api.post("experiments", request_body)
    run = Run.objects.earliest("pk")
    log = run.attempts.create(n=1, fence=1, worker="w").log
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("step 1\n")
    first = api.get(f"runs/{run.code}/log").json()
    log.write_text("step 1\nstep 2\n")
    then = api.get(f"runs/{run.code}/log?attempt=1&offset={first['next']}").json()
    assert (first["text"], then["text"], then["next"], then["size"]) == ("step 1\n", "step 2\n", 14, 14)


def test_weights_are_downloaded_from_where_the_run_says(api: Api, request_body: dict[str, Any]) -> None:
    api.post("experiments", request_body)
    run = Run.objects.earliest("pk")
    folder = Path(settings.ARTIFACT_ROOT) / "runs" / run.code / "1" / "weights"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    path = str(folder.relative_to(settings.ARTIFACT_ROOT))
    run.artifacts.create(kind="weights", fence=1, step=1, path=path, bytes=7, sha256="0")
    [file] = api.get(f"runs/{run.code}").json()["weights"]
    answer = api.client.get(file["url"])
    assert (file["name"], file["bytes"], b"".join(answer)) == ("model.safetensors", 7, b"weights")
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_plan_forecasts_without_launching(api: Api, request_body: dict[str, Any]) -> None:
    plan = api.post("plans", request_body).json()
    dense, est = plan["arms"]
    assert (plan["runs"], dense["steps"]) == (4, 20)
    assert plan["flops"] == 2 * (dense["flops"] + est["flops"])
    assert dense["flops"] == RunSpec.model_validate(request_body["arms"][0]["spec"]).train_flops()
    assert est["against_baseline"] == est["flops"] / dense["flops"] < 1
    assert not Experiment.objects.exists()


def test_a_run_is_paused_resumed_cancelled_and_retried(api: Api, request_body: dict[str, Any]) -> None:
    api.post("experiments", request_body)
    run = api.get("runs").json()["items"][0]["code"]
    assert api.post(f"runs/{run}/pause").json()["pause_requested_at"] is not None
    assert api.post(f"runs/{run}/resume").json()["pause_requested_at"] is None
    assert [api.post(f"runs/{run}/cancel").json()["state"] for _ in range(2)] == ["cancelled"] * 2
    assert api.post(f"runs/{run}/pause").json()["type"] == "urn:flopwise:problem:state"
    assert api.post(f"runs/{run}/retry").json()["state"] == "queued"
    assert AuditEvent.objects.filter(object=f"run {run}").count() == 4


def test_an_archived_experiment_leaves_the_list_and_comes_back(api: Api, request_body: dict[str, Any]) -> None:
    code = api.post("experiments", request_body).json()["code"]

    def listed(query: str) -> list[str]:
        return [row["code"] for row in api.get(f"experiments{query}").json()["items"]]

    assert api.post(f"experiments/{code}/archive").json()["archived_at"] is not None
    assert (listed(""), listed("?archived=true")) == ([], [code])
    assert api.post(f"experiments/{code}/unarchive").json()["archived_at"] is None
    assert (listed(""), listed("?archived=true")) == ([code], [])


def test_a_waiting_run_says_why(api: Api, request_body: dict[str, Any]) -> None:
    api.post("experiments", request_body)
    line = api.get("queue").json()
    assert len(line) == 4
    assert all(waiting["reason"] for waiting in line)


def test_a_method_tells_its_knobs_and_claims(api: Api) -> None:
    est = api.get("methods/est").json()
    assert est["knobs"]["properties"]["heads"]["maximum"] == 1
    assert est["claims"]
    [row] = [method for method in api.get("methods").json() if method["name"] == "est"]
    assert row["title"] == est["title"]

"""Pages of runs and of the queue."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.webapp.people import member
from training.records import CostLine, Point, Purpose
from training.spec import RunSpec
from webapp.experiments.services import ArmRequest, launch
from webapp.runs import lifecycle, port
from webapp.runs import models as rows
from webapp.runs.models import Artifact, Run, State, Worker
from webapp.teams.models import Project, Role

pytestmark = pytest.mark.django_db


def queued(seeds: int = 1, label: str = "Dense") -> list[Run]:
    """Runs of the lab, waiting."""
    project, owner = Project.objects.get(slug="lab"), User.objects.order_by("pk")[0]
    arms = [ArmRequest(label, RunSpec(), is_baseline=True)]
    launch(project=project, owner=owner, title="EST", arms=arms, seeds=range(seeds), queue="cpu")
    return list(Run.objects.order_by("pk"))


def started() -> port.Lease:
    queued()
    lease = port.claim("cpu", "cpu-0@lab")
    assert lease is not None
    port.start(lease, {"git": "1f3c9ab"})
    return lease


def point(step: int, value: float, name: str = "train/loss") -> Point:
    return Point("train", name, step, value, 1e9 * step, 2048 * step, 0.1 * step)


def test_a_run_of_another_project_is_not_found() -> None:
    member()
    run = queued()[0]
    stranger = member(username="grace", slug="other")
    addresses = ("", "table/", "points.csv", "points", "events")
    assert {stranger.get(f"/runs/{run.code}/{address}").status_code for address in addresses} == {404}


def test_the_page_shows_the_bill_with_both_numbers() -> None:
    client, lease = member(), started()
    port.record(lease, [], [CostLine("train", Purpose.TRAIN, executed=3.1e12, effective=1.5e12)])
    page = client.get(f"/runs/{lease.code}/").content.decode()
    assert "3.10 TFLOP" in page
    assert "1.50 TFLOP" in page


def facts(client: Client, code: str, query: str = "") -> str:
    return client.get(f"/runs/{code}/{query}", headers={"HX-Request": "true"}).content.decode()


def billed(lease: port.Lease) -> None:
    """Training, evaluation, and a fiftieth of the training done twice."""
    port.record(
        lease,
        [],
        [
            CostLine("train", Purpose.REDONE, executed=2e10, effective=2e10, wall_seconds=1.0),
            CostLine("train", Purpose.TRAIN, executed=1e12, effective=5e11, wall_seconds=50.0, tokens=1000),
            CostLine("train", Purpose.EVAL, executed=1e11, effective=1e11, wall_seconds=5.0),
        ],
    )


def test_redone_work_is_told_apart_and_comes_last() -> None:
    client, lease = member(), started()
    billed(lease)
    body = facts(client, lease.code)
    assert "<strong>Redone after interruptions:</strong> 20.0 GFLOP in 1.00 s, 2.0% of the training FLOPs." in body
    assert re.findall(r"<td>(train|eval|redone)(?= <small>|</td>)", body)[1::2] == ["train", "eval", "redone"]


def test_the_bill_comes_in_percent_of_the_training_cost_where_the_address_says_so() -> None:
    client, lease = member(), started()
    billed(lease)
    body = facts(client, lease.code, "?scale=percent")
    assert re.findall(r'num">([0-9.]+%)', body) == ["100.0%"] * 3 + ["10.0%", "20.0%", "10.0%", "2.0%", "4.0%", "2.0%"]
    assert "%</td>" not in facts(client, lease.code)


@pytest.mark.parametrize(("factor", "warned"), [(1.0, False), (1.019, False), (1.03, True), (0.97, True)])
def test_a_count_more_than_two_percent_off_the_formula_is_a_warning(factor: float, warned: bool) -> None:
    client, run = member(), queued()[0]
    spent = factor * run.arm.spec.flops_per_token() * 1000
    rows.CostLine.objects.create(run=run, phase="train", purpose="train", executed=spent, tokens=1000)
    Run.objects.update(state="succeeded", finished_at=timezone.now())
    body = facts(client, run.code)
    assert ("More than 2% apart" in body) is warned
    assert f"{100 * factor - 100:+.2f}%".replace("-", "−") in body


def test_a_run_under_way_is_not_held_against_the_formula_yet() -> None:
    client, lease = member(), started()
    billed(lease)
    assert "Compared when the run has succeeded" in facts(client, lease.code)


def test_operators_without_a_formula_are_listed_products_first_views_left_out() -> None:
    client, lease = member(), started()
    billed(lease)
    kinds = {"aten.relu": "elementwise", "aten._grouped_mm": "product", "aten.view": "free"}
    told = [{"phase": "train", "part": "step", "operator": name, "kind": kind, "calls": 4, "elements": 64}
            for name, kind in kinds.items()]  # fmt: skip
    rows.Attempt.objects.update(body={"clock": {"training": 8.0}, "uncounted": told})
    body = facts(client, lease.code)
    assert "2 operators without a FLOP formula" in body
    assert re.findall(r"<code>(aten[^<]+)</code>", body) == ["aten._grouped_mm", "aten.relu"]


def test_what_the_method_says_of_its_run_is_told_on_the_page_and_by_rest() -> None:
    client, lease = member(), started()
    words = "cost of all phases: 4.2e+09 FLOPs, <3 s"
    port.finish(lease, port.Ending(State.SUCCEEDED, notes=[words]))
    assert "cost of all phases: 4.2e+09 FLOPs, &lt;3 s <small>cpu-0@lab</small>" in facts(client, lease.code)
    told = client.get(f"/api/v1/runs/{lease.code}").json()["events"][-1]
    assert (told["now"], told["note"], told["actor"]) == ("", words, "cpu-0@lab")


def test_the_page_says_why_a_queued_run_waits() -> None:
    client = member()
    assert "no worker serves" in client.get(f"/runs/{queued()[0].code}/").content.decode()


def test_the_table_has_the_newest_points_first() -> None:
    client, lease = member(), started()
    port.record(lease, [point(1, 7.0), point(2, 6.5)], [])
    table = client.get(f"/runs/{lease.code}/table/").context["table"]
    assert [row[2] for row in table.rows] == [2, 1]


def test_the_csv_has_every_point() -> None:
    client, lease = member(), started()
    port.record(lease, [point(1, 7.0), point(2, 6.5)], [])
    lines = client.get(f"/runs/{lease.code}/points.csv").content.decode().split("\r\n")
    assert lines[1:3] == [
        "train,train/loss,1,7.0,1000000000.0,2048,0.1",
        "train,train/loss,2,6.5,2000000000.0,4096,0.2",
    ]


def test_a_series_that_looks_like_a_formula_is_made_harmless() -> None:
    client, lease = member(), started()
    port.record(lease, [point(1, 7.0, name="=cmd|calc")], [])
    assert "train,'=cmd|calc,1" in client.get(f"/runs/{lease.code}/points.csv").content.decode()


@pytest.mark.parametrize(("verb", "state"), [("cancel", "cancelled"), ("pause", "queued")])
def test_a_member_may_act_on_a_run(verb: str, state: str) -> None:
    client = member()
    run = queued()[0]
    client.post(f"/runs/{run.code}/do/{verb}/")
    assert Run.objects.get().state == state


def test_a_cancelled_run_can_be_retried() -> None:
    client = member()
    run = queued()[0]
    lifecycle.cancel(run, "ada")
    client.post(f"/runs/{run.code}/do/retry/")
    assert Run.objects.get().state == "queued"


def test_a_viewer_sees_a_run_and_changes_nothing() -> None:
    member()
    run = queued()[0]
    viewer = member(Role.VIEWER, "grace")
    assert "Cancel" not in viewer.get(f"/runs/{run.code}/").content.decode()
    assert viewer.post(f"/runs/{run.code}/do/cancel/").status_code == 403
    assert Run.objects.get().state == "queued"


def test_looking_never_changes() -> None:
    client = member()
    assert client.get(f"/runs/{queued()[0].code}/do/cancel/").status_code == 405


def weights(lease: port.Lease) -> Artifact:
    folder = Path(settings.ARTIFACT_ROOT) / "runs" / lease.code / "1" / "weights"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    path = str(folder.relative_to(settings.ARTIFACT_ROOT))
    return Artifact.objects.create(
        run_id=lease.run_id, kind="weights", fence=1, step=1, path=path, bytes=7, sha256="0" * 64
    )


def test_weights_leave_as_an_attachment_with_a_safe_name() -> None:
    client, lease = member(), started()
    answer: Any = client.get(f"/artifacts/{weights(lease).code}/model.safetensors")
    assert b"".join(answer.streaming_content) == b"weights"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="dense-seed-0-model.safetensors"'


@pytest.mark.parametrize(
    "name", ["..%2f..%2fmanifest.json", "%2e%2e", "model.safetensors%00", "other", "..;", "%252e%252e"]
)
def test_no_name_leads_out_of_the_weights(name: str) -> None:
    client, lease = member(), started()
    assert client.get(f"/artifacts/{weights(lease).code}/{name}").status_code == 404


def test_weights_of_another_project_are_not_found() -> None:
    member()
    lease = started()
    stranger = member(username="grace", slug="other")
    assert stranger.get(f"/artifacts/{weights(lease).code}/model.safetensors").status_code == 404


def test_the_queue_shows_waiting_runs_in_the_order_they_are_claimed() -> None:
    client = member()
    runs = queued(seeds=3)
    Run.objects.filter(pk=runs[2].pk).update(priority=5)
    shown = [run.pk for run, _ in client.get("/queue/").context["line"]]
    claimed = [getattr(port.claim("cpu", f"cpu-{n}"), "run_id", None) for n in range(3)]
    assert shown == claimed


def test_the_queue_hides_whose_run_a_worker_holds() -> None:
    member()
    lease = started()
    Worker.objects.create(name=lease.worker, queue="cpu", device="cpu")
    stranger = member(username="grace", slug="other")
    page = stranger.get("/queue/").content.decode()
    assert "a run of another project" in page
    assert lease.code not in page


def test_staff_drain_a_worker_and_the_admin_of_a_project_does_not() -> None:
    """Workers serve all projects, and anybody may make a project to be the admin of."""
    admin = member(Role.ADMIN)
    worker = Worker.objects.create(name="cpu-0", queue="cpu", device="cpu")
    assert admin.post(f"/queue/workers/{worker.pk}/drain/", {"draining": "1"}).status_code == 403
    User.objects.update(is_staff=True)
    admin.post(f"/queue/workers/{worker.pk}/drain/", {"draining": "1"})
    worker.refresh_from_db()
    assert worker.draining


def test_a_name_full_of_markup_is_shown_as_text() -> None:
    client = member()
    run = queued(label="<script>alert(1)</script>")[0]
    page = client.get(f"/runs/{run.code}/").content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


@pytest.mark.parametrize(("task", "unit"), [("language_modelling", "token"), ("image_classification", "image")])
def test_the_page_counts_in_the_unit_of_the_task(task: str, unit: str) -> None:
    client = member()
    arm = ArmRequest("Dense", RunSpec.model_validate({"task": task}), is_baseline=True)
    launch(
        project=Project.objects.get(), owner=User.objects.get(), title="One", arms=[arm], seeds=range(1), queue="cpu"
    )
    lease = port.claim("cpu", "cpu-0@lab")
    assert lease is not None
    port.start(lease, {"git": "1f3c9ab"})
    port.record(lease, [point(1, 3.0)], [CostLine("train", Purpose.TRAIN, executed=1e9, effective=1e9)])
    page = client.get(f"/runs/{lease.code}/").content.decode()
    assert f"nats per {unit};" in page
    assert f">{unit.capitalize()}s</th>" in page
    assert f"FLOP per {unit}" in page
    assert client.get(f"/runs/{lease.code}/points.csv").content.decode().splitlines()[0].split(",")[5] == f"{unit}s"

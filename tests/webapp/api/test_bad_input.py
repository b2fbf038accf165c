"""What is refused, with which code and which path; nothing is written and nothing fails."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.webapp.api.callers import Api
from webapp.experiments.models import Arm, Experiment
from webapp.runs.models import Run


def refusal(response: Any) -> tuple[int, str]:
    """Status and code of a problem document that is one."""
    assert response["Content-Type"] == "application/problem+json", response.content
    body = response.json()
    assert body["status"] == response.status_code
    return response.status_code, body["type"].removeprefix("urn:flopwise:problem:")


def paths(response: Any) -> set[str]:
    assert refusal(response) == (400, "invalid")
    return {error["path"] for error in response.json()["errors"]}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("", 400, "invalid"),
        ("{", 400, "not-json"),
        (b"\xff\xfe{}", 400, "not-json"),
        ("[" * 21 + "]" * 21, 400, "too-deep"),
        ("[" * 100_000, 400, "too-deep"),
        ('{"seeds": [NaN]}', 400, "not-finite"),
        ('{"seeds": [-Infinity]}', 400, "not-finite"),
        ('{"seeds": [1e400]}', 400, "not-finite"),
        ('{"seeds": [' + "9" * 5000 + "]}", 400, "not-json"),
        ('{"title": "a", "title": "b"}', 400, "duplicate-key"),
        ('{"title": "a\\u0000b"}', 400, "forbidden-character"),
        ('{"a\\u0000b": 1}', 400, "forbidden-character"),
        ('{"title": "\\ud800"}', 400, "forbidden-character"),
        ('{"title": "' + "a" * 1024 * 1024 + '"}', 413, "too-large"),
        ("[]", 400, "invalid"),
        ("null", 400, "invalid"),
        ('"text"', 400, "invalid"),
    ],
)  # fmt: skip
def test_a_body_that_is_not_plain_json_is_refused(api: Api, body: str | bytes, status: int, code: str) -> None:
    assert refusal(api.post("experiments", body)) == (status, code)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data", "", "application/x-yaml"])
def test_a_body_of_another_kind_is_refused(api: Api, kind: str) -> None:
    answer = api.client.post("/api/v1/experiments", "{}", content_type=kind)
    assert refusal(answer) == (415, "unsupported-media-type")


@pytest.mark.parametrize(
    ("where", "value", "path"),
    [
        (("title",), None, "title"),
        (("title",), "   ", "title"),
        (("title",), "a" * 201, "title"),
        (("title",), "safe\u202egnp.exe", "title"),
        (("title",), "zero\u200bwidth", "title"),
        (("title",), "two\nlines", "title"),
        (("title",), ["a"], "title"),
        (("question",), "a" * 2001, "question"),
        (("state",), "succeeded", "state"),
        (("owner",), 1, "owner"),
        (("seeds",), [], "seeds"),
        (("seeds",), [1, 1], "seeds"),
        (("seeds",), [-1], "seeds.0"),
        (("seeds",), [2**63], "seeds.0"),
        (("seeds",), [True], "seeds.0"),
        (("seeds",), ["1"], "seeds.0"),
        (("seeds",), [1.0], "seeds.0"),
        (("seeds",), list(range(51)), "seeds"),
        (("seeds",), {"0": 1}, "seeds"),
        (("arms",), [], "arms"),
        (("arms", 0, "fence"), 1, "arms.0.fence"),
        (("arms", 1, "is_baseline"), True, "arms"),
        (("arms", 0, "is_baseline"), "true", "arms.0.is_baseline"),
        (("arms", 1, "label"), "", "arms.1.label"),
        (("arms", 1, "spec"), {"budget": {"steps": 20}}, "arms.1"),
        (("arms", 1, "spec", "budget", "steps"), 0, "arms.1.spec.budget.steps"),
        (("arms", 1, "spec", "budget", "steps"), -1, "arms.1.spec.budget.steps"),
        (("arms", 1, "spec", "budget", "steps"), 10**9, "arms.1.spec.budget.steps"),
        (("arms", 1, "spec", "budget", "steps"), 1e3, "arms.1.spec.budget.steps"),
        (("arms", 1, "spec", "budget", "tokens"), 5, "arms.1.spec.budget"),
        (("arms", 1, "spec", "model"), {"preset": "gpt5"}, "arms.1.spec.model.preset"),
        (("arms", 1, "spec", "knobs", "est", "heads"), 1.5, "arms.1.spec.knobs.est.heads"),
        (("arms", 1, "spec", "knobs", "est", "heads"), True, "arms.1.spec.knobs.est.heads"),
        (("arms", 1, "spec", "knobs", "est", "tails"), 1, "arms.1.spec.knobs.est.tails"),
        (("arms", 1, "spec", "data"), {"source": "text:../x"}, "arms.1.spec.data.source"),
        (("arms", 1, "spec", "data"), {"source": "dataset:abcdefgh2345"}, "arms.1.spec.data.source"),
        (("arms", 1, "spec", "data"), {"source": "hf:nobody"}, "arms.1.spec.data.source"),
        (("arms", 1, "spec", "data"), {"source": "text:nowhere"}, "arms.1.spec.data.source"),
        (("matched_baselines",), "yes please", "matched_baselines"),
        (("arms", 1, "spec", "learning_rate"), 1, "arms.1.spec.learning_rate"),
        (("queue",), "../cpu", "queue"),
    ],
)  # fmt: skip
def test_an_error_names_its_path(
    api: Api, request_body: dict[str, Any], where: tuple[str | int, ...], value: Any, path: str
) -> None:
    place: Any = request_body
    for step in where[:-1]:
        place = place[step]
    place[where[-1]] = value
    assert paths(api.post("experiments", request_body)) == {path}
    assert paths(api.post("plans", request_body)) == {path}
    assert not Experiment.objects.exists()


def test_all_errors_are_told_at_once(api: Api, request_body: dict[str, Any]) -> None:
    del request_body["title"]
    request_body["seeds"] = [-1]
    request_body["arms"][1]["spec"] |= {"batch_size": 0, "knobs": {"est": {"heads": 2}}}
    found = paths(api.post("experiments", request_body))
    assert found == {"title", "seeds.0", "arms.1.spec.batch_size", "arms.1.spec.knobs.est.heads"}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1000000000",
        "limit=-1",
        "limit=x",
        "offset=3",
        "token=secret",
        "state=queued&state=failed",
        "state=done",
        "arm__experiment__owner__password=x",
        "state__regex=.*",
        "order_by=?",
        "method=est'--",
        "experiment=%00",
    ],
)
def test_a_query_that_is_not_on_the_list_is_refused(api: Api, query: str) -> None:
    assert len(paths(api.get(f"runs?{query}"))) == 1


@pytest.mark.parametrize("cursor", ["1", "MQ:x:y", "ijk", "%F0%9F%92%A9", "a" * 400])
def test_a_forged_cursor_is_refused(api: Api, cursor: str) -> None:
    assert refusal(api.get(f"runs?cursor={cursor}")) == (400, "bad-cursor")


@pytest.mark.parametrize(
    "address",
    ["", "nothing", "runs/", "runs/..%2f..",
     "runs/%252e", "runs/..;/x", "artifacts/abcdefgh2345/..%2f..%2fetc%2fpasswd",
     "artifacts/abcdefgh2345/file:///etc/passwd", "artifacts/abcdefgh2345/%5c..%5cx", "runs/%c0%ae%c0%ae", "runs/%00",
     "experiments/abcdefgh2345/comparison/", "methods/nope", "methods/__init__"],
)  # fmt: skip
def test_an_address_that_leads_nowhere_is_not_found(api: Api, address: str) -> None:
    assert refusal(api.get(address)) == (404, "not-found")


@pytest.mark.parametrize("verb", ["DELETE", "PATCH", "PUT", "TRACE", "OPTIONS", "FROB"])
def test_a_verb_that_an_address_does_not_know_is_refused(api: Api, verb: str) -> None:
    answer = api.client.generic(verb, "/api/v1/runs", headers={"X-HTTP-Method-Override": "GET"})
    assert refusal(answer) == (405, "method-not-allowed")
    assert "GET" in answer["Allow"]


@pytest.mark.parametrize(
    "text",
    ["' OR 1=1 --", "{{7*7}}", "${jndi:ldap://x}", "%n%s", "<script>alert(1)</script>", "a%00b", "=1+1", "👩‍🔬"[:1]],
)
def test_text_is_kept_as_it_was_given(api: Api, request_body: dict[str, Any], text: str) -> None:
    request_body |= {"title": text, "question": text}
    code = api.post("experiments", request_body).json()["code"]
    read = api.get(f"experiments/{code}").json()
    assert (read["title"], read["question"]) == (text, text)


def test_a_number_that_is_not_finite_leaves_as_null(api: Api, request_body: dict[str, Any]) -> None:
    code = api.post("experiments", request_body).json()["code"]
    run = api.get("runs").json()["items"][0]["code"]
    Run.objects.filter(code=run).update(final_loss=float("nan"), joules=float("inf"))
    body = api.get(f"runs/{run}").content
    read = json.loads(body, parse_constant=pytest.fail)
    assert (read["experiment"], read["final_loss"], read["joules"]) == (code, None, None)


def test_a_failure_tells_nothing_of_the_inside(api: Api, request_body: dict[str, Any]) -> None:
    code = api.post("experiments", request_body).json()["code"]
    Arm.objects.update(body={"batch_size": "unreadable"})
    answer = api.get(f"experiments/{code}")
    assert refusal(answer) == (500, "failure")
    assert "unreadable" not in answer.content.decode()

"""Lists are walked by cursor."""

from __future__ import annotations

from typing import Any

from tests.webapp.api.callers import Api


def walk(api: Api, path: str) -> list[list[str]]:
    """The codes on each page."""
    pages, cursor = [], ""
    while cursor is not None:
        answer = api.get(f"{path}&cursor={cursor}").json()
        pages.append([row["code"] for row in answer["items"]])
        cursor = answer["next"]
    return pages


def test_a_walk_meets_every_run_once_newest_first(api: Api, request_body: dict[str, Any]) -> None:
    api.post("experiments", request_body | {"seeds": [*range(5)]})
    pages = walk(api, "runs?limit=3")
    assert [len(page) for page in pages] == [3, 3, 3, 1]
    assert [code for page in pages for code in page] == walk(api, "runs?limit=200")[0]


def test_a_row_that_arrives_meanwhile_moves_nothing(api: Api, request_body: dict[str, Any]) -> None:
    titles = [f"Experiment {n}" for n in range(4)]
    for title in titles[:3]:
        api.post("experiments", request_body | {"title": title})
    first = api.get("experiments?limit=2").json()
    api.post("experiments", request_body | {"title": titles[3]})
    second = api.get(f"experiments?limit=2&cursor={first['next']}").json()
    assert [row["title"] for row in first["items"] + second["items"]] == titles[2::-1]
    assert second["next"] is None


def test_a_cursor_holds_for_its_own_list_only(api: Api, request_body: dict[str, Any]) -> None:
    api.post("experiments", request_body)
    cursor = api.get("runs?limit=1").json()["next"]
    assert api.get(f"experiments?cursor={cursor}").status_code == 400


def test_filters_narrow_a_list(api: Api, request_body: dict[str, Any]) -> None:
    code = api.post("experiments", request_body).json()["code"]
    api.post("experiments", request_body | {"title": "Another"})
    one = api.get(f"runs?experiment={code}&method=est").json()["items"]
    assert [(row["experiment"], row["methods"], row["seed"]) for row in one] == [(code, ["est"], 1), (code, ["est"], 0)]
    api.post(f"runs/{one[0]['code']}/cancel")
    assert [row["code"] for row in api.get("runs?state=cancelled").json()["items"]] == [one[0]["code"]]

"""A launch that is sent twice launches once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.db.models import F

from tests.webapp.api.callers import Api
from webapp.api.models import KeptAnswer
from webapp.experiments.models import Experiment

KEY = {"Idempotency-Key": "a-key"}


def test_the_same_request_again_gets_the_first_answer(api: Api, request_body: dict[str, Any]) -> None:
    first, again = (api.post("experiments", request_body, **KEY) for _ in range(2))
    assert (again.status_code, again["Location"], again.json()) == (202, first["Location"], first.json())
    assert again["Idempotent-Replayed"] == "true"
    assert Experiment.objects.count() == 1


def test_the_key_of_another_request_is_refused(api: Api, request_body: dict[str, Any]) -> None:
    api.post("experiments", request_body, **KEY)
    other = api.post("experiments", request_body | {"title": "Another"}, **KEY)
    assert (other.status_code, other.json()["type"]) == (422, "urn:flopwise:problem:idempotency-key-reused")
    assert Experiment.objects.count() == 1


def test_without_a_key_each_request_launches(api: Api, request_body: dict[str, Any]) -> None:
    for _ in range(2):
        api.post("experiments", request_body)
    assert Experiment.objects.count() == 2


def test_a_refused_request_leaves_its_key_free(api: Api, request_body: dict[str, Any]) -> None:
    assert api.post("experiments", request_body | {"seeds": [1, 1]}, **KEY).status_code == 400
    assert api.post("experiments", request_body, **KEY).status_code == 202


def test_a_key_is_free_again_after_a_day(api: Api, request_body: dict[str, Any]) -> None:
    api.post("experiments", request_body, **KEY)
    KeptAnswer.objects.update(created_at=F("created_at") - timedelta(hours=24, seconds=1))
    assert api.post("experiments", request_body | {"title": "Another"}, **KEY).status_code == 202


@pytest.mark.parametrize("key", ["", "a" * 201, "with space", "ä"])
def test_a_key_is_short_printable_ascii(api: Api, request_body: dict[str, Any], key: str) -> None:
    answer = api.post("experiments", request_body, **{"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:flopwise:problem:bad-idempotency-key")


@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_launch_one(api: Api, request_body: dict[str, Any]) -> None:
    def launch(_: int) -> tuple[int, str]:
        try:
            answer = api.post("experiments", request_body, **KEY)
            return answer.status_code, answer.json()["code"]
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        answers = set(pool.map(launch, range(20)))
    assert answers == {(202, Experiment.objects.get().code)}


def test_a_text_uploaded_twice_is_one_data_set(api: Api) -> None:
    def upload(text: bytes, **headers: str) -> Any:
        fields = {"project": "atlas", "name": "Words", "file": SimpleUploadedFile("../x", text)}
        return api.client.post("/api/v1/datasets", fields, headers=headers)

    words = b"The quick brown fox jumps over the lazy dog.\n" * 200
    first, again = upload(words, **KEY), upload(words, **KEY)
    assert first.status_code == 201, first.content
    assert again.json() == first.json() == api.client.get(first["Location"]).json()
    assert upload(words + b"more", **KEY).status_code == 422
    assert [row["name"] for row in api.get("datasets").json()["items"]] == ["Words"]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name": "x", "file": b"words"}, "project"),
        ({"project": "atlas", "file": b"words"}, "name"),
        ({"project": "atlas", "name": "x"}, "file"),
        ({"project": "atlas", "name": "x", "file": b""}, "file"),
        ({"project": "atlas", "name": "x", "file": b"\xff\xfe\x00"}, "file"),
        ({"project": "atlas", "name": "x\ny", "file": b"words"}, "name"),
        ({"project": "atlas", "name": "x", "owner": "1", "file": b"words"}, "owner"),
        ({"project": "atlas", "name": ["x", "y"], "file": b"words"}, "name"),
    ],
)
def test_an_upload_names_what_is_wrong(api: Api, fields: dict[str, Any], path: str) -> None:
    sent = {k: SimpleUploadedFile("x", v) if isinstance(v, bytes) else v for k, v in fields.items()}
    answer = api.client.post("/api/v1/datasets", sent)
    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == [path]

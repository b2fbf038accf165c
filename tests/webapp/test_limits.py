"""What a request may not be, whoever sends it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from tests.webapp.people import member
from webapp.api import wire
from webapp.api.problems import Problem
from webapp.limits import ROOM, Guard, bounded

PIECE = 1 << 18


def sent(path: str, pieces: int, headers: list[tuple[bytes, bytes]] | None = None) -> tuple[int, int]:
    """The status of a body of so many pieces, and how many of them were taken in."""
    taken, answers = 0, list[Mapping[str, Any]]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Mapping[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": bytes(PIECE), "more_body": taken < pieces}

    async def send(message: Mapping[str, Any]) -> None:
        answers.append(message)

    asyncio.run(bounded(app)({"type": "http", "path": path, "headers": headers or []}, receive, send))
    return answers[0]["status"], taken


def test_a_body_that_never_ends_is_refused_as_soon_as_it_is_too_large() -> None:
    most = (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + ROOM) // PIECE
    assert sent("/health/", pieces=10**9) == (413, most + 1)
    assert sent("/health/", pieces=most) == (200, most)


def test_a_body_that_says_how_large_it_is_is_refused_unread() -> None:
    assert sent("/sign-in/", 1, [(b"content-length", b"600000000")]) == (413, 0)


@pytest.mark.parametrize("path", ["/data/", "/api/v1/datasets"])
def test_a_data_set_may_be_as_large_as_is_set(path: str) -> None:
    length = str(settings.DATASET_MAX_BYTES).encode()
    assert sent(path, 1, [(b"content-length", length)]) == (200, 1)


@pytest.mark.timeout(30)
def test_a_string_that_never_ends_is_read_once() -> None:
    with pytest.raises(Problem) as refusal:
        wire.parse(b'"\\' * 400_000)
    assert refusal.value.code == "not-json"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address",
    ["/runs/%00/", "/runs/%00/points", "/experiments/?project=%00", "/experiments/new/?clone=%00",
     "/studies/dcpt/new/?project=%00"],
)  # fmt: skip
def test_an_address_with_a_nul_is_refused(address: str) -> None:
    assert member().get(address).status_code in (400, 404)


@pytest.mark.django_db
def test_a_form_with_a_nul_is_refused() -> None:
    assert member().post("/methods/est/replicate/", {"project": "a\0"}).status_code == 400


@pytest.mark.django_db
def test_a_name_that_no_account_can_have_is_refused_at_the_door(client: Client) -> None:
    answer = client.post("/sign-in/", {"username": "a" * 256, "password": "x"})
    assert answer.status_code == 200
    assert answer.context["form"].errors["username"] == ["Ensure this value has at most 150 characters (it has 256)."]


def test_a_database_that_is_away_is_said_so(rf: RequestFactory) -> None:
    def fails(request: HttpRequest) -> HttpResponse:
        raise AssertionError

    answer = Guard(fails).process_exception(rf.get("/"), OperationalError("pool timeout"))
    assert answer is not None
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert Guard(fails).process_exception(rf.get("/"), ValueError()) is None

"""The live view, over the real database and the real Redis server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connections
from django.test import AsyncClient, Client

from training.records import Point
from webapp.runs import port, selectors
from webapp.runs.models import Run, State
from webapp.teams.models import Membership, Project

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:No directory at"),  # static files are not collected for tests
]


@pytest.fixture
def anyio_backend() -> str:
    """The web process runs on asyncio."""
    return "asyncio"


def point(step: int, value: float = 1.0) -> Point:
    return Point("train", "train/loss", step, value, step * 10.0, step * 8, step * 0.1)


@pytest.fixture
def member(lease: port.Lease) -> User:
    """Somebody who may see the run of `lease`."""
    user = User.objects.create_user("ada")
    Membership.objects.create(project=Project.objects.get(), user=user)
    return user


@pytest.fixture
def client(client: Client, member: User) -> Client:
    client.force_login(member)
    return client


@pytest.fixture
async def viewer(member: User) -> AsyncIterator[AsyncClient]:
    viewer = AsyncClient()
    await viewer.aforce_login(member)
    yield viewer
    await sync_to_async(connections.close_all)()


async def changes(viewer: AsyncClient, lease: port.Lease, **headers: str) -> AsyncIterator[dict[str, Any]]:
    """What a viewer of the run receives, message by message, the retry line left out."""
    answer: Any = await viewer.get(f"/runs/{lease.code}/events", headers=headers)
    assert answer.status_code == 200
    async for message in answer:
        lines = dict(line.split(": ", 1) for line in message.decode().strip().split("\n") if not line.startswith(":"))
        if "id" in lines:
            yield json.loads(lines["data"]) | {"id": lines["id"]}


async def steps(stream: AsyncIterator[dict[str, Any]], upto: int) -> list[int]:
    """Steps in the order of arrival, until `upto` came."""
    seen: list[int] = []
    async with asyncio.timeout(10):
        async for change in stream:
            seen += [point["step"] for point in change["points"]]
            if seen and seen[-1] >= upto:
                break
    return seen


async def record(lease: port.Lease, *numbers: int) -> None:
    await sync_to_async(port.record)(lease, [point(step) for step in numbers], [])


def test_the_twin_gives_only_what_is_new(client: Client, lease: port.Lease) -> None:
    port.record(lease, [point(1), point(2)], [])
    first = client.get(f"/runs/{lease.code}/points").json()
    port.record(lease, [point(3)], [])
    second = client.get(f"/runs/{lease.code}/points?after={first['seq']}").json()
    assert [row["step"] for row in first["points"]] == [1, 2]
    assert [row["step"] for row in second["points"]] == [3]


@pytest.mark.parametrize("after", ["-1", "x", "9" * 30, "1e3", "", "१"])
def test_a_cursor_that_is_no_number_is_the_start(client: Client, lease: port.Lease, after: str) -> None:
    port.record(lease, [point(1)], [])
    assert len(client.get(f"/runs/{lease.code}/points", {"after": after}).json()["points"]) == 1


def test_a_resume_tells_the_viewer_to_draw_anew(client: Client, lease: port.Lease) -> None:
    seen = port.record(lease, [point(1), point(2)], [])
    port.rewind(lease, seen, [])
    answer = client.get(f"/runs/{lease.code}/points?after={seen}").json()
    assert answer["reset"]
    assert [row["step"] for row in answer["points"]] == [1, 2]


def test_a_long_history_comes_in_pages_of_whole_events(
    client: Client, lease: port.Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "MOST_POINTS", 5)
    for start in (0, 3, 6):
        port.record(lease, [point(start + i) for i in range(3)], [])
    after, seen, more = 0, [], True
    while more:
        answer = client.get(f"/runs/{lease.code}/points?after={after}").json()
        after, more = answer["seq"], answer["more"]
        seen += [row["step"] for row in answer["points"]]
    assert seen == list(range(9))


@pytest.mark.parametrize("path", ["events", "points", "attempts/1/log"])
async def test_whoever_is_no_member_finds_no_run(lease: port.Lease, path: str) -> None:
    somebody = AsyncClient()
    await somebody.aforce_login(await User.objects.acreate_user("stranger"))
    assert (await somebody.get(f"/runs/{lease.code}/{path}")).status_code == 404


async def test_points_arrive_while_they_are_logged(viewer: AsyncClient, lease: port.Lease) -> None:
    async def log() -> None:
        for step in range(1, 6):
            await record(lease, step)
            await asyncio.sleep(0.05)

    logging = asyncio.create_task(log())
    assert await steps(changes(viewer, lease), upto=5) == [1, 2, 3, 4, 5]
    await logging


async def test_a_viewer_that_reconnects_misses_and_doubles_nothing(viewer: AsyncClient, lease: port.Lease) -> None:
    await record(lease, 1, 2)
    stream = changes(viewer, lease)
    last = (await anext(stream))["id"]
    await record(lease, 3)
    assert await steps(changes(viewer, lease, **{"Last-Event-ID": last}), upto=3) == [3]


async def test_a_viewer_too_slow_for_the_reader_catches_up(viewer: AsyncClient, lease: port.Lease) -> None:
    stream = changes(viewer, lease)
    await record(lease, 1)
    await anext(stream)
    for step in range(2, 40):
        await record(lease, step)
        await asyncio.sleep(0.02)
    assert await steps(stream, upto=39) == list(range(2, 40))


async def test_the_stream_ends_with_the_run(viewer: AsyncClient, lease: port.Lease) -> None:
    await sync_to_async(port.finish)(lease, port.Ending(State.FAILED, "diverged"))
    answer: Any = await viewer.get(f"/runs/{lease.code}/events")
    async with asyncio.timeout(5):
        messages = [message.decode() async for message in answer]
    assert messages[-1].startswith("event: end")


async def test_one_viewer_too_many_is_asked_to_come_again(
    viewer: AsyncClient, lease: port.Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.runs.stream.MOST_STREAMS", 0)
    answer = await viewer.get(f"/runs/{lease.code}/events")
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) >= 2


def test_the_log_is_read_on_from_where_the_reader_was(client: Client, lease: port.Lease) -> None:
    file = Run.objects.get().attempts.get().log
    file.parent.mkdir(parents=True)
    file.write_text("first\n")
    first = client.get(f"/runs/{lease.code}/attempts/1/log").json()
    with file.open("a") as more:
        more.write("second\n")
    second = client.get(f"/runs/{lease.code}/attempts/1/log?after={first['next']}").json()
    assert (first["text"], second["text"]) == ("first\n", "second\n")

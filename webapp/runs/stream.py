"""The live view: server-sent events, their JSON twin, and the log.

One reader per process asks the database for all viewers; a stream holds no connection while it waits.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import Error, connection, connections
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from webapp.runs import queue, selectors
from webapp.runs.models import TERMINAL, Attempt, Run
from webapp.teams.access import person

MOST_STREAMS = 500
"""Viewers of one web process; the next one is asked to come again."""
PING_SECONDS, POLL_SECONDS, PAUSE_SECONDS = 15.0, 1.0, 0.1
WAITING = 16
"""Changes that wait for a slow viewer; it catches up from the database when it missed some."""
LOG_BYTES = 64 * 1024
Answer = TypeVar("Answer")


async def _ask(question: Callable[..., Answer], *values: Any) -> Answer:
    """Put a question to the database from a thread, and give its connection back at once."""

    def ask() -> Answer:
        try:
            return question(*values)
        finally:
            connection.close()

    return await sync_to_async(ask, thread_sensitive=False)()


class Reader:
    """Reads the news of all watched runs once, for all their viewers; woken by Redis, else every second."""

    def __init__(self) -> None:
        self.viewers: dict[int, set[asyncio.Queue[dict[str, Any]]]] = {}
        self.cursors: dict[int, int] = {}
        self.task: asyncio.Task[None] | None = None

    @property
    def streams(self) -> int:
        return sum(len(viewers) for viewers in self.viewers.values())

    def join(self, run_id: int, seq: int) -> asyncio.Queue[dict[str, Any]]:
        waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue(WAITING)
        self.viewers.setdefault(run_id, set()).add(waiting)
        self.cursors.setdefault(run_id, seq)
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self._read())
        return waiting

    def leave(self, run_id: int, waiting: asyncio.Queue[dict[str, Any]]) -> None:
        self.viewers[run_id].discard(waiting)
        if not self.viewers[run_id]:
            del self.viewers[run_id], self.cursors[run_id]

    async def _read(self) -> None:
        client = redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1.0)
        async with client, client.pubsub() as hints:
            subscribed = False
            while self.viewers:
                with suppress(Error):
                    await self._tell()
                await asyncio.sleep(PAUSE_SECONDS)
                try:
                    if not subscribed:
                        await hints.subscribe(queue.EVENTS)
                        subscribed = True
                    await hints.get_message(ignore_subscribe_messages=True, timeout=POLL_SECONDS)
                    while await hints.get_message(ignore_subscribe_messages=True, timeout=0.0):
                        pass  # one reading answers all hints so far
                except (redis.RedisError, OSError):
                    subscribed = False
                    await asyncio.sleep(POLL_SECONDS)
        if self.viewers:  # who joined while the connections closed
            self.task = asyncio.create_task(self._read())

    async def _tell(self) -> None:
        """Hand each run's change since the last reading to its viewers; a full queue drops it."""
        for run_id, seq in (await _ask(selectors.news, list(self.viewers))).items():
            since = self.cursors.get(run_id, seq)
            if seq == since:
                continue
            change = await _ask(selectors.delta, run_id, since)
            self.cursors[run_id] = change["seq"]
            for waiting in self.viewers.get(run_id, ()):
                with suppress(asyncio.QueueFull):
                    waiting.put_nowait(change | {"since": since})


_readers: WeakKeyDictionary[asyncio.AbstractEventLoop, Reader] = WeakKeyDictionary()


def _reader() -> Reader:
    return _readers.setdefault(asyncio.get_running_loop(), Reader())


def _cursor(request: HttpRequest) -> int:
    """Where the viewer is: its last event, else `?after=`; anything but a plain number is the start."""
    given = request.headers.get("Last-Event-ID") or request.GET.get("after", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else 0


def _run_id(request: HttpRequest, code: str) -> int:
    """The run, for its members."""
    return int(get_object_or_404(Run.objects.for_user(request.user), code=code).pk)


@require_GET
async def events(request: HttpRequest, code: str) -> HttpResponseBase:
    """The run's changes as server-sent events; `id` is the event number, and reconnecting continues after it."""
    # Sign-in was read in this request's thread: give that connection back, or viewers hold the whole pool.
    await sync_to_async(connections.close_all)()
    run_id = await _ask(_run_id, request, code)
    if _reader().streams >= MOST_STREAMS:
        return HttpResponse("too many viewers", status=503, headers={"Retry-After": str(random.randint(2, 10))})
    headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
    stream = _stream(run_id, _cursor(request), person(request).pk)
    return StreamingHttpResponse(stream, content_type="text/event-stream", headers=headers)


def _may_see(user_id: int, run_id: int) -> bool:
    user = get_user_model().objects.filter(pk=user_id, is_active=True).first()
    return user is not None and Run.objects.for_user(user).filter(pk=run_id).exists()


async def _stream(run_id: int, after: int, user_id: int) -> AsyncIterator[bytes]:
    """Catch up from the database, then follow the reader; a change that does not join on is caught up again.

    Whoever lost access is asked for every few seconds, and follows no longer.
    """
    reader = _reader()
    waiting, asked = reader.join(run_id, after), time.monotonic()
    try:
        yield f"retry: {random.randint(2500, 4500)}\n\n".encode()
        change: dict[str, Any] | None = None
        while True:
            if time.monotonic() - asked >= PING_SECONDS:
                if not await _ask(_may_see, user_id, run_id):
                    return
                asked = time.monotonic()
            if change is None or change["since"] != after or change["reset"]:
                change = await _ask(selectors.delta, run_id, after)
            if change["seq"] != after or change["more"]:
                yield _event(change)
            after = change["seq"]
            if change["state"] in TERMINAL and not change["more"]:
                yield b"event: end\ndata: {}\n\n"
                return
            if change["more"]:
                change = None
                continue
            while (change := await _next(waiting)) is None or change["seq"] <= after:
                if change is None:
                    yield b": ping\n\n"
                    break
    finally:
        reader.leave(run_id, waiting)


async def _next(waiting: asyncio.Queue[dict[str, Any]]) -> dict[str, Any] | None:
    """The reader's next change; None when it is time for a ping."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PING_SECONDS):
            return await waiting.get()
    return None


def _event(change: dict[str, Any]) -> bytes:
    body = {name: value for name, value in change.items() if name != "since"}
    return f"id: {change['seq']}\ndata: {json.dumps(body, allow_nan=False)}\n\n".encode()


@require_GET
def points(request: HttpRequest, code: str) -> JsonResponse:
    """The same changes by `?after=`, for pages without a stream and for programs."""
    return JsonResponse(selectors.delta(_run_id(request, code), _cursor(request)))


@require_GET
def log(request: HttpRequest, code: str, attempt: int) -> JsonResponse:
    """The log of an attempt from byte `?after=`, or its last 64 KiB: `text`, and `next` to go on from."""
    found = Attempt.objects.filter(run_id=_run_id(request, code), n=attempt).select_related("run").first()
    if found is None or not found.log.exists():
        raise Http404
    size = found.log.stat().st_size
    after = _cursor(request) if "after" in request.GET else max(0, size - LOG_BYTES)
    with found.log.open("rb") as file:
        file.seek(after if after <= size else 0)  # a log that was shortened starts over
        data = file.read(LOG_BYTES)
        return JsonResponse({"text": data.decode(errors="replace"), "next": file.tell(), "size": size})

"""What no request may be: too large for its address, or with a NUL in it; and an answer while the database is away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseNotFound

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]
TEXT = "text/plain; charset=utf-8"
UPLOADS = ("/data/", "/api/v1/datasets")
ROOM = 1 << 20
"""For the other fields of a form, and the borders between its parts."""


class _TooLarge(Exception):
    """More of a body arrived than its address takes."""


def bounded(app: App) -> App:
    """Answer 413 as soon as a body is too large: Django would write all of it to disk before anybody is asked."""

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        left, begun = _limit(scope["path"]), False

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise _TooLarge
            return message

        async def told(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        declared = dict(scope["headers"]).get(b"content-length", b"0")
        try:
            if declared.isdigit() and int(declared[:20]) > left:
                raise _TooLarge
            await app(scope, counted, told)
        except _TooLarge:
            if not begun:
                await _refuse(send)

    return limited


def _limit(path: str) -> int:
    most = settings.DATASET_MAX_BYTES if path.startswith(UPLOADS) else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return int(most) + ROOM


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": b"The request is larger than this address takes.\n"})


class Guard:
    """Innermost middleware of the pages: refuses NUL, which PostgreSQL does, and says 503 while it cannot be had."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith("/api/"):  # REST has answers of its own
            return self.get_response(request)
        if "\0" in request.path:
            return HttpResponseNotFound("There is no such address.", content_type=TEXT)
        if any("\0" in value for _, values in request.GET.lists() for value in values):
            return HttpResponseBadRequest("The address has a NUL.", content_type=TEXT)
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """Forms, once the check against forgery has read them; REST judges its own bodies."""
        if request.path.startswith("/api/") or request.method != "POST":
            return None
        if any("\0" in value for _, values in request.POST.lists() for value in values):
            return HttpResponseBadRequest("The form has a NUL.", content_type=TEXT)
        return None

    def process_exception(self, request: HttpRequest, failure: Exception) -> HttpResponse | None:
        if not isinstance(failure, OperationalError | InterfaceError):
            return None
        text = "The database is busy or away; nothing was lost. Try again in a moment."
        return HttpResponse(text, status=503, headers={"Retry-After": "5"}, content_type=TEXT)

"""How often one person may call; the counters live in this process's memory and may be lost."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import UserRateThrottle


class _Throttle(UserRateThrottle):
    safe: bool

    def get_rate(self) -> str:
        rate: str = settings.API_RATES["read" if self.safe else "write"]
        return rate

    def allow_request(self, request: Request, view: Any) -> bool:
        if (request.method in ("GET", "HEAD")) is not self.safe:
            return True
        return bool(super().allow_request(request, view))


class Reads(_Throttle):
    scope, safe = "read", True


class Writes(_Throttle):
    scope, safe = "write", False

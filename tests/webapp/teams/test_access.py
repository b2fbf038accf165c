"""Nothing is open that was not opened on purpose."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.contrib.admindocs.views import simplify_regex
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern

OPEN = {"/sign-in/", "/health/"}
"""What somebody who has not signed in may read."""


def addresses(patterns: list[URLPattern | URLResolver], before: str = "/") -> Iterator[str]:
    """Every address of the site, with something in the place of each argument."""
    for entry in patterns:
        own = str(entry.pattern)
        path = simplify_regex(own).lstrip("/") if isinstance(entry.pattern, RegexPattern) else own
        path = re.sub(r"<[^>]+>", "22", re.sub(r"<(str:|slug:)?code>", "demo23456789", path))
        if isinstance(entry, URLResolver):
            yield from addresses(entry.url_patterns, before + path)
        else:
            yield before + path


@pytest.mark.django_db
def test_a_stranger_reads_the_sign_in_page_and_nothing_else() -> None:
    client = Client()
    readable = {path for path in addresses(get_resolver().url_patterns) if client.get(path).status_code == 200}
    assert readable == OPEN


@pytest.mark.django_db
def test_a_stranger_is_led_to_the_sign_in_page_and_back() -> None:
    assert Client().get("/queue/").headers["Location"] == "/sign-in/?next=/queue/"

"""Many viewers of one web process: a stream holds no database connection, so they cannot use up its pool."""

from __future__ import annotations

import threading
import urllib.request
from http.client import HTTPResponse

import pytest
from django.test import Client

from tests.browser.furniture import pages
from tests.browser.visitor import Visitor
from webapp.teams.models import Membership

VIEWERS = 24
"""Three times the connections of the pool."""


@pytest.mark.django_db(transaction=True)
def test_more_viewers_than_connections_all_see_the_run(visitor: Visitor, site: str) -> None:
    address = f"{site}{pages()['run']}events"
    client = Client()
    client.force_login(Membership.objects.select_related("user").get().user)
    headers = {"Cookie": f"sessionid={client.cookies['sessionid'].value}"}
    opened: list[HTTPResponse] = []
    first: list[bytes] = []

    def watch() -> None:
        stream = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=20)
        opened.append(stream)
        first.append(next(line for line in stream if line.startswith(b"data:")))

    viewers = [threading.Thread(target=watch) for _ in range(VIEWERS)]
    for viewer in viewers:
        viewer.start()
    for viewer in viewers:
        viewer.join()
    visitor.page.goto("/experiments/")
    assert visitor.page.get_by_role("heading", level=1).is_visible()
    for stream in opened:
        stream.close()
    assert len(first) == VIEWERS

"""Uploading texts."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.webapp.people import member
from webapp.datasets.models import Dataset
from webapp.teams.models import Role

pytestmark = pytest.mark.django_db


def upload(client: Client, content: bytes, name: str = "letters.txt") -> Any:
    file = SimpleUploadedFile(name, content)
    return client.post("/data/", {"project": "lab", "name": "Letters", "file": file})


def refusal(client: Client, content: bytes) -> str:
    answer = upload(client, content)
    assert answer.status_code == 422
    return " ".join(answer.context["form"].errors["file"])


def test_a_text_is_kept_under_its_digest() -> None:
    upload(member(), "Liebe Ada, grüß dich.".encode())
    assert Dataset.objects.get().path.read_text() == "Liebe Ada, grüß dich."


def test_the_name_of_a_file_never_becomes_a_path() -> None:
    upload(member(), b"some text", name="../../evil.txt")
    assert Dataset.objects.get().path.name == Dataset.objects.get().sha256


def test_the_same_text_is_kept_once() -> None:
    client = member()
    upload(client, b"some text")
    upload(client, b"some text")
    assert Dataset.objects.count() == 1


def test_an_empty_text_is_refused_in_words() -> None:
    assert "empty" in refusal(member(), b" \n \n")


def test_a_text_that_is_not_utf8_is_refused_with_the_place() -> None:
    assert "offset 5" in refusal(member(), b"abcde\xff\xfe")


def test_a_text_over_the_limit_is_refused(settings: Any) -> None:
    settings.DATASET_MAX_BYTES = 10
    assert "at most 10" in refusal(member(), b"more than ten bytes")


def test_a_viewer_uploads_nothing() -> None:
    upload(member(Role.VIEWER), b"some text")
    assert not Dataset.objects.exists()


def test_a_text_of_another_project_is_not_listed() -> None:
    upload(member(), b"some text")
    other = member(username="grace", slug="other")
    assert list(other.get("/data/").context["page"].object_list) == []

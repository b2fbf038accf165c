"""Pages of people."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.webapp.people import member
from webapp.teams.models import AuditEvent, Membership, Project, Role, Token

pytestmark = pytest.mark.django_db


def test_the_tenth_wrong_password_locks_out_in_words() -> None:
    User.objects.create_user("ada", password="a long enough secret")
    client = Client()
    answers = [client.post("/sign-in/", {"username": "ada", "password": "wrong"}) for _ in range(10)]
    assert answers[0].status_code == 200
    assert answers[9].status_code == 429
    assert "Wait a quarter of an hour" in answers[9].content.decode()


def test_whoever_starts_a_project_is_its_admin() -> None:
    client = member()
    client.post("/projects/", {"name": "New lab"})
    assert Membership.objects.get(project__slug="new-lab").role == Role.ADMIN


def test_an_admin_adds_a_member_by_user_name() -> None:
    client = member(Role.ADMIN)
    User.objects.create_user("grace")
    client.post("/projects/lab/", {"username": "grace", "role": "reviewer"})
    assert Membership.objects.get(user__username="grace").role == Role.REVIEWER


def test_a_member_who_is_no_admin_is_refused_in_words() -> None:
    client = member(Role.MEMBER)
    answer = client.post("/projects/lab/", {"username": "ada", "role": "admin"})
    assert answer.status_code == 403
    assert "needs the role admin in Lab" in answer.content.decode()


def test_a_project_keeps_its_last_admin() -> None:
    client = member(Role.ADMIN)
    client.post("/projects/lab/", {"username": "ada", "role": "viewer"})
    client.post("/projects/lab/members/ada/remove/")
    assert Membership.objects.get(user__username="ada").role == Role.ADMIN


def test_a_project_of_others_is_not_found() -> None:
    client = member()
    Project.objects.create(name="Secret", slug="secret")
    assert client.get("/projects/secret/").status_code == 404


def test_a_token_is_shown_once_and_kept_as_a_digest() -> None:
    client = member()
    secret = client.post("/tokens/", {"name": "ci", "days": "30"}).context["secret"]
    assert Token.objects.get().digest == Token.digest_of(secret)
    assert secret not in client.get("/tokens/").content.decode()


def test_nobody_revokes_the_token_of_another() -> None:
    client, other = member(), member(username="grace")
    client.post("/tokens/", {"name": "ci", "days": "30"})
    assert other.post(reverse("token-revoke", args=[Token.objects.get().pk])).status_code == 404
    assert Token.objects.get().revoked_at is None


def test_a_change_of_members_is_in_the_audit_trail() -> None:
    client = member(Role.ADMIN)
    User.objects.create_user("grace")
    client.post("/projects/lab/", {"username": "grace", "role": "viewer"})
    assert list(AuditEvent.objects.values_list("verb", "object")) == [("made viewer", "user grace")]


def test_a_change_without_the_forms_secret_is_refused() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_user("ada"))
    assert client.post("/projects/", {"name": "Lab"}).status_code == 403

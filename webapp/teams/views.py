"""Pages of people: home, projects and their members, API tokens."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.db import connection, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from webapp.experiments.models import Experiment
from webapp.experiments.views import with_progress
from webapp.runs.models import ACTIVE, Run, State
from webapp.teams.access import may, person, require, writable
from webapp.teams.forms import MemberForm, ProjectForm, TokenForm
from webapp.teams.models import AuditEvent, Membership, Project, Role, Token

SHOWN = 8
"""Rows of each list on the home page."""


@login_not_required
@require_GET
@never_cache
def health(request: HttpRequest) -> HttpResponse:
    """For load balancers: 200 when the database answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok", content_type="text/plain")


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """What runs, what waits, what was asked last."""
    runs = Run.objects.for_user(person(request)).select_related("arm__experiment")
    waiting = runs.filter(state=State.QUEUED)
    context = {
        "running": runs.filter(state__in=ACTIVE).order_by("-started_at")[:SHOWN],
        "waiting": waiting.order_by("-priority", "id")[:SHOWN],
        "waiting_count": waiting.count(),
        "experiments": with_progress(Experiment.objects.for_user(person(request)))
        .filter(archived_at=None)
        .order_by("-created_at")[:SHOWN],
        "writable": writable(person(request)).exists(),
    }
    return render(request, "teams/home.html", context)


@require_http_methods(["GET", "POST"])
def projects(request: HttpRequest) -> HttpResponse:
    """The user's projects, and a new one."""
    form = ProjectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        project = _create(request, form.cleaned_data["name"])
        messages.success(request, f"{project.name} is there; you are its admin.")
        return redirect("project", project.slug)
    rows = Membership.objects.filter(user=person(request)).select_related("project").order_by("project__name")
    status = 422 if form.is_bound else 200
    return render(request, "teams/projects.html", {"memberships": rows, "form": form}, status=status)


@transaction.atomic
def _create(request: HttpRequest, name: str) -> Project:
    project = Project.objects.create(name=name, slug=slugify(name)[:60])
    Membership.objects.create(project=project, user=person(request), role=Role.ADMIN)
    _audit(request, project, "created", f"project {project.slug}")
    return project


@require_http_methods(["GET", "POST"])
def project(request: HttpRequest, slug: str) -> HttpResponse:
    """One project: members, and for admins a form that adds one or changes a role."""
    found = get_object_or_404(Project.objects.for_user(person(request)), slug=slug)
    form = MemberForm(request.POST or None)
    if request.method == "POST":
        require(person(request), found, Role.ADMIN)
        if form.is_valid() and _grant(request, found, form):
            return redirect("project", slug)
    context = {
        "project": found,
        "memberships": found.membership_set.select_related("user").order_by("user__username"),
        "form": form,
        "admin": may(person(request), found, Role.ADMIN),
        "events": AuditEvent.objects.filter(project=found).select_related("actor").order_by("-at", "-id")[:20],
    }
    return render(request, "teams/project.html", context, status=422 if form.is_bound else 200)


@transaction.atomic
def _grant(request: HttpRequest, project: Project, form: MemberForm) -> bool:
    """Give a role; False, with an error in the form, where it would leave no admin."""
    Project.objects.select_for_update().get(pk=project.pk)
    user, role = form.cleaned_data["username"], form.cleaned_data["role"]
    if role != Role.ADMIN and not _admins(project).exclude(user=user).exists():
        form.add_error("role", "a project keeps at least one admin; make somebody else one first")
        return False
    Membership.objects.update_or_create(project=project, user=user, defaults={"role": role})
    _audit(request, project, f"made {role}", f"user {user.get_username()}")
    messages.success(request, f"{user.get_username()} is now {role} of {project.name}.")
    return True


@require_POST
@transaction.atomic
def remove_member(request: HttpRequest, slug: str, username: str) -> HttpResponse:
    """Take somebody out of a project; the last admin stays."""
    found = get_object_or_404(Project.objects.for_user(person(request)), slug=slug)
    require(person(request), found, Role.ADMIN)
    Project.objects.select_for_update().get(pk=found.pk)
    membership = get_object_or_404(found.membership_set, user__username=username)
    if not _admins(found).exclude(pk=membership.pk).exists():
        messages.error(request, "A project keeps at least one admin; make somebody else one first.")
        return redirect("project", slug)
    membership.delete()
    _audit(request, found, "removed", f"user {username}")
    messages.success(request, f"{username} is no longer in {found.name}.")
    return redirect("project", slug)


def _admins(project: Project) -> QuerySet[Membership]:
    return project.membership_set.filter(role=Role.ADMIN)


@require_http_methods(["GET", "POST"])
@never_cache
def tokens(request: HttpRequest) -> HttpResponse:
    """The user's API tokens; a new one is shown in this answer and never again."""
    form, secret = TokenForm(request.POST or None), ""
    if request.method == "POST" and form.is_valid():
        _, secret = Token.issue(person(request), form.cleaned_data["name"], form.cleaned_data["days"])
        _audit(request, None, "issued", f"token {form.cleaned_data['name']}")
        form = TokenForm()
    living = Token.objects.filter(user=person(request), revoked_at=None, expires_at__gt=timezone.now())
    context = {"form": form, "secret": secret, "tokens": living.order_by("-created_at")}
    return render(request, "teams/tokens.html", context, status=422 if form.is_bound else 200)


@require_POST
def revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    """End one of the user's own tokens at once."""
    token = get_object_or_404(Token.objects.filter(user=person(request)), pk=token_id)
    Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())
    _audit(request, None, "revoked", f"token {token.name}")
    messages.success(request, f"The token {token.name} no longer works.")
    return redirect("tokens")


def _audit(request: HttpRequest, project: Project | None, verb: str, what: str) -> None:
    AuditEvent.objects.create(actor=person(request), project=project, verb=verb, object=what)

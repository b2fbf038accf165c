"""Pages of uploaded data: the list and the upload."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from training.data.images.decode import MAX_PIXELS
from training.data.images.pictures import MAX_BYTES
from training.data.images.uploads.archive import MAX_ENTRIES
from training.data.images.uploads.found import MAX_CLASSES
from webapp.datasets.forms import UploadForm
from webapp.datasets.models import Dataset
from webapp.pages import page_of
from webapp.teams.access import person, writable

LIMITS = {"files": f"{MAX_ENTRIES:,}", "classes": f"{MAX_CLASSES:,}", "pixels": f"{MAX_PIXELS:,}", "kept": MAX_BYTES}
"""Of an upload of images, for the page."""


@require_http_methods(["GET", "POST"])
def datasets(request: HttpRequest) -> HttpResponse:
    """The data sets of the user's projects, and the form that adds one."""
    form = UploadForm(request.POST or None, request.FILES or None, projects=writable(person(request)).order_by("name"))
    if request.method == "POST" and form.is_valid():
        dataset = form.keep(person(request))
        messages.success(request, f"{dataset.name} is here; choose it as data of a new experiment.")
        return redirect("datasets")
    rows = Dataset.objects.filter(project__membership__user=person(request)).select_related("project", "owner")
    context = {
        "page": page_of(rows.order_by("-created_at"), request),
        "form": form,
        "writable": writable(person(request)).exists(),
        "limits": LIMITS | {"file": settings.DATASET_MAX_BYTES},
    }
    return render(request, "datasets/list.html", context, status=422 if form.is_bound else 200)

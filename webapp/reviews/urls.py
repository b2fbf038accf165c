"""Addresses of reports."""

from __future__ import annotations

from django.urls import path

from webapp.reviews import snapshots, views, writing

urlpatterns = [
    path("reports/", views.reports, name="reports"),
    path("reports/<slug:code>/", views.report, name="report"),
    path("reports/<slug:code>/export/", snapshots.export, name="report-export"),
    path("reports/<slug:code>/snapshot.json", snapshots.data, name="report-snapshot"),
    path("reports/<slug:code>/revisions/<int:revision>/", snapshots.snapshot, name="revision"),
    path("reports/<slug:code>/revisions/<int:revision>/export/", snapshots.export, name="revision-export"),
    path("reports/<slug:code>/revisions/<int:revision>/snapshot.json", snapshots.data, name="revision-snapshot"),
    path("experiments/<slug:code>/report/", writing.new, name="report-new"),
    path("reports/<slug:code>/edit/", writing.edit, name="report-edit"),
    path("reports/<slug:code>/submit/", writing.submit, name="report-submit"),
    path("reports/<slug:code>/review/", views.review, name="report-review"),
    path("reports/<slug:code>/comments/", views.comment, name="report-comment"),
    path("reports/<slug:code>/comments/<slug:remark>/resolve/", views.resolve, name="comment-resolve"),
]

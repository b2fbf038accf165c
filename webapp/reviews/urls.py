"""Addresses of reports."""

from __future__ import annotations

from django.urls import path

from webapp.reviews import views, writing

urlpatterns = [
    path("reports/", views.reports, name="reports"),
    path("reports/<slug:code>/", views.report, name="report"),
    path("reports/<slug:code>/export/", views.download, name="report-export"),
    path("reports/<slug:code>/snapshot.json", views.snapshot, name="report-snapshot"),
    path("experiments/<slug:code>/report/", writing.new, name="report-new"),
    path("reports/<slug:code>/edit/", writing.edit, name="report-edit"),
    path("reports/<slug:code>/submit/", writing.submit, name="report-submit"),
    path("reports/<slug:code>/review/", views.review, name="report-review"),
    path("reports/<slug:code>/comments/", views.comment, name="report-comment"),
    path("reports/<slug:code>/comments/<slug:remark>/resolve/", views.resolve, name="comment-resolve"),
]

"""Addresses of the results of an experiment."""

from __future__ import annotations

from django.urls import path, re_path

from webapp.results import record_views, study_views, views

CODE = r"^experiments/(?P<code>[2-9a-z]{12})/"

urlpatterns = [
    re_path(rf"{CODE}$", views.experiment, name="experiment"),
    re_path(rf"{CODE}study/$", study_views.study, name="experiment-study"),
    re_path(rf"{CODE}study/state/$", study_views.state, name="study-state"),
    re_path(rf"{CODE}study/cancel/$", study_views.cancel, name="study-cancel"),
    re_path(rf"{CODE}study/(?P<name>[a-z]+)\.(?P<form>csv|parquet|json)$", study_views.export, name="study-export"),
    re_path(rf"{CODE}state/$", views.state, name="experiment-state"),
    re_path(rf"{CODE}(?P<name>[a-z]+)\.(?P<form>csv|parquet|json)$", views.export, name="experiment-export"),
    path("records/", record_views.page, name="records"),
    path("records/retime/<slug:code>/", record_views.retime, name="record-retime"),
]

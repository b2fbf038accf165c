"""Addresses of the queue and of runs."""

from __future__ import annotations

from django.urls import path

from webapp.runs import downloads, stream, views

urlpatterns = [
    path("queue/", views.queue, name="queue"),
    path("queue/workers/<int:worker_id>/drain/", views.drain, name="worker-drain"),
    path("runs/<slug:code>/", views.run, name="run"),
    path("runs/<slug:code>/do/<slug:verb>/", views.act, name="run-act"),
    path("runs/<slug:code>/table/", views.points_table, name="run-table"),
    path("runs/<slug:code>/points.csv", downloads.points_csv, name="run-csv"),
    path("artifacts/<slug:code>/<str:name>", downloads.artifact, name="artifact"),
    path("runs/<slug:code>/events", stream.events, name="run-events"),
    path("runs/<slug:code>/points", stream.points, name="run-points"),
    path("runs/<slug:code>/attempts/<int:attempt>/log", stream.log, name="run-log"),
]

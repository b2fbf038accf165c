"""Addresses of the queue and of runs."""

from __future__ import annotations

from django.urls import path

from webapp.runs import downloads, stream, views

urlpatterns = [
    path("queue/", views.queue, name="queue"),
    path("queue/workers/<int:worker_id>/drain/", views.drain, name="worker-drain"),
    path("runs/<str:code>/", views.run, name="run"),
    path("runs/<str:code>/do/<slug:verb>/", views.act, name="run-act"),
    path("runs/<str:code>/table/", views.points_table, name="run-table"),
    path("runs/<str:code>/points.csv", downloads.points_csv, name="run-csv"),
    path("artifacts/<slug:code>/<str:name>", downloads.artifact, name="artifact"),
    path("runs/<str:code>/events", stream.events, name="run-events"),
    path("runs/<str:code>/points", stream.points, name="run-points"),
    path("runs/<str:code>/attempts/<int:attempt>/log", stream.log, name="run-log"),
]

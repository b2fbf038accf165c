"""Addresses of experiments and methods; the experiment's own page belongs to `results`."""

from __future__ import annotations

from django.urls import path

from webapp.experiments import calibration, catalogue, study_pages, views

urlpatterns = [
    path("experiments/", views.experiments, name="experiments"),
    path("experiments/new/", views.new, name="experiment-new"),
    path("experiments/new/plan/", views.plan, name="experiment-plan"),
    path("experiments/new/arms/", views.arms, name="experiment-arms"),
    path("experiments/new/view/", views.view, name="experiment-view"),
    path("experiments/<slug:code>/archive/", views.archive, name="experiment-archive"),
    path("calibration/", calibration.calibration, name="calibration"),
    path("studies/", study_pages.studies, name="studies"),
    path("studies/<slug:name>/", study_pages.study, name="study"),
    path("studies/<slug:name>/new/", study_pages.new, name="study-new"),
    path("studies/<slug:name>/new/plan/", study_pages.plan, name="study-plan"),
    path("methods/", catalogue.methods, name="methods"),
    path("methods/<slug:name>/", catalogue.method, name="method"),
    path("methods/<slug:name>/replicate/", catalogue.replicate, name="method-replicate"),
]

"""Addresses of uploaded data."""

from __future__ import annotations

from django.urls import path

from webapp.datasets import views

urlpatterns = [
    path("data/", views.datasets, name="datasets"),
]

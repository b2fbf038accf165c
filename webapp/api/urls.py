"""Every address of the API; one that is not here is answered with a problem document too."""

from __future__ import annotations

from django.urls import path, re_path

from webapp.api.views import catalogue, datasets, document, experiments, reports, runs, studies

app_name = "api"
urlpatterns = [
    path("projects", catalogue.Projects.as_view(), name="projects"),
    path("methods", catalogue.Methods.as_view(), name="methods"),
    path("methods/<slug:name>", catalogue.MethodDetail.as_view(), name="method"),
    path("spec", catalogue.Spec.as_view(), name="spec"),
    path("workers", catalogue.Workers.as_view(), name="workers"),
    path("queue", runs.Queue.as_view(), name="queue"),
    path("plans", experiments.Plans.as_view(), name="plans"),
    path("experiments", experiments.Experiments.as_view(), name="experiments"),
    path("experiments/<slug:code>", experiments.ExperimentDetail.as_view(), name="experiment"),
    path("experiments/<slug:code>/archive", experiments.Archive.as_view(), name="experiment-archive"),
    path("experiments/<slug:code>/unarchive", experiments.Unarchive.as_view(), name="experiment-unarchive"),
    path("experiments/<slug:code>/comparison", experiments.ComparisonDetail.as_view(), name="comparison"),
    path("experiments/<slug:code>/finding", studies.FindingDetail.as_view(), name="finding"),
    path("studies", studies.Studies.as_view(), name="studies"),
    path("runs", runs.Runs.as_view(), name="runs"),
    path("runs/<slug:code>", runs.RunDetail.as_view(), name="run"),
    path("runs/<slug:code>/cancel", runs.Cancel.as_view(), name="run-cancel"),
    path("runs/<slug:code>/pause", runs.Pause.as_view(), name="run-pause"),
    path("runs/<slug:code>/resume", runs.Resume.as_view(), name="run-resume"),
    path("runs/<slug:code>/retry", runs.Retry.as_view(), name="run-retry"),
    path("runs/<slug:code>/points", runs.Points.as_view(), name="run-points"),
    path("runs/<slug:code>/log", runs.Log.as_view(), name="run-log"),
    path("runs/<slug:code>/lm-eval", runs.LmEval.as_view(), name="run-lm-eval"),
    path("artifacts/<slug:code>/<str:name>", runs.ArtifactFile.as_view(), name="artifact"),
    path("reports", reports.Reports.as_view(), name="reports"),
    path("reports/<slug:code>", reports.ReportDetail.as_view(), name="report"),
    path("reports/<slug:code>/snapshot", reports.ReportSnapshot.as_view(), name="report-snapshot"),
    path("reports/<slug:code>/snapshots/<int:revision>", reports.RevisionSnapshot.as_view(), name="revision-snapshot"),
    path("reports/<slug:code>/edit", reports.Edit.as_view(), name="report-edit"),
    path("reports/<slug:code>/submit", reports.Submit.as_view(), name="report-submit"),
    path("reports/<slug:code>/review", reports.Decide.as_view(), name="report-review"),
    path("reports/<slug:code>/comments", reports.Comments.as_view(), name="report-comments"),
    path("reports/<slug:code>/comments/<slug:remark>/resolve", reports.Resolve.as_view(), name="comment-resolve"),
    path("datasets", datasets.Datasets.as_view(), name="datasets"),
    path("datasets/<slug:code>", datasets.DatasetDetail.as_view(), name="dataset"),
    path("openapi.json", document.OpenAPI.as_view(), name="openapi"),
    re_path("", document.Nowhere.as_view(), name="nowhere"),
]

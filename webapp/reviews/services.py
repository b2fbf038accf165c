"""What people do to reports: write, submit, judge, comment. Every move is a compare-and-set with its audit row."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from webapp.experiments.models import Experiment
from webapp.reviews.composing import compose, proofread
from webapp.reviews.document import sha256
from webapp.reviews.models import Comment, Report, ReportState, Review, Snapshot
from webapp.teams.access import role_in
from webapp.teams.models import AuditEvent, Role

EDITABLE = (ReportState.DRAFT, ReportState.RETURNED)
JUDGES = (Role.REVIEWER, Role.ADMIN)
"""Roles that accept and return, each but its own reports."""


class Refused(ValueError):
    """Why nothing was done, by field; empty for the report as a whole."""

    def __init__(self, problems: dict[str, str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems.values()))


class Late(Refused):
    """Somebody else moved the report first, or it is in another state."""

    def __init__(self) -> None:
        super().__init__({"": "the report has changed meanwhile: read it again, then decide"})


def may_judge(user: Any, report: Report) -> bool:
    """Reviewers and admins who wrote nothing of it."""
    wrote = report.author_id == user.pk or report.writers.filter(pk=user.pk).exists()
    return role_in(user, report.experiment.project) in JUDGES and not wrote


def require_judge(user: Any, report: Report) -> None:
    """Refuse, in words, somebody who may not judge it."""
    if not may_judge(user, report):
        raise PermissionDenied("Reviewers and admins of the project decide, except on what they wrote themselves.")


@transaction.atomic
def create(experiment: Experiment, author: Any, *, title: str, body: str) -> Report:
    """A draft. Raises BadReport for a text that cannot be shown."""
    proofread(body, experiment)
    report = Report.objects.create(experiment=experiment, author=author, title=title, body=body)
    report.writers.add(author)
    _audit(report, author, "drafted")
    return report


@transaction.atomic
def save(report: Report, writer: Any, *, revision: int, title: str, body: str) -> None:
    """Write a draft anew, or make one of a returned report. Raises BadReport, and Late if it was saved meanwhile."""
    proofread(body, report.experiment)
    rows = Report.objects.filter(pk=report.pk, state__in=EDITABLE, revision=revision)
    changes = {"title": title, "body": body, "state": ReportState.DRAFT, "updated_at": Now()}
    if not rows.update(revision=F("revision") + 1, **changes):
        raise Late
    report.writers.add(writer)
    _audit(report, writer, "edited")


@transaction.atomic
def submit(report: Report, by: Any, *, revision: int) -> Snapshot:
    """Freeze a draft for review. Raises BadReport, and Late if it is not this draft any more."""
    _move(report, revision, ReportState.DRAFT, ReportState.IN_REVIEW)
    report.refresh_from_db()
    at = timezone.now()
    body = compose(report, at).canonical
    snapshot = Snapshot.objects.create(report=report, revision=revision, body=body, sha256=sha256(body), taken_at=at)
    _audit(report, by, "submitted")
    return snapshot


@transaction.atomic
def decide(report: Report, reviewer: Any, *, revision: int, accepted: bool, sentence: str, despite: str = "") -> Review:
    """Accept or return what was frozen as this revision. Raises Refused, and Late if it is no longer in review."""
    snapshot = Snapshot.objects.filter(report=report, revision=revision).first()
    if snapshot is None:
        raise Late
    if not sentence.strip():
        raise Refused({"sentence": "say in a sentence why"})
    is_open = bool(snapshot.document.open_items)
    if accepted and is_open and not despite.strip():
        raise Refused({"despite": "items of the checklist are open: write why it is accepted nevertheless"})
    _move(report, revision, ReportState.IN_REVIEW, ReportState.ACCEPTED if accepted else ReportState.RETURNED)
    _audit(report, reviewer, "accepted" if accepted else "returned")
    reason = despite.strip() if accepted and is_open else ""
    return Review.objects.create(
        snapshot=snapshot, reviewer=reviewer, accepted=accepted, sentence=sentence.strip(), despite=reason
    )


@transaction.atomic
def comment(report: Report, author: Any, *, anchor: str, text: str) -> Comment:
    """Remark on an embed that the report has, or on the whole. Raises Refused, and BadReport as `compose` does."""
    if not text.strip():
        raise Refused({"text": "write something"})
    if anchor:
        document = report.frozen.document if report.frozen else compose(report, timezone.now())
        if anchor not in {embed.anchor for embed in document.embeds}:
            raise Refused({"anchor": "the report has no such chart or table"})
    _audit(report, author, "commented on")
    return Comment.objects.create(report=report, author=author, anchor=anchor, text=text.strip())


@transaction.atomic
def resolve(remark: Comment, by: Any) -> bool:
    """Settle a comment; False if it was settled already."""
    done = Comment.objects.filter(pk=remark.pk, resolved_at=None).update(resolved_at=Now(), resolved_by=by)
    if done:
        _audit(remark.report, by, "resolved a comment on")
    return bool(done)


def _move(report: Report, revision: int, was: ReportState, now: ReportState) -> None:
    if not Report.objects.filter(pk=report.pk, state=was, revision=revision).update(state=now, updated_at=Now()):
        raise Late


def _audit(report: Report, actor: Any, verb: str) -> None:
    AuditEvent.objects.create(actor=actor, project=report.experiment.project, verb=verb, object=f"report {report.code}")

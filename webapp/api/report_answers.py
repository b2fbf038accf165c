"""What the API answers about reports."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel

from webapp.api.answers import Row
from webapp.reviews.models import Comment, Report, ReportState, Review


class ReportRow(BaseModel):
    """A report as the list shows it. `sha256` is the hash of its snapshot, null for a draft."""

    code: str
    experiment: str
    project: str
    title: str
    state: ReportState
    revision: int
    author: str | None
    created_at: datetime
    sha256: str | None

    @classmethod
    def of(cls, report: Report, **more: Any) -> Self:
        return cls(
            code=report.code,
            experiment=report.experiment.code,
            project=report.experiment.project.slug,
            title=report.title,
            state=ReportState(report.state),
            revision=report.revision,
            author=report.author.get_username() if report.author else None,
            created_at=report.created_at,
            sha256=report.frozen.sha256 if report.frozen else None,
            **more,
        )


class CommentAnswer(BaseModel):
    """A remark on an embed, or on the whole where `anchor` is empty."""

    code: str
    anchor: str
    text: str
    author: str | None
    at: datetime
    resolved_at: datetime | None

    @classmethod
    def of(cls, remark: Comment) -> Self:
        names = ("code", "anchor", "text", "at", "resolved_at")
        author = remark.author.get_username() if remark.author else None
        return cls(author=author, **{name: getattr(remark, name) for name in names})


class ReviewAnswer(BaseModel):
    """A decision on one revision; `despite` says why it was accepted with open items."""

    revision: int
    accepted: bool
    sentence: str
    despite: str
    reviewer: str | None
    at: datetime

    @classmethod
    def of(cls, review: Review) -> Self:
        names = ("accepted", "sentence", "despite", "at")
        reviewer = review.reviewer.get_username() if review.reviewer else None
        return cls(
            revision=review.snapshot.revision, reviewer=reviewer, **{name: getattr(review, name) for name in names}
        )


class SnapshotRow(Row):
    """What was frozen when a revision was submitted, by the hash of its bytes."""

    revision: int
    sha256: str
    taken_at: datetime


class ReportAnswer(ReportRow):
    """A report with its text as it is now; its snapshots, comments and reviews, oldest first."""

    body: str
    snapshots: list[SnapshotRow]
    comments: list[CommentAnswer]
    reviews: list[ReviewAnswer]

    @classmethod
    def read(cls, report: Report) -> Self:
        remarks = report.comments.select_related("author").order_by("id")
        reviews = Review.objects.filter(snapshot__report=report).select_related("snapshot", "reviewer").order_by("id")
        return cls.of(
            report,
            body=report.body,
            snapshots=[SnapshotRow.model_validate(taken) for taken in report.snapshots.order_by("revision")],
            comments=[CommentAnswer.of(remark) for remark in remarks],
            reviews=[ReviewAnswer.of(review) for review in reviews],
        )

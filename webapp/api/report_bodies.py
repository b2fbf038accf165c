"""What requests about reports carry. Every move names the revision that was read, and is refused at another."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from training.knobs import Strict
from webapp.api.bodies import Code, Line, Readable, Slug
from webapp.api.paging import Paged
from webapp.reviews.models import ReportState
from webapp.reviews.syntax import LONGEST

Prose = Annotated[str, AfterValidator(lambda text: text.replace("\r\n", "\n")), Readable]
"""Text of several lines; browsers end them their own way."""
Title = Annotated[str, Readable, Line]
Revision = Annotated[int, Field(ge=1, le=2**31 - 1, description="`revision` of the report as it was read")]


class ReportQuery(Paged):
    """Which reports."""

    project: Slug | None = Field(None, description="slug of a project")
    experiment: Code | None = Field(None, description="code of an experiment")
    state: ReportState | None = None


class DraftBody(Strict):
    """A report to begin."""

    experiment: Code
    title: Title = Field(min_length=1, max_length=200)
    body: Prose | None = Field(
        None, max_length=LONGEST, description="markdown; the computed answer with its charts if not given"
    )


class EditBody(Strict):
    """All of a report's text anew."""

    revision: Revision
    title: Title = Field(min_length=1, max_length=200)
    body: Prose = Field(max_length=LONGEST)


class SubmitBody(Strict):
    """Which draft to freeze."""

    revision: Revision


class DecisionBody(Strict):
    """Accept or return what was frozen."""

    revision: Revision
    accepted: bool
    sentence: Prose = Field(min_length=1, max_length=1000)
    despite: Prose = Field("", max_length=1000, description="why it is accepted with open items on its checklist")


class CommentBody(Strict):
    """A remark."""

    anchor: str = Field("", max_length=60, description="e.g. `chart-savings-executed`; empty for the whole report")
    text: Prose = Field(min_length=1, max_length=2000)

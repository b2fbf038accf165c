"""The life of a report: who moves it, what is frozen, what is refused."""

from __future__ import annotations

import hashlib
import json

import pytest
from django.db import DatabaseError, transaction

from tests.webapp.reviews import written
from webapp.reviews import services
from webapp.reviews.models import Comment, Report, ReportState, Snapshot
from webapp.reviews.services import Late, Refused
from webapp.reviews.syntax import BadReport
from webapp.teams.models import AuditEvent, Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def draft() -> Report:
    about = written.experiment()
    return written.report(about, written.person("ada", Role.MEMBER, about.project))


@pytest.fixture
def submitted(draft: Report) -> Report:
    services.submit(draft, draft.author, revision=1)
    return Report.objects.get(pk=draft.pk)


def reviewer(report: Report, name: str = "rex", role: Role | None = Role.REVIEWER) -> object:
    return written.person(name, role, report.experiment.project)


def state(report: Report) -> str:
    return Report.objects.get(pk=report.pk).state


def test_a_snapshot_hashes_to_what_it_says(submitted: Report) -> None:
    snapshot = Snapshot.objects.get()
    assert hashlib.sha256(snapshot.body.encode()).hexdigest() == snapshot.sha256


def test_a_snapshot_read_and_written_again_is_the_same_bytes(submitted: Report) -> None:
    snapshot = Snapshot.objects.get()
    assert snapshot.document.canonical == snapshot.body


def test_a_snapshot_holds_all_that_the_report_rests_on(submitted: Report) -> None:
    kept = json.loads(Snapshot.objects.get().body)
    assert [(embed["kind"], embed["name"]) for embed in kept["embeds"]] == [
        ("chart", "savings"), ("table", "arms"), ("chart", "curves"), ("chart", "ledger"),
    ]  # fmt: skip
    arm = submitted.experiment.arms.get(label="EST")
    marks = {mark["digest"]: [run["code"] for run in mark["runs"]] for mark in kept["arms"]}
    assert marks[arm.digest] == [run.code for run in arm.runs.order_by("seed")]
    assert kept["answers"]


def test_a_snapshot_cannot_be_rewritten(submitted: Report) -> None:
    with pytest.raises(DatabaseError, match="kept as it was taken"), transaction.atomic():
        Snapshot.objects.update(body="{}")


def test_only_the_revision_that_was_read_is_submitted(draft: Report) -> None:
    services.save(draft, draft.author, revision=1, title="New", body="New.")
    with pytest.raises(Late):
        services.submit(draft, draft.author, revision=1)
    assert state(draft) == ReportState.DRAFT


def test_who_saves_second_does_not_overwrite_who_saved_first(draft: Report) -> None:
    services.save(draft, draft.author, revision=1, title="First", body="First.")
    with pytest.raises(Late):
        services.save(draft, draft.author, revision=1, title="Second", body="Second.")
    assert Report.objects.get().title == "First"


def test_what_is_in_review_is_not_edited(submitted: Report) -> None:
    with pytest.raises(Late):
        services.save(submitted, submitted.author, revision=1, title="T", body="B")


def test_a_returned_report_becomes_a_draft_by_editing(submitted: Report) -> None:
    services.decide(submitted, reviewer(submitted), revision=1, accepted=False, sentence="Too few seeds.")
    assert state(submitted) == ReportState.RETURNED
    services.save(submitted, submitted.author, revision=1, title="Again", body="Again.")
    assert state(submitted) == ReportState.DRAFT


def test_a_decision_needs_its_sentence(submitted: Report) -> None:
    with pytest.raises(Refused, match="in a sentence"):
        services.decide(submitted, reviewer(submitted), revision=1, accepted=False, sentence=" ")


def test_accepting_open_items_needs_a_reason_which_is_kept(submitted: Report) -> None:
    rex = reviewer(submitted)
    with pytest.raises(Refused, match="items of the checklist are open"):
        services.decide(submitted, rex, revision=1, accepted=True, sentence="Fine.")
    review = services.decide(submitted, rex, revision=1, accepted=True, sentence="Fine.", despite="A pilot.")
    assert (review.despite, state(submitted)) == ("A pilot.", ReportState.ACCEPTED)


def test_of_two_decisions_the_first_stands(submitted: Report) -> None:
    rex, roy = reviewer(submitted), reviewer(submitted, "roy")
    services.decide(submitted, rex, revision=1, accepted=False, sentence="No.")
    with pytest.raises(Late):
        services.decide(submitted, roy, revision=1, accepted=True, sentence="Yes.", despite="So.")
    assert state(submitted) == ReportState.RETURNED


@pytest.mark.parametrize(
    ("role", "able"),
    [(Role.VIEWER, False), (Role.REVIEWER, True), (Role.MEMBER, False), (Role.ADMIN, True), (None, False)],
)
def test_reviewers_and_admins_judge(submitted: Report, role: Role | None, able: bool) -> None:
    assert services.may_judge(reviewer(submitted, role=role), submitted) is able


def test_nobody_judges_what_they_wrote_in(draft: Report) -> None:
    admin = reviewer(draft, role=Role.ADMIN)
    services.save(draft, admin, revision=1, title="Mine now", body="Mine.")
    assert services.may_judge(admin, draft) is False


def test_a_comment_needs_what_it_is_about(submitted: Report) -> None:
    rex = reviewer(submitted)
    services.comment(submitted, rex, anchor="chart-savings-executed", text="n?")
    with pytest.raises(Refused, match="no such chart"):
        services.comment(submitted, rex, anchor="chart-savings-tokens", text="n?")


def test_a_comment_is_resolved_once(submitted: Report) -> None:
    rex = reviewer(submitted)
    remark = services.comment(submitted, rex, anchor="", text="Why?")
    assert [services.resolve(remark, rex), services.resolve(remark, rex)] == [True, False]
    assert Comment.objects.get().resolved_by == rex


def test_every_move_is_in_the_audit_trail(submitted: Report) -> None:
    services.decide(submitted, reviewer(submitted), revision=1, accepted=False, sentence="No.")
    told = AuditEvent.objects.filter(object=f"report {submitted.code}").order_by("id")
    assert [(event.actor and event.actor.username, event.verb) for event in told] == [
        ("ada", "drafted"), ("ada", "submitted"), ("rex", "returned"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{{ chart arms }}", "line 3: there is no chart 'arms'"),
        ("{{ table everything }}", "line 3: there is no table"),
        ("{{ chart ledger unit=steps }}", "line 3: ledger is not told in 'steps'"),
        ("{{ chart curves }}\n{{ chart curves unit=executed }}", "line 4: the same as line 3"),
    ],
)
def test_an_embed_that_there_is_not_names_its_line(line: str, reason: str) -> None:
    about = written.experiment()
    ada = written.person("ada", Role.MEMBER, about.project)
    with pytest.raises(BadReport, match=reason):
        written.report(about, ada, f"# One\n\n{line}")
    assert not Report.objects.exists()


def test_a_draft_begins_with_the_computed_answer(draft: Report) -> None:
    assert draft.body.startswith("# Answer\n\n")
    assert "EST" in draft.body.splitlines()[2]

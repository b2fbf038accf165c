"""Reports read by REST."""

from __future__ import annotations

import hashlib

import pytest

from tests.webapp.api.callers import Api
from tests.webapp.api.callers import token as token_of
from tests.webapp.reviews import written
from webapp.reviews import services
from webapp.reviews.models import Report
from webapp.teams.models import Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def report() -> Report:
    about = written.experiment()
    ada = written.person("ada", Role.MEMBER, about.project)
    made = written.report(about, ada)
    services.comment(made, ada, anchor="chart-curves-executed", text="Why?")
    return made


def caller(report: Report) -> Api:
    assert report.author is not None
    return Api(token_of(report.author))


def test_a_report_is_read_with_its_comments_and_reviews(report: Report) -> None:
    services.submit(report, report.author, revision=1)
    rex = written.person("rex", Role.REVIEWER, report.experiment.project)
    services.decide(report, rex, revision=1, accepted=False, sentence="Too few seeds.")
    read = caller(report).get(f"reports/{report.code}").json()
    assert (read["state"], read["body"]) == ("returned", report.body)
    assert [(remark["anchor"], remark["text"]) for remark in read["comments"]] == [("chart-curves-executed", "Why?")]
    assert [(review["reviewer"], review["sentence"]) for review in read["reviews"]] == [("rex", "Too few seeds.")]


def test_the_frozen_bytes_hash_to_the_report_s_sum(report: Report) -> None:
    services.submit(report, report.author, revision=1)
    api = caller(report)
    frozen = api.get(f"reports/{report.code}/snapshot").content
    assert hashlib.sha256(frozen).hexdigest() == api.get(f"reports/{report.code}").json()["sha256"]


def test_a_draft_has_no_snapshot(report: Report) -> None:
    assert caller(report).get(f"reports/{report.code}/snapshot").status_code == 404


def test_the_list_is_filtered_by_state(report: Report) -> None:
    api = caller(report)
    listed = {state: len(api.get(f"reports?state={state}").json()["items"]) for state in ("draft", "accepted")}
    assert listed == {"draft": 1, "accepted": 0}

"""The pages of reports as people get them."""

from __future__ import annotations

import hashlib
import re

import pytest
from django.db import connection
from django.http import HttpResponseBase
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.webapp.reviews import written
from webapp.experiments.models import Experiment
from webapp.reviews import services
from webapp.reviews.models import Comment, Report, ReportState, Snapshot
from webapp.runs.models import Run
from webapp.teams.models import Role

pytestmark = pytest.mark.django_db
MARKUP = "<b>EST</b> & <script>alert(1)</script>"


@pytest.fixture
def about() -> Experiment:
    return written.experiment(title=MARKUP, label=MARKUP[:100])


@pytest.fixture
def ada(about: Experiment) -> Client:
    return written.client(written.person("ada", Role.MEMBER, about.project))


@pytest.fixture
def rex(about: Experiment) -> Client:
    return written.client(written.person("rex", Role.REVIEWER, about.project))


@pytest.fixture
def draft(about: Experiment, ada: Client) -> Report:
    """Written and saved through the pages."""
    first = ada.get(f"/experiments/{about.code}/report/").context["form"].initial
    answer = ada.post(f"/experiments/{about.code}/report/", first)
    assert answer.status_code == 302
    return Report.objects.get()


@pytest.fixture
def submitted(draft: Report, ada: Client) -> Report:
    ada.post(f"/reports/{draft.code}/submit/", {"revision": draft.revision})
    return Report.objects.get()


def body(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def article(client: Client, report: Report) -> str:
    found = re.search(r'<article id="report".*?</article>', body(client, f"/reports/{report.code}/"), re.S)
    assert found is not None
    return found[0]


def decide(client: Client, report: Report, verdict: str, **more: str) -> HttpResponseBase:
    given = {"revision": str(report.revision), "verdict": verdict, "sentence": "So be it."} | more
    return client.post(f"/reports/{report.code}/review/", given)


def test_a_draft_is_live(draft: Report, ada: Client, about: Experiment) -> None:
    before = article(ada, draft)
    written.more_runs(about)
    assert article(ada, draft) != before


def test_a_frozen_report_is_byte_identical_after_new_runs(submitted: Report, ada: Client, about: Experiment) -> None:
    before = article(ada, submitted)
    exported = ada.get(f"/reports/{submitted.code}/export/").content
    written.more_runs(about)
    Run.objects.filter(arm__experiment=about, seed=1).delete()
    assert article(ada, submitted) == before
    assert ada.get(f"/reports/{submitted.code}/export/").content == exported


def test_a_frozen_report_does_not_read_the_results(submitted: Report, ada: Client) -> None:
    with CaptureQueriesContext(connection) as asked:
        article(ada, submitted)
    assert not [query["sql"] for query in asked if "runs_" in query["sql"]]


def test_a_frozen_page_shows_its_hash_and_date(submitted: Report, ada: Client) -> None:
    snapshot = Snapshot.objects.get()
    shown = article(ada, submitted)
    assert snapshot.sha256 in shown
    assert snapshot.taken_at.strftime("%Y-%m-%d %H:%M:%S") in shown


def test_names_with_markup_are_text_everywhere(submitted: Report, ada: Client) -> None:
    paths = ("", "export/")
    for text in (body(ada, f"/reports/{submitted.code}/{path}") for path in paths):
        assert "<b>EST" not in text
        assert "<script>alert" not in text
    assert "<b>EST" not in body(ada, "/reports/")


def test_comments_are_text(submitted: Report, rex: Client) -> None:
    rex.post(f"/reports/{submitted.code}/comments/", {"anchor": "", "text": MARKUP})
    shown = body(rex, f"/reports/{submitted.code}/")
    assert "&lt;b&gt;EST&lt;/b&gt; &amp; &lt;script&gt;" in shown
    assert "<script>alert" not in shown


def test_a_bad_embed_is_told_at_the_text_and_nothing_is_saved(draft: Report, ada: Client) -> None:
    given = {"title": "T", "body": "One\n\n{{ chart nothing }}", "revision": "1"}
    answer = ada.post(f"/reports/{draft.code}/edit/", given)
    assert answer.status_code == 422
    assert "line 3: there is no chart" in answer.content.decode()
    assert Report.objects.get().revision == 1


def test_a_draft_whose_chart_has_vanished_is_still_commented_on(draft: Report, rex: Client) -> None:
    page = f"/reports/{draft.code}/"
    Report.objects.update(body="{{ chart nothing }}")
    assert "line 1: there is no chart" in body(rex, page)
    answer = rex.post(f"{page}comments/", {"anchor": "chart-savings-executed", "text": "Why so much?"})
    assert answer.status_code == 422
    assert "line 1: there is no chart" in answer.content.decode()
    assert rex.post(f"{page}comments/", {"anchor": "", "text": "The chart is gone."}).status_code == 302
    assert Comment.objects.get().text == "The chart is gone."
    assert "The chart is gone." in body(rex, page)


def test_a_text_saved_meanwhile_is_not_written_over(draft: Report, ada: Client) -> None:
    given = {"title": "T", "body": "B", "revision": "1"}
    assert [ada.post(f"/reports/{draft.code}/edit/", given).status_code for _ in range(2)] == [302, 422]


def test_a_returned_report_is_edited_and_submitted_again(submitted: Report, ada: Client, rex: Client) -> None:
    decide(rex, submitted, "return")
    assert "So be it." in body(ada, f"/reports/{submitted.code}/")
    ada.post(f"/reports/{submitted.code}/edit/", {"title": "Again", "body": "{{ table arms }}", "revision": "1"})
    ada.post(f"/reports/{submitted.code}/submit/", {"revision": "2"})
    assert (Report.objects.get().state, Snapshot.objects.count()) == (ReportState.IN_REVIEW, 2)


def test_accepting_without_a_reason_keeps_what_was_typed(submitted: Report, rex: Client) -> None:
    given = {"revision": "1", "verdict": "accept", "sentence": "So be it."}
    answer = rex.post(f"/reports/{submitted.code}/review/", given)
    assert answer.status_code == 422
    shown = answer.content.decode()
    assert "items of the checklist are open" in shown
    assert "So be it." in shown


def test_why_it_was_accepted_with_open_items_is_shown(submitted: Report, rex: Client, ada: Client) -> None:
    assert decide(rex, submitted, "accept", despite="Only a pilot.").status_code == 302
    assert "Accepted with open items: Only a pilot." in body(ada, f"/reports/{submitted.code}/")


def test_the_author_does_not_judge(submitted: Report, ada: Client) -> None:
    assert decide(ada, submitted, "accept", despite="x").status_code == 403
    assert Report.objects.get().state == ReportState.IN_REVIEW


def test_comments_are_counted_by_what_they_are_about(submitted: Report, rex: Client) -> None:
    for anchor in ("", "chart-savings-executed", "chart-savings-executed"):
        rex.post(f"/reports/{submitted.code}/comments/", {"anchor": anchor, "text": "Why?"})
    shown = body(rex, f"/reports/{submitted.code}/?on=chart-savings-executed")
    assert '<option value="chart-savings-executed" selected>' in shown
    assert re.search(r"\(chart, executed\): 2</option>", shown)
    assert re.search(r"The whole report: 1</option>", shown)


def test_a_comment_is_resolved(submitted: Report, rex: Client) -> None:
    rex.post(f"/reports/{submitted.code}/comments/", {"anchor": "", "text": "Why?"})
    rex.post(f"/reports/{submitted.code}/comments/{Comment.objects.get().code}/resolve/")
    assert "resolved by rex" in body(rex, f"/reports/{submitted.code}/")


def test_a_comment_stays_when_its_chart_is_gone(submitted: Report, rex: Client, ada: Client) -> None:
    rex.post(f"/reports/{submitted.code}/comments/", {"anchor": "chart-curves-executed", "text": "Why?"})
    decide(rex, submitted, "return")
    ada.post(f"/reports/{submitted.code}/edit/", {"title": "T", "body": "Nothing.", "revision": "1"})
    assert "chart-curves-executed, no longer in the report" in body(ada, f"/reports/{submitted.code}/")


def test_the_snapshot_is_served_as_the_bytes_that_were_hashed(submitted: Report, ada: Client) -> None:
    served = ada.get(f"/reports/{submitted.code}/snapshot.json").content
    assert hashlib.sha256(served).hexdigest() == Snapshot.objects.get().sha256


def test_a_draft_has_nothing_to_export(draft: Report, ada: Client) -> None:
    assert [ada.get(f"/reports/{draft.code}/{path}").status_code for path in ("export/", "snapshot.json")] == [404, 404]


READS = ("", "export/", "snapshot.json", "edit/")
WRITES = ("edit/", "submit/", "review/", "comments/")


def test_for_others_there_is_no_such_report(submitted: Report) -> None:
    elsewhere = written.experiment("Other")
    sam = written.client(written.person("sam", Role.ADMIN, elsewhere.project))
    services.comment(submitted, submitted.author, anchor="", text="x")
    root, remark = f"/reports/{submitted.code}/", Comment.objects.get().code
    answers = [sam.get(root + path) for path in READS] + [sam.post(root + path) for path in WRITES]
    answers += [sam.post(f"{root}comments/{remark}/resolve/")]
    answers += [sam.get(f"/experiments/{submitted.experiment.code}/report/")]
    assert {answer.status_code for answer in answers} == {404}
    assert submitted.code not in body(sam, "/reports/")


@pytest.mark.parametrize(
    ("role", "path", "able"),
    [
        (Role.VIEWER, "edit/", False),
        (Role.VIEWER, "submit/", False),
        (Role.VIEWER, "review/", False),
        (Role.VIEWER, "comments/", False),
        (Role.REVIEWER, "edit/", False),
        (Role.REVIEWER, "submit/", False),
        (Role.REVIEWER, "review/", True),
        (Role.REVIEWER, "comments/", True),
        (Role.MEMBER, "edit/", True),
        (Role.MEMBER, "submit/", True),
        (Role.MEMBER, "review/", False),
        (Role.MEMBER, "comments/", True),
        (Role.ADMIN, "review/", True),
    ],
)
def test_each_role_does_what_it_may(submitted: Report, role: Role, path: str, able: bool) -> None:
    someone = written.client(written.person("zoe", role, submitted.experiment.project))
    assert (someone.post(f"/reports/{submitted.code}/{path}").status_code != 403) is able


def test_the_list_is_filtered_by_state(submitted: Report, ada: Client) -> None:
    assert submitted.code in body(ada, "/reports/?state=in review")
    assert submitted.code not in body(ada, "/reports/?state=draft")


def test_an_experiment_page_leads_to_its_report(about: Experiment, ada: Client) -> None:
    assert f'href="/experiments/{about.code}/report/"' in body(ada, f"/experiments/{about.code}/")

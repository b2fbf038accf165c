"""Reports written, submitted, judged and commented on by REST."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.webapp.api.callers import Api
from tests.webapp.api.callers import token as token_of
from tests.webapp.api.test_bad_input import paths, refusal
from tests.webapp.reviews import written
from webapp.experiments.models import Experiment
from webapp.reviews.composing import draft as computed
from webapp.reviews.models import Comment, Report, Review, Snapshot
from webapp.reviews.syntax import LONGEST
from webapp.teams.models import Role

pytestmark = pytest.mark.django_db
TEXT = "# Answer\n\n{{ table arms }}\n"


@pytest.fixture
def about() -> Experiment:
    return written.experiment()


def caller(about: Experiment, name: str, role: Role) -> Api:
    return Api(token_of(written.person(name, role, about.project)))


@pytest.fixture
def ada(about: Experiment) -> Api:
    return caller(about, "ada", Role.MEMBER)


@pytest.fixture
def rex(about: Experiment) -> Api:
    return caller(about, "rex", Role.REVIEWER)


@pytest.fixture
def draft(ada: Api, about: Experiment) -> str:
    """Address of a draft."""
    answer = ada.post("reports", {"experiment": about.code, "title": "EST saves", "body": TEXT})
    assert answer.status_code == 201, answer.content
    return f"reports/{answer.json()['code']}"


@pytest.fixture
def submitted(ada: Api, draft: str) -> str:
    assert ada.post(f"{draft}/submit", {"revision": 1}).status_code == 200
    return draft


def test_a_report_goes_from_draft_to_accepted(ada: Api, rex: Api, draft: str) -> None:
    edited = ada.post(f"{draft}/edit", {"revision": 1, "title": "EST", "body": TEXT}).json()
    assert (edited["revision"], edited["title"], edited["state"]) == (2, "EST", "draft")
    frozen = ada.post(f"{draft}/submit", {"revision": 2}).json()
    assert (frozen["state"], frozen["sha256"]) == ("in review", Snapshot.objects.get().sha256)
    verdict = {"revision": 2, "accepted": True, "sentence": "Fine.", "despite": "A pilot."}
    judged = rex.post(f"{draft}/review", verdict).json()
    assert (judged["state"], judged["reviews"][0]["despite"]) == ("accepted", "A pilot.")


def test_a_returned_report_is_written_again(ada: Api, rex: Api, submitted: str) -> None:
    rex.post(f"{submitted}/review", {"revision": 1, "accepted": False, "sentence": "Too few seeds."})
    edited = ada.post(f"{submitted}/edit", {"revision": 1, "title": "Again", "body": "{{ table arms }}"})
    assert edited.json()["state"] == "draft"
    again = ada.post(f"{submitted}/submit", {"revision": 2}).json()
    assert [taken["revision"] for taken in again["snapshots"]] == [1, 2]


def test_each_snapshot_is_read_by_its_revision(ada: Api, rex: Api, submitted: str) -> None:
    rex.post(f"{submitted}/review", {"revision": 1, "accepted": False, "sentence": "Too few seeds."})
    ada.post(f"{submitted}/edit", {"revision": 1, "title": "Again", "body": "Again."})
    listed = rex.get(submitted).json()["snapshots"][0]
    frozen = rex.get(f"{submitted}/snapshots/{listed['revision']}").content
    assert hashlib.sha256(frozen).hexdigest() == listed["sha256"]
    assert [refusal(rex.get(f"{submitted}/snapshots/{n}")) for n in (2, 2**70)] == [(404, "not-found")] * 2


def test_a_draft_without_text_begins_with_the_computed_answer(ada: Api, about: Experiment) -> None:
    answer = ada.post("reports", {"experiment": about.code, "title": "EST"})
    assert ada.client.get(answer["Location"]).json()["body"] == computed(about)


def test_a_comment_hangs_on_a_table_and_is_resolved(rex: Api, submitted: str) -> None:
    made = rex.post(f"{submitted}/comments", {"anchor": "table-arms-executed", "text": "n?"})
    assert (made.status_code, made.json()["author"], made.json()["resolved_at"]) == (201, "rex", None)
    settle = f"{submitted}/comments/{made.json()['code']}/resolve"
    first, again = (rex.post(settle).json()["resolved_at"] for _ in range(2))
    assert first == again is not None


def test_a_text_that_browsers_wrote_is_taken_back(ada: Api, draft: str) -> None:
    edited = ada.post(f"{draft}/edit", {"revision": 1, "title": "EST", "body": TEXT.replace("\n", "\r\n")})
    assert edited.json()["body"] == TEXT


@pytest.mark.parametrize(
    ("move", "body", "wrong"),
    [
        ("edit", {"revision": 1, "title": "EST", "body": "One\n\n{{ chart nothing }}"}, {"body"}),
        ("edit", {"revision": 1, "title": "EST", "body": "a" * (LONGEST + 1)}, {"body"}),
        ("edit", {"revision": 1, "title": "a" * 201, "body": "B"}, {"title"}),
        ("edit", {"revision": 1, "title": "two\nlines", "body": "zero\u200bwidth"}, {"title", "body"}),
        ("edit", {"revision": "1", "title": "EST", "body": "B"}, {"revision"}),
        ("edit", {"revision": 1, "title": "EST", "body": "B", "state": "accepted"}, {"state"}),
        ("edit", {"title": "EST"}, {"revision", "body"}),
        ("submit", {}, {"revision"}),
        ("comments", {"text": "a" * 2001}, {"text"}),
        ("comments", {"text": " "}, {"text"}),
        ("comments", {"text": "n?", "anchor": "chart-savings-tokens"}, {"anchor"}),
    ],
)
def test_an_error_names_its_field(ada: Api, draft: str, move: str, body: dict[str, Any], wrong: set[str]) -> None:
    assert paths(ada.post(f"{draft}/{move}", body)) == wrong
    assert (Report.objects.get().revision, Comment.objects.count()) == (1, 0)


@pytest.mark.parametrize(
    ("verdict", "wrong"),
    [
        ({"accepted": True, "sentence": "Fine."}, "despite"),
        ({"accepted": False, "sentence": " "}, "sentence"),
        ({"accepted": "yes", "sentence": "Fine."}, "accepted"),
    ],
)
def test_a_decision_names_what_it_lacks(rex: Api, submitted: str, verdict: dict[str, Any], wrong: str) -> None:
    assert paths(rex.post(f"{submitted}/review", verdict | {"revision": 1})) == {wrong}
    assert Report.objects.get().state == "in review"


def test_the_line_of_a_bad_embed_is_told(ada: Api, about: Experiment) -> None:
    body = {"experiment": about.code, "title": "EST", "body": "One\n\n{{ chart nothing }}"}
    answer = ada.post("reports", body)
    assert paths(answer) == {"body"}
    assert "line 3: there is no chart" in answer.json()["errors"][0]["message"]
    assert not Report.objects.exists()


def test_who_read_an_older_revision_is_told_to_read_again(ada: Api, draft: str) -> None:
    words = {"revision": 1, "title": "EST", "body": TEXT}
    first, second = (ada.post(f"{draft}/edit", words | {"title": title}) for title in ("First", "Second"))
    assert first.status_code == 200
    assert refusal(second) == (409, "state")
    assert [error["path"] for error in second.json()["errors"]] == ["revision"]
    assert refusal(ada.post(f"{draft}/submit", {"revision": 1})) == (409, "state")
    assert (Report.objects.get().title, Snapshot.objects.count()) == ("First", 0)


def test_what_is_in_review_is_not_edited(ada: Api, submitted: str) -> None:
    assert refusal(ada.post(f"{submitted}/edit", {"revision": 1, "title": "T", "body": "B"})) == (409, "state")


@pytest.mark.parametrize("role", [Role.REVIEWER, Role.ADMIN])
def test_nobody_judges_what_they_wrote_in(about: Experiment, draft: str, role: Role) -> None:
    ann = caller(about, "ann", Role.ADMIN)
    ann.post(f"{draft}/edit", {"revision": 1, "title": "Mine now", "body": TEXT})
    ann.post(f"{draft}/submit", {"revision": 2})
    about.project.membership_set.filter(user__username="ann").update(role=role)
    verdict = {"revision": 2, "accepted": False, "sentence": "No."}
    assert refusal(ann.post(f"{draft}/review", verdict)) == (403, "forbidden")
    assert not Review.objects.exists()


def test_a_comment_of_another_report_is_not_found_here(ada: Api, about: Experiment, draft: str) -> None:
    other = ada.post("reports", {"experiment": about.code, "title": "Other", "body": TEXT}).json()["code"]
    remark = ada.post(f"reports/{other}/comments", {"text": "n?"}).json()["code"]
    assert refusal(ada.post(f"{draft}/comments/{remark}/resolve")) == (404, "not-found")
    assert Comment.objects.get().resolved_at is None


def test_a_repeat_with_the_same_key_acts_once(ada: Api, rex: Api, about: Experiment) -> None:
    def twice(api: Api, path: str, body: dict[str, Any]) -> Any:
        key = {"Idempotency-Key": path.rpartition("/")[2]}
        first, again = (api.post(path, body, **key) for _ in range(2))
        assert again["Idempotent-Replayed"] == "true"
        assert (again.status_code, again.json()) == (first.status_code, first.json())
        return first.json()

    path = f"reports/{twice(ada, 'reports', {'experiment': about.code, 'title': 'EST', 'body': TEXT})['code']}"
    twice(ada, f"{path}/edit", {"revision": 1, "title": "EST", "body": TEXT})
    twice(ada, f"{path}/comments", {"text": "n?"})
    twice(ada, f"{path}/submit", {"revision": 2})
    twice(rex, f"{path}/review", {"revision": 2, "accepted": False, "sentence": "No."})
    counts = [table.objects.count() for table in (Report, Comment, Snapshot, Review)]
    assert counts == [1, 1, 1, 1]

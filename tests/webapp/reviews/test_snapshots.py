"""Older snapshots of a report: each stays reachable, as it was."""

from __future__ import annotations

import hashlib
import re

import pytest
from django.test import Client

from tests.webapp.reviews import written
from webapp.experiments.models import Experiment
from webapp.reviews import services
from webapp.reviews.models import Report, Snapshot
from webapp.runs.models import Run
from webapp.teams.models import Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def about() -> Experiment:
    return written.experiment()


@pytest.fixture
def twice(about: Experiment) -> Report:
    """Submitted, returned, written again after two more seeds, and submitted again."""
    ada = written.person("ada", Role.MEMBER, about.project)
    rex = written.person("rex", Role.REVIEWER, about.project)
    report = written.report(about, ada)
    services.submit(report, ada, revision=1)
    services.decide(report, rex, revision=1, accepted=False, sentence="Too few seeds.")
    written.more_runs(about)
    services.save(report, ada, revision=1, title="EST saves, five seeds", body="{{ table arms }}")
    services.submit(report, ada, revision=2)
    return Report.objects.get()


@pytest.fixture
def viewer(about: Experiment) -> Client:
    return written.client(written.person("vic", Role.VIEWER, about.project))


def address(report: Report, revision: int, file: str = "") -> str:
    return f"/reports/{report.code}/revisions/{revision}/{file}"


def article(client: Client, report: Report, revision: int) -> str:
    found = re.search(
        r'<article id="report".*?</article>', client.get(address(report, revision)).content.decode(), re.S
    )
    assert found is not None
    return found[0]


def test_the_report_lists_its_snapshots_newest_first(twice: Report, viewer: Client) -> None:
    page = viewer.get(f"/reports/{twice.code}/").content.decode()
    linked = re.findall(r'href="(/reports/[^"]*/revisions/[^"]*)">Revision', page)
    assert linked == [address(twice, 2), address(twice, 1)]
    for sha256 in Snapshot.objects.values_list("sha256", flat=True):
        assert f"<code>{sha256[:12]}</code>" in page


def test_an_older_snapshot_shows_what_was_submitted_and_why_it_was_returned(twice: Report, viewer: Client) -> None:
    first = viewer.get(address(twice, 1)).content.decode()
    assert "<h1>EST saves a tenth</h1>" in first
    assert "Too few seeds." in first
    assert Snapshot.objects.get(revision=1).sha256 in first
    assert "is at revision 2, in review" in first
    assert "five seeds" not in article(viewer, twice, 1)


def test_snapshots_do_not_change_when_runs_come_and_go(twice: Report, viewer: Client, about: Experiment) -> None:
    def everything() -> list[object]:
        files = [viewer.get(address(twice, n, file)).content for n in (1, 2) for file in ("export/", "snapshot.json")]
        return [article(viewer, twice, 1), article(viewer, twice, 2), *files]

    before = everything()
    written.more_runs(about, seeds=(10, 11))
    Run.objects.filter(arm__experiment=about, seed=1).delete()
    assert everything() == before


@pytest.mark.parametrize("revision", [1, 2])
def test_each_snapshot_is_served_as_the_bytes_that_were_hashed(twice: Report, viewer: Client, revision: int) -> None:
    served = viewer.get(address(twice, revision, "snapshot.json")).content
    assert hashlib.sha256(served).hexdigest() == Snapshot.objects.get(revision=revision).sha256


def test_each_snapshot_is_exported_under_its_number(twice: Report, viewer: Client) -> None:
    first = viewer.get(address(twice, 1, "export/"))
    assert f'filename="report-{twice.code}-1.html"' in first["Content-Disposition"]
    assert Snapshot.objects.get(revision=1).sha256 in first.content.decode()


def test_snapshots_of_a_draft_stay_reachable(twice: Report, viewer: Client) -> None:
    rex = twice.experiment.project.members.get(username="rex")
    services.decide(twice, rex, revision=2, accepted=False, sentence="No.")
    services.save(twice, twice.author, revision=2, title="Again", body="Again.")
    assert viewer.get(f"/reports/{twice.code}/snapshot.json").status_code == 404
    assert viewer.get(address(twice, 2, "snapshot.json")).status_code == 200


@pytest.mark.parametrize("revision", [0, 3, 2**31, 2**70])
@pytest.mark.parametrize("file", ["", "export/", "snapshot.json"])
def test_a_revision_that_was_not_submitted_is_not_found(
    twice: Report, viewer: Client, revision: int, file: str
) -> None:
    assert viewer.get(address(twice, revision, file)).status_code == 404


def test_for_others_there_is_no_such_snapshot(twice: Report) -> None:
    sam = written.client(written.person("sam", Role.ADMIN, written.experiment("Other").project))
    found = {sam.get(address(twice, 1, file)).status_code for file in ("", "export/", "snapshot.json")}
    assert found == {404}

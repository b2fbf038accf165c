"""Two people and a report: written, returned with a comment on a chart, written again, accepted; frozen throughout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import PASSWORD
from tests.browser.visitor import Scheme, Visitor

LOOKS: list[tuple[Scheme, int]] = [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)]
DRAWN = "[...document.querySelectorAll('.chart')].every(chart => chart.querySelector('svg'))"


@pytest.fixture
def reviewer(chromium: Browser, visitor: Visitor) -> Iterator[Visitor]:
    """Rex, signed in beside the author."""
    from django.contrib.auth.models import User

    from webapp.teams.models import Membership, Project, Role

    user = User.objects.create_user("rex", password=PASSWORD)
    Membership.objects.create(project=Project.objects.get(), user=user, role=Role.REVIEWER)
    rex = Visitor(chromium, visitor.site, "rex", PASSWORD)
    rex.sign_in()
    yield rex
    rex.leave()


def _experiment() -> str:
    """Code of an experiment with finished runs in the visitor's project."""
    from tests.webapp.reviews import written
    from webapp.teams.models import Project

    project = Project.objects.get()
    about = written.experiment("Does EST save on <b>tiny</b> GPT?", "EST, half of the heads")
    about.project = project
    about.save()
    return about.code


def _more_runs(code: str) -> None:
    from tests.webapp.reviews import written
    from webapp.experiments.models import Experiment

    written.more_runs(Experiment.objects.get(code=code))


def _write(page: Page, code: str) -> str:
    """From the experiment's page to a submitted report; its address."""
    page.goto(f"/experiments/{code}/")
    page.get_by_role("link", name="Write report").click()
    page.get_by_label("Title").fill("EST saves a tenth")
    page.get_by_role("button", name="Save draft").click()
    page.get_by_role("heading", name="EST saves a tenth").wait_for()
    page.get_by_role("button", name="Submit for review").click()
    page.get_by_text("What you see is frozen now").wait_for()
    return page.url


def _article(page: Page, url: str) -> str:
    """The report's own bytes as the server sends them."""
    text = page.request.get(url).text()
    start, end = text.index('<article id="report"'), text.index("</article>")
    return text[start:end]


def test_a_report_is_returned_rewritten_and_accepted(visitor: Visitor, reviewer: Visitor) -> None:
    code = _experiment()
    visitor.sign_in()
    url = _write(visitor.page, code)
    page = reviewer.page
    page.goto(url)
    page.locator("#chart-savings-executed").get_by_role("link", name="Comment on this chart").click()
    page.get_by_label("Comment", exact=True).fill("Which interval is this?")
    page.get_by_role("button", name="Comment").click()
    page.get_by_text("Which interval is this?").wait_for()
    page.get_by_label("Your decision in a sentence").fill("Say how wide the interval is.")
    page.get_by_role("button", name="Return").click()
    page.get_by_role("complementary", name="Review").get_by_text("Say how wide").wait_for()
    assert page.get_by_role("button", name="Return").count() == 0

    visitor.page.goto(url)
    visitor.page.get_by_role("link", name="Edit").click()
    text = visitor.page.get_by_label("Text", exact=True)
    text.fill(text.input_value() + "\nThe interval is the t-interval over three seeds.\n")
    visitor.page.get_by_role("button", name="Save draft").click()
    visitor.page.get_by_role("button", name="Submit for review").click()
    visitor.page.get_by_text("What you see is frozen now").wait_for()

    frozen = _article(page, url)
    _more_runs(code)
    assert _article(page, url) == frozen
    page.goto(url)
    page.get_by_label("Your decision in a sentence").fill("Clear now.")
    page.get_by_role("button", name="Accept").click()
    page.get_by_text("items of the checklist are open").wait_for()
    page.get_by_label("Why accept it with open items").fill("A pilot; the equal-FLOPs arm follows.")
    page.get_by_role("button", name="Accept").click()
    page.get_by_text("Accepted with open items: A pilot").wait_for()
    assert _article(page, url) == frozen

    visitor.page.goto(url)
    visitor.page.get_by_role("link", name="Revision 1", exact=True).click()
    visitor.page.get_by_role("complementary", name="Snapshot").get_by_text("Say how wide").wait_for()
    assert "three seeds" not in _article(page, visitor.page.url)
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("link", name="Export as HTML").click()
    assert download.value.suggested_filename.endswith("-1.html")
    assert visitor.complaints == []
    assert [text for text in reviewer.complaints if "422" not in text] == []


def test_the_pages_of_a_report_are_accessible_and_fit(visitor: Visitor, reviewer: Visitor) -> None:
    code = _experiment()
    visitor.sign_in()
    url = _write(visitor.page, code)
    path = url.removeprefix(visitor.site)
    reviewer.page.goto(f"{path}?on=chart-savings-executed")
    reviewer.page.get_by_label("Comment", exact=True).fill("Which interval is this?")
    reviewer.page.get_by_role("button", name="Comment").click()
    pages = {"report": path, "reports": "/reports/", "report-new": f"/experiments/{code}/report/"}
    pages["snapshot"] = f"{path}revisions/1/"
    for person, name, address in [(visitor, name, address) for name, address in pages.items()] + [
        (reviewer, "report-judging", path)
    ]:
        for scheme, width in LOOKS:
            person.look(address, scheme=scheme, width=width)
            person.photograph(f"{name}-{scheme}-{width}")
            assert (name, person.violations(), person.complaints, person.overflow() > 0) == (name, [], [], False)


def test_an_exported_report_opens_without_the_server(visitor: Visitor, chromium: Browser, tmp_path: Path) -> None:
    from webapp.reviews.models import Snapshot

    visitor.sign_in()
    url = _write(visitor.page, _experiment())
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("link", name="Export as HTML").click()
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    alone = Visitor(chromium, visitor.site, "", "")
    asked: list[str] = []
    alone.context.set_offline(True)
    alone.page.on("request", lambda request: asked.append(request.url))
    for scheme, width in LOOKS:
        alone.look(f"file://{saved}", scheme=scheme, width=width)
        alone.photograph(f"report-exported-{scheme}-{width}")
        assert (alone.violations(), alone.complaints, alone.overflow() > 0) == ([], [], False)
        assert alone.page.locator(".chart svg.main-svg").count() >= 3
    snapshot = Snapshot.objects.get()
    shown = alone.page.locator("#report").inner_text()
    assert snapshot.sha256 in shown
    assert f"{snapshot.taken_at:%Y-%m-%d %H:%M:%S}" in shown
    assert {address.partition(":")[0] for address in asked} == {"file"}, url
    alone.leave()

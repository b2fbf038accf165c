"""The page of the REST API, where it is tried out."""

from __future__ import annotations

from tests.browser.visitor import Visitor


def test_the_api_is_described_and_tried_within_the_policy(visitor: Visitor) -> None:
    visitor.sign_in()
    visitor.complaints.clear()
    visitor.page.goto("/api/docs")
    described = visitor.page.locator("#operations-projects-projects_list")
    described.get_by_role("button").first.click()
    described.get_by_role("button", name="Try it out").click()
    described.get_by_role("button", name="Execute").click()
    assert "vision-lab" in described.locator(".live-responses-table").inner_text()
    assert visitor.complaints == []

"""The arms of a new experiment, as a person adds, fills in and removes them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.visitor import Visitor


def test_arms_come_and_go_without_losing_what_was_typed(visitor: Visitor) -> None:
    visitor.sign_in()
    page = visitor.page
    page.set_viewport_size({"width": 360, "height": 900})
    page.goto("/experiments/new/?method=est")
    page.get_by_label("Title").fill("Two ESTs")
    page.get_by_label("Active heads").fill("0.25")
    page.get_by_label("Add an arm").select_option("est")
    page.get_by_role("button", name="Add", exact=True).press("Enter")
    page.get_by_label("Label").nth(1).fill("EST without 1/p")
    page.get_by_label("Scale up active units").nth(1).uncheck()
    expect(page.locator("#plan")).to_contain_text("Dense, equal FLOPs (EST without 1/p)")
    assert page.get_by_label("Active heads").first.input_value() == "0.25"
    assert visitor.overflow() <= 0
    page.get_by_role("button", name="Remove Evolving Subnetwork Training", exact=True).click()
    expect(page.locator(".arm")).to_have_count(1)
    expect(page.locator("#plan")).to_contain_text("9 (3 × 3 seeds)")
    assert (page.get_by_label("Label").input_value(), visitor.complaints) == ("EST without 1/p", [])


def _other_arms(page: Page) -> None:
    page.get_by_label("Add an arm").select_option("dense")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("button", name="Remove Evolving Subnetwork Training", exact=True).click()


def _other_task(page: Page) -> None:
    """EST has no images; a dense arm is put in its place."""
    page.get_by_label("Task", exact=True).select_option("image_classification")
    page.get_by_label("Resolution").wait_for()


@pytest.mark.parametrize("change", [_other_arms, _other_task])
def test_an_answer_about_fields_that_are_gone_is_not_shown(visitor: Visitor, change: Callable[[Page], None]) -> None:
    visitor.sign_in()
    page = visitor.page
    page.goto("/experiments/new/?method=est")
    late: list[Route] = []

    def hold(route: Route) -> None:
        late.append(route)

    page.route("**/experiments/new/plan/", hold, times=1)
    with page.expect_request("**/experiments/new/plan/"):
        page.get_by_label("Active heads").fill("7")
    change(page)
    expect(page.locator(".arm")).to_have_count(1)
    page.get_by_label("Seeds").fill("2")
    with page.expect_response("**/experiments/new/plan/"):
        late[0].continue_()
    expect(page.locator("#plan")).to_contain_text("2 (1 × 2 seeds)")
    assert visitor.complaints == []


def test_what_is_wrong_is_said_at_its_field_while_one_types(visitor: Visitor) -> None:
    visitor.sign_in()
    page = visitor.page
    page.goto("/experiments/new/?method=est")
    page.get_by_label("Active heads").fill("7")
    wrong = page.locator("[id='id_arms.0.knobs.est.heads_error']")
    expect(wrong).to_contain_text("less than or equal to 1")
    assert visitor.violations() == []
    page.get_by_label("Active heads").fill("0.7")
    expect(wrong).to_be_empty()


def test_the_form_as_json_and_back_keeps_what_was_typed(visitor: Visitor) -> None:
    visitor.sign_in()
    page = visitor.page
    page.goto("/experiments/new/?method=est")
    page.get_by_label("Title").fill("Both ways")
    page.get_by_label("Active heads").fill("0.25")
    page.get_by_role("button", name="Edit as JSON").click()
    text = page.get_by_label("The launch as JSON")
    assert visitor.violations() == []
    visitor.photograph("new-as-json")
    text.fill(text.input_value().replace("0.25", "0.75"))
    page.get_by_role("button", name="Edit as a form").click()
    assert page.get_by_label("Title").input_value() == "Both ways"
    assert (page.get_by_label("Active heads").input_value(), visitor.complaints) == ("0.75", [])

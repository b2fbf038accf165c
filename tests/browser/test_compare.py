"""The compare page while somebody uses it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.browser.visitor import DRAWN, Visitor

COUNT = """
window.drawn = [];
const look = () => {
  const count = document.querySelectorAll(".chart .main-svg:first-child").length;
  if (count !== window.drawn.at(-1)) window.drawn.push(count);
  requestAnimationFrame(look);
};
look();
"""
"""Notes how many charts are drawn, frame by frame."""
SWAPPED = """
document.getElementById("results").dispatchEvent(new Event("htmx:afterSwap", {bubbles: true}));
document.getElementById("chart-curves").remove();
document.getElementById("figure-curves").remove();
"""


SCROLLED = """
(() => {
  const region = document.querySelector("[aria-label='Every arm at a glance']");
  region.scrollIntoView();
  region.scrollLeft = region.scrollWidth;
  const name = region.querySelector("tbody td"), box = name.getBoundingClientRect();
  const seen = document.elementFromPoint(box.left + 3, box.top + box.height / 2);
  return region.scrollLeft > 0 && name.contains(seen) && box.width < 0.6 * region.clientWidth;
})()
"""
"""Whether the first arm's name is still on top at the far end of the table, and leaves room beside it."""
GROWN = """
[...document.querySelectorAll(".chart")].filter(({ _fullLayout: { margin, _size } }) =>
  ["l", "t"].some((side) => _size[side] > margin[side] + 1)).map(({ id }) => id)
"""
"""Charts that asked for more room than they were given, and were drawn twice for it."""


def _compared(tests: int = 1) -> str:
    """Path of a compare page with a matched arm, scored on so many tests."""
    from django.contrib.auth.models import User

    from tests.webapp.results import planted
    from training.spec import RunSpec

    experiment = planted.experiment(user=User.objects.get(username="ada"))
    planted.store(experiment, planted.arm("Dense", [planted.run(seed) for seed in (1, 2, 3)]))
    runs = [planted.run(seed, share=0.9, lag=0.8) for seed in (1, 2, 3)]
    arm = planted.arm("EST", runs, index=1, spec=RunSpec(methods=("est",)))
    scores = [
        replace(score, test=replace(score.test, metric=f"acc{n or ''}")) for score in arm.scores for n in range(tests)
    ]
    planted.store(experiment, replace(arm, scores=tuple(scores)))
    return f"/experiments/{experiment.code}/"


def test_every_chart_is_drawn_in_a_frame_of_its_own(visitor: Visitor) -> None:
    path = _compared()
    visitor.sign_in()
    visitor.page.add_init_script(COUNT)
    visitor.look(f"{path}?tab=savings", scheme="light", width=1280)
    visitor.wait_until("window.drawn.at(-1) === 2")
    assert visitor.page.evaluate("window.drawn") == [0, 1, 2]


@pytest.mark.parametrize("view", ["curves", "savings", "frontier", "ledger"])
def test_what_a_chart_shows_stands_where_its_axes_say(visitor: Visitor, view: str) -> None:
    path = _compared()
    visitor.sign_in()
    visitor.look(f"{path}?tab={view}", scheme="light", width=1280)
    assert visitor.misplaced() == []
    assert visitor.page.evaluate(GROWN) == []
    visitor.page.set_viewport_size({"width": 700, "height": 900})
    visitor.page.wait_for_timeout(500)
    assert visitor.misplaced() == []


def test_a_chart_that_goes_before_it_is_drawn_does_no_harm(visitor: Visitor) -> None:
    path = _compared()
    visitor.sign_in()
    visitor.look(path, scheme="light", width=1280)
    visitor.page.evaluate(SWAPPED)
    visitor.page.click("#tab-savings")
    visitor.wait_until("document.querySelectorAll('#chart-forest .main-svg').length > 0")
    assert visitor.complaints == []


def _heard_of_resizing(visitor: Visitor) -> int:
    """How many listeners the window has for its size."""
    devtools = visitor.context.new_cdp_session(visitor.page)
    window = devtools.send("Runtime.evaluate", {"expression": "window"})["result"]["objectId"]
    heard = devtools.send("DOMDebugger.getEventListeners", {"objectId": window})["listeners"]
    return sum(listener["type"] == "resize" for listener in heard)


def test_a_view_that_goes_leaves_nothing_behind_and_can_be_gone_back_to(visitor: Visitor) -> None:
    path = _compared()
    visitor.sign_in()
    visitor.look(path, scheme="light", width=1280)
    with_one_chart = _heard_of_resizing(visitor)
    for view in ("frontier", "savings", "ledger", "curves"):
        visitor.page.click(f"#tab-{view}")
        visitor.wait_until(f"document.querySelector('#chart-{view} .main-svg') && {DRAWN}")
    assert _heard_of_resizing(visitor) == with_one_chart
    visitor.page.go_back()
    visitor.wait_until(f"document.querySelector('#chart-ledger .main-svg') && {DRAWN}")
    assert visitor.page.evaluate("sessionStorage.getItem('htmx-history-cache')") is None
    assert visitor.complaints == []


@pytest.mark.parametrize("width", [1280, 360])
def test_names_stay_in_view_while_a_wide_table_is_scrolled(visitor: Visitor, width: int) -> None:
    path = _compared(tests=12)
    visitor.sign_in()
    visitor.look(path, scheme="light", width=width)
    visitor.photograph(f"compare-wide-{width}")
    assert visitor.page.evaluate(SCROLLED)
    assert (visitor.overflow(), visitor.violations()) == (0, [])

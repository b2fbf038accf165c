"""The compare page while somebody uses it."""

from __future__ import annotations

from tests.browser.visitor import Visitor

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


def _compared() -> str:
    """Path of a compare page with a matched arm."""
    from django.contrib.auth.models import User

    from tests.webapp.results import planted
    from training.spec import RunSpec

    experiment = planted.experiment(user=User.objects.get(username="ada"))
    planted.store(experiment, planted.arm("Dense", [planted.run(seed) for seed in (1, 2, 3)]))
    runs = [planted.run(seed, share=0.9, lag=0.8) for seed in (1, 2, 3)]
    planted.store(experiment, planted.arm("EST", runs, index=1, spec=RunSpec(methods=("est",))))
    return f"/experiments/{experiment.code}/"


def test_every_chart_is_drawn_in_a_frame_of_its_own(visitor: Visitor) -> None:
    path = _compared()
    visitor.sign_in()
    visitor.page.add_init_script(COUNT)
    visitor.look(f"{path}?tab=savings", scheme="light", width=1280)
    visitor.wait_until("window.drawn.at(-1) === 2")
    assert visitor.page.evaluate("window.drawn") == [0, 1, 2]


def test_a_chart_that_goes_before_it_is_drawn_does_no_harm(visitor: Visitor) -> None:
    path = _compared()
    visitor.sign_in()
    visitor.look(path, scheme="light", width=1280)
    visitor.page.evaluate(SWAPPED)
    visitor.page.click("#tab-savings")
    visitor.wait_until("document.querySelectorAll('#chart-forest .main-svg').length > 0")
    assert visitor.complaints == []

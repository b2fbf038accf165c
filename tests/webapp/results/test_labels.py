"""Labels of points: clear of each other and of the plot's ends."""

from __future__ import annotations

from itertools import combinations

import pytest

from webapp.results.labels import HEIGHT, WIDTHS, Box, box, overlap, sides


def boxes(points: list[tuple[float, float]], texts: list[str], width: float) -> list[Box]:
    return [
        box(x * width, y * HEIGHT, text, side)
        for (x, y), text, side in zip(points, texts, sides(points, texts), strict=True)
    ]


@pytest.mark.parametrize("width", WIDTHS[1:])
@pytest.mark.parametrize(
    "points",
    [
        [(0.5, 0.5), (0.52, 0.5)],
        [(0.5, 0.5), (0.5, 0.5), (0.5, 0.5), (0.5, 0.5)],
        [(0.1, 0.5), (0.4, 0.5), (0.5, 0.5), (0.54, 0.5), (0.9, 0.5)],
    ],
)
def test_labels_of_near_points_do_not_lie_on_each_other(points: list[tuple[float, float]], width: float) -> None:
    found = boxes(points, ["EST, half"] * len(points), width)
    assert [overlap(one, other) for one, other in combinations(found, 2)] == [0.0] * (
        len(found) * (len(found) - 1) // 2
    )


@pytest.mark.parametrize("point", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_a_label_at_a_corner_stays_in_the_plot(point: tuple[float, float]) -> None:
    left, bottom, right, top = boxes([point], ["Dense, equal FLOPs"], WIDTHS[0])[0]
    assert (left >= 0, bottom >= 0, right <= WIDTHS[0], top <= HEIGHT) == (True, True, True, True)


def test_a_point_alone_has_its_label_above_on_the_right() -> None:
    assert sides([(0.3, 0.5)], ["EST"]) == ["top right"]

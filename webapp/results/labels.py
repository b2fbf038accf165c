"""Where the labels of a chart's points go, so that they do not lie on each other or run out of the plot."""

from __future__ import annotations

from collections.abc import Sequence

WIDTHS, HEIGHT = (300.0, 640.0, 1100.0), 320.0
"""Pixels of the plot, in narrow and wide windows: a label suits them all as well as it can, wide ones more."""
LETTER, LINE, OFF = 6.4, 15.0, 7.0
"""Pixels: of a letter, of a line of text, and between a point and its label."""
SIDES = ("top right", "bottom right", "top left", "bottom left", "top center", "bottom center")
"""As Plotly names them, the one we like best first."""

Box = tuple[float, float, float, float]
"""Left, bottom, right, top, in pixels."""


def sides(points: Sequence[tuple[float, float]], texts: Sequence[str]) -> list[str]:
    """The side of each label, for points in shares of the plot; in turn, each where it is least in the way."""
    taken = {width: [_around(x * width, y * HEIGHT) for x, y in points] for width in WIDTHS}
    found = []
    for (x, y), text in zip(points, texts, strict=True):
        boxes = {side: {width: box(x * width, y * HEIGHT, text, side) for width in WIDTHS} for side in SIDES}
        best = min(
            SIDES, key=lambda side: sum(_in_the_way(boxes[side][width], taken[width], width) for width in WIDTHS)
        )
        for width in WIDTHS:
            taken[width].append(boxes[best][width])
        found.append(best)
    return found


def box(x: float, y: float, text: str, side: str) -> Box:
    """What a label covers on this side of a point."""
    wide = LETTER * len(text)
    left = {"right": x + OFF, "left": x - OFF - wide, "center": x - wide / 2}[side.split()[1]]
    bottom = y + OFF if side.startswith("top") else y - OFF - LINE
    return left, bottom, left + wide, bottom + LINE


def overlap(one: Box, other: Box) -> float:
    """Square pixels that both cover."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, wide) * max(0.0, high)


def _around(x: float, y: float) -> Box:
    return x - OFF / 2, y - OFF / 2, x + OFF / 2, y + OFF / 2


def _in_the_way(label: Box, taken: Sequence[Box], width: float) -> float:
    """Pixels of a label that lie on something, or not in the plot; weighed by the plot's width."""
    whole = (label[2] - label[0]) * LINE
    outside = whole - overlap(label, (0.0, 0.0, width, HEIGHT))
    return width * (outside + sum(overlap(label, other) for other in taken))

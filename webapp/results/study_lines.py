"""Loss against the share of the domain in a mixture: what was measured, and the line of a law where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from webapp.results.figures import Figure, plain

SHARES: NDArray[np.float64] = np.linspace(0, 1, 101)
"""Where a law is drawn."""


@dataclass(frozen=True)
class Line:
    """Measured losses at their shares, and `law`: the predicted losses at SHARES."""

    name: str
    shares: Sequence[float]
    losses: Sequence[float]
    law: NDArray[np.float64] | None


def against_share(lines: Sequence[Line], *, loss: str, said: str, rows: int) -> Figure:
    """Points and lines in one colour each; `rows`: how many the legend takes in a narrow window."""
    traces: list[dict[str, Any]] = []
    for place, line in enumerate(lines):
        points = {"x": list(line.shares), "y": list(line.losses), "name": f"{line.name}, measured"}
        traces.append({**points, "meta": {"arm": place, "role": "point"}, "showlegend": line.law is None})
        if line.law is not None:
            law = {"x": plain(SHARES), "y": plain(line.law), "name": line.name}
            traces.append({**law, "meta": {"arm": place, "role": "mean"}})
    layout = {
        "xaxis": {"title": {"text": "share of the domain in the mixture"}, "range": [-0.03, 1.03]},
        "yaxis": {"title": {"text": loss}},
        "hovermode": "closest",
        "margin": {"t": 4 + 18 * rows},
    }
    return Figure({"data": traces, "layout": layout}, said)

"""What a reader should know before trusting the laws of a D-CPT study: lines of plain words."""

from __future__ import annotations

from training.studies.dcpt import across
from training.studies.dcpt.card import DcptKnobs
from training.studies.dcpt.finding import SOURCES, DcptFinding
from training.studies.dcpt.quality import FEW, Fit

SIZES, SHARES = 3, 4
"""Networks and shares from which on the exponents that go with them are told by the points, not by the pull to 1/2."""
LOW = 0.9
"""R2 of a fit on its own points below which the form does not describe them; the paper's lowest is 0.98."""


def warnings(knobs: DcptKnobs, found: DcptFinding) -> tuple[str, ...]:
    """Of the runs, of each law, of the grid and of the law across domains."""
    told = []
    if found.failures:
        told.append(f"{len(found.failures)} of {found.runs} runs did not succeed; the fits are of the others.")
    for name, law in (("general", found.general), ("domain", found.domain)):
        told += of_law(name, law) if law else []
    told += of_grid(found) if found.general else []
    if found.across and found.across.law and (grids := 1 + len(knobs.domains)) <= SOURCES:
        told.append(f"The law across domains is of {grids} domains; the paper takes {SOURCES} to predict another.")
    told += across.beyond(found.across, probed=frozenset(knobs.probed)) if found.across else []
    if knobs.rate == "decayed":
        told.append("The rate decayed within each run: its points are not the ends of shorter runs.")
    return tuple(told)


def of_law(name: str, law: Fit) -> list[str]:
    """What speaks against one fit."""
    told = []
    if law.points < FEW:
        told.append(f"{law.points} points for nine parameters of the {name} law are few; {FEW} are wanted.")
    if law.r2 is None:
        told.append(f"All {name} losses are equal: their law tells nothing.")
    elif law.r2 < LOW:
        told.append(f"The {name} law does not describe its own points: R2 is {law.r2:.2f}.")
    if law.bounded:
        told.append(f"The {name} law ends at a bound of the fit in {', '.join(law.bounded)}, untold by the points.")
    if law.violated:
        told.append(
            f"Law violated: at {len(law.violated)} measured points the fitted {name} loss does not fall "
            f"with a larger share of its text."
        )
    if law.aic >= law.aic_chinchilla:
        told.append(f"The share does not earn its parameters in the {name} law: the form without it has a lower AIC.")
    return told


def of_grid(found: DcptFinding) -> list[str]:
    """Which exponents the grid leaves to the pull."""
    told = []
    if len({one.size for one in found.observations}) < SIZES:
        told.append(
            "Two networks do not tell how fast the loss falls with size: predictions at other sizes are guesses."
        )
    if len({one.domain_share for one in found.observations}) < SHARES:
        told.append(
            "Three shares do not tell how the loss bends with the share: gamma is drawn to 1/2, and predictions at "
            "other shares are guesses."
        )
    return told

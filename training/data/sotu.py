"""The shipped corpus: State of the Union addresses with year and party. Provenance in `corpora/SOTU.md`."""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

Split = Literal["train", "validation", "test"]
FILE = Path(__file__).parent / "corpora" / "sotu.jsonl.xz"


@dataclass(frozen=True)
class Address:
    """One address, in the part of the corpus it belongs to as a whole."""

    year: int
    name: str
    party: str
    text: str
    split: Split


@cache
def addresses() -> tuple[Address, ...]:
    """All 233 addresses in order of year."""
    lines = lzma.decompress(FILE.read_bytes()).decode().splitlines()
    return tuple(Address(**json.loads(line), split=split(position)) for position, line in enumerate(lines))


def split(position: int) -> Split:
    """Every tenth address tests, every tenth validates, from all eras; why 0 and 4 stands in `corpora/SOTU.md`."""
    if position % 10 == 0:
        return "test"
    return "validation" if position % 10 == 4 else "train"

"""The second shipped text: Python's standard library as source code. Provenance in `corpora/PYTHON-STDLIB.md`."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

from training.data.sotu import split
from training.data.texts import Texts

FILE = Path(__file__).parent / "corpora" / "python-stdlib.jsonl.xz"


def read() -> Texts:
    """The modules in order of their paths, each in one part as a whole."""
    parts: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for position, line in enumerate(lzma.decompress(FILE.read_bytes()).decode().splitlines()):
        parts[split(position)].append(json.loads(line)["text"])
    return Texts(**{name: tuple(documents) for name, documents in parts.items()})

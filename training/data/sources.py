"""From a source's name to its documents: shipped, fetched, found in the data folder, uploaded, or of the hub."""

from __future__ import annotations

from pathlib import Path

from training.data import hub, sotu, stdlib, wikitext
from training.data.check import DataError
from training.data.folder import found, text
from training.data.progress import Progress
from training.data.texts import Texts, cut


def read(source: str, *, cache: Path, data_root: Path, blob: Path | None, progress: Progress) -> Texts:
    """The documents of a `DataSpec.source`; `blob` is the file behind `dataset:<code>`."""
    kind, _, name = source.partition(":")
    if source == "sotu":
        return shipped()
    if source == "python-stdlib":
        return stdlib.read()
    if source == "wikitext-2":
        return wikitext.read(cache, progress)
    if kind == "text":
        return cut(found(name, data_root))
    if kind == "hf":
        return hub.read(name, data_root, progress)
    if kind == "dataset":
        if blob is None or not blob.exists():
            raise DataError("data.source", f"the uploaded dataset {name} is not here any more; upload it again")
        return cut([text(blob)])
    raise DataError("data.source", f"no source {source!r}; use sotu, python-stdlib, wikitext-2, text:, dataset: or hf:")


def shipped() -> Texts:
    """The State of the Union addresses, in the parts that `corpora/SOTU.md` tells."""
    parts: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for address in sotu.addresses():
        parts[address.split].append(address.text)
    return Texts(*(tuple(documents) for documents in parts.values()))
